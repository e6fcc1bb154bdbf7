"""Reading a slice: its records in blocks, with the ordinal of each block's first record."""

from __future__ import annotations

from collections.abc import Iterator

from .record_counts import first_row, remember
from .slice_reader import BLOCK_BYTES, MAX_RECORD_BYTES, Block, SliceReader
from .source import Slice


def read(part: Slice, *, block_bytes: int = BLOCK_BYTES, max_record_bytes: int = MAX_RECORD_BYTES) -> Iterator[Block]:
    """The records of a slice, in order, in blocks; what cannot be read is in the blocks' findings and `raw`.

    Memory is bounded by a few times `block_bytes`, or by the largest record up to `max_record_bytes`. The slice's take
    is not applied: all ordinals of the slice are given.

    Args:
        part: the slice, of `plan`.
        block_bytes: how many bytes are decoded at once.
        max_record_bytes: larger records are skipped without being held, with a finding.

    Raises:
        DataError: the slice starts or ends inside of a record: its plan guessed wrongly, or the file has changed.
        OSError: the file cannot be opened or read.
    """
    reader = SliceReader(part, first_row(part), block_bytes, max_record_bytes)
    for _, _, block in reader.runs():
        yield block._replace(stop=reader.window.offset(reader.window.pos))
        del block
    if reader.stop is not None:
        remember(part.path, reader.stop, reader.row)
