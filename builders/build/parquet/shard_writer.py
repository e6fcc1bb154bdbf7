"""Shards: Parquet files whose media bytes never pass through Arrow.

The small columns (texts, masks, the ``path`` of each media item) are encoded by pyarrow, in memory, row group by row group.
The large one, the ``bytes`` leaf of the media columns, is copied from its files into pages that are written here (`media_leaf`,
`pages`, `byte_gather`).  The footer is pyarrow's, changed where the two are joined::

    PAR1
    row group   id · conversations · …      pages as pyarrow encoded them, compressed, dictionaries, chunked by content
                images.list.element.bytes   our pages, uncompressed: see `media_leaf`
                images.list.element.path    pyarrow's again
    row group   …
    column indexes (pyarrow's) · offset indexes (pyarrow's, moved, and ours)
    footer: schema, key/value metadata, row groups
    PAR1

Memory: the small columns of one row group and one buffer, whatever the size of the media.  The same input gives the same bytes.
A row group is in the file whole or not at all: after an error the file ends with the row group before it, and the writer can be
used further, so that the caller can reject the row and write the others.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from . import pages
from .byte_gather import Cell, Gather, Writeback
from .media_leaf import Leaf, leaf_of, write_leaf
from .thrift_compact import BINARY, I16, I32, I64, LIST, STRUCT, Struct, decode, encode

PAGE_BYTES = 1 << 20

CREATED_BY = "modalmix version 0.1.0 (build 1)"
"""In the form readers parse (name, semantic version, build) to decide whether they trust statistics."""

CHUNKING = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""Content-defined chunking of the small columns, the values and the metadata key of `datasets`."""

_COMPRESSION = "zstd"  # of all columns but the media leaves
_MAGIC = b"PAR1"
# Fields of parquet.thrift.  ColumnChunk: 2 file_offset, 3 meta_data, 4 and 5 offset index, 6 and 7 column index.
# ColumnMetaData: see `media_leaf`.  RowGroup: 1 columns, 2 bytes, 3 rows, 5 offset, 6 compressed bytes, 7 ordinal.
# FileMetaData: 2 schema, 3 rows, 4 row groups, 5 metadata, 6 created by.


class _Chunk(NamedTuple):
    """One column chunk that is written; its indexes follow at the end of the file."""

    fields: Struct
    column_index: bytes
    offset_index: bytes


class ShardWriter:
    """Writes one Parquet file.

    Example::

        with ShardWriter("x.parquet.tmp", features.arrow_schema, media=["images"]) as shard:
            table = pa.table({"id": ["a"], "images": [[{"path": "1.jpg"}, {"path": "2.jpg"}]]}, schema)
            shard.write_row_group(table, {"images": [FileRange("/data/1.jpg", 0, 81_020), jpeg_bytes]})

    Leaving the ``with`` block writes the footer; leaving it by an exception closes the file as it is, without a footer,
    for the caller to remove.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        schema: pa.Schema,
        *,
        media: Sequence[str],
        page_bytes: int = PAGE_BYTES,
    ) -> None:
        """Opens the file, which is overwritten if it exists.

        Args:
            path: of the file, a temporary name as a rule.
            schema: of the whole table, with the ``huggingface`` metadata, ``Features(…).arrow_schema``.
            media: columns whose bytes are given as cells.
            page_bytes: largest page of a media leaf that holds more than one row.

        Raises:
            ValueError: a media column is not in the schema, or of another kind.
            OSError: the file cannot be created.
        """
        missing = [name for name in media if name not in schema.names]
        if missing:
            raise ValueError(f"media columns {missing} are not in the schema, which has {schema.names}")
        if page_bytes < 1:
            raise ValueError(f"page_bytes is {page_bytes}, must be at least 1")
        self._schema = schema
        self._nesting = {name: pages.nesting(schema.field(name)) for name in media}
        self._page_bytes = page_bytes
        self._groups: list[tuple[Struct, list[_Chunk]]] = []
        self._rows = 0
        extra = {"content_defined_chunking": json.dumps(CHUNKING)}
        self._footer = decode(*_footer(self._encoded(schema.empty_table(), extra)))[0]
        self._schema_part = encode({number: self._footer[number] for number in (1, 2)})[:-1]
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._out = Gather(self._fd)
        self._writeback = Writeback(self._fd)
        try:
            self._out.append(_MAGIC)
            self._out.mark()
        except BaseException:
            self.abort()
            raise

    def write_row_group(self, table: pa.Table, cells: Mapping[str, Sequence[Cell]]) -> None:
        """Appends a row group; a table without rows appends nothing.

        Args:
            table: of the writer's schema; in the media columns the ``bytes`` are null.
            cells: for each media column its cells, in the order of the column's ``bytes`` leaf.

        Raises:
            ValueError: table and cells do not fit the schema or each other, or a limit is exceeded (`MAX_CELL_BYTES`,
                `MAX_COLUMN_BYTES`).
            MediaChanged: a file has changed; `column` and `cell` say which.
            OSError: the file cannot be written.
            In each case the file ends with the row group before, and the writer can be used or closed.  Where the file cannot be
            cut back either, the writer is closed.
        """
        self._check_open()
        if not table.schema.equals(self._schema):
            raise ValueError(f"the table has the schema {table.schema}, the writer {self._schema}")
        if set(cells) != set(self._nesting):
            raise ValueError(f"cells for {sorted(cells)}, but the media columns are {sorted(self._nesting)}")
        leaves = {nest.leaf: leaf_of(table.column(name), nest, cells[name]) for name, nest in self._nesting.items()}
        if not table.num_rows:
            return
        encoded = self._encoded(table, {})
        start = self._out.position
        try:
            written = self._write_group(encoded, leaves)
            self._out.mark()  # after a later error the buffer's present content could not be written again
        except BaseException:
            try:
                self._out.rewind(start)
            except OSError:  # half a row group remains: nothing may follow it
                self.abort()
            raise
        finally:
            self._out.release()
        self._groups.append(written)
        self._rows += table.num_rows
        self._writeback.begin()

    def close(self, *, fsync: bool = True) -> int:
        """Writes indexes and footer, and closes the file.

        Args:
            fsync: wait until the bytes are on the disk, as they must be before the file is renamed into place.

        Returns:
            Size of the file in bytes.

        Raises:
            OSError: the file cannot be written; it is closed, and invalid.
        """
        self._check_open()
        try:
            self._write_indexes()
            footer = dict(self._footer)
            footer[3] = (I64, self._rows)
            footer[4] = (LIST, (STRUCT, [group for group, _ in self._groups]))
            footer[6] = (BINARY, CREATED_BY.encode())
            encoded = encode(footer)
            self._out.append(encoded + struct.pack("<I", len(encoded)) + _MAGIC)
            self._out.flush()
            if fsync:
                self._writeback.wait()
                os.fsync(self._fd)
        finally:
            self.abort()
        return self._out.position

    @property
    def checksum(self) -> str:
        """The checksum of the bytes written so far (XXH3, 128 bits, hexadecimal); of the file, once it is closed."""
        return str(self._out.digest.hexdigest())

    def abort(self) -> None:
        """Closes the file as it is, for the caller to remove.  Does nothing if it is closed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._out.release()
            with suppress(OSError):  # the file is abandoned, or already on the disk
                self._writeback.wait()
            os.close(fd)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._fd >= 0:
            self.close()

    def _check_open(self) -> None:
        if self._fd < 0:
            raise ValueError("the writer is closed")

    def _encoded(self, table: pa.Table, metadata: Mapping[str, str]) -> memoryview:
        """A whole Parquet file of the table, in memory, as pyarrow writes it; one row group."""
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(
            sink,
            self._schema,
            compression=_COMPRESSION,
            write_page_index=True,
            use_content_defined_chunking=CHUNKING,
        ) as writer:
            if table.num_rows:
                writer.write_table(table, row_group_size=table.num_rows)
            if metadata:
                writer.add_key_value_metadata(metadata)
        return memoryview(sink.getvalue()).cast("B")

    def _write_group(self, encoded: memoryview, leaves: Mapping[tuple[str, ...], Leaf]) -> tuple[Struct, list[_Chunk]]:
        group = self._only_group(encoded)
        start, raw_bytes = self._out.position, 0
        chunks: list[_Chunk] = []
        for fields in group[1][1][1]:
            meta: Struct = fields[3][1]
            leaf = leaves.get(tuple(name.decode() for name in meta[3][1][1]))
            if leaf is None:
                chunks.append(self._copy_chunk(encoded, fields))
            else:
                chunks.append(_Chunk(fields, b"", write_leaf(self._out, meta, leaf, self._page_bytes)))
            raw_bytes += meta[6][1]
        group[2] = (I64, raw_bytes)
        group[5] = (I64, start)
        group[6] = (I64, self._out.position - start)
        group.pop(7, None)
        if len(self._groups) < 2**15:  # the ordinal is optional, and an int16
            group[7] = (I16, len(self._groups))
        return group, chunks

    def _only_group(self, encoded: memoryview) -> Struct:
        """The RowGroup of a file of one row group.  The schema before it is the writer's, so it need not be decoded."""
        data, start = _footer(encoded)
        end = start + len(self._schema_part)
        footer, _ = decode(data, end, 2) if data[start:end] == self._schema_part else decode(data, start)
        group: Struct = footer[4][1][1][0]
        return group

    def _copy_chunk(self, encoded: memoryview, fields: Struct) -> _Chunk:
        """Copies a column chunk of the small columns, and shifts its offsets."""
        meta: Struct = fields[3][1]
        begin = meta[11][1] if 11 in meta else meta[9][1]
        shift = self._out.position - begin
        self._out.append(encoded[begin : begin + meta[7][1]])
        for number in (9, 10, 11):
            if number in meta:
                meta[number] = (I64, meta[number][1] + shift)
        column_index = b""
        if 6 in fields:
            column_index = bytes(encoded[fields[6][1] : fields[6][1] + fields[7][1]])
        offset_index, _ = decode(encoded, fields[4][1])
        for location in offset_index[1][1][1]:
            location[1] = (I64, location[1][1] + shift)
        return _Chunk(fields, column_index, encode(offset_index))

    def _write_indexes(self) -> None:
        """Writes the column indexes of all chunks, then their offset indexes, in the order of other writers."""
        chunks = [chunk for _, group in self._groups for chunk in group]
        for fields, column_index, _ in chunks:
            fields.pop(6, None)
            fields.pop(7, None)
            if column_index:
                fields[6], fields[7] = (I64, self._out.position), (I32, len(column_index))
                self._out.append(column_index)
        for fields, _, offset_index in chunks:
            fields[4], fields[5] = (I64, self._out.position), (I32, len(offset_index))
            self._out.append(offset_index)


def _footer(encoded: memoryview) -> tuple[memoryview, int]:
    """A Parquet file in memory, and where its FileMetaData begins."""
    return encoded, len(encoded) - 8 - int.from_bytes(encoded[-8:-4], "little")
