"""Cutting an annotation file into slices.

`plan` reads a few kilobytes around each nominal offset and takes the next place that looks like the file's first
records and decodes; nothing is read in between, so that 10 GB take milliseconds.  A guess that lies inside of a record
makes `read` of the slice before it raise.  Files whose records hold objects that look like
records are cut in one exact pass instead.
"""

from __future__ import annotations

import os

from .byte_window import BLANK
from .file_head import Head, compressed, head
from .slice_reader import BLOCK_BYTES, MAX_RECORD_BYTES, SliceReader
from .source import Slice, Source

SLICE_BYTES = 64 << 20
_FIRST_READ = 16 << 10
_FURTHEST = 8 << 20


def plan(source: Source, *, slice_bytes: int = SLICE_BYTES, exact: bool = False) -> list[Slice]:
    """The slices of a file: without gaps, in order, each of about `slice_bytes`.

    Args:
        source: the file.
        slice_bytes: nominal size; a slice ends at the first record after it.
        exact: cut by reading the whole file once, so that every slice knows its row.

    Raises:
        OSError: the file cannot be read.
    """
    size = os.stat(source.path).st_size
    if compressed(source.path):
        return [Slice(source.path, source.file, 0, -1, 0, source.take)]
    slice_bytes = max(slice_bytes, 1)
    file_head = head(source.path)
    starts: list[tuple[int, int | None]] = [(0, 0)]
    if exact or (file_head.ambiguous and file_head.form != "lines" and size > slice_bytes):
        starts += _exact_starts(source, slice_bytes)
    else:
        with open(source.path, "rb", buffering=0) as file:
            nominal = slice_bytes
            while nominal < size:
                start = _first_start(file.fileno(), file_head, nominal, size)
                if start is None:
                    nominal += slice_bytes
                    continue
                starts.append((start, None))
                nominal = max(start + 1, nominal + slice_bytes)
    stops = [start for start, _ in starts[1:]] + [size]
    return [
        Slice(source.path, source.file, start, stop, row, source.take)
        for (start, row), stop in zip(starts, stops, strict=True)
    ]


def _exact_starts(source: Source, slice_bytes: int) -> list[tuple[int, int]]:
    """The first proven boundary after each nominal offset, with its ordinal."""
    found: list[tuple[int, int]] = []
    nominal = slice_bytes
    whole = Slice(source.path, source.file, 0, -1, 0)
    for run in SliceReader(whole, 0, min(BLOCK_BYTES, max(slice_bytes // 4, 64)), MAX_RECORD_BYTES, build=False).runs():
        if run.offset >= nominal and run.ordinals:
            found.append((run.offset, run.block.row))
            nominal = max(run.offset + 1, nominal + slice_bytes)
    return found


def _first_start(file: int, file_head: Head, nominal: int, size: int) -> int | None:
    """The first place at or after `nominal` where a record starts, as far as can be seen from there."""
    size = _FIRST_READ
    while True:
        low = max(0, nominal - 1)
        data = os.pread(file, size, low)
        if file_head.form == "lines":
            line = data.find(b"\n")
            at = line + 1
            while 0 < at < len(data) and data[at] in BLANK:
                at += 1
            if line >= 0 and at < len(data):
                return low + at
        else:
            # the byte before belongs to the context of the first candidate
            at, sure = file_head.next_record(data, 1, len(data))
            if sure:
                return low + at
        if low + len(data) >= size or size >= _FURTHEST:
            return None
        size *= 4
