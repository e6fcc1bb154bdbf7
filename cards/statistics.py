"""Statistics of the rows for the card, read from the shards without the media bytes.

The lengths of texts and lists come from the offsets of the columns, the bytes of media from the footers.  So a terabyte costs
little more than its texts.  ``statistics.json`` beside the report keeps the result, which is counted again if the shards change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..builders.core.report import Report, Shard
from ..builders.core.storage import Output, at
from ..builders.pipeline import features, grouped_rows

FILE = "statistics.json"
BINS = 24
"""Bin b of a histogram counts values from 2**(b-1) up to 2**b; bin 0 counts zeros."""

_MOST_SHOWN_BYTES = 32 << 20


class MixStatistics(msgspec.Struct):
    """Statistics of one mix.

    Attributes:
        rows: of all splits.
        turns: histogram of the number of turns of a row, or of each of its samples.
        user: histogram of the characters of a turn of ``human``.
        assistant: the same, for ``gpt``.
        media: column → number of items (of pictures for ``frames``).
        media_bytes: column → its bytes in the shards: the media, and some 30 bytes per page.
        objects: number of annotated objects.
    """

    rows: int = 0
    turns: list[int] = []
    user: list[int] = []
    assistant: list[int] = []
    media: dict[str, int] = {}
    media_bytes: dict[str, int] = {}
    objects: int = 0


class SampleRow(msgspec.Struct):
    """A row to show: its id, its turns, and the column, file name and bytes of each media item (0 if not read)."""

    id: str
    mix: str
    turns: list[tuple[str, str]]
    media: list[tuple[str, str, int]]
    objects: int


class Statistics(msgspec.Struct):
    """Statistics of a build.

    Attributes:
        shards: path → bytes of the shards that were counted.
        mixes: mix → its statistics.
        sample: the first row of the first shard.
    """

    shards: dict[str, int]
    mixes: dict[str, MixStatistics]
    sample: SampleRow | None = None


def statistics(folder: str, report: Report) -> Statistics:
    """The statistics of a build, from ``statistics.json`` if it is current.

    Args:
        folder: folder or URL of the build.
        report: report of the build.

    Raises:
        OSError: a shard cannot be read.
        pyarrow.ArrowException: a shard is not a Parquet file.
    """
    out, shards = at(folder), _sizes(report)
    stored = _stored(out)
    if stored and stored.shards == shards:
        return stored
    counted = Statistics(shards, {mix: _mix(out, by_split) for mix, by_split in report.shards.items()})
    counted.sample = _sample(out, report)
    out.write(FILE, msgspec.json.format(msgspec.json.encode(counted), indent=1))
    return counted


def is_current(folder: str, report: Report) -> bool:
    """Whether ``statistics.json`` of a folder belongs to its shards."""
    stored = _stored(at(folder))
    return stored is not None and stored.shards == _sizes(report)


def _sizes(report: Report) -> dict[str, int]:
    return {shard.path: shard.bytes for shard in report.all_shards()}


def _stored(out: Output) -> Statistics | None:
    try:
        return msgspec.json.decode(out.read(FILE) or b"", type=Statistics)
    except (OSError, msgspec.DecodeError):
        return None


def _mix(out: Output, by_split: dict[str, list[Shard]]) -> MixStatistics:
    counted = MixStatistics(turns=[0] * BINS, user=[0] * BINS, assistant=[0] * BINS)
    for shards in by_split.values():
        for shard in shards:
            with out.open(shard.path) as source, pq.ParquetFile(source, pre_buffer=True) as file:
                _add(counted, file)
    counted.media = {column: count for column, count in counted.media.items() if count}
    counted.media_bytes = {column: size for column, size in counted.media_bytes.items() if column in counted.media}
    return counted


def _add(counted: MixStatistics, file: Any) -> None:
    meta = file.metadata
    counted.rows += meta.num_rows
    for group in range(meta.num_row_groups):
        for number in range(meta.num_columns):
            chunk = meta.row_group(group).column(number)
            top = chunk.path_in_schema.partition(".")[0]
            if top in features.MEDIA_COLUMNS and chunk.path_in_schema.endswith(".bytes"):
                counted.media_bytes[top] = counted.media_bytes.get(top, 0) + chunk.total_uncompressed_size
    leaves = [file.schema.column(number).path for number in range(len(file.schema))]
    columns = [
        leaf
        for leaf in leaves
        if leaf.startswith("conversations.")
        or (leaf.partition(".")[0] in features.MEDIA_COLUMNS and leaf.endswith(".path"))
        or (leaf.startswith("masks.") and leaf.endswith(".frame"))
    ]
    grouped = pa.types.is_list(file.schema_arrow.field("id").type)
    for batch in file.iter_batches(8192, columns=columns):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in ("conversations", "masks") and grouped:
                column = column.flatten()
            if name == "conversations":
                _add_turns(counted, column)
            elif name == "masks":
                counted.objects += len(column.flatten())
            else:
                flat = column.flatten()
                count = len(flat.flatten()) if pa.types.is_list(flat.type) else len(flat)
                counted.media[name] = counted.media.get(name, 0) + count


def _add_turns(counted: MixStatistics, column: Any) -> None:
    _count(counted.turns, pc.list_value_length(column))
    turns = column.flatten()
    roles, values = turns.field("from"), turns.field("value")
    for histogram, role in ((counted.user, "human"), (counted.assistant, "gpt")):
        _count(histogram, pc.utf8_length(values.filter(pc.equal(roles, role))))


def _count(histogram: list[int], lengths: Any) -> None:
    values = lengths.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    bins = np.minimum(np.ceil(np.log2(values + 1)).astype(np.int64), BINS - 1)
    for index, count in enumerate(np.bincount(bins, minlength=BINS)):
        histogram[index] += int(count)


def _sample(out: Output, report: Report) -> SampleRow | None:
    """The first row; only its row group is read, without the bytes of media if they are many."""
    for mix, by_split in report.shards.items():
        for shards in by_split.values():
            with out.open(shards[0].path) as source, pq.ParquetFile(source) as file:
                row = next(file.iter_batches(1, row_groups=[0], columns=_leaves_to_show(file))).to_pylist()[0]
                if isinstance(row["id"], list):
                    row = grouped_rows.samples(row)[0]
            media = [
                (column, os.path.basename(cell["path"] or ""), len(cell.get("bytes") or b""))
                for column, cell in _cells(row)
            ]
            turns = [(turn["from"], turn["value"]) for turn in row["conversations"]]
            kept = [(role, text[:2000]) for role, text in turns[:6]]
            return SampleRow(row["id"], mix, kept, media[:12], len(row.get("masks") or ()))
    return None


def _leaves_to_show(file: Any) -> list[str]:
    """The leaf columns to read for the first row: all, or without media bytes if the row group is large."""
    group = file.metadata.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    large = group.total_byte_size > _MOST_SHOWN_BYTES
    return [chunk.path_in_schema for chunk in chunks if not (large and chunk.path_in_schema.endswith(".bytes"))]


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for column in features.MEDIA_COLUMNS:
        for cell in row.get(column) or ():
            for inner in cell if isinstance(cell, list) else [cell]:
                yield column, inner
