"""The lead medium of a row, which decides where the row is written.

It is the first of the largest kind of media that the row has.  A build writes rows with the same lead medium together, so that
its bytes are stored once for them.  Where media are in compressed archives, a member of such an archive is the lead medium,
because it is fast to read only while the whole archive is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.int_columns import hashed
from ..media.archives import Archive
from ..media.items import Item, Media

_MEDIA_KEYS = ("video", "audio", "image", "images", "audio_q")
"""Keys of media in the records of all formats, the largest kind first."""


def items_by_weight(media: Media) -> Iterator[Item]:
    """All items of a row, those of the largest kind first; spoken questions last, as few rows share one."""
    for items in (media.videos, *media.frames, media.audios, media.images, media.audio_q):
        yield from items


def lead(media: Media, passes: frozenset[Archive] = frozenset()) -> Item | None:
    """The lead medium of a row; None where it has no media.

    Args:
        media: of the row.
        passes: archives that are read once, from start to end; a member of one takes precedence over other media.
    """
    if passes:
        for item in items_by_weight(media):
            if item.archive is not None and item.archive in passes:
                return item
    return next(items_by_weight(media), None)


def key_of(item: Item) -> int:
    """64 bits that are equal for items at the same place, and practically never for others; not 0."""
    archive = "\n".join(item.archive.paths) if item.archive else ""
    return hashed(f"{item.path}\n{item.start}\n{archive}".encode("utf-8", "surrogateescape")) or 1


def written_key(record: Mapping[str, Any]) -> int:
    """64 bits that are equal for records whose lead media have the same file name as written; 0 for none.

    It does not read the record as a sample, and takes a fifteenth of that time.  Two records with the same medium have the same
    key, unless they write its name in two ways.
    """
    for name in _MEDIA_KEYS:
        value = record.get(name)
        if value:
            text = value if type(value) is str else _name(value)
            return hash_of(text[text.rfind("/") + 1 :])
    return 0


def hash_of(name: str) -> int:
    """64 bits of a name; not 0."""
    return hashed(name.encode("utf-8", "surrogatepass")) or 1


def _name(value: Any) -> str:
    """What distinguishes a medium as written: its file name and its place in a patch; of a list, those of the first medium."""
    if type(value) is str:
        return value[value.rfind("/") + 1 :]
    if type(value) is list:
        return _name(value[0]) if value else ""
    if type(value) is dict:
        return _name(value["path"]) if "path" in value else " ".join(map(_name, value.values()))
    return str(value)
