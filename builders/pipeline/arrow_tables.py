"""Tables: rows as Arrow tables, column by column, without a Python object per cell in between.

Three kinds of media cells: `referenced` (where the bytes lie) for the Arrow cache and for streaming, `at_hand` (with the bytes)
for streams of archives on the Hub, and `named` (file names only, the bytes come later) for Parquet shards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, Protocol, cast

import msgspec
import pyarrow as pa

from ..core.sample import Mask
from ..media.item_filesystem import urls_of
from ..media.items import InMemoryItem, Item, Media
from .features import MEDIA_COLUMNS, of_media
from .metadata_columns import SUFFIX
from .metadata_columns import cells as metadata_cells
from .rows import Row

_CELL = pa.struct({"bytes": pa.binary(), "path": pa.string()})

Groups = Sequence[Sequence[Item]]
"""Media items list by list, as they stand in the cells of a media column."""

MediaCells = Callable[[Groups], pa.StructArray]


class HasMedia(Protocol):
    """A row, or what stands for several."""

    @property
    def media(self) -> Media:
        """Its media items."""


def referenced(groups: Groups) -> pa.StructArray:
    """Cells that point to where the media lie: local files by path, parts of files and members of archives by URL.

    A URL (`modalmix.builders.media.item_filesystem`) opens wherever modalmix is installed; nothing is read before that.
    """
    return _without_bytes(urls_of(groups))


def named(groups: Groups) -> pa.StructArray:
    """Cells with the file name, whose bytes are written apart (`modalmix.builders.build.parquet`)."""
    return _without_bytes(pa.array([item.name for items in groups for item in items], pa.string()))


def at_hand(groups: Groups) -> pa.StructArray:
    """Cells with file name and bytes, of items that hold these (`InMemoryItem`)."""
    items = cast(Sequence[InMemoryItem], list(chain.from_iterable(groups)))
    cells = [_joined([item.data for item in items]), pa.array([item.name for item in items], pa.string())]
    return pa.StructArray.from_arrays(cells, fields=list(_CELL))


def _without_bytes(paths: pa.StringArray) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.nulls(len(paths), pa.binary()), paths], fields=list(_CELL))


def _joined(parts: Sequence[bytes]) -> pa.Array:
    """Bytes as an array; a single one is not copied, several are once (`pa.array` grows its memory as it goes)."""
    ends = pa.array([0, *accumulate(map(len, parts))], pa.int32())
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    return pa.Array.from_buffers(pa.binary(), len(parts), [None, ends.buffers()[1], pa.py_buffer(data)])


def table(rows: Sequence[Row], schema: pa.Schema, cells: MediaCells) -> pa.Table:
    """The table of some rows.

    Args:
        rows: rows, all of whose media have a column in `schema`.
        schema: the Arrow schema of a mix (`datasets.Features.arrow_schema`).
        cells: how media items become cells.
    """
    return pa.Table.from_arrays([_column(field, rows, cells) for field in schema], schema=schema)


def grouped_table(groups: Sequence[Sequence[Row]], schema: pa.Schema, cells: MediaCells) -> pa.Table:
    """The table of some groups of rows (`modalmix.builders.pipeline.grouped_rows`).

    Args:
        groups: rows with the same media in each.
        schema: of a grouped mix.
        cells: how media items become cells.
    """
    first, every = [rows[0] for rows in groups], list(chain.from_iterable(groups))
    columns = [
        _column(field, first, cells)
        if of_media(field.name)
        else _lists(groups, _column(field.type.value_field.with_name(field.name), every, cells), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def media_items(rows: Iterable[HasMedia], column: str) -> list[Item]:
    """The items of a media column in the order of its cells."""
    lists = chain.from_iterable(getattr(row.media, column) for row in rows)
    return list(chain.from_iterable(lists)) if column == "frames" else list(lists)


def _column(field: pa.Field, rows: Sequence[Row], cells: MediaCells) -> pa.Array:
    name = field.name
    if name in MEDIA_COLUMNS:
        values = [getattr(row.media, name) for row in rows]
        if name == "frames":
            inner = list(chain.from_iterable(values))
            return _lists(values, _lists(inner, cells(inner), field.type.value_type), field.type)
        return _lists(values, cells(values), field.type)
    if name.endswith(SUFFIX):
        return _metadata(name.removesuffix(SUFFIX), rows, field.type)
    return _PLAIN[name](rows, field.type)


def _metadata(column: str, rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    values = [getattr(row.media, column) for row in rows]
    items = media_items(rows, column)
    if column == "frames":
        inner = list(chain.from_iterable(values))
        cells = metadata_cells(items, column, kind.value_type.value_type)
        return _lists(values, _lists(inner, cells, kind.value_type), kind)
    return _lists(values, metadata_cells(items, column, kind.value_type), kind)


def _lists(values: Sequence[Sequence[Any]], flat: pa.Array, kind: pa.DataType) -> pa.Array:
    offsets = pa.array([0, *accumulate(map(len, values))], pa.int32())
    return pa.ListArray.from_arrays(offsets, flat, type=kind)


def _source(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    files = pa.array([row.file for row in rows], pa.string())
    return pa.StructArray.from_arrays([files, pa.array([row.row for row in rows], pa.int64())], fields=list(kind))


def _conversations(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    turns = [row.sample.turns for row in rows]
    flat = list(chain.from_iterable(turns))
    fields = [pa.array([turn[0] for turn in flat], pa.string()), pa.array([turn[1] for turn in flat], pa.string())]
    return _lists(turns, pa.StructArray.from_arrays(fields, fields=list(kind.value_type)), kind)


def _masks(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    objects = [row.sample.masks for row in rows]
    frames = list(chain.from_iterable(objects))
    flat: list[Mask] = list(chain.from_iterable(frames))
    struct = kind.value_type.value_type
    fields = [_values(list(map(attrgetter(field.name), flat)), field.type) for field in struct]
    masks = pa.StructArray.from_arrays(fields, fields=list(struct))
    return _lists(objects, _lists(frames, masks, kind.value_type), kind)


def _values(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as an array; where all are null, none of them is looked at again."""
    return pa.array(values, kind) if any(value is not None for value in values) else pa.nulls(len(values), kind)


def _extra(rows: Sequence[Row], kind: pa.DataType) -> pa.Array:
    return pa.array([extra_text(row.sample.extra) for row in rows], kind)


def extra_text(extra: dict[str, Any]) -> str | None:
    """The JSON text of ``extra``; None where it is empty."""
    if not extra:
        return None
    try:
        text = msgspec.json.encode(extra).decode()
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError):
        return json.dumps(extra)  # integers beyond 64 bits
    return json.dumps(extra) if "null" in text else text  # NaN, which msgspec would write as null


def _from_sample(name: str) -> Callable[[Sequence[Row], pa.DataType], pa.Array]:
    return lambda rows, kind: pa.array([getattr(row.sample, name) for row in rows], kind)


_PLAIN: dict[str, Callable[[Sequence[Row], pa.DataType], pa.Array]] = {
    "id": lambda rows, kind: pa.array([row.id for row in rows], kind),
    "source": _source,
    "system": _from_sample("system"),
    "conversations": _conversations,
    "text_q": _from_sample("text_q"),
    "masks": _masks,
    "num_frames": _from_sample("num_frames"),
    "extra": _extra,
}
