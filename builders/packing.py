"""Packing: a dataset as Parquet shards with a card, its rejects and a report.

::

    OUT/README.md                        the card; its YAML makes load_dataset(OUT) give the right features
    OUT/data/<mix>/<split>-00000.parquet shards: row groups of some 32 MB, media uncompressed and byte for byte as they were
    OUT/rejected.jsonl                   every record that is not in the shards
    OUT/report.json                      counts that add up, options, versions

Each mix has a folder of its own.  All shards hold all columns (an empty list costs nothing), and the card's configs say which
of them a mix shows; so the config ``all`` reads every mix with one schema.

Files appear whole or not at all: a shard is written under a temporary name, flushed to the disk and renamed; the report comes
last, and a folder without one is an unfinished build.
"""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from ..cards import render
from . import features, rejects
from .annotations import DataError, plan
from .data import splits
from .findings import Finding, finding
from .media.items import Item, read_bytes
from .parquet import MAX_CELL_BYTES, MAX_COLUMN_BYTES, Cell, FileRange, MediaChanged, ShardWriter
from .report import Report, Shard, modalmix_version
from .rows import DEFAULTS, Counts, Options, Reject, Rewriters, Row, rows
from .sample import MODALITIES
from .tables import media_items, named, table

ROW_GROUP_BYTES = 32 << 20
SHARD_BYTES = 500 << 20
_ROWS_PER_GROUP = 16_384
_ROW_BYTES = min(MAX_CELL_BYTES, MAX_COLUMN_BYTES - (1 << 20))  # the lengths of up to 262,144 items take 4 bytes each
_UNFINISHED = ".unfinished"

Progress = Callable[[int, Counts], None]
"""Called with the annotation bytes read since the last call, and the counts so far."""


def build(
    data: str | Sequence[str],
    out: str,
    options: Options = DEFAULTS,
    *,
    on_error: str = "reject",
    overwrite: bool = False,
    seed: int = 42,
    row_group_bytes: int = ROW_GROUP_BYTES,
    shard_bytes: int = SHARD_BYTES,
    progress: Progress | None = None,
) -> Report:
    """Builds a dataset.

    Args:
        data: annotation files; see `modalmix.builders.data`.
        out: folder to make; it must not exist, be empty, or hold an unfinished build.
        options: how records become rows.
        on_error: ``"reject"`` writes rejected records down; ``"raise"`` stops at the first.
        overwrite: replace a finished build in `out`.
        seed: for ``random:N`` of a mixture.
        row_group_bytes: a row group is closed when its rows have that many bytes.
        shard_bytes: likewise for a shard.
        progress: told how far the annotations are read.

    Raises:
        DataError: the data cannot be found, or `out` holds something else.
        modalmix.builders.rejects.RejectedRow: a record was rejected and `on_error` is ``"raise"``.
        OSError: the disk is full, say; `out` then holds an unfinished build.
    """
    by_split = splits(data, format=options.format, seed=seed)
    rewriters = Rewriters(options)
    _prepare(out, overwrite)
    total = Counts()
    packed: dict[str, dict[str, list[Shard]]] = {}
    with _quick_garbage_collection(), open(os.path.join(out, f"{rejects.FILE}.tmp"), "wb") as rejected:
        for split, sources in by_split.items():
            packers: dict[str, Packer] = {}
            for source in sources:
                for piece in plan(source):
                    counts = Counts()
                    for row in rows(piece, options, counts, rewriters.of(piece)):
                        if isinstance(row, Reject):
                            _reject([row], rejected, on_error)
                            continue
                        if row.mix not in packers:
                            packers[row.mix] = Packer(out, row.mix, split, row_group_bytes, shard_bytes)
                        _reject(packers[row.mix].add(row), rejected, on_error)
                    total.add(counts)
                    if progress:
                        size = os.path.getsize(piece.path) if piece.stop < 0 else piece.stop - piece.start
                        progress(size, total)
            for mix, packer in packers.items():
                _reject(packer.close(), rejected, on_error)
                total.written[mix] -= len(packer.lost)
                total.rejected += len(packer.lost)
                total.note(packer.lost)
                if packer.shards:
                    packed.setdefault(mix, {})[split] = packer.shards
        rejected.flush()
        os.fsync(rejected.fileno())
    os.replace(rejected.name, os.path.join(out, rejects.FILE))
    report = Report(
        modalmix_version(),
        total,
        {mix: packed[mix] for mix in features.mixes(MODALITIES) if mix in packed},
        {source.file: os.path.getsize(source.path) for sources in by_split.values() for source in sources},
    )
    _finish(out, report)
    return report


class Packer:
    """Packs the rows of one mix and split into shards.

    Attributes:
        shards: those that are complete.
        lost: why rows that were given to it are in no shard, one finding each.
    """

    def __init__(self, out: str, mix: str, split: str, row_group_bytes: int, shard_bytes: int) -> None:
        """A packer for ``out/data/<mix>/<split>-*.parquet``."""
        self.shards: list[Shard] = []
        self.lost: list[Finding] = []
        self._out = out
        self._prefix = f"data/{mix}/{split}"
        self._row_group_bytes = row_group_bytes
        self._shard_bytes = shard_bytes
        self._schema = features.columns(decode=True).arrow_schema
        self._waiting: list[Row] = []
        self._waiting_bytes = 0
        self._writer: ShardWriter | None = None
        self._written_bytes = 0
        self._written_rows = 0

    def add(self, row: Row) -> list[Reject]:
        """Takes a row; returns the rows that have turned out not to be writable."""
        size = 0
        for items in (row.media.images, row.media.videos, row.media.audios, row.media.audio_q, *row.media.frames):
            for item in items:
                size += item.size
        if size > _ROW_BYTES:
            return [self._rejected(row, "media-too-large", f"{size} bytes of media in one row")]
        self._waiting.append(row)
        self._waiting_bytes += size + _text_bytes(row)
        if self._waiting_bytes >= self._row_group_bytes or len(self._waiting) >= _ROWS_PER_GROUP:
            return self._flush()
        return []

    def close(self) -> list[Reject]:
        """Writes what is waiting and completes the last shard."""
        lost = self._flush()
        self._complete()
        return lost

    def _flush(self) -> list[Reject]:
        lost: list[Reject] = []
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            cells: dict[str, list[Cell]] = {}
            try:
                cells = {
                    column: [_cell(item) for item in media_items(waiting, column)] for column in features.MEDIA_COLUMNS
                }
                self._open().write_row_group(table(waiting, self._schema, named), cells)
            except MediaChanged as error:
                owner = _owner(waiting, error.column, error.cell)
                lost.append(self._rejected(waiting.pop(owner), "media-unreadable", str(error)))
                self._waiting = waiting
                continue
            self._written_rows += len(waiting)
            self._written_bytes += self._waiting_bytes
        self._waiting_bytes = 0
        if self._written_bytes >= self._shard_bytes:
            self._complete()
        return lost

    def _rejected(self, row: Row, name: str, message: str) -> Reject:
        one = finding(name, message).placed(row.file, row.row)
        self.lost.append(one)
        return Reject(row.format, row.file, row.row, [*row.findings, one], row.record)

    def _path(self) -> str:
        return f"{self._prefix}-{len(self.shards):05d}.parquet"

    def _open(self) -> ShardWriter:
        if self._writer is None:
            path = os.path.join(self._out, self._path())
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self._writer = ShardWriter(f"{path}.tmp", self._schema, media=features.MEDIA_COLUMNS)
        return self._writer

    def _complete(self) -> None:
        if self._writer is None:
            return
        size = self._writer.close()
        path = self._path()
        os.replace(os.path.join(self._out, f"{path}.tmp"), os.path.join(self._out, path))
        if self._written_rows:
            self.shards.append(Shard(path, self._written_rows, size))
        else:
            os.remove(os.path.join(self._out, path))
        self._writer, self._written_bytes, self._written_rows = None, 0, 0


@contextmanager
def _quick_garbage_collection() -> Iterator[None]:
    """Keeps the collector from walking through all imported modules again and again while millions of rows come and go."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _cell(item: Item) -> Cell:
    if item.base64:
        return read_bytes(item)
    return FileRange(item.path, item.start, item.size, item.whole)


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


def _reject(lost: Sequence[Reject], file: BinaryIO, on_error: str) -> None:
    for reject in lost:
        if on_error == "raise":
            raise rejects.raised(reject)
        file.write(rejects.line(reject))


def _prepare(out: str, overwrite: bool) -> None:
    """Makes `out` an empty folder with the mark of an unfinished build."""
    if os.path.exists(out) and not os.path.isdir(out):
        raise DataError(f"{out!r} is a file; --out must name a folder")
    os.makedirs(out, exist_ok=True)
    there = set(os.listdir(out))
    if there and _UNFINISHED not in there:
        if "report.json" not in there:
            raise DataError(f"{out!r} holds other files ({sorted(there)[0]!r}, …); name a new folder")
        if not overwrite:
            raise DataError(f"{out!r} holds a finished build; pass --overwrite to replace it")
    with open(os.path.join(out, _UNFINISHED), "w", encoding="utf-8") as mark:
        mark.write("A build was begun in this folder and has not ended.\n")
    for name in there - {_UNFINISHED}:
        path = os.path.join(out, name)
        if name == "data":
            shutil.rmtree(path)
        elif name in _OURS:
            os.remove(path)


_OURS = ("README.md", "report.json", rejects.FILE, f"{rejects.FILE}.tmp")


def _finish(out: str, report: Report) -> None:
    """Writes card and report, the last sign of a finished build."""
    title = os.path.basename(os.path.abspath(out))
    for name, text in (("README.md", render(title, report)), ("report.json", report.text())):
        path = os.path.join(out, name)
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.tmp", path)
    os.remove(os.path.join(out, _UNFINISHED))
    for folder in {out, *(os.path.dirname(os.path.join(out, shard.path)) for shard in report.all_shards())}:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
