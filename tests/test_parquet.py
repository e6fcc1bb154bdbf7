"""The Parquet writer, judged by stock readers, and its parts."""

from __future__ import annotations

import json
import os
import pickle
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modalmix.builders.parquet import (
    CHUNKING,
    CREATED_BY,
    MAX_CELL_BYTES,
    MAX_COLUMN_BYTES,
    ShardWriter,
    media_column,
    pages,
    thrift,
)
from modalmix.builders.parquet.gather import FileRange, Gather, MediaChanged

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "conversations": datasets.List({"from": datasets.Value("string"), "value": datasets.Value("string")}),
        "images": datasets.List(datasets.Image(decode=False)),
        "videos": datasets.List(datasets.Video(decode=False)),
        "frames": datasets.List(datasets.List(datasets.Image(decode=False))),
        "audios": datasets.List(datasets.Audio(decode=False)),
        "poster": datasets.Image(decode=False),
        "num_frames": datasets.Value("int32"),
    }
)
SCHEMA = FEATURES.arrow_schema
MEDIA = ["images", "videos", "frames", "audios", "poster"]

Row = dict[str, Any]


class Content(NamedTuple):
    """A row group: what a reader must get, and what the writer is given."""

    truth: pa.Table
    table: pa.Table
    cells: dict[str, list[Any]]


def item(data: bytes, name: str = "x.jpg") -> Row:
    return {"bytes": data, "path": name}


def row(name: str, **media: Any) -> Row:
    turns = [{"from": "human", "value": f"<image>\nWhat is {name}?"}, {"from": "gpt", "value": "That."}]
    empty = {"images": [], "videos": [], "frames": [], "audios": [], "poster": item(b"p")}
    return {"id": name, "conversations": turns, "num_frames": None, **empty, **media}


def content(rows: list[Row], folder: Path | None = None) -> Content:
    """Rows as tables and cells; with a folder, the bytes of every second medium lie in a file there.

    The same object is the same medium, wherever it occurs.
    """
    cells: dict[str, list[Any]] = {name: [] for name in MEDIA}
    places: dict[int, bytes | FileRange] = {}
    store = open(folder / "store.bin", "ab") if folder else None  # noqa: SIM115  closed below

    def take(column: str, value: Any) -> Any:
        if isinstance(value, list):
            return [take(column, inner) for inner in value]
        data = value["bytes"]
        if id(data) not in places:
            places[id(data)] = data
            if store and len(places) % 2:
                places[id(data)] = FileRange(store.name, store.tell(), len(data))
                store.write(data)
        cells[column].append(places[id(data)])
        return value["path"]

    columns = {name: media_column(SCHEMA.field(name).type, [take(name, r[name]) for r in rows]) for name in MEDIA}
    if store:
        store.close()
    small = {name: [r[name] for r in rows] for name in SCHEMA.names if name not in MEDIA}
    return Content(pa.Table.from_pylist(rows, SCHEMA), pa.table(small | columns, SCHEMA), cells)


def write(path: Path, groups: list[Content], **options: Any) -> Path:
    with ShardWriter(path, SCHEMA, media=MEDIA, **options) as shard:
        for group in groups:
            shard.write_row_group(group.table, group.cells)
    return path


def some_rows(count: int, seed: int = 0, largest: int = 3_000) -> list[Row]:
    rng = random.Random(seed)

    def several(most: int) -> list[Row]:
        return [item(rng.randbytes(rng.randrange(largest)), f"{rng.random()}.bin") for _ in range(rng.randrange(most))]

    return [
        row(
            f"row {seed}/{index}",
            images=several(4),
            videos=several(2),
            frames=[several(4) for _ in range(rng.randrange(3))],
            audios=several(3),
            poster=item(rng.randbytes(20)),
        )
        for index in range(count)
    ]


@pytest.fixture
def shard(tmp_path: Path) -> tuple[Path, pa.Table]:
    groups = [content(some_rows(60, seed), tmp_path) for seed in range(3)]
    path = write(tmp_path / "shard.parquet", groups, page_bytes=10_000)
    return path, pa.concat_tables([group.truth for group in groups])


def varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def levels(data: bytes, count: int, width: int) -> list[int]:
    """A decoder of the hybrid encoding, bit by bit from its specification."""
    out: list[int] = []
    at = 0
    while len(out) < count:
        head, at = varint(data, at)
        if head & 1:
            size = (head >> 1) * width
            bits = int.from_bytes(data[at : at + size], "little")
            out += [bits >> (index * width) & ((1 << width) - 1) for index in range((head >> 1) * 8)]
            at += size
        else:
            size = -(-width // 8)
            out += [int.from_bytes(data[at : at + size], "little")] * (head >> 1)
            at += size
    assert at == len(data)
    return out[:count]


def check_layout(path: Path) -> int:
    """Footer, page headers and offset indexes agree with each other and with the bytes; gives the number of pages."""
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer, end = thrift.decode(data, len(data) - 8 - size)
    assert end == len(data) - 8
    assert data[:4] == data[-4:] == b"PAR1"
    parsed = pq.read_metadata(path)
    at, checked = 4, 0
    for number, (group,) in enumerate(zip(footer.get(4, (0, (0, [])))[1][1], strict=True)):
        assert group[5][1] == at
        total = 0
        for leaf, (_, fields) in enumerate((0, column) for column in group[1][1][1]):
            meta = fields[3][1]
            top = parsed.schema.column(leaf)
            first = meta[11][1] if 11 in meta else meta[9][1]
            assert first == at, "chunks follow each other without a gap"
            stored = 0
            if 11 in meta:
                head, body = thrift.decode(data, at)
                at, stored = body + head[3][1], head[7][1][1][1]
                if meta[4][1] == 0:
                    for _ in range(stored):
                        body += 4 + int.from_bytes(data[body : body + 4], "little")
                    assert body == at, "a dictionary page ends with its last value"
            assert meta[9][1] == at
            locations = thrift.decode(data, fields[4][1])[0][1][1][1]
            values = rows = 0
            for location in locations:
                assert location[1][1] == at
                assert location[3][1] == rows
                head, body = thrift.decode(data, at)
                at = body + head[3][1]
                assert location[2][1] == at - location[1][1]
                count = head[5][1][1][1]
                values += count
                if meta[4][1] == 0:  # not compressed: ours
                    assert head[2] == head[3]
                    repetition = [0] * count
                    if top.max_repetition_level:
                        length = int.from_bytes(data[body : body + 4], "little")
                        repetition = levels(
                            data[body + 4 : body + 4 + length], count, top.max_repetition_level.bit_length()
                        )
                        body += 4 + length
                    assert repetition[0] == 0, "a page begins with a row"
                    rows += repetition.count(0)
                    length = int.from_bytes(data[body : body + 4], "little")
                    definition = levels(
                        data[body + 4 : body + 4 + length], count, top.max_definition_level.bit_length()
                    )
                    body += 4 + length
                    cells = definition.count(top.max_definition_level)
                    if head[5][1][2][1] == pages.RLE_DICTIONARY:
                        indices = levels(data[body + 1 : at], cells, data[body])
                        assert len(indices) == cells > 0
                        assert max(indices) < stored
                    else:
                        for _ in range(cells):
                            body += 4 + int.from_bytes(data[body : body + 4], "little")
                        assert body == at
                elif len(locations) > 1:
                    following = locations.index(location) + 1
                    rows = locations[following][3][1] if following < len(locations) else group[3][1]
                else:
                    rows = group[3][1]
                checked += 1
            assert values == meta[5][1]
            assert rows == group[3][1]
            assert at - first == meta[7][1]
            total += meta[6][1]
        assert group[2][1] == total
        assert group[6][1] == at - group[5][1]
        assert group[7][1] == number
    return checked


# ---- stock readers


def test_pyarrow_reads_what_was_written(shard: tuple[Path, pa.Table]) -> None:
    path, truth = shard
    file = pq.ParquetFile(path)
    assert file.read().equals(truth)
    assert pa.Table.from_batches(file.iter_batches(7)).equals(truth)
    assert file.read_row_group(1).equals(truth.slice(60, 60))
    assert file.read(["frames"]).equals(truth.select(["frames"]))
    paths = file.read(["images.list.element.bytes"])["images"].to_pylist()
    assert paths == [[{"bytes": one["bytes"]} for one in images] for images in truth["images"].to_pylist()]


def test_a_scanner_projects_and_filters(shard: tuple[Path, pa.Table]) -> None:
    path, truth = shard
    found = pyarrow.dataset.dataset(path).to_table(
        columns=["audios", "id"], filter=pyarrow.dataset.field("id") == "row 2/7"
    )
    assert found.to_pylist() == [{"audios": truth["audios"][127].as_py(), "id": "row 2/7"}]


def test_duckdb_reads_what_was_written(shard: tuple[Path, pa.Table]) -> None:
    duckdb = pytest.importorskip("duckdb")
    path, truth = shard
    assert duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table().to_pylist() == truth.to_pylist()


def test_polars_reads_what_was_written(shard: tuple[Path, pa.Table]) -> None:
    polars = pytest.importorskip("polars")
    path, truth = shard
    assert polars.read_parquet(path).to_dicts() == truth.to_pylist()


def test_a_reader_that_follows_the_page_index_finds_the_media_of_one_row(tmp_path: Path) -> None:
    datafusion = pytest.importorskip("datafusion")
    rows = some_rows(3_000, largest=300)
    for index, value in enumerate(rows):  # long ids, in order: the column has several pages, told apart by their index
        value["id"] = f"{index:06}" + random.Random(index).randbytes(400).hex()
    group = content(rows, tmp_path)
    path = write(tmp_path / "shard.parquet", [group], page_bytes=5_000)
    assert pq.read_metadata(path).row_group(0).column(0).has_column_index
    context = datafusion.SessionContext(
        datafusion.SessionConfig({"datafusion.execution.parquet.pushdown_filters": "true"})
    )
    context.register_parquet("shard", str(path))
    for wanted in (0, 1_234, 2_999):
        found = context.sql(f"SELECT * FROM shard WHERE id = '{rows[wanted]['id']}'")
        assert found.to_pylist() == group.truth.slice(wanted, 1).to_pylist()


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_features_and_bytes(shard: tuple[Path, pa.Table], tmp_path: Path, streaming: bool) -> None:
    path, truth = shard
    loaded = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert loaded.features == FEATURES
    assert list(loaded) == truth.to_pylist()


# ---- media once


def questions(videos: int, times: int, size: int, seed: int = 5) -> list[Row]:
    """Rows about videos, several in a row about each; every fifth row has a picture of its own, and there are frames."""
    rng = random.Random(seed)
    rows = []
    for video in range(videos):
        clip, frames = rng.randbytes(size), [item(rng.randbytes(200), f"{n}.jpg") for n in range(3)]
        for time in range(times):
            images = [item(rng.randbytes(300))] if time % 5 == 0 else []
            clips = [item(clip, f"{video}.mp4")]
            rows.append(row(f"{video}/{time}", videos=clips, images=images, frames=[frames, []], audios=[]))
    return rows


def media_leaves(path: Path, column: str) -> list[Any]:
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    leaves = [group.column(number) for group in groups for number in range(metadata.num_columns)]
    return [leaf for leaf in leaves if leaf.path_in_schema.startswith(column) and leaf.path_in_schema.endswith("bytes")]


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
    header, _ = thrift.decode(data, leaf.dictionary_page_offset)
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
    header, _ = thrift.decode(path.read_bytes(), leaf.dictionary_page_offset)
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
    number = thrift.I32
    told = {1: (number, values), 2: (number, 0)}
    expected = {1: (number, 2), 2: (number, size), 3: (number, size), 7: (thrift.STRUCT, told)}
    assert pages.dictionary_header(size, values) == thrift.encode(expected)


# ---- levels and pages


REPEATED = [b"first", b"second" * 9, bytes(500), *(b"%d" % number for number in range(300))]


@st.composite
def row_groups(draw: st.DrawFn) -> list[list[Row]]:
    data = st.one_of(st.binary(max_size=40), st.sampled_from(REPEATED))
    items = st.lists(st.builds(item, data, st.text(max_size=5)), max_size=5)
    one = st.builds(
        lambda images, videos, frames, audios, poster: row(
            "r", images=images, videos=videos, frames=frames, audios=audios, poster=item(poster)
        ),
        items,
        items,
        st.lists(items, max_size=4),
        items,
        data,
    )
    return draw(st.lists(st.lists(one, max_size=30), max_size=3))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row_groups(), st.integers(1, 400))
def test_any_rows_read_back_as_if_pyarrow_had_written_them(
    tmp_path: Path, groups: list[list[Row]], page_bytes: int
) -> None:
    (tmp_path / "store.bin").unlink(missing_ok=True)
    contents = [content(rows, tmp_path) for rows in groups]
    path = write(tmp_path / "ours.parquet", contents, page_bytes=page_bytes)
    stock = tmp_path / "stock.parquet"
    with pq.ParquetWriter(stock, SCHEMA) as writer:
        for group in contents:
            if group.truth.num_rows:
                writer.write_table(group.truth, row_group_size=group.truth.num_rows)
    assert pq.read_table(path).equals(pq.read_table(stock))
    check_layout(path)
    ours, theirs = pq.read_metadata(path), pq.read_metadata(stock)
    assert ours.num_row_groups == theirs.num_row_groups
    for number in range(ours.num_row_groups):
        for leaf in range(ours.num_columns):
            assert ours.row_group(number).column(leaf).num_values == theirs.row_group(number).column(leaf).num_values


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([row(str(n)) for n in range(1_000)], id="all lists empty"),
        pytest.param([row("a", images=[item(b"%d" % n) for n in range(10_000)])], id="one row with 10,000 items"),
        pytest.param([row("a", frames=[[item(b"%d" % n) for n in range(9)]] * 1_111)], id="one row of many lists"),
        pytest.param([row("a")], id="one row"),
        pytest.param([row("a", frames=[[]]), row("b", frames=[[], []]), row("c")], id="lists of empty lists"),
        pytest.param([row(str(n), frames=[[], [item(b"")]], images=[item(b"")] * 3) for n in range(9)], id="no bytes"),
        pytest.param([row(str(n)) for n in range(pages.MAX_PAGE_ROWS + 5)], id="more rows than a page may have"),
        pytest.param(
            [row(str(n)) for n in range(9)]
            + [row("a", images=[item(REPEATED[0])])] * 2
            + [row(str(n)) for n in range(pages.MAX_PAGE_ROWS + 5)]
            + [row("b", images=[item(b"alone")])],
            id="empty rows around repeated media",
        ),
        pytest.param([row(str(n), images=[item(REPEATED[n % 303])]) for n in range(900)], id="300 media three times"),
    ],
)
def test_extreme_shapes_read_back(tmp_path: Path, rows: list[Row]) -> None:
    group = content(rows)
    path = write(tmp_path / "shard.parquet", [group])
    assert pq.read_table(path).equals(group.truth)
    check_layout(path)


@pytest.mark.parametrize("groups", [[], [[]], [[], []]])
def test_no_rows_give_a_file_without_row_groups_that_still_has_its_features(
    tmp_path: Path, groups: list[list[Row]]
) -> None:
    path = write(tmp_path / "shard.parquet", [content(rows) for rows in groups])
    assert pq.read_metadata(path).num_row_groups == 0
    assert datasets.Features.from_arrow_schema(pq.read_schema(path)) == FEATURES


def test_the_levels_of_nested_lists_are_those_of_the_docstring() -> None:
    outer, inner = np.array([0, 2, 2, 4]), np.array([0, 2, 3, 3, 4])
    shape = pages.structure([outer, inner], 4, (1, 3), 6)
    assert shape.repetition.tolist() == [0, 2, 1, 0, 0, 1]
    assert shape.definition.tolist() == [6, 6, 6, 1, 3, 6]
    assert shape.entries.tolist() == [0, 3, 4, 6]
    assert shape.cells.tolist() == [0, 3, 3, 4]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(1, 50))
def test_levels_are_decoded_by_the_rules_of_the_specification(values: list[int], times: int) -> None:
    for array in (values, [values[0]] * times):
        block = pages.levels_block(np.array(array, np.uint8), 6)
        assert int.from_bytes(block[:4], "little") == len(block) - 4
        assert levels(block[4:], len(array), 3) == array


@given(st.integers(0, 2**31 - 65), st.integers(0, 2**31 - 1))
def test_a_page_header_is_the_thrift_struct_it_stands_for(size: int, entries: int) -> None:
    header = pages.page_header(size, entries)
    number = thrift.I32
    data = {1: (number, entries), 2: (number, 0), 3: (number, 3), 4: (number, 3)}
    shared = data | {2: (number, pages.RLE_DICTIONARY)}
    assert pages.page_header(size, entries, pages.RLE_DICTIONARY) == thrift.encode(
        {1: (number, 0), 2: (number, size), 3: (number, size), 5: (thrift.STRUCT, shared)}
    )
    assert header == thrift.encode({1: (number, 0), 2: (number, size), 3: (number, size), 5: (thrift.STRUCT, data)})
    assert size + len(header) <= pages.MAX_PAGE_BYTES


def page_rows(sizes: list[int], page_bytes: int) -> list[list[int]]:
    """The sizes page by page, of rows with one cell each."""
    array = np.array(sizes, np.int64)
    keys = pages.row_keys(array, np.arange(len(sizes) + 1))
    ends = list(pages.page_ends(array, keys, page_bytes))
    return [sizes[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(st.integers(0, 5_000), max_size=300), st.integers(1, 20_000))
def test_pages_hold_all_rows_and_are_too_large_only_for_a_single_row(sizes: list[int], page_bytes: int) -> None:
    found = page_rows(sizes, page_bytes)
    assert [size for page in found for size in page] == sizes
    assert all(page and (sum(page) <= page_bytes or len(page) == 1) for page in found)


@pytest.mark.parametrize("seed", range(5))
def test_an_inserted_row_leaves_the_other_pages_as_they_were(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.randrange(60_000, 120_000) for _ in range(2_000)]
    before = page_rows(sizes, 1 << 20)
    after = page_rows([*sizes[:700], 99_999, *sizes[700:]], 1 << 20)
    lost = {tuple(page) for page in before} - {tuple(page) for page in after}
    assert len(before) > 200
    assert len(lost) <= 5


# ---- what the footer says


def test_the_footer_keeps_the_schema_and_says_what_datasets_says(tmp_path: Path) -> None:
    path = write(tmp_path / "shard.parquet", [content(some_rows(5))], metadata={"modalmix": "mix"})
    metadata = pq.read_metadata(path)
    assert metadata.created_by == CREATED_BY
    assert metadata.metadata[b"modalmix"] == b"mix"
    assert json.loads(metadata.metadata[b"content_defined_chunking"]) == datasets.config.DEFAULT_CDC_OPTIONS == CHUNKING
    assert metadata.metadata[b"huggingface"] == SCHEMA.metadata[b"huggingface"]
    assert pq.read_schema(path).equals(SCHEMA)


def test_small_columns_have_statistics_that_readers_trust_and_media_have_none(shard: tuple[Path, pa.Table]) -> None:
    path, truth = shard
    group = pq.read_metadata(path).row_group(1)
    ids = truth["id"].slice(60, 60).to_pylist()
    leaves = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert (leaves["id"].statistics.min, leaves["id"].statistics.max) == (min(ids), max(ids))
    assert all(leaf.has_offset_index for leaf in leaves.values())
    for name, leaf in leaves.items():
        if name.endswith("bytes"):
            assert leaf.statistics is None
            assert not leaf.has_column_index
            assert (leaf.compression, leaf.encodings) == ("UNCOMPRESSED", ("PLAIN", "RLE"))
        else:
            assert leaf.has_column_index
            assert leaf.compression == "ZSTD"


def test_size_statistics_are_those_pyarrow_writes(tmp_path: Path) -> None:
    group = content(some_rows(40))
    path, stock = write(tmp_path / "ours.parquet", [group]), tmp_path / "stock.parquet"
    pq.write_table(group.truth, stock)

    def statistics(file: Path) -> list[Any]:
        data = file.read_bytes()
        footer, _ = thrift.decode(data, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
        return [column[3][1][16] for column in footer[4][1][1][0][1][1][1]]

    assert statistics(path) == statistics(stock)


def test_the_same_input_gives_the_same_bytes_wherever_it_lies(tmp_path: Path) -> None:
    rows = some_rows(50)
    first = write(tmp_path / "1.parquet", [content(rows), content(rows)]).read_bytes()
    assert write(tmp_path / "2.parquet", [content(rows, tmp_path), content(rows, tmp_path)]).read_bytes() == first


# ---- what can go wrong


def images_table(count: int) -> pa.Table:
    return content([row(str(n), images=[item(b"")], poster=item(b"")) for n in range(count)]).table


def cells_for(images: list[Any]) -> dict[str, list[Any]]:
    return {"images": images, "videos": [], "frames": [], "audios": [], "poster": [b""] * len(images)}


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


def test_a_changed_file_is_told_across_processes() -> None:
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


def test_a_full_disk_is_told_at_once() -> None:
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
from modalmix.builders.parquet.gather import FileRange
from modalmix.builders.parquet import ShardWriter, media_column

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
kind = pa.list_(pa.struct({"bytes": pa.binary(), "path": pa.string()}))
schema = pa.schema({"videos": kind})
with ShardWriter(sys.argv[1], schema, media=["videos"]) as shard:
    shard.write_row_group(pa.table([media_column(kind, [["a"]])], schema), {"videos": [b"1"]})
    before = peak()
    big = FileRange(sys.argv[2], 0, 200 << 20, whole=True)
    shard.write_row_group(pa.table([media_column(kind, [["b.mp4"]])], schema), {"videos": [big]})
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


# ---- parts


@given(st.lists(st.one_of(st.binary(max_size=90), st.integers(0, 90)), max_size=40), st.integers(1, 64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_gathering_through_a_buffer_of_any_size_appends_everything(
    tmp_path: Path, parts: list[bytes | int], buffer_bytes: int
) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(100)))
    fd = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    gather = Gather(fd, buffer_bytes)
    expected = b""
    for part in parts:
        if isinstance(part, int):
            gather.append_range(FileRange(str(source), 10, part))
            expected += bytes(range(10, 10 + part))
        else:
            gather.append(part)
            expected += part
        assert gather.position == len(expected)
    gather.flush()
    gather.release()
    os.close(fd)
    assert (tmp_path / "out").read_bytes() == expected


def fields(values: st.SearchStrategy[tuple[int, Any]]) -> st.SearchStrategy[thrift.Struct]:
    return st.dictionaries(st.integers(1, 2**15 - 1), values, max_size=6)


SCALARS = st.one_of(
    st.tuples(st.sampled_from([thrift.I32, thrift.I64]), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just(thrift.I64), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(thrift.TRUE), st.booleans()),
    st.tuples(st.just(thrift.BYTE), st.integers(0, 255)),
    st.tuples(st.just(thrift.BINARY), st.binary(max_size=300)),
    st.tuples(st.just(thrift.DOUBLE), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.I64), st.lists(st.integers(0, 9), max_size=40))),
    st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.TRUE), st.lists(st.booleans(), max_size=20))),
)
STRUCTS = st.recursive(
    fields(SCALARS),
    lambda inner: fields(
        st.one_of(
            SCALARS,
            st.tuples(st.just(thrift.STRUCT), inner),
            st.tuples(st.just(thrift.LIST), st.tuples(st.just(thrift.STRUCT), st.lists(inner, max_size=3))),
        )
    ),
    max_leaves=10,
)


@given(STRUCTS)
def test_any_thrift_struct_survives_a_round_trip(value: thrift.Struct) -> None:
    encoded = thrift.encode(value)
    assert thrift.decode(encoded) == (value, len(encoded))


@given(STRUCTS.filter(bool))
def test_a_thrift_struct_that_is_cut_short_is_an_error(value: thrift.Struct) -> None:
    encoded = thrift.encode(value)
    with pytest.raises(IndexError):
        thrift.decode(encoded[:-1])


def test_a_footer_of_pyarrow_is_encoded_again_byte_by_byte(tmp_path: Path) -> None:
    pq.write_table(content(some_rows(30)).truth, tmp_path / "stock.parquet", row_group_size=7, write_page_index=True)
    data = (tmp_path / "stock.parquet").read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer, end = thrift.decode(data, start)
    assert thrift.encode(footer) == data[start:end]


def test_a_thrift_type_that_parquet_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="type 11"):
        thrift.decode(b"\x1b\x00\x00")
