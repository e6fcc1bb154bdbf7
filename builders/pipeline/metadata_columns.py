"""Metadata columns: what the header of each medium says, beside the medium, nested as it is.

::

    videos             [a.mp4, b.mp4]      frames             [[0.jpg, 1.jpg]]
    videos_metadata    [{…}, {…}]          frames_metadata    [[{…}, {…}]]

A trainer groups rows by length or size with them without opening a file.  A medium whose header cannot be read has null in place
of all of it, and what a header does not say is null; so has a part of a file or a member of an archive of more than 256 MB,
which would have to be read into memory as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ..media.header import Header, Medium
from ..media.items import InMemoryItem, Item
from ..media.read_header import header_of_item, read_header_of_bytes

SUFFIX = "_metadata"

_PICTURE = {"width": "int32", "height": "int32"}
_SOUND = {"duration": "float64", "sampling_rate": "int32", "channels": "int32"}
FIELDS = {
    "images": _PICTURE,
    "videos": {"frames": "int32", "fps": "float64", "duration": "float64", **_PICTURE},
    "frames": _PICTURE,
    "audios": _SOUND,
    "audio_q": _SOUND,
}
"""Media column → what its metadata column holds of each medium, and the Arrow type of that.  Durations are in seconds, sizes in
pixels (of a video as it is shown, of a picture as it is stored), `frames` are all coded ones, `sampling_rate` is in Hz."""

_MEDIUM: dict[str, Medium] = {
    "images": "image",
    "videos": "video",
    "frames": "image",
    "audios": "audio",
    "audio_q": "audio",
}
_FROM = {"duration": "seconds", "sampling_rate": "rate"}
_LARGEST = 256 << 20


def cells(items: Sequence[Item | InMemoryItem], column: str, kind: pa.DataType) -> pa.StructArray:
    """The metadata of the items of a media column.

    Args:
        items: in order.
        column: the media column.
        kind: the struct of its metadata.
    """
    return pa.array([_cell(item, column) for item in items], kind)


def _cell(item: Item | InMemoryItem, column: str) -> dict[str, Any] | None:
    header = _header(item, _MEDIUM[column])
    has_medium = header.rate > 0 if _MEDIUM[column] == "audio" else header.medium == _MEDIUM[column]
    if header.error or not has_medium:
        return None
    return {name: getattr(header, _FROM.get(name, name)) or None for name in FIELDS[column]}


def _header(item: Item | InMemoryItem, medium: Medium) -> Header:
    if isinstance(item, InMemoryItem):
        return read_header_of_bytes(item.data, medium)
    if item.size > _LARGEST and not (item.whole and item.archive is None):
        return Header(error="it is too large to be read into memory")
    return header_of_item(item, medium)
