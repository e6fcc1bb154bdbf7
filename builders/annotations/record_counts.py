"""How many records a file has, and which ordinal a slice begins with."""

from __future__ import annotations

import os

from ..core.errors import DataError
from .slice_reader import BLOCK_BYTES, MAX_RECORD_BYTES, SliceReader
from .source import Slice

_rows_at: dict[tuple[str, int, int], dict[int, int]] = {}
"""Ordinals at byte offsets, by the file's path, size and time; the offset -1 has the number of all records."""


def _rows(path: str) -> dict[int, int]:
    status = os.stat(path)
    if len(_rows_at) > 1024:
        _rows_at.clear()
    return _rows_at.setdefault((path, status.st_size, status.st_mtime_ns), {0: 0})


def count(path: str) -> int:
    """The number of records of a file, broken ones among them; counted once in a process as long as it is not changed.

    Raises:
        OSError: the file cannot be read.
    """
    rows = _rows(path)
    if -1 not in rows:
        whole = Slice(path, os.path.basename(path), 0, -1, 0)
        rows[-1] = sum(run.ordinals for run in SliceReader(whole, 0, BLOCK_BYTES, MAX_RECORD_BYTES, build=False).runs())
    return rows[-1]


def remember(path: str, offset: int, row: int) -> None:
    """Keeps the ordinal of the record that starts at a proven boundary: reading slice after slice then never counts."""
    _rows(path)[offset] = row


def first_row(part: Slice) -> int:
    """The ordinal of a slice's first record, by counting the records before it if need be; once in this process.

    Raises:
        DataError: the slice starts inside of a record.
        OSError: the file cannot be read.
    """
    if part.row is not None:
        return part.row
    if part.start <= 0:
        return 0
    rows = _rows(part.path)
    if part.start not in rows:
        nearest = max(offset for offset in rows if 0 <= offset < part.start)
        before = Slice(part.path, part.file, nearest, part.start, rows[nearest])
        reader = SliceReader(before, rows[nearest], BLOCK_BYTES, MAX_RECORD_BYTES, build=False)
        for run in reader.runs():
            del run
        if reader.window.offset(reader.window.pos) != part.start:
            raise DataError(f"{part.file}: the file ends before byte {part.start:,}; it was changed after planning")
        rows[part.start] = reader.row
    return rows[part.start]
