"""A built dataset as a collection: Parquet files of a folder or of a repository of the Hub, and the rejects beside them.

Listing reads the text columns alone.  Of a sample, the batch of rows it stands in is read without media; a media value is read
when it is asked for, out of its row group, and kept in a temporary file in which a player can seek.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, BinaryIO, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import DataError
from ..core.findings import CATALOGUE, Finding
from ..core.sample import Sample, Turn
from ..media.items import Item
from ..media.mask_arrays import mask_of
from ..pipeline.features import MEDIA_COLUMNS
from ..pipeline.grouped_rows import SAMPLES, samples
from ..pipeline.rejects import FILE as REJECTS
from .entries import Cells, Entry, Shown, Stored, entry
from .temp_media import Spill

_LISTED = ("id", "source", "system", "conversations", "text_q")
_BATCH = 256
_KEPT_BATCHES = 8
_LARGE_ROW = 1 << 20


class Place(NamedTuple):
    """A Parquet file or a file of rejects: its name relative to the dataset, and how it is opened."""

    name: str
    open: Callable[[], Any]


class Built:
    """The rows of Parquet files, and the records of their rejects."""

    def __init__(self, title: str, shards: Sequence[Place], rejected: Place | None) -> None:
        """Opens no file but the first.

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
        self._lock = Lock()  # one Parquet file is for one thread
        self._spill = Spill()
        columns = self._file(0).schema_arrow
        missing = {"id", "conversations"} - set(columns.names)
        if missing:
            raise DataError(f"{shards[0].name!r} has no column {sorted(missing)[0]!r}: it was not built by modalmix")
        self._samples = SAMPLES if pa.types.is_list(columns.field("id").type) else 1  # in a row, at most

    def close(self) -> None:
        """Closes the files and removes temporary copies."""
        with self._lock:
            for file in self._files.values():
                file.close(force=True)
            self._files.clear()
        self._spill.close()

    def entries(self) -> Iterator[Entry]:
        """All rows, or the samples they are grouped of, shard by shard, and then the rejected records."""
        for number, shard in enumerate(self._shards):
            with pq.ParquetFile(shard.open()) as file:
                names = file.schema_arrow.names
                row = 0
                for batch in file.iter_batches(1024, columns=[name for name in _LISTED if name in names]):
                    for stored in batch.to_pylist():
                        for at, one in enumerate(samples(stored) if self._samples > 1 else [stored], row):
                            turns = [(turn["from"], turn["value"]) for turn in one["conversations"] or ()]
                            yield entry((number, at), str(one["id"]), _mix(shard.name), "row", (), *_source(one), turns,
                                        one.get("system"), one.get("text_q"))  # fmt: skip
                        row += self._samples
        if self._rejected is not None:
            with self._rejected.open() as file:
                offset = 0
                for line in file:
                    shown = _reject(line)
                    codes = [one.code for one in shown.findings]
                    record = shown.columns.get("record")
                    text = json.dumps(record, ensure_ascii=False) if record is not None else shown.raw
                    yield entry(
                        (-1, offset), shown.id, shown.mix, shown.state, codes, shown.file, shown.row, shown.turns, text
                    )
                    offset += len(line)

    def shown(self, place: tuple[int, int]) -> Shown:
        """One row in full but its media bytes.

        Raises:
            OSError: a file cannot be read.
            LookupError: the file has changed.
        """
        number, row = place
        if number < 0:
            assert self._rejected is not None
            with self._rejected.open() as file:
                file.seek(row)
                return _reject(file.readline())
        row, sample = divmod(row, self._samples)
        with self._lock:
            start, batch = self._batch(number, row)
            one = batch.slice(row - start, 1).to_pylist()[0]
        if self._samples > 1:
            one = samples(one)[sample]
        file_name, ordinal = _source(one)
        return Shown(
            str(one["id"]),
            _mix(self._shards[number].name),
            "row",
            file_name,
            ordinal,
            None,
            one.get("system"),
            [Turn(turn["from"], turn["value"]) for turn in one["conversations"] or ()],
            one.get("text_q"),
            one.get("num_frames"),
            _stored(one, number, row),
            [[mask_of(mask) for mask in frames] for frames in one.get("masks") or ()],
            [],
            {"shard": self._shards[number].name, "row of the shard": row, **one},
        )

    def item(self, cell: Item | Stored) -> Item:
        """A media value, copied out of its row group into a temporary file.

        Raises:
            OSError: the file cannot be read.
            LookupError: it has changed.
        """
        assert isinstance(cell, Stored)
        return self._spill.item(cell, cell.name, lambda: self._bytes(cell))

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._files:
            self._files[number] = pq.ParquetFile(self._shards[number].open())
            while len(self._files) > _KEPT_BATCHES:
                self._files.popitem(last=False)[1].close(force=True)
        self._files.move_to_end(number)
        return self._files[number]

    def _group(self, number: int, row: int) -> tuple[pq.ParquetFile, int, int]:
        """The file, the row group a row stands in, and the row's place in that."""
        file = self._file(number)
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if row < rows:
                return file, group, row
            row -= rows
        raise LookupError(f"{self._shards[number].name}: row {row} is beyond the last one")

    def _batch(self, number: int, row: int) -> tuple[int, pa.Table]:
        """The rows around a row without their media bytes, and the ordinal of the first."""
        file, group, within = self._group(number, row)
        start = row - within % _BATCH
        if (number, start) not in self._batches:
            columns = [
                path
                for path in (file.metadata.schema.column(i).path for i in range(file.metadata.num_columns))
                if not (path.split(".")[0] in MEDIA_COLUMNS and path.endswith(".bytes"))
            ]
            wanted = next(
                found
                for i, found in enumerate(file.iter_batches(_BATCH, row_groups=[group], columns=columns))
                if i == within // _BATCH
            )
            self._batches[number, start] = pa.Table.from_batches([wanted])
            while len(self._batches) > _KEPT_BATCHES:
                self._batches.popitem(last=False)
        self._batches.move_to_end((number, start))
        return start, self._batches[number, start]

    def _bytes(self, cell: Stored) -> bytes:
        with self._lock:
            file, group, within = self._group(cell.shard, cell.row)
            about = file.metadata.row_group(group)
            size = 1 if about.total_byte_size > _LARGE_ROW * about.num_rows else 16
            seen = 0
            for batch in file.iter_batches(size, row_groups=[group], columns=[cell.column], use_threads=False):
                if within < seen + len(batch):
                    value: Any = batch.column(0)[within - seen]
                    for index in cell.at:
                        value = value[index]
                    data = value["bytes"].as_py()
                    if data is None:
                        raise LookupError(f"{cell.name!r} has no bytes in {self._shards[cell.shard].name}")
                    return bytes(data)
                seen += len(batch)
        raise LookupError(f"{self._shards[cell.shard].name}: row {cell.row} is beyond the last one")


def folder(path: str) -> Built:
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
    rejected = Place(REJECTS, opened(REJECTS)) if os.path.exists(os.path.join(path, REJECTS)) else None
    return Built(os.path.basename(os.path.abspath(path)), shards, rejected)


def repository(name: str) -> Built:
    """The built dataset in a repository of the Hub; only what is looked at is read.

    Raises:
        DataError: there is no such repository, or it holds no Parquet files with conversations.
    """
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HfHubHTTPError

    files = HfFileSystem()
    root = f"datasets/{name}"
    try:
        found = sorted(str(path) for path in files.glob(f"{root}/**/*.parquet"))
        beside = bool(files.glob(f"{root}/{REJECTS}"))
    except (HfHubHTTPError, FileNotFoundError) as error:
        raise DataError(f"{name!r} is neither here nor on the Hub: {' '.join(str(error).split())[:200]}") from error

    def opened(path: str) -> Callable[[], Any]:
        return lambda: files.open(path, "rb")

    shards = [Place(path[len(root) + 1 :], opened(path)) for path in found]
    return Built(name, shards, Place(REJECTS, opened(f"{root}/{REJECTS}")) if beside else None)


def _mix(name: str) -> str:
    """The mix of a shard: its folder."""
    steps = name.split("/")
    return steps[-2] if len(steps) > 1 else "all"


def _source(row: dict[str, Any]) -> tuple[str, int]:
    source = row.get("source") or {}
    return str(source.get("file", "")), int(source.get("row", -1))


def _stored(row: dict[str, Any], shard: int, ordinal: int) -> dict[str, Cells]:
    media: dict[str, Cells] = {}
    for column in MEDIA_COLUMNS:
        cells = row.get(column) or []
        if column == "frames":
            media[column] = [
                [Stored(_name(one), shard, ordinal, column, (i, j)) for j, one in enumerate(video)]
                for i, video in enumerate(cells)
            ]
        else:
            media[column] = [Stored(_name(one), shard, ordinal, column, (i,)) for i, one in enumerate(cells)]
    return media


def _name(cell: dict[str, Any] | None) -> str:
    return str((cell or {}).get("path") or "")


def _reject(line: bytes) -> Shown:
    """What a line of the rejects tells of its record."""
    try:
        said = msgspec.json.decode(line)
    except ValueError:
        said = json.loads(line)  # integers beyond 64 bits
    told = said.get("findings") or [said]
    findings = [
        Finding(one["code"], one["message"], one.get("pointer", "")) for one in told if one.get("code") in CATALOGUE
    ]
    record = said.get("record")
    row = said["row"]
    sample = _read(record, said.get("format"))
    return Shown(
        f"{said['file'].rpartition('/')[2].split('.')[0]}:{row}" if sample.id is None else sample.id,
        sample.mix if record is not None else "",
        "rejected" if row >= 0 else "file",
        said["file"],
        row,
        said.get("format"),
        sample.system,
        sample.turns,
        sample.text_q,
        sample.num_frames,
        findings=findings,
        columns={"record": record} if record is not None else {},
        raw=said.get("raw"),
    )


def _read(record: Any, name: str | None) -> Sample:
    """A rejected record, as far as its format can read it."""
    from ..formats import NAMES, formats

    if not isinstance(record, dict) or name not in NAMES:
        return Sample()
    return formats()[name].read(record)
