"""A built dataset as a collection: the Parquet files of a folder or of a repository of the Hub, and its rejected records.

The list needs only the text columns.  To show a sample, the rows around it are read without media.  A media value is read from
its row group when it is requested, and kept in a temporary file in which a player can seek.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import DataError
from ..core.report import REJECTED
from ..core.sample import Turn
from ..media.items import Item
from ..media.mask_arrays import mask_of
from ..pipeline.features import MEDIA_COLUMNS
from ..pipeline.grouped_rows import SAMPLES, samples
from .entries import Cells, Entry, SampleDetails, StoredCell, entry
from .rejected_records import rejected_details
from .temp_media import TempMedia

_LISTED = ("id", "source", "system", "conversations", "text_q")
_LIST_BATCH = 1024
"""Rows that the list reads at once."""

_BATCH = 256
"""Rows that are read to show one of them."""

_KEPT = 8
"""Files and batches that stay open for the next sample."""

_LARGE_ROW = 1 << 20
"""Bytes of a row from which media are read row by row."""


class Place(NamedTuple):
    """A Parquet file or ``rejected.jsonl``: its name relative to the dataset, and how it is opened."""

    name: str
    open: Callable[[], Any]


class ParquetCollection:
    """The rows of Parquet files, and the rejected records beside them."""

    def __init__(self, title: str, shards: Sequence[Place], rejected: Place | None) -> None:
        """Opens the first file.

        Args:
            title: what the page calls the dataset.
            shards: its Parquet files.
            rejected: its ``rejected.jsonl``, if there is one.

        Raises:
            DataError: there are no Parquet files, or they hold no conversations.
        """
        if not shards:
            raise DataError(f"{title!r} holds no Parquet files")
        self.title = title
        self._shards = list(shards)
        self._rejected = rejected
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()
        self._batches: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._lock = Lock()  # a Parquet file is for one thread
        self._temp_media = TempMedia()
        columns = self._file(0).schema_arrow
        missing = {"id", "conversations"} - set(columns.names)
        if missing:
            raise DataError(f"{shards[0].name!r} has no column {sorted(missing)[0]!r}: it was not built by modalmix")
        # the most samples of one row; the place of a sample is: this * number of its row + its number in the row
        self._row_samples = SAMPLES if pa.types.is_list(columns.field("id").type) else 1

    def close(self) -> None:
        """Closes the files and removes temporary copies."""
        with self._lock:
            for file in self._files.values():
                file.close(force=True)
            self._files.clear()
        self._temp_media.close()

    def entries(self) -> Iterator[Entry]:
        """All rows, or the samples of grouped rows, shard by shard; then the rejected records."""
        for number in range(len(self._shards)):
            yield from self._shard_entries(number)
        yield from self._rejected_entries()

    def _shard_entries(self, number: int) -> Iterator[Entry]:
        shard = self._shards[number]
        with pq.ParquetFile(shard.open()) as file:
            names = file.schema_arrow.names
            place = 0
            for batch in file.iter_batches(_LIST_BATCH, columns=[name for name in _LISTED if name in names]):
                for row in batch.to_pylist():
                    for i, sample in enumerate(samples(row) if self._row_samples > 1 else [row], place):
                        turns = [(turn["from"], turn["value"]) for turn in sample["conversations"] or ()]
                        yield entry((number, i), str(sample["id"]), _mix(shard.name), "row", (), *_source(sample), turns,
                                    sample.get("system"), sample.get("text_q"))  # fmt: skip
                    place += self._row_samples

    def _rejected_entries(self) -> Iterator[Entry]:
        if self._rejected is None:
            return
        with self._rejected.open() as file:
            offset = 0
            for line in file:
                details = rejected_details(line)
                codes = [found.code for found in details.findings]
                record = details.columns.get("record")
                text = json.dumps(record, ensure_ascii=False) if record is not None else details.raw
                yield entry(
                    (-1, offset),
                    details.id,
                    details.mix,
                    details.state,
                    codes,
                    details.file,
                    details.row,
                    details.turns,
                    text,
                )
                offset += len(line)

    def details(self, place: tuple[int, int]) -> SampleDetails:
        """One row in full, without media bytes.

        Raises:
            OSError: a file cannot be read.
            LookupError: the file has changed.
        """
        number, at = place
        if number < 0:
            assert self._rejected is not None
            with self._rejected.open() as file:
                file.seek(at)
                return rejected_details(file.readline())
        row_number, sample_number = divmod(at, self._row_samples)
        with self._lock:
            start, batch = self._batch(number, row_number)
            row = batch.slice(row_number - start, 1).to_pylist()[0]
        if self._row_samples > 1:
            row = samples(row)[sample_number]
        file_name, ordinal = _source(row)
        return SampleDetails(
            str(row["id"]),
            _mix(self._shards[number].name),
            "row",
            file_name,
            ordinal,
            None,
            row.get("system"),
            [Turn(turn["from"], turn["value"]) for turn in row["conversations"] or ()],
            row.get("text_q"),
            row.get("num_frames"),
            _stored_cells(row, number, row_number),
            [[mask_of(mask) for mask in frames] for frames in row.get("masks") or ()],
            [],
            {"shard": self._shards[number].name, "row of the shard": row_number, **row},
        )

    def item(self, cell: Item | StoredCell) -> Item:
        """A media value, copied out of its row group into a temporary file.

        Raises:
            OSError: the file cannot be read.
            LookupError: it has changed.
        """
        assert isinstance(cell, StoredCell)
        return self._temp_media.item(cell, cell.name, lambda: self._bytes(cell))

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._files:
            self._files[number] = pq.ParquetFile(self._shards[number].open())
            while len(self._files) > _KEPT:
                self._files.popitem(last=False)[1].close(force=True)
        self._files.move_to_end(number)
        return self._files[number]

    def _group(self, number: int, row: int) -> tuple[pq.ParquetFile, int, int]:
        """The file, the row group that holds a row, and the row's number in that group."""
        file = self._file(number)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                return file, group, row
            row -= rows
        raise LookupError(f"{self._shards[number].name}: row {row} is beyond the last row")

    def _batch(self, number: int, row: int) -> tuple[int, pa.Table]:
        """The rows around a row, without media bytes, and the number of the first."""
        file, group, within = self._group(number, row)
        start = row - within % _BATCH
        if (number, start) not in self._batches:
            columns = [
                path
                for path in (file.metadata.schema.column(i).path for i in range(file.metadata.num_columns))
                if not (path.split(".")[0] in MEDIA_COLUMNS and path.endswith(".bytes"))
            ]
            batch = next(
                found
                for i, found in enumerate(file.iter_batches(_BATCH, row_groups=[group], columns=columns))
                if i == within // _BATCH
            )
            self._batches[number, start] = pa.Table.from_batches([batch])
            while len(self._batches) > _KEPT:
                self._batches.popitem(last=False)
        self._batches.move_to_end((number, start))
        return start, self._batches[number, start]

    def _bytes(self, cell: StoredCell) -> bytes:
        with self._lock:
            file, group, within = self._group(cell.shard, cell.row)
            metadata = file.metadata.row_group(group)
            size = 1 if metadata.total_byte_size > _LARGE_ROW * metadata.num_rows else 16
            first = 0
            for batch in file.iter_batches(size, row_groups=[group], columns=[cell.column], use_threads=False):
                if within < first + len(batch):
                    value: Any = batch.column(0)[within - first]
                    for index in cell.at:
                        value = value[index]
                    data = value["bytes"].as_py()
                    if data is None:
                        raise LookupError(f"{cell.name!r} has no bytes in {self._shards[cell.shard].name}")
                    return bytes(data)
                first += len(batch)
        raise LookupError(f"{self._shards[cell.shard].name}: row {cell.row} is beyond the last row")


def folder(path: str) -> ParquetCollection:
    """The built dataset in a folder.

    Raises:
        DataError: the folder holds no Parquet files with conversations.
        OSError: it cannot be read.
    """
    names = sorted(
        os.path.relpath(os.path.join(where, name), path)
        for where, folders, files in os.walk(path)
        for name in files
        if name.endswith(".parquet")
    )

    def opened(name: str) -> Callable[[], BinaryIO]:
        return lambda: open(os.path.join(path, name), "rb")

    shards = [Place(name, opened(name)) for name in names]
    rejected = Place(REJECTED, opened(REJECTED)) if os.path.exists(os.path.join(path, REJECTED)) else None
    return ParquetCollection(os.path.basename(os.path.abspath(path)), shards, rejected)


def repository(name: str) -> ParquetCollection:
    """The built dataset in a repository of the Hub; only what is shown is read.

    Raises:
        DataError: there is no such repository, or it holds no Parquet files with conversations.
    """
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HfHubHTTPError

    files = HfFileSystem()
    root = f"datasets/{name}"
    try:
        found = sorted(str(path) for path in files.glob(f"{root}/**/*.parquet"))
        has_rejected = bool(files.glob(f"{root}/{REJECTED}"))
    except (HfHubHTTPError, FileNotFoundError) as error:
        raise DataError(f"{name!r} is neither here nor on the Hub: {' '.join(str(error).split())[:200]}") from error

    def opened(path: str) -> Callable[[], Any]:
        return lambda: files.open(path, "rb")

    shards = [Place(path[len(root) + 1 :], opened(path)) for path in found]
    return ParquetCollection(name, shards, Place(REJECTED, opened(f"{root}/{REJECTED}")) if has_rejected else None)


def _mix(name: str) -> str:
    """The mix of a shard: its folder."""
    parts = name.split("/")
    return parts[-2] if len(parts) > 1 else "all"


def _source(row: dict[str, Any]) -> tuple[str, int]:
    source = row.get("source") or {}
    return str(source.get("file", "")), int(source.get("row", -1))


def _stored_cells(row: dict[str, Any], shard: int, row_number: int) -> dict[str, Cells]:
    media: dict[str, Cells] = {}
    for column in MEDIA_COLUMNS:
        cells = row.get(column) or []
        if column == "frames":
            media[column] = [
                [StoredCell(_name(cell), shard, row_number, column, (i, j)) for j, cell in enumerate(video)]
                for i, video in enumerate(cells)
            ]
        else:
            media[column] = [StoredCell(_name(cell), shard, row_number, column, (i,)) for i, cell in enumerate(cells)]
    return media


def _name(cell: dict[str, Any] | None) -> str:
    return str((cell or {}).get("path") or "")
