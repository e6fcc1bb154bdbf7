"""The packer: writes the rows of one mix, in the order in which they come, into shards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from ..core.findings import finding
from ..core.storage import Output
from ..media.items import NO_BASE64, InMemoryItem, Item, read_bytes
from ..pipeline import features, grouped_rows
from ..pipeline.arrow_tables import MediaCells, grouped_table, media_items, named, referenced, table
from ..pipeline.rejects import line
from ..pipeline.rows import Reject, Row
from .grouping import Grouper
from .lead_media import items_by_weight
from .parquet import Cell, FileRange, MediaChanged, ShardWriter
from .row_groups import TOO_LARGE, Group, RowGroup, key_of, rows_in


class DoneShard(msgspec.Struct, frozen=True):
    """A shard that is complete and on the disk.

    Attributes:
        path: relative to the build's output; empty if none of its rows could be written.
        rows: number of rows in the shard.
        bytes: its size.
        checksum: of its bytes (XXH3, 128 bits, hexadecimal).
        lost: lines of ``rejected.jsonl`` for rows whose media could not be read when the shard was written.
        codes: the code of each of them.
        stamp: the store's identifier of its content; see `modalmix.builders.core.storage.Output.publish`.
        records: number of records in its rows; more than rows only where rows are grouped.
    """

    path: str
    rows: int
    bytes: int
    checksum: str
    lost: list[str] = []
    codes: list[str] = []
    stamp: str = ""
    records: int = 0


class Packer:
    """Packs the rows of one mix and task into shards.

    Where a row is written depends only on the rows before it.  So a packer that is given the same rows again writes the same
    shards, and one that is given the complete shards of an earlier run skips their rows.

    Attributes:
        done: the shards that are complete, in order, those of an earlier run first.
    """

    def __init__(
        self,
        out: Output,
        prefix: str,
        row_group_bytes: int,
        shard_bytes: int,
        done: Sequence[DoneShard] = (),
        completed: Callable[[DoneShard], None] | None = None,
        *,
        metadata: bool = False,
        embeds: bool = True,
        grouped: bool = False,
    ) -> None:
        """A packer for ``<prefix>-*.parquet``.

        Args:
            out: where the build writes.
            prefix: start of the shards' paths.
            row_group_bytes: bytes that a reader holds of a row group; see `row_groups`.
            shard_bytes: a shard is closed when its row groups have that many bytes, each medium counted once in each of them.
            done: the shards that an earlier run has completed.
            completed: called with each shard as soon as it is complete.
            metadata: write facts from the headers of media beside them.
            embeds: write the bytes of media; else their paths on this machine.
            grouped: consecutive rows with the same media become one; see `grouping`.
        """
        self.done = list(done)
        self._skip = sum(shard.records + len(shard.lost) for shard in done)
        self._out = out
        self._prefix = prefix
        self._row_group_bytes = row_group_bytes
        self._shard_bytes = shard_bytes
        self._completed = completed
        columns = features.columns(decode=True, metadata=metadata)
        self._schema = (grouped_rows.grouped(columns) if grouped else columns).arrow_schema
        self._grouper = Grouper() if grouped else None
        self._media = features.MEDIA_COLUMNS if embeds else ()
        self._cells: MediaCells = named if embeds else referenced
        self._group = self._empty_group()
        self._lost: list[Reject] = []
        self._writer: ShardWriter | None = None
        self._written_bytes = 0
        self._written_rows = self._written_records = 0

    def add(self, row: Row) -> int:
        """Takes a row.

        Returns:
            The bytes that are added; 0 where it is in a complete shard, cannot be written, or waits for others of its group.
        """
        return self._take(row) if self._grouper is None else sum(map(self._take, self._grouper.add(row)))

    def _take(self, row: Row | Group) -> int:
        if self._skip:
            self._skip -= len(rows_in(row))
            return 0
        taken = self._group.take(row)
        if not taken:
            self._flush()
            taken = self._group.take(row)
        if taken == TOO_LARGE:
            size = sum(item.size for item in items_by_weight(row.media))
            self._reject(row, "media-too-large", f"{size} bytes of media in one row")
            return 0
        return taken

    def close(self) -> None:
        """Writes the remaining rows and completes the last shard."""
        for group in self._grouper.flush() if self._grouper is not None else ():
            self._take(group)
        self._flush()
        self._complete()

    def abort(self) -> None:
        """Removes the shard under way."""
        if self._writer is not None:
            self._writer.abort()
            self._out.discard(self._path())

    def _empty_group(self) -> RowGroup:
        return RowGroup(self._row_group_bytes) if self._media else RowGroup(self._row_group_bytes, _reference_bytes)

    def _flush(self) -> None:
        """Writes the current row group, without the rows whose media cannot be read."""
        group, self._group = self._group, self._empty_group()
        rows = group.rows
        while rows:
            items = {name: media_items(rows, name) for name in self._media}
            try:
                cells = {name: _cells(name, items[name], group.modified) for name in items}
                self._open().write_row_group(self._table([rows_in(row) for row in rows]), cells)
            except MediaChanged as error:
                rows = self._without(rows, items[error.column][error.cell], error)
                continue
            self._written_rows += len(rows)
            self._written_records += sum(len(rows_in(row)) for row in rows)
            self._written_bytes += group.stored_bytes
            break
        if self._written_bytes >= self._shard_bytes:
            self._complete()

    def _table(self, rows: Sequence[list[Row]]) -> pa.Table:
        """The table of rows, each given by the rows of its records."""
        if self._grouper is not None:
            return grouped_table(rows, self._schema, self._cells)
        return table([row for (row,) in rows], self._schema, self._cells)

    def _without(self, rows: Sequence[Row | Group], item: Item, error: MediaChanged) -> list[Row | Group]:
        """The rows that do not show a medium that cannot be read, or a file that has changed; the others are rejected."""
        name = "media-unreadable" if error.unreadable else "media-changed"
        if error.unreadable and item.base64 and NO_BASE64 in str(error):
            name = "patch-base64"
        kept: list[Row | Group] = []
        for row in rows:
            if any(_is_affected(other, item, error.unreadable) for other in items_by_weight(row.media)):
                self._reject(row, name, str(error))
            else:
                kept.append(row)
        return kept

    def _reject(self, row: Row | Group, name: str, message: str) -> None:
        for lost in rows_in(row):
            found = finding(name, message).placed(lost.file, lost.row)
            self._lost.append(Reject(lost.format, lost.file, lost.row, [*lost.findings, found], lost.record))

    def _open(self) -> ShardWriter:
        if self._writer is None:
            self._writer = ShardWriter(self._out.draft(self._path()), self._schema, media=self._media)
        return self._writer

    def _path(self) -> str:
        return f"{self._prefix}-{len(self.done):05d}.parquet"

    def _complete(self) -> None:
        """Completes the shard: its bytes are on the disk first, then its name, and then `completed` is called."""
        rows, writer = self._written_rows, self._writer
        if writer is None and not self._lost:
            return
        size, checksum, path, stamp = 0, "", "", ""
        if writer is not None:
            size = writer.close(fsync=self._out.fsync)
            if rows:
                path, checksum = self._path(), writer.checksum
                stamp = self._out.publish(path)
            else:
                self._out.discard(self._path())
        lost = [line(reject).decode() for reject in self._lost]
        codes = [reject.findings[-1].code for reject in self._lost]
        shard = DoneShard(path, rows, size if path else 0, checksum, lost, codes, stamp, self._written_records)
        self.done.append(shard)
        self._writer, self._lost = None, []
        self._written_bytes = self._written_rows = self._written_records = 0
        if self._completed is not None:
            self._completed(shard)


def _reference_bytes(item: Item | InMemoryItem) -> int:
    return 64 + len(item.path) if isinstance(item, Item) else 64


def _cells(column: str, items: Sequence[Item | InMemoryItem], modified: Mapping[str, int]) -> list[Cell]:
    """The cells of a media column.  An item whose bytes are not a plain range of a file is read here, each one once.

    Raises:
        MediaChanged: such an item cannot be read.
    """
    read: dict[Any, bytes] = {}
    cells: list[Cell] = []
    for index, item in enumerate(items):
        if isinstance(item, InMemoryItem):
            cells.append(item.data)
        elif item.direct:
            cells.append(FileRange(item.path, item.start, item.size, item.whole, modified.get(item.path)))
        else:
            key = key_of(item)
            if key not in read:
                try:
                    read[key] = read_bytes(item)
                except (OSError, ValueError) as error:
                    raise MediaChanged(item.path, item.size, item.size, str(error), True, column, index) from error
            cells.append(read[key])
    return cells


def _is_affected(other: Item | InMemoryItem, item: Item, alone: bool) -> bool:
    """Whether an item is the one that failed, or, unless that failed `alone`, is in the same file."""
    if isinstance(other, InMemoryItem):
        return False
    return key_of(other) == key_of(item) or (not alone and other.path == item.path)
