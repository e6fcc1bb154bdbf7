"""Shards for tests, and a check of their layout."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet as pq

from modalmix.builders.build.parquet import ShardWriter, pages, thrift_compact
from modalmix.builders.build.parquet.byte_gather import FileRange

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
    """A row group: the truth that a reader must get, and the table and cells for the writer."""

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
    """Rows as tables and cells; with a folder, the bytes of every second medium are in a file there.

    The same object stands for the same medium, wherever it occurs.
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
        return {"path": value["path"]}

    columns = {name: pa.array([take(name, r[name]) for r in rows], SCHEMA.field(name).type) for name in MEDIA}
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


def varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def levels(data: bytes, count: int, width: int) -> list[int]:
    """Decodes the hybrid encoding, bit by bit, after its specification."""
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
    """Checks that footer, page headers and offset indexes agree with each other and with the bytes; the number of pages."""
    data = path.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer, end = thrift_compact.decode(data, len(data) - 8 - size)
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
                head, body = thrift_compact.decode(data, at)
                at, stored = body + head[3][1], head[7][1][1][1]
                if meta[4][1] == 0:
                    for _ in range(stored):
                        body += 4 + int.from_bytes(data[body : body + 4], "little")
                    assert body == at, "a dictionary page ends with its last value"
            assert meta[9][1] == at
            locations = thrift_compact.decode(data, fields[4][1])[0][1][1][1]
            values = rows = 0
            for location in locations:
                assert location[1][1] == at
                assert location[3][1] == rows
                head, body = thrift_compact.decode(data, at)
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


def questions(videos: int, times: int, size: int, seed: int = 5) -> list[Row]:
    """Rows with videos, several consecutive rows for each; every fifth has a picture of its own, and all have frames."""
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


def images_table(count: int) -> pa.Table:
    return content([row(str(n), images=[item(b"")], poster=item(b"")) for n in range(count)]).table


def cells_for(images: list[Any]) -> dict[str, list[Any]]:
    return {"images": images, "videos": [], "frames": [], "audios": [], "poster": [b""] * len(images)}
