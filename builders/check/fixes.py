r"""Fixes: what can be put right in a record without guessing.

A fix changes how something is written, never what it says.  A fixed record is read and looked up again; one that is still wrong
is left out like any other.  The format fixes what its trainer stumbles over (``fixes``);
here is what all formats have in common: ``images\a.jpg`` becomes ``images/a.jpg``, if that is there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ..core.findings import CODE, pointer
from ..formats import Fix, formats

_MEDIA_KEYS = ("image", "images", "video", "audio", "audio_q", "video_long")


def fixed(format_: str | None, record: dict[str, Any]) -> tuple[dict[str, Any], list[Fix]]:
    """The record with everything fixed that can be, and the fixes; the record itself where there are none.

    Args:
        format_: name of the format the record is read as.
        record: not changed.
    """
    fixes = [*_path_fixes(record)]
    if format_ is not None:
        fixes += formats()[format_].fixes(record)
    if not fixes:
        return record, []
    changed = copy.deepcopy(record)
    for fix in fixes:
        *parents, last = [step.replace("~1", "/").replace("~0", "~") for step in fix.pointer.split("/")[1:]]
        value: Any = changed
        for step in parents:
            value = value[int(step)] if isinstance(value, list) else value[step]
        value[int(last) if isinstance(value, list) else last] = fix.now
    return changed, fixes


def _path_fixes(record: dict[str, Any]) -> Iterator[Fix]:
    for key in _MEDIA_KEYS:
        if key in record:
            yield from _backslashes(record[key], pointer(key), 4)


def _backslashes(value: Any, at: str, depth: int) -> Iterator[Fix]:
    if isinstance(value, str):
        if "\\" in value:
            drive = len(value) > 2 and value[0].isalpha() and value[1] == ":"
            yield Fix(CODE["path-backslash"], at, value, value[2 * drive :].replace("\\", "/"))
    elif depth and isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _backslashes(inner, at + pointer(i), depth - 1)
    elif depth and isinstance(value, dict):
        for key in ("path", "patch", "img_path"):
            if key in value:
                yield from _backslashes(value[key], at + pointer(key), depth - 1)
