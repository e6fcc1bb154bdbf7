"""From what the user names to annotation files: a file, several, a glob, a brace group, a mixture, a folder.

Paths inside of a mixture are text from somebody else's machine.  They are looked for under the mixture's own folder only.
"""

from __future__ import annotations

import difflib
import glob
import itertools
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import msgspec
import yaml

from ..core.errors import DataError
from .file_head import head
from .slices import count
from .source import Source, Take

ENDINGS = (".json", ".jsonl", ".ndjson")
HUB = "hf://"
"""With what the name of a place on the Hub begins: ``hf://datasets/namespace/name[@revision][/path]``."""

MAX_DEPTH = 4
MAX_ENTRIES = 20_000

_log = logging.getLogger("modalmix")
_PACKED = re.compile(r"\.(gz|zst)$", re.IGNORECASE)
_GROUP = re.compile(r"\{([^{}]*,[^{}]*)\}")
_STRATEGY = re.compile(r"(first|end|random):(\d+)(%?)")


def sources(
    data: str | Sequence[str], *, seed: int = 42, root: str | None = None, token: str | None = None
) -> list[Source]:
    """The annotation files that `data` names, in a fixed order.

    Args:
        data: a file, a glob, a brace group (``{a,b}.json``), a YAML mixture of LLaVA, a folder, a file or folder of a repository
            on the Hub (`HUB`), which the client keeps in its cache, or several of them.
        seed: of a mixture's random choices.
        root: files under it are named relative to it; else relative to the folder they were named under, or to the repository.
        token: for the Hub, instead of the one that is logged in.

    Raises:
        DataError: nothing is there, it cannot be read, it has no records, or a mixture is wrong.
    """
    items = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    if not items:
        raise DataError("no data named: give an annotation file, a folder or a YAML mixture")
    found: list[tuple[str, str, Take]] = []
    urls: dict[str, str] = {}
    for item in items:
        if os.fspath(item).startswith(HUB):
            from ..pipeline.hub_urls import annotations_of

            for path, base, url in annotations_of(os.fspath(item), token):
                found.append((path, base, Take()))
                urls[os.path.abspath(path)] = url
        else:
            found += _expanded(os.fspath(item), seed, root)
    return [msgspec.structs.replace(one, url=urls.get(one.path, "")) for one in _named(found, root)]


def is_annotation(path: str) -> bool:
    """Whether a file may hold records, by its name."""
    return _PACKED.sub("", path.lower()).endswith(ENDINGS)


def _expanded(item: str, seed: int, root: str | None) -> Iterator[tuple[str, str, Take]]:
    """Path, the folder it was given under, and take of each file an item stands for."""
    if os.path.isdir(item):
        yield from ((path, item, Take()) for path in _in_folder(item))
    elif os.path.isfile(item):
        if item.lower().endswith((".yaml", ".yml")):
            yield from _mixture(item, seed, root)
        else:
            _check(item)
            yield item, os.path.dirname(item), Take()
    elif _GROUP.search(item):
        base = os.path.dirname(item[: item.index("{")])
        for path in _braces(item):
            yield from ((one, base, take) for one, _, take in _expanded(path, seed, root))
    elif glob.has_magic(item):
        matches = sorted(path for path in glob.iglob(item, recursive=True) if os.path.isfile(path))
        if not matches:
            raise DataError(f"no file matches {item!r}")
        base = os.path.dirname(item[: re.search(r"[*?\[]", item).start()])  # type: ignore[union-attr]  # has_magic
        for path in matches:
            _check(path)
            yield path, base, Take()
    else:
        raise DataError(_missing(item))


def _missing(path: str) -> str:
    """No such file, and one of nearly that name beside it, if there is one."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"no such file: {path!r}; its folder does not exist either"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, MAX_ENTRIES)]
    except OSError as error:
        return f"cannot read the folder {folder!r}: {error.strerror}"
    near = difflib.get_close_matches(os.path.basename(path), names, n=1)
    return f"no such file: {path!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _braces(text: str) -> list[str]:
    """``x/{a,b}.json`` → ``x/a.json``, ``x/b.json``; every group is expanded."""
    parts = _GROUP.split(text)
    choices = [[part] if at % 2 == 0 else [one.strip() for one in part.split(",")] for at, part in enumerate(parts)]
    return ["".join(one) for one in itertools.product(*choices)]


def _check(path: str) -> None:
    """See to it that a file named by the user can be opened and holds something."""
    try:
        known = head(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    if known.empty and not known.damage:
        raise DataError(f"{path!r} is empty; an annotation file without records is '[]'")


def _named(found: list[tuple[str, str, Take]], root: str | None) -> list[Source]:
    """Sources with names that are unique: two of the same name get as many folders in front as tell them apart."""
    places = [(os.path.abspath(path), os.path.abspath(base)) for path, base, _ in found]
    names = []
    for path, base in places:
        under = os.path.abspath(root) if root and _inside(path, os.path.abspath(root)) else base
        names.append(os.path.relpath(path, under).replace(os.sep, "/"))
    paths_of: dict[str, set[str]] = {}
    for name, (path, _) in zip(names, places, strict=True):
        paths_of.setdefault(name, set()).add(path)
    clashing = {name for name, paths in paths_of.items() if len(paths) > 1}
    if clashing:
        above = os.path.commonpath([os.path.dirname(path) for path, _ in places])
        names = [os.path.relpath(path, above).replace(os.sep, "/") for path, _ in places]
    seen: dict[str, int] = {}
    result = []
    for (path, _), name, (_, _, take) in zip(places, names, found, strict=True):
        seen[name] = seen.get(name, 0) + 1  # a mixture may name a file twice, with different takes
        result.append(Source(path, name if seen[name] == 1 else f"{name}#{seen[name]}", take))
    return result


def _inside(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


# ---- folders


def _in_folder(folder: str) -> list[str]:
    """The annotation files in a folder and the folders in it, without listing what may be a million media files."""
    files: list[str] = []
    _list(folder, MAX_DEPTH, files)
    kept = [path for path in files if _has_records(path)]
    if not kept:
        raise DataError(
            f"no annotation file in {folder!r}: looked for .json, .jsonl and .ndjson (also .gz, .zst) that hold records"
        )
    return kept


def _list(folder: str, depth: int, files: list[str]) -> None:
    """Append the files with an annotation's ending: those of the folder by name, then those of its folders by name."""
    folders = []
    found = []
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number == MAX_ENTRIES:
                    _log.warning(
                        "stopped listing %s after %d entries; name its annotation files if there are any",
                        folder,
                        MAX_ENTRIES,
                    )
                    break
                if entry.name.startswith("."):
                    continue
                if _PACKED.sub("", entry.name.lower()).endswith(ENDINGS):
                    if entry.is_file():
                        found.append(entry.path)
                elif depth and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder!r}: {error.strerror}") from error
    files += sorted(found)
    for below in sorted(folders):
        _list(below, depth - 1, files)


def _has_records(path: str) -> bool:
    """Whether a file met in a folder is one of records, rather than a configuration or a table of patches.

    Arrays and sequences of objects are. A single object is one record if it has turns; in a ``.json`` without them it
    is taken as something else.
    """
    try:
        known = head(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    reason = ""
    if known.empty and not known.damage:
        reason = "it is empty"
    elif known.first_kind not in (None, dict):
        reason = "its first element is no JSON object"
    elif known.first_kind is None and known.first_key is None and not known.damage:
        reason = "it does not start with a JSON object"
    elif known.form != "array" and _PACKED.sub("", path.lower()).endswith(".json"):
        alone = known.single or (known.first_kind is None and not known.joints)
        if alone and not known.first_has_turns:
            reason = "it is a single object without turns"
    if reason:
        _log.info("skipped %s: %s", path, reason)
    return not reason


# ---- mixtures


def _mixture(path: str, seed: int, root: str | None) -> Iterator[tuple[str, str, Take]]:
    """The files of a YAML mixture with their takes."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path!r} is no YAML: {' '.join(str(error).split())}") from error
    entries = content.get("datasets") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path!r} is no mixture: expected a list 'datasets' of {{json_path, sampling_strategy}}")
    folder = os.path.dirname(os.path.abspath(path))
    for number, entry in enumerate(entries):
        where = f"{path!r}, datasets[{number}]"
        written = entry.get("json_path") if isinstance(entry, dict) else None
        if not isinstance(written, str) or not written:
            raise DataError(f"{where}: expected a json_path, found {entry!r:.120}")
        for one in _braces(written):
            file_path = _under(one, [folder, *([os.path.abspath(root)] if root else [])])
            if file_path is None:
                raise DataError(f"{where}: no part of {one!r} is a file under {folder!r}; put the file there")
            _check(file_path)
            yield file_path, folder, _take(entry.get("sampling_strategy", "all"), file_path, seed, where)


def _under(written: str, folders: list[str]) -> str | None:
    """The file under one of the folders that shares the longest end of its path with the path as written."""
    parts = [part for part in re.split(r"[/\\]", written) if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    for start in range(len(parts)):
        for folder in folders:
            path = os.path.join(folder, *parts[start:])
            if os.path.isfile(path) and _inside(os.path.realpath(path), os.path.realpath(folder)):
                return path
    return None


def _take(strategy: Any, path: str, seed: int, where: str) -> Take:
    """A mixture's sampling strategy, resolved to a number of records."""
    text = str(strategy).strip()
    if text == "all":
        return Take()
    match = _STRATEGY.fullmatch(text)
    if match is None:
        raise DataError(f"{where}: sampling_strategy {strategy!r} is none of all, first:N, end:N, random:N (N or N%)")
    kind = cast(Literal["first", "end", "random"], match[1])
    number = int(match[2])
    total = None if kind == "first" and not match[3] else _counted(path)
    if match[3] and total is not None:
        number = math.ceil(number * total / 100)
    if total is not None:
        number = min(number, total)
    return Take(kind, number, total, seed)


def _counted(path: str) -> int:
    try:
        return count(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
