"""Releases: the upstream datasets that lie on the Hub, the files that a subset needs, and the commands that build them."""

from __future__ import annotations

import fnmatch
import os
import shlex
from collections.abc import Iterable, Sequence

from ...builders.core.errors import HubError
from . import Download, Facts, all_facts

_CARD = "README.md"


def all_releases() -> dict[str, Facts]:
    """The releases that can be downloaded: name → facts."""
    return {name: one for name, one in all_facts().items() if one.download is not None}


def chosen_files(release: Download, listed: Iterable[str], subsets: Sequence[str]) -> list[str]:
    """The files of a repository that subsets need, in alphabetical order.

    Args:
        release: the release.
        listed: all files of the repository.
        subsets: of the release, or patterns of them.

    Raises:
        HubError: a subset is not known, or the repository holds nothing of it.
    """
    listed = sorted(listed)
    folders = sorted({path.partition("/")[0] for path in listed if "/" in path})
    known = folders if release.open_subsets else list(release.subsets)
    if release.open_subsets and not subsets:
        raise HubError(f"name what you need with --subset; {release.repo} holds {', '.join(known)}")
    wanted = list(release.files)
    for subset in expanded(subsets, known) or release.default or known:
        if subset not in known:
            raise HubError(f"there is no subset {subset!r}: it is one of {', '.join(known) or 'none'}")
        patterns = [f"{subset}/*"] if release.open_subsets else release.subsets[subset]
        if not any(fnmatch.fnmatchcase(path, pattern) for path in listed for pattern in patterns):
            raise HubError(
                f"{release.repo} holds nothing of the subset {subset!r} ({', '.join(patterns)}); its listing has changed"
            )
        wanted += patterns
    found = [path for path in listed if any(fnmatch.fnmatchcase(path, pattern) for pattern in wanted)]
    if not found:
        raise HubError(f"{release.repo} holds no {', '.join(wanted)}; its listing has changed")
    bad = next((path for path in found if path.startswith("/") or ".." in path.split("/")), None)
    if bad:
        raise HubError(f"{release.repo} names {bad!r}, which leads out of the folder")
    return found + [path for path in (_CARD,) if path in listed and path not in found]


def expanded(subsets: Sequence[str], known: Sequence[str]) -> list[str]:
    """Subsets with patterns replaced by what they match, in order; what matches nothing stays as it is."""
    found = [one for subset in subsets for one in fnmatch.filter(known, subset) or [subset]]
    return list(dict.fromkeys(found))


def next_commands(
    release: Download, to: str, subsets: Sequence[str] = (), files: Sequence[str] | None = None
) -> list[str]:
    """The commands that build what was downloaded, for every subset; or else for all of it at once.

    Args:
        release: where it is from.
        to: the folder it was downloaded to.
        subsets: those that were chosen.
        files: what the download consists of; by default what the patterns of a subset say.
    """
    listed = files if files is not None else []
    folders = sorted({path.partition("/")[0] for path in listed if "/" in path})
    known = folders if release.open_subsets else list(release.subsets)
    each = expanded(subsets, known) if any("{subset}" in step or "{data}" in step for step in release.steps) else []
    out = to.rstrip("/") + "-built"
    commands = []
    for subset in each or [""]:
        patterns = release.subsets.get(subset) or [f"{subset}/*" if subset else "*"]
        data = [path for path in listed if path.endswith((".json", ".jsonl")) and _matches(path, patterns)]
        places = {
            "to": shlex.quote(to),
            "subset": shlex.quote(subset),
            "data": " ".join(shlex.quote(os.path.join(to, path)) for path in data) or shlex.quote(to),
            "out": shlex.quote(os.path.join(out, subset) if subset else out),
            "media": shlex.quote(to.rstrip("/") + "-media"),
        }
        commands += [f"modalmix {step.format(**places)}" for step in release.steps]
    return commands


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
