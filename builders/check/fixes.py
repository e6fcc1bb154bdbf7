r"""Mends: what can be put right in a record without guessing.

A mend changes how something is written, never what it says.  A mended record is read and looked up again; one that is still
wrong is left out like any other.

================  ======================================================================================
patch-size-list   ``"size": [n]`` of an image or a sound becomes ``"size": n``
path-backslash    ``images\a.jpg`` becomes ``images/a.jpg``, if that is there
mask-payload      a flat polygon ``[x, y, …]``, or one of points ``[[x, y], …]``, becomes ``[[x, y, …]]``
placeholder-order the tags of a turn go in front, as the trainer has them (`modalmix.builders.check.placeholder_checks`)
================  ======================================================================================
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..core.findings import CODE, pointer
from .placeholder_checks import moved

_MEDIA_KEYS = ("image", "images", "video", "audio", "audio_q", "video_long")
_SCALAR_KEYS = ("image", "audio", "audio_q")


class Mend(NamedTuple):
    """One change: the code it mends, where, what was written there, and what is now."""

    code: str
    pointer: str
    was: Any
    now: Any


def mended(format_: str | None, record: dict[str, Any]) -> tuple[dict[str, Any], list[Mend]]:
    """The record with everything mended that can be, and what was; the record itself where nothing can.

    Args:
        format_: name of the format the record is read as.
        record: not changed.
    """
    mends = [*_sizes(record)] if format_ == "ola" else []
    mends += _paths(record)
    if format_ == "videorefer":
        mends += _polygons(record)
    if format_ is not None:
        mends += _order(format_, record)
    if not mends:
        return record, []
    changed = copy.deepcopy(record)
    for one in mends:
        steps = [step.replace("~1", "/").replace("~0", "~") for step in one.pointer.split("/")[1:]]
        value: Any = changed
        for step in steps[:-1]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        value[int(steps[-1]) if isinstance(value, list) else steps[-1]] = one.now
    return changed, mends


def _sizes(record: dict[str, Any]) -> Iterator[Mend]:
    for key in _SCALAR_KEYS:
        value = record.get(key)
        patches = enumerate(value) if isinstance(value, list) else [(-1, value)]
        for i, patch in patches:
            if isinstance(patch, dict) and isinstance(size := patch.get("size"), list) and len(size) == 1:
                yield Mend(CODE["patch-size-list"], pointer(*([key] if i < 0 else [key, i]), "size"), size, size[0])


def _paths(record: dict[str, Any]) -> Iterator[Mend]:
    for key in _MEDIA_KEYS:
        if key in record:
            yield from _slashes(record[key], pointer(key), 4)


def _slashes(value: Any, at: str, depth: int) -> Iterator[Mend]:
    if isinstance(value, str):
        if "\\" in value:
            drive = len(value) > 2 and value[0].isalpha() and value[1] == ":"
            yield Mend(CODE["path-backslash"], at, value, value[2 * drive :].replace("\\", "/"))
    elif depth and isinstance(value, list):
        for i, one in enumerate(value):
            yield from _slashes(one, at + pointer(i), depth - 1)
    elif depth and isinstance(value, dict):
        for key in ("path", "patch", "img_path"):
            if key in value:
                yield from _slashes(value[key], at + pointer(key), depth - 1)


def _polygons(record: dict[str, Any]) -> Iterator[Mend]:
    for key in ("annotation", "masks"):
        if isinstance(record.get(key), list):
            for i, one in enumerate(record[key]):
                yield from _payloads(one, pointer(key, i), 3)


def _payloads(value: Any, at: str, depth: int) -> Iterator[Mend]:
    if isinstance(value, dict):
        if "counts" not in value and depth:
            for key, one in value.items():
                yield from _payloads(one, at + pointer(key), depth - 1)
        return
    if not isinstance(value, list) or len(value) < 3:
        return
    if _numbers(value):
        if len(value) >= 6 and len(value) % 2 == 0:
            yield Mend(CODE["mask-payload"], at, value, [value])
    elif all(isinstance(point, list) and len(point) == 2 and _numbers(point) for point in value):
        yield Mend(CODE["mask-payload"], at, value, [[number for point in value for number in point]])


def _numbers(values: list[Any]) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in values)


def _order(format_: str, record: dict[str, Any]) -> Iterator[Mend]:
    for i, text, now in moved(format_, record):
        yield Mend(CODE["placeholder-order"], pointer("conversations", i, "value"), text, now)
