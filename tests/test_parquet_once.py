"""A medium that several rows of a row group show is stored once."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modalmix.builders.build.parquet import ShardWriter, pages, thrift_compact
from modalmix.builders.build.parquet.byte_gather import FileRange
from shards import (
    FEATURES,
    MEDIA,
    SCHEMA,
    cells_for,
    check_layout,
    content,
    images_table,
    item,
    levels,
    media_leaves,
    questions,
    row,
    write,
)


@pytest.fixture
def repeated(tmp_path: Path) -> tuple[Path, pa.Table]:
    groups = [content(questions(6, 7, 20_000, seed), tmp_path) for seed in range(2)]
    path = write(tmp_path / "repeated.parquet", groups)
    return path, pa.concat_tables([group.truth for group in groups])


def test_a_medium_that_many_rows_show_is_stored_once_in_a_row_group(repeated: tuple[Path, pa.Table]) -> None:
    path, truth = repeated
    check_layout(path)
    assert pq.read_table(path).equals(truth)
    for leaf in media_leaves(path, "videos"):
        assert 6 * 20_000 < leaf.total_compressed_size < 6 * 20_000 + 1_000
        assert leaf.has_dictionary_page
        assert set(leaf.encodings) == {"PLAIN", "RLE", "RLE_DICTIONARY"}
    for leaf in media_leaves(path, "images"):
        assert not leaf.has_dictionary_page
        assert set(leaf.encodings) == {"PLAIN", "RLE"}


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_gives_repeated_media_as_plain_values(
    repeated: tuple[Path, pa.Table], tmp_path: Path, streaming: bool
) -> None:
    path, truth = repeated
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features == FEATURES
    assert list(loaded) == truth.to_pylist()


def test_duckdb_and_polars_read_repeated_media(repeated: tuple[Path, pa.Table]) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    path, truth = repeated
    assert duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table().to_pylist() == truth.to_pylist()
    assert polars.read_parquet(path).to_dicts() == truth.to_pylist()
    assert polars.scan_parquet(path).slice(40, 5).collect().to_dicts() == truth.slice(40, 5).to_pylist()
    found = duckdb.sql(f"SELECT videos[1].bytes FROM '{path}' WHERE id = '3/2'").fetchall()
    assert found == [(one[0]["bytes"],) for one in truth.filter(pa.compute.field("id") == "3/2")["videos"].to_pylist()]


def test_media_of_one_row_alone_stay_outside_of_the_dictionary(tmp_path: Path) -> None:
    rows = questions(1, 2, 5_000) + questions(40, 1, 5_000, seed=6) + questions(1, 3, 5_000, seed=7)
    group = content(rows)
    path = write(tmp_path / "shard.parquet", [group], page_bytes=20_000)
    assert check_layout(path)
    assert pq.read_table(path).equals(group.truth)
    data = path.read_bytes()
    (leaf,) = media_leaves(path, "videos")
    header, _ = thrift_compact.decode(data, leaf.dictionary_page_offset)
    assert 2 * 5_000 < header[2][1] < 2 * 5_000 + 100
    assert leaf.total_compressed_size < 42 * 5_000 + 2_000


def test_a_row_with_one_repeated_medium_has_all_of_its_media_in_the_dictionary(tmp_path: Path) -> None:
    again = b"again" * 100
    pairs = [[again, b"one" * 100], [b"two" * 100], [b"three" * 100, again], []]
    rows = [row(str(n), images=[item(data) for data in pair]) for n, pair in enumerate(pairs)]
    group = content(rows)
    path = write(tmp_path / "shard.parquet", [group])
    check_layout(path)
    assert pq.read_table(path).equals(group.truth)
    (leaf,) = media_leaves(path, "images")
    header, _ = thrift_compact.decode(path.read_bytes(), leaf.dictionary_page_offset)
    assert header[7][1][1][1] == 3


def test_the_same_range_of_a_file_is_one_medium_and_another_range_is_not(tmp_path: Path) -> None:
    (tmp_path / "patch").write_bytes(bytes(range(250)) * 8)
    path = tmp_path / "shard.parquet"
    with ShardWriter(path, SCHEMA, media=MEDIA) as shard:
        ranges = [FileRange(str(tmp_path / "patch"), start, 1_000) for start in (0, 250, 1_000, 0)]
        shard.write_row_group(images_table(4), cells_for(ranges))
    (leaf,) = media_leaves(path, "images")
    assert 3 * 1_000 < leaf.total_compressed_size < 4 * 1_000
    expected = [(bytes(range(250)) * 8)[start : start + 1_000] for start in (0, 250, 1_000, 0)]
    assert [images[0]["bytes"] for images in pq.read_table(path)["images"].to_pylist()] == expected


@given(st.integers(1, 70_000), st.data())
def test_indices_are_decoded_by_the_rules_of_the_specification(values: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, values - 1), min_size=1, max_size=40))
    for array in (indices, [indices[0]] * len(indices)):
        block = pages.indices_block(np.array(array), values)
        assert block[0] == max((values - 1).bit_length(), 1)
        assert levels(block[1:], len(array), block[0]) == array


@given(st.integers(0, 2**31 - 65), st.integers(0, 2**31 - 1))
def test_a_dictionary_header_is_the_thrift_struct_it_stands_for(size: int, values: int) -> None:
    number = thrift_compact.I32
    reported = {1: (number, values), 2: (number, 0)}
    expected = {1: (number, 2), 2: (number, size), 3: (number, size), 7: (thrift_compact.STRUCT, reported)}
    assert pages.dictionary_header(size, values) == thrift_compact.encode(expected)
