"""Leads: the medium of a row that decides where the row is written.

A row is *led* by one of its media: the largest kind it has, of which the first.  Rows that are led by the same medium stand
together in a build, as that medium is what they cost.  Where media lie in compressed archives, a member of one leads, for it
can be read fast only when the archive is gone through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.int_columns import hashed
from ..media.archives import Archive
from ..media.items import Item, Media

_WRITTEN = ("video", "audio", "image", "images", "audio_q")
"""Keys under which records of all formats write their media, the largest kind first."""


def items_by_weight(media: Media) -> Iterator[Item]:
    """All items of a row, those of the largest kind first; spoken questions last, as few rows share one."""
    for items in (media.videos, *media.frames, media.audios, media.images, media.audio_q):
        yield from items


def lead(media: Media, passes: frozenset[Archive] = frozenset()) -> Item | None:
    """The item that leads a row; None where it has no media.

    Args:
        media: of the row.
        passes: archives that are gone through once; an item that lies in one leads before any other.
    """
    if passes:
        for item in items_by_weight(media):
            if item.archive is not None and item.archive in passes:
                return item
    return next(items_by_weight(media), None)


def key_of(item: Item) -> int:
    """64 bits that are equal for equal places of media, and all but never for others; not 0."""
    archive = "\n".join(item.archive.paths) if item.archive else ""
    return hashed(f"{item.path}\n{item.start}\n{archive}".encode("utf-8", "surrogateescape")) or 1


def written_key(record: Mapping[str, Any]) -> int:
    """64 bits that are equal for records whose leading media have the same file name, as it is written; 0 for none.

    It is made without reading the record as a sample, in a fifteenth of the time.  Two records whose media lie in one place
    have one key, unless a file's name is written in two ways.
    """
    for name in _WRITTEN:
        value = record.get(name)
        if value:
            text = value if type(value) is str else _name(value)
            return hash_of(text[text.rfind("/") + 1 :])
    return 0


def hash_of(name: str) -> int:
    """64 bits of a name; not 0."""
    return hashed(name.encode("utf-8", "surrogatepass")) or 1


def _name(value: Any) -> str:
    """What tells one written medium from another: its file name and its place in a patch, or the first of a list."""
    if type(value) is str:
        return value[value.rfind("/") + 1 :]
    if type(value) is list:
        return _name(value[0]) if value else ""
    if type(value) is dict:
        return _name(value["path"]) if "path" in value else " ".join(map(_name, value.values()))
    return str(value)
