"""Row groups: which consecutive rows are written together.

A reader loads a row group as a whole.  So its size is limited by the bytes that a reader then holds: the texts, and every
medium once for each row that shows it, although the file stores it once (`modalmix.builders.build.parquet.media_leaf`).  For
rows that show a medium of the rows before them the limit is four times as high::

    limit 16 MB     clips of 5 MB, seven rows each:   A A A A A A A │ B B B B B B B │ …     35 MB held, 5 MB stored
                    clips of 40 MB:                   A │ A │ A …                           a row group of its own, each
                    pictures of 90 KB, one row each:  a b c d … │ …                         175 rows

A row that is larger than the limit is a row group of its own.  Stock `datasets` reads two row groups before the first sample of a
stream: with 16 MB, some 32 MB.  Packing pictures takes 5 % longer than with row groups of 32 MB.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from ..core.parquet_limits import ROW_BYTES
from ..media.items import InMemoryItem, Item, Media
from ..pipeline.rows import Row

MAX_ROWS = 16_384

TOO_LARGE = -1

SHARED_MEDIA_FACTOR = 4
"""The limit of rows that share a medium, as a multiple of the limit of others."""

Key = tuple[str, int, int, bool] | int


class Group(NamedTuple):
    """Rows with the same media that become one row of the dataset; it can take the place of a `Row`."""

    rows: list[Row]

    @property
    def media(self) -> Media:
        """Of each of the rows."""
        return self.rows[0].media


def rows_in(row: Row | Group) -> list[Row]:
    """The rows, one for each record, of which a row of the dataset is made."""
    return row.rows if isinstance(row, Group) else [row]


class RowGroup:
    """Rows that will be written together.

    Attributes:
        rows: in order.
        bytes: bytes that a reader holds of them: texts, and each medium once for each row that shows it.
        stored_bytes: bytes that a file holds of them: texts, and each medium once.
        modified: modification time of each file that holds their media, in nanoseconds, when the first row of it was taken; 0
            for a
            file that did not exist.
    """

    def __init__(self, limit: int, weight: Callable[[Item | InMemoryItem], int] = lambda item: item.size) -> None:
        """An empty row group for about `limit` bytes, in which an item counts its `weight`."""
        self._weight = weight
        self._limit = min(limit, ROW_BYTES)
        self._media: set[Key] = set()
        self.rows: list[Row | Group] = []
        self.bytes = 0
        self.stored_bytes = 0
        self.modified: dict[str, int] = {}

    def take(self, row: Row | Group) -> int:
        """Takes a row, unless it belongs to the next row group; an empty row group takes any row.

        Returns:
            The bytes that it adds to `bytes`; 0 if it is not taken, and `TOO_LARGE` if no row group can take it.
        """
        size, new_bytes = 0, 0
        new: set[Key] = set()
        seen, media, weigh = self._media, row.media, self._weight
        for items in (media.images, media.videos, media.audios, media.audio_q, *media.frames):
            for item in items:
                weight = weigh(item)
                size += weight
                key = key_of(item)
                if key not in seen and key not in new:
                    new_bytes += weight
                    new.add(key)
        if size > ROW_BYTES:
            return TOO_LARGE
        text = sum(map(_text_bytes, rows_in(row)))
        if self.rows:
            limit = self._limit * SHARED_MEDIA_FACTOR if size > 2 * new_bytes else self._limit
            if self.bytes + size + text > min(limit, ROW_BYTES) or len(self.rows) >= MAX_ROWS:
                return 0
        self.rows.append(row)
        self.bytes += size + text
        self.stored_bytes += new_bytes + text
        self._media |= new
        for key in new:
            if isinstance(key, tuple) and key[0] not in self.modified:
                self.modified[key[0]] = _modified(key[0])
        return size + text


def key_of(item: Item | InMemoryItem) -> Key:
    """A key that is equal for items at the same place, whose bytes are therefore the same."""
    return (item.path, item.start, item.size, item.base64) if isinstance(item, Item) else id(item.data)


def _modified(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except (OSError, ValueError):  # missing, or a null character in the name; reading it reports that
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
