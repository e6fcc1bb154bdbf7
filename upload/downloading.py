"""Downloading: the upstream releases by name, as far as a subset needs them.

What a repository holds is asked of the Hub at one commit, never assumed; the facts of a release (`modalmix.cards.facts`) only
say which names belong to which subset.  The commit is written down in the folder, so that the same command goes on with the same
files.  A file counts as there when its hash is the Hub's, not when its size is.
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
    """What a download got, or would get.

    Attributes:
        repository: where from.
        commit: which state of it.
        folder: where to.
        files: path → bytes.
        missing: path → bytes of those that were not there before.
        commands: what comes next, ready to be run, for every subset.
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
    told: Callable[[str], None] | None = None,
) -> Downloaded:
    """Downloads an upstream release, or some subsets of it.

    Args:
        name: of the release; see `modalmix.cards.facts.releases`.
        to: folder to download to.
        subsets: of the release, or patterns of them; see its facts.
        revision: branch or commit; the one of the last download to this folder, or else the newest.
        dry_run: only tell what would be downloaded.
        token: instead of the one that is logged in.
        patience: how long to try again.
        progress: called with the file, the bytes done and the bytes to do.
        told: told of waits, one line each.

    Raises:
        HubError: there is no such release or subset, the disk is too small, the Hub does not give it; nothing is lost: the same
            call goes on.
    """
    known = all_releases()
    if name not in known:
        raise HubError(f"there is no release {name!r}: it is one of {', '.join(known)}")
    release = known[name].download
    assert release is not None
    target = Repository(release.repo, token)
    steps, report = patience or Patience(), told or (lambda line: None)
    folder = Folder(to)
    with target.errors():
        try:
            head = retry(
                lambda: target.head(revision or folder.pinned(release.repo)), steps, report, "what the Hub has"
            )
        except GatedRepoError:
            raise gated(release.repo) from None
        if head.commit is None:
            raise HubError(f"{release.repo} is not on {target.endpoint}, or this token may not see it")
        files = {path: head[path].size for path in chosen_files(release, head, subsets)}
        missing = {}
        for path, size in files.items():
            problem = folder.wrong(path, head[path])
            if problem:
                missing[path] = size
                if os.path.exists(folder.place(path)):
                    report(f"{folder.place(path)}: {problem}; it is to be downloaded anew")
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
                retry(lambda path=path: _get(target, path, head, folder), steps, report, path)  # type: ignore[misc]
            except GatedRepoError:
                raise gated(release.repo) from None
            done += size
        return result


def _get(target: Repository, path: str, head: Head, folder: Folder) -> None:
    """Downloads a file and compares it with what the Hub says of it; what is there of it already is gone on with.

    Raises:
        ConnectionError: what came is not it; it is taken away.
    """
    place = folder.place(path)
    target.api.hf_hub_download(
        target.name,
        path,
        repo_type=DATASET,
        revision=head.commit,
        local_dir=folder.path,
        force_download=os.path.exists(place),  # or else the client takes its own word for it
    )
    problem = folder.wrong(path, head[path])
    if problem:
        os.remove(place)
        raise ConnectionError(f"{path} came, but {problem}")


def _check_disk(to: str, missing: Mapping[str, int]) -> None:
    folder = os.path.abspath(to)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free, needed = shutil.disk_usage(folder).free, sum(missing.values())
    if missing and needed + _SPARE_BYTES > free:
        raise HubError(
            f"{needed:,} bytes are to be downloaded and only {free:,} are free at {to!r}; name a --subset or another disk"
        )
