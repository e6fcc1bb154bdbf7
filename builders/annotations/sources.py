"""From what the user names to annotation files: a file, several, a glob, a brace group, a mixture, a folder.

Paths inside of a mixture are text from somebody else's machine.  They are searched for under the mixture's own folder only.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterator, Sequence

from ..core.errors import DataError
from .file_head import head
from .mixtures import mixture
from .names import MAX_ENTRIES, check_readable, expand_groups, has_groups, is_inside, missing_file
from .source import LocalCopy, Source, Take

ENDINGS = (".json", ".jsonl", ".ndjson")
MAX_DEPTH = 4

_Found = tuple[str, str, Take, str]
"""Path of a file, the folder it was given under, its take, and its URL where the path is a copy."""

_log = logging.getLogger("modalmix")
_PACKED = re.compile(r"\.(gz|zst)$", re.IGNORECASE)


def sources(data: str | Sequence[str | LocalCopy], *, seed: int = 42, root: str | None = None) -> list[Source]:
    """The annotation files that `data` names, in a fixed order.

    Args:
        data: a file, a glob, a brace group (``{a,b}.json``), a YAML mixture of LLaVA, a folder, or several of them; also
            copies of files that are elsewhere.
        seed: of a mixture's random choices.
        root: files under it are named relative to it; else relative to the folder they were named under.

    Raises:
        DataError: nothing is there, it cannot be read, it has no records, or a mixture is wrong.
    """
    items = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    if not items:
        raise DataError("no data named: give an annotation file, a folder or a YAML mixture")
    found: list[_Found] = []
    for item in items:
        if isinstance(item, LocalCopy):
            found.append((item.path, item.folder, Take(), item.url))
        else:
            found += [(path, base, take, "") for path, base, take in _expanded(os.fspath(item), seed, root)]
    return _named(found, root)


def is_annotation(path: str) -> bool:
    """Whether a file may hold records, by its name."""
    return _PACKED.sub("", path.lower()).endswith(ENDINGS)


def _expanded(item: str, seed: int, root: str | None) -> Iterator[tuple[str, str, Take]]:
    """Path, the folder it was given under, and take of each file an item stands for."""
    if os.path.isdir(item):
        yield from ((path, item, Take()) for path in _in_folder(item))
    elif os.path.isfile(item):
        if item.lower().endswith((".yaml", ".yml")):
            yield from mixture(item, seed, root)
        else:
            check_readable(item)
            yield item, os.path.dirname(item), Take()
    elif has_groups(item):
        base = os.path.dirname(item[: item.index("{")])
        for path in expand_groups(item):
            yield from ((found, base, take) for found, _, take in _expanded(path, seed, root))
    elif glob.has_magic(item):
        matches = sorted(path for path in glob.iglob(item, recursive=True) if os.path.isfile(path))
        if not matches:
            raise DataError(f"no file matches {item!r}")
        base = os.path.dirname(item[: re.search(r"[*?\[]", item).start()])  # type: ignore[union-attr]  # has_magic
        for path in matches:
            check_readable(path)
            yield path, base, Take()
    else:
        raise DataError(missing_file(item))


def _named(found: list[_Found], root: str | None) -> list[Source]:
    """Sources with names that are unique: two of the same name get as many folders in front as make them differ."""
    places = [(os.path.abspath(path), os.path.abspath(base)) for path, base, _, _ in found]
    names = []
    for path, base in places:
        under = os.path.abspath(root) if root and is_inside(path, os.path.abspath(root)) else base
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
    for (path, _), name, (_, _, take, url) in zip(places, names, found, strict=True):
        seen[name] = seen.get(name, 0) + 1  # a mixture may name a file twice, with different takes
        result.append(Source(path, name if seen[name] == 1 else f"{name}#{seen[name]}", take, url))
    return result


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
    """Appends the files with an annotation's ending: those of the folder by name, then those of its folders by name."""
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
    """Whether a file in a folder holds records, rather than a configuration or a table of patches.

    Arrays and sequences of objects are. A single object is one record if it has turns; in a ``.json`` without them it
    is taken as something else.
    """
    try:
        file_head = head(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    reason = ""
    if file_head.empty and not file_head.damage:
        reason = "it is empty"
    elif file_head.first_kind not in (None, dict):
        reason = "its first element is no JSON object"
    elif file_head.first_kind is None and file_head.first_key is None and not file_head.damage:
        reason = "it does not start with a JSON object"
    elif file_head.form != "array" and _PACKED.sub("", path.lower()).endswith(".json"):
        alone = file_head.single or (file_head.first_kind is None and not file_head.joints)
        if alone and not file_head.first_has_turns:
            reason = "it is a single object without turns"
    if reason:
        _log.info("skipped %s: %s", path, reason)
    return not reason
