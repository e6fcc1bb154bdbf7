"""Media leaves: the ``bytes`` of one media column in one row group, copied from their files into pages.

A medium that several rows of a row group show is stored once, in the chunk's dictionary page, to which those rows refer.  All
other rows hold their bytes themselves, so that a reader of such a row needs only its page::

    rows      a  b  b  b  c  d  d
    chunk     dictionary: b d │ PLAIN: a │ indices: 0 0 0 │ PLAIN: c │ indices: 1 1

Stock readers give the same values for both kinds.  Two cells are *the same* if their bytes come from the same range of a file
or the same object in memory; the bytes are not compared.  A row that shows several media, of which one is repeated, has all of
them in the dictionary, because a page has one encoding and begins with a row.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...core.parquet_limits import MAX_CELL_BYTES, MAX_COLUMN_BYTES
from . import pages
from .byte_gather import Cell, FileRange, Gather, MediaChanged, size_of
from .pages import PLAIN, RLE, RLE_DICTIONARY
from .thrift_compact import I32, I64, LIST, STRUCT, Struct, encode

_DATA_PAGE, _DICTIONARY_PAGE = 0, 2
# Fields of ColumnMetaData in parquet.thrift: 2 encodings, 3 path, 4 codec, 5 values, 6 and 7 sizes, 8 metadata, 9 data page,
# 10 index page, 11 dictionary page, 12 statistics, 13 encoding statistics, 14 and 15 bloom filter, 16 size statistics.


class Leaf(NamedTuple):
    """One media leaf of a row group, ready to be written.

    Attributes:
        cells: in order.
        sizes: of the cells in bytes, shape (cells,).
        structure: lists around the cells.
        levels: maximal repetition and definition level.
        stored: the cells in the dictionary, ascending; empty where none is repeated.
        indices: for each cell its number in the dictionary, -1 for one that is not in it, shape (cells,).
        shared: whether a row's cells are taken from the dictionary, shape (rows,).
    """

    cells: Sequence[Cell]
    sizes: pages.Ints
    structure: pages.Structure
    levels: tuple[int, int]
    stored: pages.Ints
    indices: pages.Ints
    shared: npt.NDArray[np.bool_]


def leaf_of(column: pa.ChunkedArray, nest: pages.Nesting, cells: Sequence[Cell]) -> Leaf:
    """Structure and sizes of a media column.

    Raises:
        ValueError: nulls, bytes in the table, another number of cells than the table has items, or too many bytes.
    """
    name = nest.leaf[0]
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    offsets: list[pages.Ints] = []
    for _ in nest.empty:
        _no_nulls(array, name)
        raw = np.asarray(array.offsets).astype(np.int64)
        offsets.append(raw - raw[0] if len(raw) else np.zeros(1, np.int64))
        array = array.flatten()
    _no_nulls(array, name)
    data = array.flatten()[array.type.get_field_index("bytes")]
    if data.null_count != len(data):
        raise ValueError(f"media column {name!r} holds bytes in the table; give them as cells")
    if len(cells) != len(array):
        raise ValueError(f"media column {name!r} has {len(array)} items, but {len(cells)} cells")
    sizes: pages.Ints = np.fromiter(map(size_of, cells), np.int64, len(cells))
    if len(sizes) and not 0 <= sizes.min() <= sizes.max() <= MAX_CELL_BYTES:
        at = int(np.flatnonzero((sizes < 0) | (sizes > MAX_CELL_BYTES))[0])
        raise ValueError(f"cell {at} of {name!r} has {sizes[at]} bytes, must be 0 to {MAX_CELL_BYTES}")
    total = int(sizes.sum())
    if total > MAX_COLUMN_BYTES:
        raise ValueError(f"{total} bytes of {name!r} in one row group, at most {MAX_COLUMN_BYTES} can be read back")
    shape = pages.structure(offsets, len(cells), nest.empty, nest.maximum)
    stored, indices, shared = _dictionary(_first_equal(cells), sizes, shape.cells)
    return Leaf(cells, sizes, shape, (len(nest.empty), nest.maximum), stored, indices, shared)


def _no_nulls(array: pa.Array, name: str) -> None:
    if array.null_count:
        raise ValueError(f"media column {name!r} has {array.null_count} nulls; an absent item is an empty list")


def _first_equal(cells: Sequence[Cell]) -> pages.Ints:
    """For each cell the position of the first cell from the same place, shape (cells,)."""
    first: dict[FileRange | int, int] = {}
    at = (first.setdefault(cell if isinstance(cell, FileRange) else id(cell), i) for i, cell in enumerate(cells))
    return np.fromiter(at, np.int64, len(cells))


def _dictionary(
    first: pages.Ints, sizes: pages.Ints, cells: pages.Ints
) -> tuple[pages.Ints, pages.Ints, npt.NDArray[np.bool_]]:
    """The dictionary: `Leaf.stored`, `Leaf.indices` and `Leaf.shared`.

    Args:
        first: for each cell the first equal one, shape (cells,).
        sizes: of the cells in bytes, shape (cells,).
        cells: first cell of each row and the end, shape (rows + 1,).
    """
    repeated = (np.bincount(first, minlength=len(first))[first] > 1) & (sizes > 0)
    until: pages.Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(repeated)])[cells]
    shared = until[1:] > until[:-1]
    in_row = np.repeat(shared, np.diff(cells))
    stored = np.unique(first[in_row])
    indices = np.where(in_row, np.searchsorted(stored, first), -1)
    # rows without cells count as the rows before them, so that they do not end a page
    filled = np.maximum.accumulate(np.where(np.diff(cells) > 0, np.arange(len(shared)), 0))
    return stored, indices, shared[filled]


def write_leaf(out: Gather, meta: Struct, leaf: Leaf, page_bytes: int) -> bytes:
    """Appends the chunk of a leaf.

    Args:
        out: the file.
        meta: ColumnMetaData of pyarrow for the leaf without its bytes; it is changed to describe what is written.
        leaf: what to write.
        page_bytes: largest page of more than one row.

    Returns:
        The chunk's OffsetIndex.

    Raises:
        MediaChanged: a file has changed; `column` and `cell` say which.
        ValueError: a page would be too large.
        OSError: the file cannot be written.
    """
    column = meta[3][1][1][0].decode()
    begin = out.position
    if len(leaf.stored):
        stored_bytes = int((leaf.sizes[leaf.stored] + pages.LENGTH_BYTES).sum())
        out.append(pages.dictionary_header(stored_bytes, len(leaf.stored)))
        _append_cells(out, column, leaf, leaf.stored.tolist())
    first_page = out.position
    locations: list[Struct] = []
    page_raw: list[int] = []
    counts = {PLAIN: 0, RLE_DICTIONARY: 0}
    for first_row, end_row in pairwise(_page_rows(leaf, page_bytes)):
        at = out.position
        first, last = int(leaf.structure.cells[first_row]), int(leaf.structure.cells[end_row])
        encoding = RLE_DICTIONARY if first < last and leaf.shared[first_row] else PLAIN
        raw = int(leaf.sizes[first:last].sum())
        entries = slice(int(leaf.structure.entries[first_row]), int(leaf.structure.entries[end_row]))
        block = pages.levels_block(leaf.structure.repetition[entries], leaf.levels[0])
        block += pages.levels_block(leaf.structure.definition[entries], leaf.levels[1])
        if encoding == PLAIN:
            body = len(block) + raw + pages.LENGTH_BYTES * (last - first)
            out.append(pages.page_header(body, entries.stop - entries.start) + block)
            _append_cells(out, column, leaf, range(first, last))
        else:
            block += pages.indices_block(leaf.indices[first:last], len(leaf.stored))
            out.append(pages.page_header(len(block), entries.stop - entries.start, encoding) + block)
        locations.append({1: (I64, at), 2: (I32, out.position - at), 3: (I64, first_row)})
        page_raw.append(raw)
        counts[encoding] += 1
    _describe(meta, leaf, begin, first_page, out.position, counts)
    return encode({1: (LIST, (STRUCT, locations)), 2: (LIST, (I64, page_raw))})


def _page_rows(leaf: Leaf, page_bytes: int) -> list[int]:
    """The first row of each page, and the number of rows: pages end by `pages.page_ends`, and where the encoding changes."""
    shape = leaf.structure
    cell_bytes = np.where(leaf.indices < 0, leaf.sizes + pages.LENGTH_BYTES, pages.LENGTH_BYTES)
    row_bytes = np.diff(np.concatenate([[0], np.cumsum(cell_bytes)])[shape.cells])
    keys = pages.row_keys(leaf.sizes, shape.cells)
    changes = np.flatnonzero(leaf.shared[1:] != leaf.shared[:-1]) + 1
    starts = [0]
    for begin, end in pairwise([0, *changes.tolist(), len(row_bytes)]):
        starts += [begin + row for row in pages.page_ends(row_bytes[begin:end], keys[begin:end], page_bytes)]
    return starts


def _append_cells(out: Gather, column: str, leaf: Leaf, positions: Sequence[int]) -> None:
    """Appends the cells at some positions as PLAIN values."""
    length = struct.Struct("<I").pack
    for index in positions:
        cell = leaf.cells[index]
        out.append(length(size_of(cell)))
        if isinstance(cell, FileRange):
            try:
                out.append_range(cell)
            except MediaChanged as error:
                error.column, error.cell = column, index
                raise
        else:
            out.append(cell)


def _describe(meta: Struct, leaf: Leaf, begin: int, first_page: int, end: int, counts: dict[int, int]) -> None:
    """Describes in a ColumnMetaData what has been written.

    Args:
        meta: to change.
        leaf: what was written.
        begin: of the chunk in the file.
        first_page: where its first data page begins.
        end: of the chunk.
        counts: data pages by encoding.
    """
    for number in (8, 10, 11, 12, 14, 15):
        meta.pop(number, None)
    used = [encoding for encoding, count in counts.items() if count]
    kinds = [(_DATA_PAGE, encoding, counts[encoding]) for encoding in used]
    encodings = [*used, RLE]
    if first_page > begin:
        meta[11] = (I64, begin)
        kinds.insert(0, (_DICTIONARY_PAGE, PLAIN, 1))
        encodings = [*dict.fromkeys([PLAIN, *encodings])]
    meta[2] = (LIST, (I32, encodings))
    meta[4] = (I32, 0)
    meta[5] = (I64, len(leaf.structure.definition))
    meta[6] = meta[7] = (I64, end - begin)
    meta[9] = (I64, first_page)
    meta[13] = (
        LIST,
        (STRUCT, [{1: (I32, page), 2: (I32, encoding), 3: (I32, count)} for page, encoding, count in kinds]),
    )
    repetition = pages.histogram(leaf.structure.repetition, leaf.levels[0])
    definition = pages.histogram(leaf.structure.definition, leaf.levels[1])
    sizes: Struct = {1: (I64, int(leaf.sizes.sum())), 2: (LIST, (I64, repetition)), 3: (LIST, (I64, definition))}
    meta[16] = (STRUCT, sizes)
