"""Downloading: the upstream releases by name, as far as a subset needs them.

What a repository holds is asked of the Hub at one commit, never assumed; the facts of a release (`modalmix.cards.facts`) only
say which names belong to which subset.  The commit is written down in the folder, so that the same command goes on with the same
files.
"""

from __future__ import annotations

import fnmatch
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence

import msgspec
from huggingface_hub.errors import GatedRepoError

from ..cards.facts import Download as Release
from ..cards.facts import Facts, all_facts
from .errors import HubError
from .hub import DATASET, Repository
from .planning import CARD, Remote
from .retrying import Patience, retry

_PINNED = ".modalmix-download.json"
_SPARE_BYTES = 1 << 28


class Downloaded(msgspec.Struct):
    """What a download got, or would get.

    Attributes:
        repository: where from.
        commit: which state of it.
        folder: where to.
        files: path → bytes.
        missing: path → bytes of those that were not there before.
        command: what comes next.
    """

    repository: str
    commit: str
    folder: str
    files: dict[str, int]
    missing: dict[str, int]
    command: str


def names() -> dict[str, Facts]:
    """The releases that can be downloaded: name → facts."""
    return {name: one for name, one in all_facts().items() if one.download is not None}


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
        name: of the release; see `names`.
        to: folder to download to.
        subsets: of the release; see its facts.
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
    known = names()
    if name not in known:
        raise HubError(f"there is no release {name!r}: it is one of {', '.join(known)}")
    release = known[name].download
    assert release is not None
    target = Repository(release.repo, token)
    steps, report = patience or Patience(), told or (lambda line: None)
    with target.errors():
        try:
            head = retry(lambda: target.head(revision or _pinned(to, release.repo)), steps, report, "what the Hub has")
        except GatedRepoError:
            raise _gated(release.repo) from None
        if head.commit is None:
            raise HubError(f"{release.repo} is not on {target.endpoint}, or this token may not see it")
        files = {path: head[path].size for path in chosen(release, head, subsets)}
        missing = {path: size for path, size in files.items() if not _is_there(to, path, size)}
        result = Downloaded(release.repo, head.commit, to, files, missing, next_command(release, to, subsets))
        if dry_run:
            return result
        _check_disk(to, missing)
        os.makedirs(to, exist_ok=True)
        _pin(to, release.repo, head.commit)
        done, total = 0, sum(missing.values())
        for path, size in missing.items():
            if progress:
                progress(path, done, total)
            try:
                retry(lambda path=path: _get(target, path, str(head.commit), to), steps, report, path)  # type: ignore[misc]
            except GatedRepoError:
                raise _gated(release.repo) from None
            if not _is_there(to, path, size):
                raise HubError(f"{path} has {os.path.getsize(os.path.join(to, path))} bytes and not {size}")
            done += size
        return result


def chosen(release: Release, listed: Mapping[str, Remote], subsets: Sequence[str]) -> list[str]:
    """The files of a repository that subsets need, in alphabetical order.

    Raises:
        HubError: a subset is not known, or the repository holds nothing of it.
    """
    folders = sorted({path.partition("/")[0] for path in listed if "/" in path})
    known = folders if release.open_subsets else list(release.subsets)
    if release.open_subsets and not subsets:
        raise HubError(f"name what you need with --subset; {release.repo} holds {', '.join(known)}")
    wanted = list(release.files)
    for subset in subsets or release.default or known:
        if subset not in known:
            raise HubError(f"there is no subset {subset!r}: it is one of {', '.join(known) or 'none'}")
        patterns = [f"{subset}/*"] if release.open_subsets else release.subsets[subset]
        if not any(fnmatch.fnmatchcase(path, pattern) for path in listed for pattern in patterns):
            raise HubError(
                f"{release.repo} holds nothing of the subset {subset!r} ({', '.join(patterns)}); its listing has changed"
            )
        wanted += patterns
    found = [path for path in sorted(listed) if any(fnmatch.fnmatchcase(path, pattern) for pattern in wanted)]
    if not found:
        raise HubError(f"{release.repo} holds no {', '.join(wanted)}; its listing has changed")
    bad = next((path for path in found if path.startswith("/") or ".." in path.split("/")), None)
    if bad:
        raise HubError(f"{release.repo} names {bad!r}, which leads out of the folder")
    return found + [path for path in (CARD,) if path in listed and path not in found]


def _get(target: Repository, path: str, commit: str, to: str) -> None:
    target.api.hf_hub_download(target.name, path, repo_type=DATASET, revision=commit, local_dir=to)


def _is_there(to: str, path: str, size: int) -> bool:
    """Whether a file is complete; the client writes under another name until it is."""
    try:
        return os.path.getsize(os.path.join(to, path)) == size
    except OSError:
        return False


def _check_disk(to: str, missing: Mapping[str, int]) -> None:
    folder = os.path.abspath(to)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    free, needed = shutil.disk_usage(folder).free, sum(missing.values())
    if missing and needed + _SPARE_BYTES > free:
        raise HubError(
            f"{needed:,} bytes are to be downloaded and only {free:,} are free at {to!r}; name a --subset or another disk"
        )


def _pinned(to: str, repository: str) -> str | None:
    try:
        with open(os.path.join(to, _PINNED), "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, str]).get(repository)
    except (OSError, msgspec.DecodeError):
        return None


def _pin(to: str, repository: str, commit: str) -> None:
    path = os.path.join(to, _PINNED)
    pins: dict[str, str] = {}
    try:
        with open(path, "rb") as file:
            pins = msgspec.json.decode(file.read(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        pass
    pins[repository] = commit
    with open(f"{path}.tmp", "wb") as file:
        file.write(msgspec.json.encode(pins))
    os.replace(f"{path}.tmp", path)


def next_command(release: Release, to: str, subsets: Sequence[str]) -> str:
    """The command that builds what was downloaded."""
    names = subsets or [""]
    given = " ".join(release.build.format(to=shlex.quote(to), subset=shlex.quote(subset)) for subset in names[:1])
    return f"modalmix build {given} --out {shlex.quote(to.rstrip('/') + '-built')}"


def _gated(repository: str) -> HubError:
    return HubError(f"{repository} is gated: agree to its terms on its page, then run hf auth login")
