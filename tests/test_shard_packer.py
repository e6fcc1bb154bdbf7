"""The packer: which rows stand together, and what becomes of rows whose media fail when their turn has come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from modalmix.builders.build import Packer
from modalmix.builders.build.shard_packer import DoneShard
from modalmix.builders.build.task_rows import InMemoryItem
from modalmix.builders.core import storage
from modalmix.builders.core.parquet_limits import ROW_BYTES
from modalmix.builders.core.sample import Sample
from modalmix.builders.media.archives.archive import Archive
from modalmix.builders.media.items import Item, Media
from modalmix.builders.pipeline.rows import Row

KB = 1_000


def asked(number: int, *videos: Item | InMemoryItem, images: Sequence[Item] = ()) -> Row:
    sample = Sample(id=str(number), turns=[("human", "What?"), ("gpt", "That.")])
    media = Media(list(images), list(videos), [], [], [])  # type: ignore[arg-type]  # InMemoryItem stands where an Item stands
    return Row(str(number), None, "a.json", number, "video", sample, media, {"id": number}, [])


def clip(folder: Path, name: str, size: int) -> Item:
    (folder / name).write_bytes(name.encode() * (size // len(name)) + bytes(size % len(name)))
    return Item(name, str(folder / name), 0, size)


def packed(folder: Path, rows: Sequence[Row], group: int = 100 * KB, meanwhile: Callable[[], Any] = int) -> DoneShard:
    packer = Packer(storage.at(str(folder / "out")), "data/video/train", group, 1 << 30)
    for row in rows:
        packer.add(row)
    meanwhile()
    packer.close()
    (shard,) = packer.done
    return shard


def group_rows(folder: Path, shard: DoneShard) -> list[int]:
    metadata = pq.read_metadata(folder / "out" / shard.path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def ids_in(folder: Path, shard: DoneShard) -> list[str]:
    return pq.read_table(folder / "out" / shard.path)["id"].to_pylist() if shard.path else []


def rejects(shard: DoneShard) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in shard.lost]
    assert [line["code"] for line in lines] == shard.codes
    return [(line["row"], line["name"]) for line in lines]


# ---- which rows stand together


def test_rows_about_one_medium_stay_together_for_four_times_the_limit(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{i}.mp4", 15 * KB) for i in range(5)]
    shard = packed(tmp_path, [asked(0, one) for one in clips for _ in range(7)])
    assert group_rows(tmp_path, shard) == [7] * 5
    assert shard.bytes < 5 * 15 * KB + 60 * KB
    shard = packed(tmp_path, [asked(0, clips[0]) for _ in range(50)])
    assert max(group_rows(tmp_path, shard)) * 15 * KB <= 400 * KB < (max(group_rows(tmp_path, shard)) + 1) * 16 * KB


def test_no_row_group_of_other_rows_is_larger_than_the_limit_unless_a_row_is(tmp_path: Path) -> None:
    sizes = [60, 60, 30, 5, 250, 1, 20, 20, 20, 20, 20, 40]
    rows = [asked(i, clip(tmp_path, f"{i}.mp4", size * KB)) for i, size in enumerate(sizes)]
    assert group_rows(tmp_path, packed(tmp_path, rows)) == [1, 3, 1, 5, 2]


def test_a_picture_in_every_row_does_not_keep_clips_together(tmp_path: Path) -> None:
    logo = clip(tmp_path, "logo.png", 2 * KB)
    rows = [asked(i, clip(tmp_path, f"{i}.mp4", 40 * KB), images=[logo]) for i in range(6)]
    assert group_rows(tmp_path, packed(tmp_path, rows)) == [2, 2, 2]


def test_a_shard_is_closed_by_what_it_stores(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{i}.mp4", 15 * KB) for i in range(8)]
    packer = Packer(storage.at(str(tmp_path / "out")), "data/video/train", 100 * KB, 60 * KB)
    for i, one in enumerate(clips):
        for time in range(7):
            packer.add(asked(i * 7 + time, one))
    packer.close()
    assert [shard.rows for shard in packer.done] == [28, 28]


def test_bytes_at_hand_are_one_medium_if_they_are_one_object(tmp_path: Path) -> None:
    data = bytes(range(250)) * 200
    rows = [asked(i, InMemoryItem("a.mp4", len(data), data)) for i in range(3)]
    shard = packed(tmp_path, rows)
    assert len(data) < shard.bytes < 2 * len(data)


def test_an_item_over_2_gb_is_rejected_and_the_others_are_written(tmp_path: Path) -> None:
    with open(tmp_path / "film.mp4", "wb") as file:
        file.truncate(ROW_BYTES + 1)
    film = Item("film.mp4", str(tmp_path / "film.mp4"), 0, ROW_BYTES + 1)
    rows = [asked(0, clip(tmp_path, "a.mp4", KB)), asked(1, film), asked(2, clip(tmp_path, "b.mp4", KB))]
    shard = packed(tmp_path, rows)
    assert rejects(shard) == [(1, "media-too-large")]
    assert str(ROW_BYTES + 1) in shard.lost[0]
    assert ids_in(tmp_path, shard) == ["0", "2"]


# ---- media that fail


def rewrite(path: Path) -> None:
    """Other bytes, the same size."""
    before = os.stat(path)
    path.write_bytes(b"?" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


def cut(path: Path) -> None:
    os.truncate(path, 10)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (rewrite, "media-changed"),
        (cut, "media-changed"),
        (Path.unlink, "media-changed"),
        (become_folder, "media-changed"),
    ],
)
def test_every_row_of_a_file_that_changes_is_rejected_and_the_others_are_written(
    tmp_path: Path, change: Callable[[Path], None], name: str
) -> None:
    good, bad = clip(tmp_path, "good.mp4", 9 * KB), clip(tmp_path, "bad.mp4", 9 * KB)
    rows = [asked(0, good), asked(1, bad), asked(2, good, bad), asked(3, good), asked(4, bad)]
    shard = packed(tmp_path, rows, meanwhile=lambda: change(tmp_path / "bad.mp4"))
    assert rejects(shard) == [(1, name), (2, name), (4, name)]
    assert ids_in(tmp_path, shard) == ["0", "3"]
    alone = packed(tmp_path, [asked(0, good), asked(3, good)])
    assert alone.checksum == shard.checksum


def test_ranges_of_a_patch_that_is_written_to_are_rejected_all_of_them(tmp_path: Path) -> None:
    clip(tmp_path, "patch", 9 * KB)
    frames = [Item(f"patch.{i}", str(tmp_path / "patch"), i * KB, KB, whole=False) for i in range(9)]
    rows = [asked(i, images=[frame]) for i, frame in enumerate(frames)]
    shard = packed(tmp_path, rows, meanwhile=lambda: rewrite(tmp_path / "patch"))
    assert rejects(shard) == [(i, "media-changed") for i in range(9)]
    assert not shard.path


def test_a_read_error_rejects_the_rows_of_that_medium_alone(tmp_path: Path) -> None:
    good = clip(tmp_path, "good.mp4", 9 * KB)
    broken = Item("broken.mp4", "/proc/self/mem", 0, 9 * KB, whole=False)  # nothing is mapped at 0: reading gives EIO
    rows = [asked(0, good), asked(1, broken), asked(2, good), asked(3, broken)]
    shard = packed(tmp_path, rows)
    assert rejects(shard) == [(1, "media-unreadable"), (3, "media-unreadable")]
    assert "Input/output error" in shard.lost[0]
    assert ids_in(tmp_path, shard) == ["0", "2"]


def test_bytes_that_cannot_be_taken_out_of_an_archive_or_of_base64_reject_their_rows(tmp_path: Path) -> None:
    good = clip(tmp_path, "good.mp4", 9 * KB)
    clip(tmp_path, "broken.tar.gz", 9 * KB)
    member = Item("a.mp4", "", 0, KB, whole=False, archive=Archive("tar.gz", (str(tmp_path / "broken.tar.gz"),)))
    text = Item("b.jpg", good.path, 0, 7, whole=False, base64=True)
    rows = [asked(0, good), asked(1, member), asked(2, images=[text]), asked(3, member)]
    shard = packed(tmp_path, rows)
    assert sorted(rejects(shard)) == [(1, "media-unreadable"), (2, "patch-base64"), (3, "media-unreadable")]
    assert ids_in(tmp_path, shard) == ["0"]


def test_rows_lost_on_the_way_are_passed_over_by_a_packer_that_goes_on(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"{i}.mp4", 40 * KB) for i in range(9)]
    rows = [asked(i, one) for i, one in enumerate(clips)]
    first = Packer(storage.at(str(tmp_path / "out")), "data/video/train", 100 * KB, 100 * KB)
    for row in rows:
        first.add(row)
        if row.row == 1:
            cut(tmp_path / "0.mp4")
    first.close()
    again = Packer(storage.at(str(tmp_path / "out")), "data/video/train", 100 * KB, 100 * KB, done=first.done[:1])
    for row in rows:
        again.add(row)
    again.close()
    assert again.done == first.done
    assert sum(shard.rows for shard in first.done) == 8
