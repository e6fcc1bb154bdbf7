"""Row groups: which consecutive rows are written together.

A reader takes a row group as a whole, so it is bounded by what a reader then holds: the texts, and every medium as often as
it is shown, though a file stores it once (`modalmix.builders.build.parquet.media_leaf`).
Rows that go on showing a medium stay with the rows before them for four times that::

    limit 16 MB     clips of 5 MB, seven rows each:   A A A A A A A │ B B B B B B B │ …     35 MB held, 5 MB stored
                    clips of 40 MB:                   A │ A │ A …                           a row group of its own, each
                    pictures of 90 KB, one row each:  a b c d … │ …                         175 rows

A row that is larger than the limit is a row group of its own.  Stock `datasets` reads two row groups before it gives the first
sample of a stream; with 16 MB that is after some 32 MB, for 5 % more work in packing pictures than with 32 MB.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from ..core.parquet_limits import ROW_BYTES
from ..media.items import Held, Item, Media
from ..pipeline.rows import Row

MAX_ROWS = 16_384

TOO_LARGE = -1

STAYS = 4
"""How many times the limit rows of a medium may take up that stand together."""

Key = tuple[str, int, int, bool] | int


class Group(NamedTuple):
    """Rows of one set of media that become one row; it stands where a `Row` stands, and its media are stored once."""

    rows: list[Row]

    @property
    def media(self) -> Media:
        """Of each of the rows."""
        return self.rows[0].media


def rows_in(row: Row | Group) -> list[Row]:
    """The rows that a row of the dataset is made of: one for each record."""
    return row.rows if isinstance(row, Group) else [row]


class RowGroup:
    """Rows that wait to be written together.

    Attributes:
        rows: in order.
        bytes: what a reader holds of them: texts, and each medium as often as it is shown.
        stored_bytes: what a file holds of them: texts, and each medium once.
        modified: when each of the files that hold their media was last written to as it was first met, in nanoseconds; 0 for
            one that was gone.
    """

    def __init__(self, limit: int, weight: Callable[[Item | Held], int] = lambda item: item.size) -> None:
        """An empty row group that is to hold about `limit` bytes, in which an item takes up its `weight`."""
        self._weight = weight
        self._limit = min(limit, ROW_BYTES)
        self._media: set[Key] = set()
        self.rows: list[Row | Group] = []
        self.bytes = 0
        self.stored_bytes = 0
        self.modified: dict[str, int] = {}

    def take(self, row: Row | Group) -> int:
        """Takes a row, unless it is for the next row group; an empty one takes any.

        Returns:
            What it adds to `bytes`; 0 if it is not taken, and `TOO_LARGE` if no row group could.
        """
        size, fresh = 0, 0
        new: set[Key] = set()
        seen, media, weigh = self._media, row.media, self._weight
        for items in (media.images, media.videos, media.audios, media.audio_q, *media.frames):
            for item in items:
                weight = weigh(item)
                size += weight
                key = key_of(item)
                if key not in seen and key not in new:
                    fresh += weight
                    new.add(key)
        if size > ROW_BYTES:
            return TOO_LARGE
        text = sum(map(_text_bytes, rows_in(row)))
        if self.rows:
            limit = self._limit * STAYS if size > 2 * fresh else self._limit
            if self.bytes + size + text > min(limit, ROW_BYTES) or len(self.rows) >= MAX_ROWS:
                return 0
        self.rows.append(row)
        self.bytes += size + text
        self.stored_bytes += fresh + text
        self._media |= new
        for key in new:
            if isinstance(key, tuple) and key[0] not in self.modified:
                self.modified[key[0]] = _modified(key[0])
        return size + text


def key_of(item: Item | Held) -> Key:
    """What is equal for items with the same bytes, as far as their place tells."""
    return (item.path, item.start, item.size, item.base64) if isinstance(item, Item) else id(item.data)


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):  # gone, or a null character in the name: what reads it will tell
        return 0


def _text_bytes(row: Row) -> int:
    sample = row.sample
    size = 256
    for turn in sample.turns:
        size += len(turn[1])
    for frames in sample.masks:
        for mask in frames:
            size += 64 + len(mask.counts or "")
    return size
