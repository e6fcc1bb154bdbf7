"""The packer: rows of one mix, in the order they come, into shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from .. import features
from ..findings import finding
from ..media.items import Item, read_bytes
from ..parquet import MAX_CELL_BYTES, MAX_COLUMN_BYTES, Cell, FileRange, MediaChanged, ShardWriter
from ..rejects import line
from ..rows import Reject, Row
from ..tables import media_items, named, table
from .files import sync_folder
from .passing import Held

_ROWS_PER_GROUP = 16_384
ROW_BYTES = min(MAX_CELL_BYTES, MAX_COLUMN_BYTES - (1 << 20))  # the lengths of up to 262,144 items take 4 bytes each


class DoneShard(msgspec.Struct, frozen=True):
    """A shard that is safe on the disk.

    Attributes:
        path: relative to the build's folder; empty if none of its rows could be written.
        rows: in the shard.
        bytes: its size.
        checksum: of its bytes (XXH3, 128 bits, hexadecimal).
        lost: lines of ``rejected.jsonl`` for rows whose media could no longer be read when their turn came.
        codes: the code of each of them.
    """

    path: str
    rows: int
    bytes: int
    checksum: str
    lost: list[str] = []
    codes: list[str] = []


class Packer:
    """Packs the rows of one mix and task into shards.

    What becomes of a row depends on the rows before it alone; so a packer that is given the same rows again makes the
    same shards, and one that is told which of them are done passes over their rows.

    Attributes:
        done: the shards that are complete, in order, those of an earlier run first.
    """

    def __init__(
        self,
        out: str,
        prefix: str,
        row_group_bytes: int,
        shard_bytes: int,
        done: Sequence[DoneShard] = (),
        completed: Callable[[DoneShard], None] | None = None,
    ) -> None:
        """A packer for ``out/<prefix>-*.parquet``.

        Args:
            out: folder of the build.
            prefix: start of the shards' paths.
            row_group_bytes: a row group is closed when its rows have that many bytes.
            shard_bytes: likewise for a shard.
            done: the shards an earlier run has completed.
            completed: told of each shard as soon as it is safe on the disk.
        """
        self.done = list(done)
        self._skip = sum(shard.rows + len(shard.lost) for shard in done)
        self._out = out
        self._prefix = prefix
        self._row_group_bytes = row_group_bytes
        self._shard_bytes = shard_bytes
        self._completed = completed
        self._schema = features.columns(decode=True).arrow_schema
        self._waiting: list[Row] = []
        self._waiting_bytes = 0
        self._lost: list[Reject] = []
        self._writer: ShardWriter | None = None
        self._written_bytes = 0
        self._written_rows = 0

    def add(self, row: Row) -> int:
        """Takes a row.

        Returns:
            The bytes it adds; 0 where it is in a shard that is done, or cannot be written.
        """
        if self._skip:
            self._skip -= 1
            return 0
        size = 0
        for items in (row.media.images, row.media.videos, row.media.audios, row.media.audio_q, *row.media.frames):
            for item in items:
                size += item.size
        if size > ROW_BYTES:
            self._lose(row, "media-too-large", f"{size} bytes of media in one row")
            return 0
        size += _text_bytes(row)
        self._waiting.append(row)
        self._waiting_bytes += size
        if self._waiting_bytes >= self._row_group_bytes or len(self._waiting) >= _ROWS_PER_GROUP:
            self._flush()
        return size

    def close(self) -> None:
        """Writes what is waiting and completes the last shard."""
        self._flush()
        self._complete()

    def abort(self) -> None:
        """Lets go of the shard that is being written; its temporary file stays until the task is run again."""
        if self._writer is not None:
            self._writer.abort()

    def _flush(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                cells = {name: [_cell(item) for item in media_items(waiting, name)] for name in features.MEDIA_COLUMNS}
                self._open().write_row_group(table(waiting, self._schema, named), cells)
            except MediaChanged as error:
                self._lose(waiting.pop(_owner(waiting, error.column, error.cell)), "media-unreadable", str(error))
                self._waiting = waiting
                continue
            self._written_rows += len(waiting)
            self._written_bytes += self._waiting_bytes
        self._waiting_bytes = 0
        if self._written_bytes >= self._shard_bytes:
            self._complete()

    def _lose(self, row: Row, name: str, message: str) -> None:
        one = finding(name, message).placed(row.file, row.row)
        self._lost.append(Reject(row.format, row.file, row.row, [*row.findings, one], row.record))

    def _open(self) -> ShardWriter:
        if self._writer is None:
            path = os.path.join(self._out, self._path())
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._writer = ShardWriter(f"{path}.tmp", self._schema, media=features.MEDIA_COLUMNS)
        return self._writer

    def _path(self) -> str:
        return f"{self._prefix}-{len(self.done):05d}.parquet"

    def _complete(self) -> None:
        """Puts the shard in its place: first its bytes, then its name are safe on the disk, and then others are told."""
        rows, writer = self._written_rows, self._writer
        if writer is None and not self._lost:
            return
        size, checksum, path = 0, "", ""
        if writer is not None:
            size = writer.close()
            temporary = os.path.join(self._out, f"{self._path()}.tmp")
            if rows:
                path, checksum = self._path(), writer.checksum
                os.replace(temporary, temporary.removesuffix(".tmp"))
                sync_folder(os.path.dirname(temporary))
            else:
                os.remove(temporary)
        lost = [line(reject).decode() for reject in self._lost]
        codes = [reject.findings[-1].code for reject in self._lost]
        shard = DoneShard(path, rows, size if path else 0, checksum, lost, codes)
        self.done.append(shard)
        self._writer, self._written_bytes, self._written_rows, self._lost = None, 0, 0, []
        if self._completed is not None:
            self._completed(shard)


def _cell(item: Item | Held) -> Cell:
    if isinstance(item, Held):
        return item.data
    if item.direct:
        return FileRange(item.path, item.start, item.size, item.whole)
    return read_bytes(item)


def _text_bytes(row: Row) -> int:
    sample = row.sample
    size = 256
    for turn in sample.turns:
        size += len(turn[1])
    for frames in sample.masks:
        for mask in frames:
            size += 64 + len(mask.counts or "")
    return size


def _owner(waiting: Sequence[Row], column: str, cell: int) -> int:
    """Index of the row that holds the cell-th item of a media column."""
    for index, row in enumerate(waiting):
        cell -= len(media_items([row], column))
        if cell < 0:
            return index
    raise IndexError(cell)
