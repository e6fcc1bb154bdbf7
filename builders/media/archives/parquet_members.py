"""Parquet as an archive: each cell of a media column is a member.

FineVideo comes as Parquet with the columns ``mp4`` (binary) and ``json`` (struct); datasets of the Hub have ``{bytes, path}``
structs. A **media column** is a binary column, or a struct with a binary field ``bytes``. A cell's name is

1. its own ``path``, where the struct has one;
2. else ``<id>.<column>``, the id being the row's value in the *id column*: the one given, or else the first of `_ID_NAMES`
   (searched in structs, and in columns of JSON text, too), or else the first text column all of whose values in the first rows
   look like file names or are 11 characters of a YouTube id. The values must differ, and must not be empty. An id that is a file
   name gives its name up to the last dot, as the column says what the bytes are (``x.mkv`` in ``mp4`` is ``x.mp4``); where the
   column's name is no file name extension (``video``), the id is the whole name.

Which field FineVideo's id is in could not be verified; ``original_video_filename`` goes first for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ...core.findings import Finding
from .archive import BombError, DamageError, Gate, Member
from .joined_file import ArchiveFile

_ID_NAMES = (
    "original_video_filename",
    "video_id",
    "youtube_id",
    "file_name",
    "filename",
    "__key__",
    "key",
    "id",
    "name",
)
_FILE_NAME = re.compile(r"[^\x00-\x1f/\\]{1,250}\.[A-Za-z0-9]{2,5}")
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_EXTENSION = re.compile(
    r"(?:mp4|mkv|webm|mov|avi|m4v|wav|mp3|flac|ogg|opus|m4a|aac|jpe?g|png|webp|gif|bmp|tiff?)", re.I
)
_SAMPLE_ROWS = 64
_BATCH_BYTES = 32 << 20
_DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    MemoryError,
    pa.ArrowException,
)  # what pyarrow raises


class MediaColumn(NamedTuple):
    """A column whose cells are media.

    Attributes:
        name: of the top-level column.
        data: the fields that lead to the binary values, the column first.
        path: likewise to their names; None where there are none.
    """

    name: str
    data: tuple[str, ...]
    path: tuple[str, ...] | None


class IdColumn(NamedTuple):
    """Where a row's id is.

    Attributes:
        fields: that lead to a text column.
        key: of the JSON object that the text is; None where the text is the id.
    """

    fields: tuple[str, ...]
    key: str | None


def open_parquet(source: str | ArchiveFile) -> pq.ParquetFile:
    """Opens a Parquet file, whose pages are read as they are needed.

    Args:
        source: its path, or what it is read from.

    Raises:
        DamageError: it is none.
    """
    try:
        file = pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
        file.schema_arrow  # noqa: B018  # names that are no UTF-8, say, show only here
        return file
    except _DAMAGE as error:
        raise DamageError(f"it cannot be read as Parquet: {error}") from error


def media_columns(schema: pa.Schema) -> list[MediaColumn]:
    """The media columns, in the order of the schema."""
    found: list[MediaColumn] = []
    for field in schema:
        if _is_binary(field.type):
            found.append(MediaColumn(field.name, (field.name,), None))
        elif pa.types.is_struct(field.type):
            fields = {inner.name: inner.type for inner in field.type}
            if "bytes" in fields and _is_binary(fields["bytes"]):
                path = (field.name, "path") if "path" in fields and _is_text(fields["path"]) else None
                found.append(MediaColumn(field.name, (field.name, "bytes"), path))
    return found


def walk(
    file: pq.ParquetFile, gate: Gate, select: Callable[[Member], bool], id_column: str | None
) -> Iterator[tuple[Member, bytes | None] | Finding]:
    """The cells of all media columns, row by row.

    Args:
        file: from `reader_pool`.
        gate: what is accepted.
        select: says of a member whether its bytes are needed.
        id_column: name of the id column, with dots between the fields.

    Raises:
        DamageError: the file cannot be read on.
    """
    media = media_columns(file.schema_arrow)
    if not media:
        return
    id_at: IdColumn | None = None
    if any(column.path is None for column in media) or id_column:
        id_at = IdColumn(tuple(id_column.split(".")), None) if id_column else find_id(file)
        if id_at is None:
            names = ", ".join(repr(column.name) for column in media if column.path is None)
            yield gate.refuse("member-id", f"no column names the cells of {names}; pass id_column")
    media_ids = [(index, column) for index, column in enumerate(media) if column.path or id_at]
    columns = sorted({".".join(fields) for _, column in media_ids for fields in (column.data, column.path) if fields})
    if id_at:
        columns.append(".".join(id_at.fields))
    row = out = 0
    packed = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
    for batch in batches(file, columns, range(file.num_row_groups)):
        ids = _ids(batch, id_at) if id_at else [None] * len(batch)
        cells = [
            (index, column, leaf(batch, column.data), _raw(leaf(batch, column.path)) if column.path else None)
            for index, column in media_ids
        ]
        sizes = [pc.binary_length(data).to_pylist() for _, _, data, _ in cells]
        for i, id_ in enumerate(ids):
            for (index, column, data, paths), lengths in zip(cells, sizes, strict=True):
                size = lengths[i]
                if size is None:
                    continue
                raw = paths[i] if paths and paths[i] else _named(id_, column.name) if id_ else None
                if raw is None:
                    yield gate.refuse("member-id", f"row {row + i:,} has neither a path nor an id for {column.name!r}")
                    continue
                out += size
                if out > gate.limits.total:
                    raise BombError(gate.limits.stop(out, packed))
                name = gate.name(raw)
                if isinstance(name, Finding):
                    yield name
                elif refused := gate.new(name, size):
                    yield refused
                else:
                    member = Member(name, (row + i) * len(media) + index, size)
                    yield member, data[i].as_py() if select(member) else None
        row += len(batch)


def find_id(file: pq.ParquetFile) -> IdColumn | None:
    """The id column, by the rule above; None where there is none."""
    leaves = list(_text_leaves(file.schema_arrow))
    if not leaves:
        return None
    sample = next(
        batches(file, [".".join(fields) for fields in leaves], range(file.num_row_groups), _SAMPLE_ROWS), None
    )
    if sample is None:
        return None
    values: dict[IdColumn, list[Any]] = {}
    for fields in leaves:
        texts = _texts(leaf(sample, fields))
        values[IdColumn(fields, None)] = [*texts]
        objects = [value for value in map(_object, texts) if value]
        if objects and len(objects) == len(texts):
            for key in objects[0]:
                values[IdColumn(fields, key)] = [value.get(key) for value in objects]
    usable: dict[IdColumn, list[str]] = {}
    for at, found in values.items():
        ids = [text for text in found if isinstance(text, str) and text]
        if len(ids) == len(found) == len(set(ids)):
            usable[at] = ids
    for name in _ID_NAMES:
        for at, ids in usable.items():
            if (at.key or at.fields[-1]) == name and max(map(len, ids)) <= 255:
                return at
    for at, ids in usable.items():
        if all(map(_FILE_NAME.fullmatch, ids)) or all(map(_YOUTUBE_ID.fullmatch, ids)):
            return at
    return None


def batches(
    file: pq.ParquetFile, columns: list[str], groups: range, rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of some row groups, as many at a time as have some 32 MB.

    Raises:
        DamageError: a page is damaged.
    """
    if rows is None:
        size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        count = sum(file.metadata.row_group(group).num_rows for group in groups)
        rows = max(1, min(1024, _BATCH_BYTES * count // max(size, 1)))
    try:
        yield from file.iter_batches(batch_size=rows, row_groups=list(groups), columns=columns, use_threads=False)
    except _DAMAGE as error:
        raise DamageError(f"its pages are damaged: {error}") from error


def leaf(batch: pa.RecordBatch, fields: tuple[str, ...]) -> pa.Array:
    """The values of a field inside of structs.

    Raises:
        DamageError: there is no such column.
    """
    try:
        array = batch.column(fields[0])
        for field in fields[1:]:
            array = pc.struct_field(array, field)
        return array
    except _DAMAGE as error:
        raise DamageError(f"it has no column {'.'.join(fields)!r}") from error


def _ids(batch: pa.RecordBatch, at: IdColumn) -> list[str | None]:
    texts: list[Any] = _texts(leaf(batch, at.fields))
    if at.key is not None:
        objects = [_object(text) or {} for text in texts]
        texts = [value.get(at.key) for value in objects]
    return [str(text) if isinstance(text, (str, int)) and text != "" else None for text in texts]


def _raw(array: pa.Array) -> list[bytes | None]:
    """The bytes of a text column, which need be no UTF-8; of another column, its values as text."""
    kind = pa.large_binary() if pa.types.is_large_string(array.type) else pa.binary()
    try:
        values: list[bytes | None] = array.cast(kind if _is_text(array.type) else pa.string()).cast(kind).to_pylist()
        return values
    except _DAMAGE as error:
        raise DamageError(f"a column of type {array.type} cannot name cells: {error}") from error


def _texts(array: pa.Array) -> list[str | None]:
    """The texts of a column; None where they are no UTF-8."""
    texts: list[str | None] = []
    for raw in _raw(array):
        try:
            texts.append(None if raw is None else raw.decode())
        except UnicodeDecodeError:
            texts.append(None)
    return texts


def _named(id_: str, column: str) -> str:
    if not _EXTENSION.fullmatch(column):
        return id_
    stem, dot, extension = id_.rpartition(".")
    return f"{stem}.{column}" if dot and _EXTENSION.fullmatch(extension) else f"{id_}.{column}"


def _object(text: Any) -> dict[str, Any] | None:
    if not isinstance(text, str) or not text.startswith("{"):
        return None
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text_leaves(schema: pa.Schema) -> Iterator[tuple[str, ...]]:
    def inside(field: pa.Field, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if "." in field.name:
            return  # no name a column could be selected by
        fields = (*before, field.name)
        if _is_text(field.type):
            yield fields
        elif pa.types.is_struct(field.type):
            for inner in field.type:
                yield from inside(inner, fields)

    for field in schema:
        yield from inside(field, ())


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
