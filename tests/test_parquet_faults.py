"""What can go wrong while a shard is written."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from modalmix.builders.build.parquet import (
    MAX_CELL_BYTES,
    MAX_COLUMN_BYTES,
    ShardWriter,
)
from modalmix.builders.build.parquet.byte_gather import FileRange, MediaChanged
from shards import (
    MEDIA,
    SCHEMA,
    cells_for,
    content,
    images_table,
    item,
    row,
    some_rows,
    write,
)


def shrink(path: Path) -> None:
    os.truncate(path, 60)


def grow(path: Path) -> None:
    path.write_bytes(bytes(101))


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "whole", "found"),
    [
        (shrink, False, 60),
        (shrink, True, 60),
        (grow, True, 101),
        (Path.unlink, False, None),
        (make_folder, False, "folder"),
        (make_pipe, False, 0),
    ],
)
def test_a_changed_file_is_named_and_its_row_group_leaves_no_trace(
    tmp_path: Path, change: Any, whole: bool, found: Any
) -> None:
    media, good = tmp_path / "a.jpg", content(some_rows(30))
    media.write_bytes(bytes(100))
    path = tmp_path / "shard.parquet"
    expected = write(tmp_path / "expected.parquet", [good, good]).read_bytes()
    with ShardWriter(path, SCHEMA, media=MEDIA) as shard:
        shard.write_row_group(good.table, good.cells)
        change(media)
        cells = cells_for([bytes(1_000_000), FileRange(str(media), 0, 100, whole)])
        with pytest.raises(MediaChanged) as caught:
            shard.write_row_group(images_table(2), cells)
        error = caught.value
        assert (error.path, error.expected, error.column, error.cell) == (str(media), 100, "images", 1)
        assert error.found == (os.stat(media).st_size if found == "folder" else found)
        assert str(media) in str(error)
        shard.write_row_group(good.table, good.cells)
    assert path.read_bytes() == expected


def test_a_range_inside_a_file_that_has_grown_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "patch").write_bytes(b"0123456789")
    path = tmp_path / "shard.parquet"
    with ShardWriter(path, SCHEMA, media=MEDIA) as shard:
        ranges = [FileRange(str(tmp_path / "patch"), start, size) for start, size in ((7, 3), (0, 0), (2, 4))]
        shard.write_row_group(images_table(3), cells_for(ranges))
    assert [images[0]["bytes"] for images in pq.read_table(path)["images"].to_pylist()] == [b"789", b"", b"2345"]


def test_a_changed_file_is_an_error_across_processes() -> None:
    error = pickle.loads(pickle.dumps(MediaChanged("a.jpg", 10, 7, "why", True, "images", 3)))
    assert (error.path, error.expected, error.found, error.reason, error.unreadable, error.column, error.cell) == (
        "a.jpg", 10, 7, "why", True, "images", 3,
    )  # fmt: skip
    assert str(error) == "'a.jpg' why"
    assert str(MediaChanged("a.jpg", 10, 7)) == "'a.jpg' has 7 bytes, expected 10"


def test_a_write_that_fails_is_no_fault_of_the_media_and_can_be_tried_again(tmp_path: Path) -> None:
    path, group = tmp_path / "shard.parquet", content([row("a", images=[item(bytes(1_000_000))])])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ShardWriter(path, SCHEMA, media=MEDIA) as shard:
        shard.write_row_group(group.table, group.cells)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
        try:
            with pytest.raises(OSError, match="too large") as caught:
                shard.write_row_group(group.table, group.cells)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not isinstance(caught.value, MediaChanged)
        shard.write_row_group(group.table, group.cells)
    assert path.read_bytes() == write(tmp_path / "expected.parquet", [group, group]).read_bytes()


def test_a_full_disk_is_an_error_at_once() -> None:
    with pytest.raises(OSError, match="No space left"):
        ShardWriter("/dev/full", SCHEMA, media=MEDIA)


def test_where_half_a_row_group_cannot_be_taken_back_the_writer_is_closed() -> None:
    shard = ShardWriter("/dev/null", SCHEMA, media=MEDIA)
    with pytest.raises(MediaChanged):
        shard.write_row_group(images_table(1), cells_for([FileRange("/nowhere", 0, 1)]))
    with pytest.raises(ValueError, match="closed"):
        shard.close()


def test_an_exception_leaves_a_file_that_no_reader_takes_for_a_shard(tmp_path: Path) -> None:
    path, group = tmp_path / "shard.parquet", content(some_rows(30))
    with pytest.raises(KeyError), ShardWriter(path, SCHEMA, media=MEDIA) as shard:
        shard.write_row_group(group.table, group.cells)
        raise KeyError
    with pytest.raises(pa.ArrowInvalid):
        pq.read_metadata(path)
    with pytest.raises(ValueError, match="closed"):
        shard.write_row_group(group.table, group.cells)


def test_closing_gives_the_size_and_no_descriptor_is_left(tmp_path: Path) -> None:
    group = content(some_rows(30), tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    shard = ShardWriter(tmp_path / "shard.parquet", SCHEMA, media=MEDIA)
    shard.write_row_group(group.table, group.cells)
    assert shard.close() == os.stat(tmp_path / "shard.parquet").st_size
    assert len(os.listdir("/proc/self/fd")) == before


def wrong_inputs() -> Iterator[Any]:
    two = images_table(2)
    images = SCHEMA.get_field_index("images")
    kind = SCHEMA.field("images").type
    huge = FileRange("nowhere", 0, MAX_CELL_BYTES + 1)
    half = FileRange("nowhere", 0, MAX_COLUMN_BYTES // 2 + 1)
    yield pytest.param(
        two, cells_for([b"", huge]), f"cell 1 of 'images' has {MAX_CELL_BYTES + 1} bytes", id="cell too large"
    )
    yield pytest.param(two, cells_for([half, half]), "bytes of 'images' in one row group", id="column too large")
    yield pytest.param(two, cells_for([FileRange("x", 0, -1), b""]), "cell 0 of 'images' has -1", id="negative size")
    yield pytest.param(two, cells_for([b""]), "2 items, but 1 cells", id="too few cells")
    yield pytest.param(two, {"images": []}, "media columns are", id="a column is missing")
    yield pytest.param(two.drop_columns("id"), cells_for([b"", b""]), "schema", id="another schema")
    for value, reason in [(None, "nulls"), ([None], "nulls"), ([item(b"1")], "holds bytes")]:
        column = pa.array([[], value], kind)
        cells = cells_for([b"", b""]) | {"images": [b""] * len(value or [])}
        yield pytest.param(two.set_column(images, SCHEMA.field("images"), column), cells, reason, id=f"row is {value}")


@pytest.mark.parametrize(("table", "cells", "reason"), list(wrong_inputs()))
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, table: pa.Table, cells: dict[str, Any], reason: str
) -> None:
    with ShardWriter(tmp_path / "shard.parquet", SCHEMA, media=MEDIA) as shard, pytest.raises(ValueError, match=reason):
        shard.write_row_group(table, cells)
    assert pq.read_metadata(tmp_path / "shard.parquet").num_row_groups == 0


@pytest.mark.parametrize(("media", "reason"), [(["pictures"], "not in the schema"), (["id"], "must be struct")])
def test_a_column_that_holds_no_media_is_refused(tmp_path: Path, media: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ShardWriter(tmp_path / "shard.parquet", SCHEMA, media=media)
    assert not (tmp_path / "shard.parquet").exists()


MEMORY = """
import resource, sys
import pyarrow as pa
from modalmix.builders.build.parquet.byte_gather import FileRange
from modalmix.builders.build.parquet import ShardWriter

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
schema = pa.schema({"videos": kind})
with ShardWriter(sys.argv[1], schema, media=["videos"]) as shard:
    shard.write_row_group(pa.table([pa.array([[{"path": "a"}]], kind)], schema), {"videos": [b"1"]})
    before = peak()
    big = FileRange(sys.argv[2], 0, 200 << 20, whole=True)
    shard.write_row_group(pa.table([pa.array([[{"path": "b.mp4"}]], kind)], schema), {"videos": [big]})
print(peak() - before)
"""


def test_a_large_video_passes_through_in_bounded_memory(tmp_path: Path) -> None:
    video = tmp_path / "b.mp4"
    with open(video, "wb") as file:
        file.truncate(200 << 20)
        file.seek(123_456_789)
        file.write(b"mark")
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "shard.parquet"), str(video)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 32
    stored = pq.ParquetFile(tmp_path / "shard.parquet").read_row_group(1)["videos"].combine_chunks().flatten().field(0)
    assert stored[0].as_buffer().equals(pa.memory_map(str(video)).read_buffer())
