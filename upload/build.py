"""The build to push: its files, and what must hold of them before a byte is sent.

Checked: the build is finished; its shards are those of the report, whole and with its rows; no row group is larger than the
Hub's viewer reads; `source.file` and the names of media are relative; and neither the folder's place on this machine nor the
home folder of whoever pushes stands in a text that would be sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..builders.core.errors import HubError
from ..builders.core.report import REJECTED, REPORT, STATE, Report, Shard
from ..builders.pipeline import features

VIEWER_LIMIT = 300_000_000
"""Uncompressed bytes of a row group that the Hub's viewer still reads ("Rows from parquet row groups are too big to be read: …
(max=286.10 MiB)", dataset-viewer)."""

_ALL_THE_SAME = "which is of this machine; pass --private-paths to push it all the same"
_ROWS_AT_ONCE = 4096


class Build(NamedTuple):
    """A finished build: its folder, its report, and its files besides the card, relative to the folder."""

    folder: str
    report: Report
    files: list[str]


def opened(folder: str) -> Build:
    """The finished build in a folder.

    Raises:
        HubError: there is none, or it is not finished, or shards are missing or of another size.
    """
    path = os.path.join(folder, REPORT)
    if os.path.exists(os.path.join(folder, STATE)):
        raise HubError(f"the build in {folder!r} is not finished; run modalmix build again")
    try:
        with open(path, "rb") as file:
            report = msgspec.json.decode(file.read(), type=Report)
    except FileNotFoundError:
        raise HubError(f"{folder!r} holds no finished build: there is no {REPORT}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise HubError(f"{path!r} cannot be read: {error}") from None
    shards = report.all_shards()
    if not shards:
        raise HubError(f"the build in {folder!r} holds no rows")
    for shard in shards:
        try:
            size = os.path.getsize(inside(folder, shard.path))
        except OSError:
            raise HubError(f"the build in {folder!r} is not whole: {shard.path} is missing") from None
        if size != shard.bytes:
            raise HubError(f"{shard.path} has {size} bytes and not {shard.bytes} as it was built with; build it anew")
    plots = os.path.join(folder, "plots")
    drawn = sorted(name for name in os.listdir(plots) if name.endswith(".png")) if os.path.isdir(plots) else []
    others = [name for name in (REPORT, REJECTED) if os.path.exists(os.path.join(folder, name))]
    return Build(folder, report, [*(shard.path for shard in shards), *others, *(f"plots/{name}" for name in drawn)])


def inside(folder: str, path: str) -> str:
    """The place of a file of the build.

    Raises:
        HubError: the path leads out of the folder.
    """
    if os.path.isabs(path) or ".." in path.split("/"):
        raise HubError(f"the report names {path!r}, which is not inside of the build")
    return os.path.join(folder, path)


def check(build: Build, *, viewer_limit: int = VIEWER_LIMIT, private_paths: bool = False) -> None:
    """Checks what is to be pushed.

    Args:
        build: the build.
        viewer_limit: bytes of the largest row group.
        private_paths: let texts pass that name folders of this machine.

    Raises:
        HubError: something does not hold; the first such thing.
    """
    if build.report.options.get("annotations_only"):
        raise HubError(
            f"{build.folder!r} was built with --annotations-only: its media are files of this machine, which nobody else "
            "has; build it without that to push it"
        )
    needles = [] if private_paths else _needles(build.folder)
    for shard in build.report.all_shards():
        _check_shard(build.folder, shard, viewer_limit, needles)
    for name in (REPORT, REJECTED):
        path = os.path.join(build.folder, name)
        if os.path.exists(path):
            own = [socket.gethostname()] if name == REPORT and not private_paths else []
            _check_text(path, name, [*needles, *(host for host in own if len(host) > 3)])


def texts_name(text: str, folder: str) -> str | None:
    """The private folder that a text names, if it does."""
    return next((needle for needle in _needles(folder) if needle in text), None)


def _check_shard(folder: str, shard: Shard, viewer_limit: int, needles: list[str]) -> None:
    try:
        with pq.ParquetFile(inside(folder, shard.path)) as file:
            meta = file.metadata
            if meta.num_rows != shard.rows:
                raise HubError(f"{shard.path} has {meta.num_rows} rows and not {shard.rows} as it was built with")
            for number in range(meta.num_row_groups):
                size = meta.row_group(number).total_byte_size
                if size > viewer_limit:
                    raise HubError(
                        f"{shard.path}: row group {number} has {size:,} bytes, and the Hub's viewer reads no more than "
                        f"{viewer_limit:,}; build with smaller row groups, or pass --row-group-limit"
                    )
            columns = _text_columns(file)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                _check_batch(batch, shard.path, needles)
    except (pa.ArrowException, OSError) as error:
        raise HubError(f"{shard.path} cannot be read: {error}") from None


def _text_columns(file: Any) -> list[str]:
    """The leaves that hold text of records, without media bytes and masks, which are most of the data."""
    leaves = []
    for number in range(len(file.schema)):
        leaf = file.schema.column(number)
        top = leaf.path.partition(".")[0]
        if leaf.physical_type == "BYTE_ARRAY" and top != "masks" and not leaf.path.endswith(".bytes"):
            leaves.append(leaf.path)
    return leaves


def _check_batch(batch: Any, shard: str, needles: list[str]) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for text in _texts(column):
            found = next((needle for needle in needles if _any(pc.match_substring(text, needle))), None)
            if found:
                raise HubError(f"{shard}: column {name!r} names {found!r}, {_ALL_THE_SAME}")
            if (name == "source" or name in features.MEDIA_COLUMNS) and _any(pc.starts_with(text, "/")):
                raise HubError(f"{shard}: column {name!r} holds absolute paths of files")


def _texts(column: Any) -> Iterator[Any]:
    """The string arrays below a column."""
    kind = column.type
    if pa.types.is_struct(kind):
        for child in column.flatten():
            yield from _texts(child)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _texts(column.flatten())
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield column


def _any(mask: Any) -> bool:
    return bool(pc.any(mask).as_py())


def _check_text(path: str, name: str, needles: list[str]) -> None:
    """Looks for private folders in a text file, a window at a time; windows overlap by the longest needle."""
    longest = max((len(needle.encode()) for needle in needles), default=0)
    tail = b""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            window = tail + chunk
            for needle in needles:
                if needle.encode() in window:
                    raise HubError(f"{name} names {needle!r}, {_ALL_THE_SAME}")
            tail = window[-longest:] if longest else b""


def _needles(folder: str) -> list[str]:
    """Texts that give this machine away: where the build lies, and the home folder where it has a person's name in it."""
    home = os.path.expanduser("~")
    found = {os.path.abspath(folder), os.path.realpath(folder)}
    if home.count("/") > 1:  # "/root" and "/" are the same everywhere
        found.add(home)
    return sorted(one for one in found if one.count("/") > 1)
