"""Names as a person or a mixture writes them: brace groups, and files that are not where they are said to be."""

from __future__ import annotations

import difflib
import itertools
import os
import re

from ..core.errors import DataError
from .file_head import head

MAX_ENTRIES = 20_000
"""Entries of a folder that are listed at most."""

_GROUP = re.compile(r"\{([^{}]*,[^{}]*)\}")


def has_groups(text: str) -> bool:
    """Whether a name holds a brace group, as in ``{a,b}.json``."""
    return _GROUP.search(text) is not None


def expand_groups(text: str) -> list[str]:
    """``x/{a,b}.json`` → ``x/a.json``, ``x/b.json``; every group is expanded."""
    parts = _GROUP.split(text)
    choices = [
        [part] if at % 2 == 0 else [choice.strip() for choice in part.split(",")] for at, part in enumerate(parts)
    ]
    return ["".join(choice) for choice in itertools.product(*choices)]


def missing_file(path: str) -> str:
    """No such file, and one of nearly that name beside it, if there is one."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"no such file: {path!r}; its folder does not exist either"
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, MAX_ENTRIES)]
    except OSError as error:
        return f"cannot read the folder {folder!r}: {error.strerror}"
    similar = difflib.get_close_matches(os.path.basename(path), names, n=1)
    return f"no such file: {path!r}" + (f"; did you mean {similar[0]!r}?" if similar else "")


def check_readable(path: str) -> None:
    """Checks that a file named by the user can be opened and holds something.

    Raises:
        DataError: it cannot be read, or it is empty.
    """
    try:
        file_head = head(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    if file_head.empty and not file_head.damage:
        raise DataError(f"{path!r} is empty; an annotation file without records is '[]'")


def file_under(written: str, folders: list[str]) -> str | None:
    """The file under one of the folders that shares the longest end of its path with the path as written."""
    parts = [part for part in re.split(r"[/\\]", written) if part not in ("", ".")]
    if ".." in parts:
        parts = parts[len(parts) - parts[::-1].index("..") :]
    for start in range(len(parts)):
        for folder in folders:
            path = os.path.join(folder, *parts[start:])
            if os.path.isfile(path) and is_inside(os.path.realpath(path), os.path.realpath(folder)):
                return path
    return None


def is_inside(path: str, folder: str) -> bool:
    """Whether an absolute path is an absolute folder, or in it."""
    return os.path.commonpath([path, folder]) == folder
