"""What a check does with what it finds; that it finds each defect is shown in test_codes_records.py and test_codes_files.py."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from defects import FIRST, FRAMES, SECOND, THIRD, audio, finding_lines, headers_of, image, names, patch, png, run, video
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.check import DEPTHS, check, decode_media
from modalmix.builders.check.patch_overlaps import crossing, overlaps
from modalmix.builders.cli import example_data
from modalmix.builders.core.findings import CATALOGUE
from modalmix.builders.core.int_columns import Columns
from modalmix.builders.media.header import Header
from modalmix.builders.media.header_cache import HeaderCache
from modalmix.builders.media.items import Item
from modalmix.builders.pipeline.options import Options


@pytest.fixture
def headers(tmp_path: Path) -> Iterator[HeaderCache]:
    cache = headers_of(tmp_path)
    yield cache
    cache.close()


def test_a_late_change_of_type_is_reported_once_where_it_happens(tmp_path: Path, media: Path) -> None:
    lists = [image(["a.jpg", "b.jpg"], "<image><image>\nCompare."), image(["b.jpg"])]
    run(tmp_path, media, [image("a.jpg")] * 3 + lists, "lmms_finetune", depth="quick")
    found = [(line["row"], line["pointer"]) for line in finding_lines(tmp_path) if line["name"] == "type-change"]
    assert found == [(3, "/image")]


def test_two_files_that_fit_a_path_are_reported_and_neither_is_used(tmp_path: Path) -> None:
    for i, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(example_data.picture(i) * (1 + i))
    (tmp_path / "data.json").write_text(json.dumps([image("a.jpg")]))
    options = Options(media_root=(str(tmp_path / "one"), str(tmp_path / "two")))
    diagnosis = check(str(tmp_path / "data.json"), options, depth="quick").diagnosis
    assert diagnosis.counts.findings["MX102"] == 1 and diagnosis.counts.rejected == 1


def test_all_missing_media_are_reported(tmp_path: Path, media: Path) -> None:
    records = [image(["a.jpg", "x.jpg", "y.jpg"], "<image><image><image>")]
    result = run(tmp_path, media, records, "lmms_finetune", depth="quick")
    assert [(line["name"], line["pointer"]) for line in finding_lines(tmp_path)] == [
        ("media-missing", "/image/1"),
        ("media-missing", "/image/2"),
    ]
    assert result.diagnosis.counts.rejected == 1 and result.diagnosis.counts.findings["MX101"] == 2


def test_unreferenced_files_are_reported_if_roots_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(example_data.picture(1))
    run(tmp_path, tmp_path, [image("a.jpg")], "lmms_finetune", depth="quick")
    assert [line["file"] for line in finding_lines(tmp_path, orphans=True)] == ["b.jpg"]
    result = check(str(tmp_path / "data.json"), Options(format="lmms_finetune"), depth="quick")
    assert not result.diagnosis.counts.findings  # one file of a folder: the others may be of other annotation files


def test_a_bad_file_is_opened_once_and_reported_for_every_record_that_refers_to_it(
    tmp_path: Path, media: Path, headers: HeaderCache
) -> None:
    records = [image(("a.jpg", "noise.jpg")[i % 2], id=i) for i in range(20)]
    result = run(tmp_path, media, records, "lmms_finetune", cache=headers)
    assert result.diagnosis.media == {"image": 2}
    assert [line["id"] for line in finding_lines(tmp_path)] == [str(i) for i in range(1, 20, 2)]
    assert result.diagnosis.counts.written == {"image": 10} and result.diagnosis.counts.rejected == 10


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_example_gives_its_two_defects_and_nothing_else(
    example_folders: dict[str, str], headers: HeaderCache, depth: Any
) -> None:
    found: list[tuple[str, str, int]] = []
    for format, folder in example_folders.items():
        result = check(folder, Options(format=format), depth=depth, cache=headers, threads=2).diagnosis
        found += [
            (CATALOGUE[code].name, one.file.rpartition("/")[2], one.row)
            for code, examples in result.examples.items()
            for one in examples
            if CATALOGUE[code].severity != "info"
        ]
    assert sorted(found) == [
        ("media-missing", "Ola_audio.json", 3),
        ("placeholder-literal", "train.json", 2),  # the text speaks about the tag, which is for a person to judge
        ("region-count", "annotation.json", 3),
    ]


# ---- media that are looked into


def test_each_frame_is_opened_once_however_many_lists_it_is_in(
    tmp_path: Path, headers: HeaderCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walk").mkdir()
    for i in range(6):
        (tmp_path / "walk" / f"{i}.png").write_bytes(png(64, 48 if i == 4 else 64))
    opened: Counter[str] = Counter()
    learned = decode_media.picture_header

    def counting(item: Item) -> Header:
        opened[item.name] += 1
        return learned(item)

    monkeypatch.setattr(decode_media, "picture_header", counting)
    lists = [[f"walk/{i}.png" for i in range(first, 6)] for first in (0, 1, 2)]
    records = [video(one, id=str(i)) for i, one in enumerate(lists)]
    run(tmp_path, tmp_path, records, "videorefer", cache=headers)
    assert names(finding_lines(tmp_path)) == {"frames-differ-in-size": 3}
    assert opened.keys() == {f"{i}.png" for i in range(1, 6)} and set(opened.values()) == {1}


def test_all_defects_of_the_frames_of_a_video_are_reported_and_counted(tmp_path: Path, headers: HeaderCache) -> None:
    (tmp_path / "walk").mkdir()
    pictures = [png(64, 64), b"no picture", png(64, 48), png(64, 64)[:30], png(64, 48), example_data.picture(1)]
    for i, data in enumerate(pictures):
        (tmp_path / "walk" / f"{i}.png").write_bytes(data)
    run(tmp_path, tmp_path, [video("walk", id="0")], "videorefer", cache=headers)
    reported = {line["name"]: line["message"] for line in finding_lines(tmp_path)}
    assert reported == {
        "media-kind": "frame 1 ('1.png') is no picture: it cannot be opened: nothing that is known",
        "frames-differ-in-size": "frame 2 ('2.png') has 64 × 48 pixels, the first 64 × 64, and 2 more",
        "media-unreadable": "frame 3 ('3.png') is damaged: it cannot be opened: no whole png",
    }


def test_large_pictures_of_a_patch_are_judged_by_their_beginning(tmp_path: Path, headers: HeaderCache) -> None:
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)  # a segment that puts the size beyond what is read first
    jpeg = example_data.picture(1)
    large, late = jpeg + bytes(100_000), jpeg[:2] + comment + jpeg[2:]
    (tmp_path / "patch").write_bytes(large + late)
    records = [image(patch(0, len(large)), id="0"), image(patch(len(large), len(late)), id="1")]
    result = run(tmp_path, tmp_path, records, "ola", cache=headers)
    assert not finding_lines(tmp_path)
    assert result.diagnosis.spreads["image width"].least == result.diagnosis.spreads["image width"].most == 96


@pytest.mark.parametrize(
    ("width", "height", "name"),
    [(20_000, 20_000, "size-extreme"), (20, 9_000, "size-extreme"), (9, 9, "size-extreme"), (14, 14, None)],
)
def test_extreme_sizes_are_found_in_the_header_alone(
    tmp_path: Path, headers: HeaderCache, width: int, height: int, name: str | None
) -> None:
    raw = bytearray(png(16, 16))
    raw[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(raw)
    run(tmp_path, tmp_path, [image("a.png", id="0")], "lmms_finetune", cache=headers)
    found = names(finding_lines(tmp_path))
    assert found == ({name: 1} if name else {}) or (width == 20_000 and found == {"media-unreadable": 1})


def test_a_sound_that_ends_before_its_header_says_is_found_by_decoding(tmp_path: Path, headers: HeaderCache) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000)
    soundfile.write(tmp_path / "whole.flac", noise, 16_000)
    data = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(data[: len(data) // 2])
    records = [audio("whole.flac", id="0"), audio("cut.flac", id="1")]
    run(tmp_path, tmp_path, records, "ola", cache=headers, depth="full")
    assert [(line["row"], line["name"], line["pointer"]) for line in finding_lines(tmp_path)] in (
        [(1, "media-truncated", "/audio")],
        [(1, "media-unreadable", "/audio")],
    )


def test_media_in_archives_are_judged_like_others(tmp_path: Path, headers: HeaderCache) -> None:
    members = {
        "good.jpg": example_data.picture(1),
        "noise.jpg": bytes(range(256)) * 9,
        "really.png": example_data.picture(2),
    }
    with tarfile.open(tmp_path / "media.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(f"set/{name}")
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    records = [image(f"elsewhere/set/{name}", id=name) for name in members]
    run(tmp_path, tmp_path, records, "lmms_finetune", cache=headers)
    assert [(line["id"], line["name"]) for line in finding_lines(tmp_path)] == [
        ("noise.jpg", "media-unreadable"),
        ("really.png", "media-extension"),
    ]


def test_a_member_that_cannot_be_unpacked_is_reported_and_rejected_and_the_others_are_built(
    tmp_path: Path, headers: HeaderCache
) -> None:
    with zipfile.ZipFile(tmp_path / "media.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("x7Qk2.jpg", "y8Rm3.jpg"):
            file.writestr(f"set/{name}", os.urandom(900) + bytes(40_000))
    raw = bytearray((tmp_path / "media.zip").read_bytes())
    raw[200:260] = bytes(60)  # inside of the first member
    (tmp_path / "media.zip").write_bytes(raw)
    records = [image(f"elsewhere/set/{name}", id=name[:-4]) for name in ("x7Qk2.jpg", "y8Rm3.jpg")]
    run(tmp_path, tmp_path, records, "lmms_finetune", cache=headers)
    reported = {(line["id"], line["name"]) for line in finding_lines(tmp_path)}
    assert ("x7Qk2", "media-unreadable") in reported
    options = Options(format="lmms_finetune", media_root=(str(tmp_path),))
    report = build.build(str(tmp_path / "data.json"), str(tmp_path / "out"), options, card=cards.write)
    reject = json.loads((tmp_path / "out" / "rejected.jsonl").read_text())
    assert (reject["name"], reject["record"]["id"]) == ("media-unreadable", "x7Qk2")
    assert report.counts.written == {"image": 1} and report.counts.rejected == 1


# ---- parts of patches


def ranges(*parts: tuple[int, int, int]) -> Columns:
    """Parts of one patch: first byte, byte after the last, whether they are the frames of a video; the n-th is of record n."""
    columns = Columns("path", "start", "stop", "place", "several")
    for place, (start, stop, several) in enumerate(parts):
        columns.add(7, start, stop, place, several)
    return columns


def told_of(*parts: tuple[int, int, int]) -> list[int]:
    places, others = overlaps(ranges(*parts), lambda places, others: np.ones(len(places), bool))
    assert len(places) == len(others) and not (places == others).any()
    return [int(place) for place in places]


def test_of_overlapping_parts_the_later_is_reported_or_the_one_around_several() -> None:
    assert told_of((0, 10, 0), (10, 20, 0), (0, 10, 0)) == []
    assert told_of((0, 10, 0), (5, 15, 0), (20, 30, 0)) == [1]
    assert told_of((0, 100, 0), (10, 20, 0), (20, 30, 0), (30, 40, 0)) == [0]  # its size is wrong, not theirs
    assert told_of((0, 10, 0), (0, 12, 0)) == [1]
    assert told_of((0, 100, 0), (10, 20, 0)) == [1]
    assert told_of((10, 20, 0), (0, 100, 0), (10, 20, 0)) == [0, 2]  # all records with the part


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=8))
def test_a_finding_is_reported_if_and_only_if_two_parts_overlap(parts: list[tuple[int, int]]) -> None:
    ends = [(start, start + size, 0) for start, size in parts]
    distinct = sorted(set(ends))
    wrong = any(b[0] < a[1] for i, a in enumerate(distinct) for b in distinct[i + 1 :])
    assert bool(told_of(*ends)) == wrong


def test_frames_of_a_video_are_compared_one_by_one() -> None:
    clip = {"p": [(0, 10), (10, 20), (20, 30)]}
    assert not crossing(clip, {"p": [(10, 20)]}) and not crossing({"p": [(10, 20), (20, 30), (30, 40)]}, clip)
    assert crossing(clip, {"p": [(12, 18)]}) and crossing({"p": [(0, 25)]}, clip)
    assert not crossing(clip, {"q": [(12, 18)]})


def test_a_picture_that_is_a_frame_of_a_video_is_sound(tmp_path: Path, headers: HeaderCache) -> None:
    (tmp_path / "patch").write_bytes(b"".join(FRAMES))
    text = "<image>\nWhat?"
    records = [
        video(patch(0, [FIRST, SECOND, THIRD]), text, id="all"),
        video(patch(FIRST, [SECOND, THIRD]), text, id="some"),
        {"image": patch(FIRST, SECOND), "conversations": example_data.turns(text, "b"), "id": "one"},
    ]
    run(tmp_path, tmp_path, records, "ola", cache=headers)
    assert not [line for line in finding_lines(tmp_path) if line["name"] != "type-change"]


# ---- how far it goes


def test_reading_stops_after_so_many_errors(tmp_path: Path, media: Path) -> None:
    result = run(tmp_path, media, [image("x.jpg")] * 50, "lmms_finetune", depth="quick", max_errors=3)
    assert result.diagnosis.counts.rejected == 3 and not result.diagnosis.complete


def test_findings_do_not_appear_by_halves(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        check(str(tmp_path / "nowhere.json"), findings=str(tmp_path / "findings.jsonl"))
    assert set(os.listdir(tmp_path)) <= {"datasets-cache", "modalmix-cache"}
