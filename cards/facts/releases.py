"""Releases: the upstream datasets on the Hub, the files of a subset, and the commands that build them."""

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
    return {name: facts for name, facts in all_facts().items() if facts.download is not None}


def chosen_files(release: Download, listed: Iterable[str], subsets: Sequence[str]) -> list[str]:
    """The files of a repository that subsets need, in alphabetical order.

    Args:
        release: the release.
        listed: all files of the repository.
        subsets: names of subsets, or patterns of names.

    Raises:
        HubError: a subset does not exist, or the repository has none of its files.
    """
    listed = sorted(listed)
    folders = sorted({path.partition("/")[0] for path in listed if "/" in path})
    names = folders if release.open_subsets else list(release.subsets)
    if release.open_subsets and not subsets:
        raise HubError(f"name a --subset; {release.repo} has {', '.join(names)}")
    needed = list(release.files)
    for subset in expanded(subsets, names) or release.default or names:
        if subset not in names:
            raise HubError(f"there is no subset {subset!r}: it is one of {', '.join(names) or 'none'}")
        patterns = [f"{subset}/*"] if release.open_subsets else release.subsets[subset]
        if not any(fnmatch.fnmatchcase(path, pattern) for path in listed for pattern in patterns):
            raise HubError(
                f"{release.repo} has no files of the subset {subset!r} ({', '.join(patterns)}); its files have changed"
            )
        needed += patterns
    found = [path for path in listed if any(fnmatch.fnmatchcase(path, pattern) for pattern in needed)]
    if not found:
        raise HubError(f"{release.repo} has no {', '.join(needed)}; its files have changed")
    bad = next((path for path in found if path.startswith("/") or ".." in path.split("/")), None)
    if bad:
        raise HubError(f"{release.repo} names {bad!r}, which is outside the folder")
    return found + [path for path in (_CARD,) if path in listed and path not in found]


def expanded(subsets: Sequence[str], names: Sequence[str]) -> list[str]:
    """The subsets, with patterns replaced by what they match, in order; a pattern without a match stays."""
    found = [name for subset in subsets for name in fnmatch.filter(names, subset) or [subset]]
    return list(dict.fromkeys(found))


def next_commands(
    release: Download, to: str, subsets: Sequence[str] = (), files: Sequence[str] | None = None
) -> list[str]:
    """The commands that build a download, for each subset or for all of it at once.

    Args:
        release: the release.
        to: folder of the download.
        subsets: the subsets that were named.
        files: files of the download; by default the patterns of a subset.
    """
    listed = files if files is not None else []
    folders = sorted({path.partition("/")[0] for path in listed if "/" in path})
    names = folders if release.open_subsets else list(release.subsets)
    each = expanded(subsets, names) if any("{subset}" in step or "{data}" in step for step in release.steps) else []
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
