"""Downloading: upstream releases by name, or subsets of them.

The Hub lists the files of a repository at one commit; the facts of a release (`modalmix.cards.facts`) only say which names belong
to which subset.  The folder keeps the commit, so the same command continues with the same files.  A file is complete if its hash
is that of the Hub; an equal size is not enough.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence

import msgspec
from huggingface_hub.errors import GatedRepoError

from ..builders.core.errors import HubError
from ..builders.pipeline.hub_client import DATASET, Head, Repository, gated
from ..builders.pipeline.hub_retry import Patience, retry
from ..cards.facts.releases import all_releases, chosen_files, next_commands
from .folder import Folder

_SPARE_BYTES = 1 << 28


class Downloaded(msgspec.Struct):
    """The result of a download, or of a dry run.

    Attributes:
        repository: ``namespace/name``.
        commit: the commit that was downloaded.
        folder: the folder with the files.
        files: path → bytes.
        missing: path → bytes of the files that were not complete before.
        commands: the commands to run next, for every subset.
    """

    repository: str
    commit: str
    folder: str
    files: dict[str, int]
    missing: dict[str, int]
    commands: list[str]


def download(
    name: str,
    to: str,
    *,
    subsets: Sequence[str] = (),
    revision: str | None = None,
    dry_run: bool = False,
    token: str | None = None,
    patience: Patience | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Downloaded:
    """Downloads an upstream release, or some subsets of it.

    Args:
        name: name of the release; see `modalmix.cards.facts.releases`.
        to: folder to download to.
        subsets: names of subsets of the release, or patterns of names.
        revision: branch or commit; by default the commit of the last download to this folder, or the newest.
        dry_run: download nothing, and give the result that a download would have.
        token: token to use instead of the stored one.
        patience: how long to retry.
        progress: called with the file, the bytes done and the bytes to do.
        report: called with a line for each wait.

    Raises:
        HubError: the release or the subset does not exist, the disk is too small, or the Hub refuses.  The same call continues
            later.
    """
    releases = all_releases()
    if name not in releases:
        raise HubError(f"there is no release {name!r}: it is one of {', '.join(releases)}")
    release = releases[name].download
    assert release is not None
    target = Repository(release.repo, token)
    patience, report = patience or Patience(), report or (lambda line: None)
    folder = Folder(to)
    with target.errors():
        try:
            head = retry(
                lambda: target.head(revision or folder.pinned(release.repo)), patience, report, "what the Hub has"
            )
        except GatedRepoError:
            raise gated(release.repo) from None
        if head.commit is None:
            raise HubError(f"{release.repo} is not on {target.endpoint}, or this token may not see it")
        files = {path: head[path].size for path in chosen_files(release, head, subsets)}
        missing = {}
        for path, size in files.items():
            problem = folder.problem(path, head[path])
            if problem:
                missing[path] = size
                if os.path.exists(folder.place(path)):
                    report(f"{folder.place(path)}: {problem}; it will be downloaded again")
        result = Downloaded(
            release.repo, head.commit, to, files, missing, next_commands(release, to, subsets, list(files))
        )
        if dry_run:
            return result
        _check_disk(to, missing)
        os.makedirs(to, exist_ok=True)
        folder.pin(release.repo, head.commit)
        done, total = 0, sum(missing.values())
        for path, size in missing.items():
            if progress:
                progress(path, done, total)
            try:
                retry(lambda path=path: _get(target, path, head, folder), patience, report, path)  # type: ignore[misc]
            except GatedRepoError:
                raise gated(release.repo) from None
            done += size
        return result


def _get(target: Repository, path: str, head: Head, folder: Folder) -> None:
    """Downloads a file, continues a partial one, and compares the result with the hash on the Hub.

    Raises:
        ConnectionError: the file is not the one on the Hub; it is removed.
    """
    place = folder.place(path)
    target.api.hf_hub_download(
        target.name,
        path,
        repo_type=DATASET,
        revision=head.commit,
        local_dir=folder.path,
        force_download=os.path.exists(place),  # or else the client trusts its own notes
    )
    problem = folder.problem(path, head[path])
    if problem:
        os.remove(place)
        raise ConnectionError(f"{path} was downloaded, but {problem}")


def _check_disk(to: str, missing: Mapping[str, int]) -> None:
    folder = os.path.abspath(to)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free, needed = shutil.disk_usage(folder).free, sum(missing.values())
    if missing and needed + _SPARE_BYTES > free:
        raise HubError(
            f"{needed:,} bytes are to be downloaded, but only {free:,} are free at {to!r}; name a --subset or another disk"
        )
