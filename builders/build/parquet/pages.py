"""Pages of a media leaf: repetition and definition levels, page boundaries, and the bytes before the values.

A PLAIN, uncompressed BYTE_ARRAY page (version 1) is a header, two small arrays, and the values, each after its length.  So the
bytes of a media item are copied into it unchanged::

    page header │ length, repetition levels │ length, definition levels │ 4-byte size, bytes │ 4-byte size, bytes │ …
    (thrift)    │ (only if in a list)       │ (only if nullable)        │ one per cell

A cell that occurs several times in a row group is stored once in the chunk's dictionary page, whose body is values like those
above; data pages then hold indices into it (RLE_DICTIONARY)::

    page header │ 4-byte size, bytes │ …              page header │ levels as above │ bits per index │ runs of indices

**Levels.**  Each cell and each empty list is one entry.  Its repetition level says at which depth of lists it continues (0: a
new row), its definition level how much of the nesting exists (less than the maximum: an empty list).
For ``list<list<struct<bytes, path>>>``, all nullable::

    rows     [[a, b], [c]]   []   [[], [d]]
    entries   a   b    c     ∅     ∅    d
    rep       0   2    1     0     0    1
    def       6   6    6     1     3    6

All functions here are pure functions over numpy arrays; none touches a file.  Format: ``README.md`` and ``Encodings.md``
of apache/parquet-format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .thrift_compact import varint

Ints = npt.NDArray[np.int64]
Levels = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]

MAX_PAGE_BYTES = 2**31 - 1
"""A page's size, header included, is an int32 in Parquet."""

MAX_PAGE_ROWS = 20_000
"""The limit of pyarrow, so that a page of mostly empty lists is not too long to seek in."""

PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
"""Encodings in ``parquet.thrift``."""

LENGTH_BYTES = 4
"""Bytes of the length before each value of a PLAIN BYTE_ARRAY page."""


class Nesting(NamedTuple):
    """The nesting of a media column's ``bytes`` leaf.

    Attributes:
        empty: for each list around it, from outermost, the definition level that says "this list is empty".
        maximum: the definition level of a cell.
        leaf: path of the leaf in the Parquet schema, ``("images", "list", "element", "bytes")``.
    """

    empty: tuple[int, ...]
    maximum: int
    leaf: tuple[str, ...]


class Structure(NamedTuple):
    """The shape of one media column in one row group.

    Attributes:
        repetition: level of each entry, shape (entries,).
        definition: likewise.
        entries: first entry of each row and the end, shape (rows + 1,).
        cells: first cell of each row and the end, shape (rows + 1,).
    """

    repetition: Levels
    definition: Levels
    entries: Ints
    cells: Ints


def nesting(field: pa.Field) -> Nesting:
    """The nesting of a media column: ``struct<bytes, path>``, in any number of lists.

    Raises:
        ValueError: the column is of another kind; the message quotes its type.
    """
    empty: list[int] = []
    leaf, level, inner = [field.name], 0, field
    while pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type):
        level += inner.nullable
        empty.append(level)
        level += 1
        leaf += ["list", "element"]
        inner = inner.type.value_field
    bytes_at = inner.type.get_field_index("bytes") if pa.types.is_struct(inner.type) else -1
    if bytes_at < 0 or not pa.types.is_binary(inner.type.field(bytes_at).type):
        raise ValueError(f"media column {field.name!r} must be struct<bytes: binary, …> in lists, not {field.type}")
    maximum = level + inner.nullable + inner.type.field(bytes_at).nullable
    return Nesting(tuple(empty), maximum, (*leaf, "bytes"))


def structure(offsets: Sequence[Ints], count: int, empty: Sequence[int], maximum: int) -> Structure:
    """Levels from list offsets.

    Args:
        offsets: for each list around the cells, from outermost, the offsets of its lists into the next inner one, each
            beginning at 0, shape (lists + 1,); none for a flat struct.
        count: number of cells.
        empty: see `Nesting`.
        maximum: see `Nesting`.
    """
    repetition: Levels = np.zeros(count, np.uint8)
    definition: Levels = np.full(count, maximum, np.uint8)
    starts: Ints = np.arange(count + 1, dtype=np.int64)  # first entry of each item at this depth
    cells = starts
    for depth in range(len(offsets), 0, -1):
        begins, ends = offsets[depth - 1][:-1], offsets[depth - 1][1:]
        is_empty = begins == ends
        repetition[starts[:-1]] = depth
        repetition[starts[begins[~is_empty]]] = 0  # the first of its list; the list around it may raise this again
        gaps = starts[begins[is_empty]]
        repetition = np.insert(repetition, gaps, 0)
        definition = np.insert(definition, gaps, empty[depth - 1])
        starts = starts[offsets[depth - 1]]
        starts[1:] += np.cumsum(is_empty)
        cells = cells[offsets[depth - 1]]
    return Structure(repetition, definition, starts, cells)


def page_ends(row_bytes: Ints, row_keys: Keys, page_bytes: int) -> Iterator[int]:
    """The end row of each page, ascending; the last is the number of rows.

    The rows decide where a page ends, as in content-defined chunking: after a row whose key is below a threshold that grows
    with the row's size, on average once in half of `page_bytes`.  So a row that is inserted or removed changes its own page, all
    others keep their boundaries, and a store that deduplicates finds their bytes again.  (Where all sizes are equal, pages end
    by size alone.)  No page is larger than `page_bytes` except for a single row that is; pages begin with a row, as a valid
    offset index of a nested column requires.

    Args:
        row_bytes: bytes of each row's cells with their lengths, shape (rows,).
        row_keys: from `row_keys`, shape (rows,).
        page_bytes: largest page.
    """
    chance = np.minimum(row_bytes / max(page_bytes / 2, 1), 1.0)
    natural = np.flatnonzero(row_keys / 2.0**64 < chance) + 1
    total: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(row_bytes)])
    rows, start = len(row_bytes), 0
    while start < rows:
        full = int(np.searchsorted(total, total[start] + page_bytes, "right")) - 1
        end = min(max(full, start + 1), start + MAX_PAGE_ROWS, rows)
        at = int(np.searchsorted(natural, start, "right"))
        if at < len(natural):
            end = min(end, int(natural[at]))
        yield end
        start = end


def row_keys(sizes: Ints, cells: Ints) -> Keys:
    """A well mixed number for each row that depends on the sizes of its cells alone, shape (rows,).

    Args:
        sizes: of the cells in bytes, shape (cells,).
        cells: first cell of each row and the end, shape (rows + 1,).
    """
    total: Keys = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mixed(sizes.astype(np.uint64)))])
    return _mixed(total[cells[1:]] - total[cells[:-1]])


def _mixed(numbers: Keys) -> Keys:
    """Two rounds of multiply and shift, the constants of the SplitMix64 generator."""
    mixed: Keys = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def levels_block(levels: Levels, maximum: int) -> bytes:
    """Levels as a page holds them: length, then one run; b"" where the maximum is 0, as all levels are then 0."""
    if maximum == 0:
        return b""
    body = _hybrid(levels, maximum.bit_length())
    return len(body).to_bytes(4, "little") + body


def indices_block(indices: Ints, values: int) -> bytes:
    """Dictionary indices as a page holds them: the number of bits each takes, then one run.

    Args:
        indices: at least one, each less than `values`.
        values: in the dictionary.
    """
    width = max((values - 1).bit_length(), 1)  # 0 bits are legal, and not known to every reader
    return bytes([width]) + _hybrid(indices, width)


def _hybrid(numbers: Levels | Ints, width: int) -> bytes:
    """Numbers in the hybrid of run-length encoding and bit-packing.

    Numbers that are all equal are one repeated run of a few bytes, others one bit-packed run.
    """
    first = int(numbers[0])
    if (numbers == first).all():
        return varint(len(numbers) << 1) + first.to_bytes(-(-width // 8), "little")
    groups = -(-len(numbers) // 8)
    padded = np.zeros((groups * 8, 1), numbers.dtype)
    padded[: len(numbers), 0] = numbers
    bits = (padded >> np.arange(width, dtype=numbers.dtype)) & 1
    return varint(groups << 1 | 1) + np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def page_header(body_bytes: int, entries: int, encoding: int = PLAIN) -> bytes:
    """The thrift PageHeader of a version 1 data page, uncompressed.

    Args:
        body_bytes: levels and values.
        entries: levels in the page: cells and empty lists.
        encoding: of the values, `PLAIN` or `RLE_DICTIONARY`.

    Raises:
        ValueError: the page would be larger than Parquet allows.
    """
    # 1: type DATA_PAGE · 2, 3: sizes · 5: {1: values, 2: encoding, 3: RLE, 4: RLE}
    data = b"\x2c\x15" + varint(entries << 1) + b"\x15" + varint(encoding << 1) + b"\x15\x06\x15\x06\0\0"
    return b"\x15\x00" + _page_sizes(body_bytes) + data


def dictionary_header(body_bytes: int, values: int) -> bytes:
    """The thrift PageHeader of a dictionary page of PLAIN values, uncompressed.

    Args:
        body_bytes: the values with their lengths.
        values: how many.

    Raises:
        ValueError: the page would be larger than Parquet allows.
    """
    # 1: type DICTIONARY_PAGE · 2, 3: sizes · 7: {1: values, 2: PLAIN}
    return b"\x15\x04" + _page_sizes(body_bytes) + b"\x4c\x15" + varint(values << 1) + b"\x15\x00\0\0"


def _page_sizes(body_bytes: int) -> bytes:
    """Fields 2 and 3 of a PageHeader."""
    if body_bytes > MAX_PAGE_BYTES - 64:  # the header counts too, and is shorter than this
        raise ValueError(f"a page of {body_bytes} bytes: Parquet allows {MAX_PAGE_BYTES} with its header")
    size = varint(body_bytes << 1)
    return b"\x15" + size + b"\x15" + size


def histogram(levels: Levels, maximum: int) -> list[int]:
    """How often each level occurs, from 0 to `maximum`; nothing where there is only one level, as the format asks."""
    if maximum == 0:
        return []
    counts: list[Any] = np.bincount(levels, minlength=maximum + 1).tolist()
    return counts
