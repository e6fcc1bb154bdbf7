"""The build to push: its files, and the checks before a byte is sent.

The build must be finished.  Its shards must be those of the report, complete, with the right number of rows.  No row group may be
larger than the Hub's viewer reads.  `source.file` and the names of media must be relative.  No text may contain the path of the
folder or the home folder of the user.
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

_PRIVATE = "a path of this machine; pass --private-paths to push it anyway"
_ROWS_AT_ONCE = 4096


class Build(NamedTuple):
    """A finished build: its folder, its report, and its files besides the card, relative to the folder."""

    folder: str
    report: Report
    files: list[str]


def finished_build(folder: str) -> Build:
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
        raise HubError(f"{folder!r} holds no finished build: it has no {REPORT}") from None
    except (OSError, msgspec.DecodeError) as error:
        raise HubError(f"{path!r} cannot be read: {error}") from None
    shards = report.all_shards()
    if not shards:
        raise HubError(f"the build in {folder!r} holds no rows")
    for shard in shards:
        try:
            size = os.path.getsize(inside(folder, shard.path))
        except OSError:
            raise HubError(f"the build in {folder!r} is incomplete: {shard.path} is missing") from None
        if size != shard.bytes:
            raise HubError(f"{shard.path} has {size} bytes instead of {shard.bytes}; build it again")
    plots = os.path.join(folder, "plots")
    drawn = sorted(name for name in os.listdir(plots) if name.endswith(".png")) if os.path.isdir(plots) else []
    others = [name for name in (REPORT, REJECTED) if os.path.exists(os.path.join(folder, name))]
    return Build(folder, report, [*(shard.path for shard in shards), *others, *(f"plots/{name}" for name in drawn)])


def inside(folder: str, path: str) -> str:
    """The path of a file of the build.

    Raises:
        HubError: the path is not inside the folder.
    """
    if os.path.isabs(path) or ".." in path.split("/"):
        raise HubError(f"the report names {path!r}, which is not inside the build")
    return os.path.join(folder, path)


def check(build: Build, *, viewer_limit: int = VIEWER_LIMIT, private_paths: bool = False) -> None:
    """Checks the build.

    Args:
        build: the build.
        viewer_limit: bytes of the largest row group.
        private_paths: allow texts that contain paths of this machine.

    Raises:
        HubError: the first check that fails.
    """
    if build.report.options.get("annotations_only"):
        raise HubError(
            f"{build.folder!r} was built with --annotations-only: its media are files of this machine; build it "
            "without that option to push it"
        )
    private = [] if private_paths else _private_paths(build.folder)
    for shard in build.report.all_shards():
        _check_shard(build.folder, shard, viewer_limit, private)
    for name in (REPORT, REJECTED):
        path = os.path.join(build.folder, name)
        if os.path.exists(path):
            own = [socket.gethostname()] if name == REPORT and not private_paths else []
            _check_text(path, name, [*private, *(host for host in own if len(host) > 3)])


def private_path_in(text: str, folder: str) -> str | None:
    """The first private path that a text contains; None if it contains none."""
    return next((path for path in _private_paths(folder) if path in text), None)


def _check_shard(folder: str, shard: Shard, viewer_limit: int, private: list[str]) -> None:
    try:
        with pq.ParquetFile(inside(folder, shard.path)) as file:
            meta = file.metadata
            if meta.num_rows != shard.rows:
                raise HubError(f"{shard.path} has {meta.num_rows} rows instead of {shard.rows}; build it again")
            for number in range(meta.num_row_groups):
                size = meta.row_group(number).total_byte_size
                if size > viewer_limit:
                    raise HubError(
                        f"{shard.path}: row group {number} has {size:,} bytes, and the Hub's viewer reads at most "
                        f"{viewer_limit:,}; build with smaller row groups, or pass --row-group-limit"
                    )
            columns = _text_columns(file)
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                _check_batch(batch, shard.path, private)
    except (pa.ArrowException, OSError) as error:
        raise HubError(f"{shard.path} cannot be read: {error}") from None


def _text_columns(file: Any) -> list[str]:
    """The leaf columns with text of records, without media bytes and masks, which are most of the data."""
    leaves = []
    for number in range(len(file.schema)):
        leaf = file.schema.column(number)
        top = leaf.path.partition(".")[0]
        if leaf.physical_type == "BYTE_ARRAY" and top != "masks" and not leaf.path.endswith(".bytes"):
            leaves.append(leaf.path)
    return leaves


def _check_batch(batch: Any, shard: str, private: list[str]) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for text in _texts(column):
            found = next((path for path in private if _any(pc.match_substring(text, path))), None)
            if found:
                raise HubError(f"{shard}: column {name!r} contains {found!r}, {_PRIVATE}")
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


def _check_text(path: str, name: str, private: list[str]) -> None:
    """Searches a text file for private paths, window by window; windows overlap by the longest path."""
    longest = max((len(text.encode()) for text in private), default=0)
    tail = b""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            window = tail + chunk
            for text in private:
                if text.encode() in window:
                    raise HubError(f"{name} contains {text!r}, {_PRIVATE}")
            tail = window[-longest:] if longest else b""


def _private_paths(folder: str) -> list[str]:
    """The paths that identify this machine or its user: the folder of the build, and a home folder with a person's name."""
    home = os.path.expanduser("~")
    found = {os.path.abspath(folder), os.path.realpath(folder)}
    if home.count("/") > 1:  # "/root" and "/" are the same everywhere
        found.add(home)
    return sorted(one for one in found if one.count("/") > 1)
