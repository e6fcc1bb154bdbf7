"""What a check finds: each defect planted in a format where it occurs, beside a sound record that must stay silent."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modalmix.builders import example
from modalmix.builders.checks import Told, check
from modalmix.builders.findings import CATALOGUE, CODE
from modalmix.builders.media.headers import HeaderCache
from modalmix.builders.rows import Options

Record = dict[str, Any]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sound and of broken media; read-only for the tests."""
    root = tmp_path_factory.mktemp("media")
    for name in ("a", "b"):
        (root / f"{name}.jpg").write_bytes(example.picture(ord(name)))
    (root / "Mixed.jpg").write_bytes(example.picture(5))
    example.video(str(root / "v.mp4"), 1)
    example.sound(str(root / "s.wav"), 1)
    example.sound(str(root / "none.wav"), 1, seconds=0)
    (root / "deep").mkdir()
    (root / "deep" / "d.jpg").write_bytes(example.picture(6))
    (root / "empty.jpg").write_bytes(b"")
    (root / "noise.jpg").write_bytes(bytes(range(256)) * 9)
    (root / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (root / "page.mp4").write_bytes(b"<!DOCTYPE html><title>404</title>")
    (root / "really.png").write_bytes(example.picture(7))
    (root / "tiny.png").write_bytes(_png(4, 4))
    (root / "tone.jpg").write_bytes((root / "s.wav").read_bytes())
    (root / "cut.wav").write_bytes((root / "s.wav").read_bytes()[:-4000])
    for folder, sizes in (("walk", (64, 64)), ("stumble", (64, 48))):
        (root / folder).mkdir()
        for i, height in enumerate(sizes):
            (root / folder / f"{i}.png").write_bytes(_png(64, height))
    whole = _png(16, 16)
    (root / "whole.patch").write_bytes(whole + b"\0" * (300 - len(whole)))
    video = (root / "v.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(video[: len(video) * 2 // 3])
    frames = [example.picture(20 + i, "PNG") for i in range(3)]
    (root / "patch").write_bytes(b"".join(frames) + b"no picture" * 10)
    (root / "sizes").write_text(json.dumps([len(frame) for frame in frames]))
    return root


def _png(width: int, height: int) -> bytes:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def _noise() -> bytes:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def headers(tmp_path: Path) -> Iterator[HeaderCache]:
    cache = HeaderCache(str(tmp_path / "cache" / "headers.sqlite"))
    yield cache
    cache.close()


def image(path: Any, text: str = "<image>\nWhat?", **more: Any) -> Record:
    return {"image": path, "conversations": example.turns(text, "A square."), **more}


def video(path: Any, *, two: bool = False, **more: Any) -> Record:
    text = "<video>" * (1 + two) + "\nWhat moves?"
    return {"video": path, "conversations": example.turns(text, "A square."), **more}


def audio(path: Any, **more: Any) -> Record:
    return {"audio": path, "conversations": example.turns("<speech>\nWhat sounds?", "A tone."), **more}


def region(masks: Any, **more: Any) -> Record:
    text = "<video>\nWhat is <region>?" if "video" in more else "<image>\nWhat is <region>?"
    if "video" not in more:
        more.setdefault("image", "a.jpg")
    return {**more, "conversations": example.turns(text, "A square."), "annotation": masks}


def aria(path: str) -> Record:
    question = [{"type": "image", "text": None}, {"type": "text", "text": "What?"}]
    answer = [{"type": "text", "text": "A square."}]
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": [path]}


def patch(media: Path, start: int, size: Any) -> Record:
    return {"patch": "patch", "start_num": start, "size": size}


def run(folder: Path, media: Path, records: Any, format: str | None, *, name: str = "data.json", **more: Any) -> Told:
    text = records if isinstance(records, bytes) else json.dumps(records).encode()
    (folder / name).write_bytes(text)
    findings = str(folder / "findings.jsonl")
    return check(
        str(folder / name), Options(format=format, media_root=(str(media),)), findings=findings, threads=2, **more
    )


def told_lines(folder: Path, *, orphans: bool = False) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
    return [line for line in lines if orphans or line["name"] != "media-orphan"]


RLE = example.rle(0)
EMPTY_RLE = {"size": [64, 96], "counts": [64 * 96]}
SMALL_RLE = {"size": [4, 4], "counts": [8, 8]}
SQUARE = [[4.0, 20.0, 24.0, 20.0, 24.0, 40.0, 4.0, 40.0]]

# name of the finding, format, the sound record, the broken record, JSON pointer of the finding
RECORDS: list[tuple[str, str, Record, Record, str | None]] = [
    ("json-not-a-number", "ola", image("a.jpg", x=1.0), image("a.jpg", x=float("nan")), None),
    ("record-shape", "lmms_finetune", image("a.jpg"), image(7), "/image"),
    ("turns-missing", "ola", image("a.jpg"), {"image": "a.jpg", "conversations": []}, "/conversations"),
    (
        "turns-odd",
        "ola",
        image("a.jpg"),
        {"image": "a.jpg", "conversations": example.turns("<image>", "b", "c")},
        "/conversations",
    ),
    (
        "turns-order",
        "ola",
        image("a.jpg"),
        {"image": "a.jpg", "conversations": example.turns("<image>", "b")[::-1]},
        "/conversations/0",
    ),
    (
        "turn-role",
        "ola",
        image("a.jpg"),
        {"image": "a.jpg", "conversations": [{"from": "cat", "value": "<image>"}, {"from": "gpt", "value": "b"}]},
        "/conversations/0/from",
    ),
    ("turn-shape", "ola", image("a.jpg"), {"image": "a.jpg", "conversations": ["<image>", "b"]}, "/conversations/0"),
    ("turn-empty", "ola", image("a.jpg"), image("a.jpg") | {"conversations": example.turns("<image>", " ")}, None),
    ("placeholder-count", "lmms_finetune", image("a.jpg"), image("a.jpg", "What?"), ""),
    ("placeholder-literal", "lmms_finetune", image("a.jpg"), image("a.jpg", "<image> or <video>?"), None),
    (
        "placeholder-order",
        "ola",
        {**audio("s.wav"), "video": "v.mp4", "conversations": example.turns("<speech><image>\nWhat?", "A tone.")},
        {**audio("s.wav"), "video": "v.mp4", "conversations": example.turns("<image>What?\n<speech>", "A tone.")},
        "/conversations/0/value",
    ),
    (
        "combination-unsupported",
        "ola",
        image("a.jpg"),
        {**image("a.jpg", "<image><speech>\n?"), "audio": "s.wav"},
        None,
    ),
    (
        "text-q-missing",
        "ola",
        {**image("a.jpg"), "audio_q": "s.wav", "text_q": "What?"},
        {**image("a.jpg"), "audio_q": "s.wav"},
        None,
    ),
    ("media-missing", "ola", image("/x/a.jpg"), image("/x/nowhere.jpg"), "/image"),
    ("path-invalid", "ola", image("a.jpg"), image(""), "/image"),
    ("path-outside-root", "ola", image("a.jpg"), image("../../etc/passwd"), "/image"),
    ("path-backslash", "lmms_finetune", image("deep/d.jpg"), image("x\\deep\\d.jpg"), "/image"),
    ("path-case", "lmms_finetune", image("Mixed.jpg"), image("mixed.JPG"), "/image"),
    ("path-absolute", "aria", aria("a.jpg"), aria("/mnt/x/a.jpg"), None),
    (
        "patch-size-list",
        "ola",
        image({"patch": "whole.patch", "start_num": 0, "size": 300}),
        image({"patch": "whole.patch", "start_num": 0, "size": [300]}),
        "/image/size",
    ),
    ("patch-shape", "ola", image("a.jpg"), image({"patch": "patch", "start_num": "x", "size": 1}), "/image/start_num"),
    ("patch-out-of-range", "ola", image("a.jpg"), image({"patch": "patch", "start_num": 1 << 40, "size": 1}), "/image"),
    ("media-kind", "ola", image("a.jpg"), image("deep"), "/image"),
    ("mixed-video-kinds", "lmms_finetune", video(["v.mp4"]), video(["v.mp4", "walk"], two=True), None),
    ("frames-differ-in-size", "videorefer", video("walk"), video("stumble"), "/video"),
    ("media-empty", "ola", image("a.jpg"), image("empty.jpg"), "/image"),
    ("media-unreadable", "ola", image("a.jpg"), image("noise.jpg"), "/image"),
    ("media-stand-in", "ola", image("a.jpg"), image("pointer.jpg"), "/image"),
    ("media-stand-in", "lmms_finetune", video("v.mp4"), video("page.mp4"), "/video"),
    ("media-kind", "ola", image("a.jpg"), image("tone.jpg"), "/image"),
    ("media-kind", "lmms_finetune", video("v.mp4"), video("a.jpg"), "/video"),
    ("media-extension", "lmms_finetune", image("a.jpg"), image("really.png"), "/image"),
    ("media-truncated", "ola", audio("s.wav"), audio("cut.wav"), "/audio"),
    ("no-sound-track", "ola", audio("s.wav"), audio("v.mp4"), "/audio"),
    ("duration-zero", "ola", audio("s.wav"), audio("none.wav"), "/audio"),
    ("size-extreme", "lmms_finetune", image("a.jpg"), image("tiny.png"), "/image"),
    ("region-count", "videorefer", region([{"0": {"segmentation": RLE}}]), region([]), ""),
    (
        "mask-payload",
        "videorefer",
        region([{"0": {"segmentation": RLE}}]),
        region([{"0": {"segmentation": [1, 2, 3, 4]}}]),
        "/annotation/0/0/segmentation",
    ),
    (
        "mask-size-missing",
        "videorefer",
        region([{"0": {"segmentation": SQUARE}}], height=64, width=96),
        region([{"0": {"segmentation": SQUARE}}]),
        "/annotation/0/0/segmentation",
    ),
    (
        "mask-counts",
        "videorefer",
        region([{"0": {"segmentation": RLE}}]),
        region([{"0": {"segmentation": {"size": [64, 96], "counts": [5, 5]}}}]),
        "/annotation/0/0/segmentation",
    ),
    (
        "mask-frame-key",
        "videorefer",
        region([{"0": {"segmentation": RLE}}], video="v.mp4"),
        region([{"first": {"segmentation": RLE}}], video="v.mp4"),
        "/annotation/0/first",
    ),
    (
        "mask-frame-out-of-range",
        "videorefer",
        region([{"23": {"segmentation": RLE}}], video="v.mp4"),
        region([{"24": {"segmentation": RLE}}], video="v.mp4"),
        "/annotation/0/24",
    ),
    (
        "mask-size-differs",
        "videorefer",
        region([{"0": {"segmentation": RLE}}]),
        region([{"0": {"segmentation": SMALL_RLE}}]),
        "/annotation/0/0",
    ),
    (
        "mask-empty",
        "videorefer",
        region([{"0": {"segmentation": RLE}}]),
        region([{"0": {"segmentation": EMPTY_RLE}}]),
        None,
    ),
    (
        "mask-empty",
        "videorefer",
        region([{"0": {"segmentation": SQUARE}}], height=64, width=96),
        region([{"0": {"segmentation": [[1, 1, 5, 1, 9, 1]]}}], height=64, width=96),
        None,
    ),
]


@pytest.mark.parametrize(("name", "format", "sound", "broken", "pointer"), RECORDS)
def test_a_planted_defect_is_found_where_it_is_and_the_sound_record_is_silent(
    tmp_path: Path,
    media: Path,
    headers: HeaderCache,
    name: str,
    format: str,
    sound: Record,
    broken: Record,
    pointer: str | None,
) -> None:
    depth = "full" if name == "frames-differ-in-size" else "headers"
    records = [{"id": "sound", **sound}, {"id": "broken", **broken}]
    told = run(tmp_path, media, records, format, cache=headers, depth=depth)
    lines = told_lines(tmp_path)
    assert not [line for line in lines if line["row"] != 1 or line["id"] != "broken"]
    found = [line for line in lines if line["name"] == name]
    assert found, lines
    assert pointer is None or found[0]["pointer"] == pointer
    assert found[0]["file"] == "data.json" and found[0]["mend"] == CATALOGUE[CODE[name]].mend
    errors = [line for line in lines if line["severity"] == "error"]
    counts = told.diagnosis.counts
    assert counts.rejected == bool(errors) and list(told.bad) == [1] * bool(errors)
    assert counts.read == sum(counts.written.values()) + counts.rejected + counts.not_selected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("json-invalid", b'[{"id": 0, "conversations": tru}, {"id": 1}]'),
        ("json-truncated", b'[{"id": 0, "conversations": [{"from": "hu'),
        ("json-duplicate-key", b'[{"id": 0, "id": 1, "conversations": []}]'),
        ("json-encoding", b'[{"id": "\xff\xfe", "conversations": []}]'),
        ("record-not-an-object", b'[{"id": 0, "conversations": []}, 7]'),
    ],
)
def test_what_is_wrong_with_the_json_is_told_with_its_byte_offset(
    tmp_path: Path, media: Path, name: str, text: bytes
) -> None:
    run(tmp_path, media, text, "ola", depth="quick")
    found = [line for line in told_lines(tmp_path) if line["name"] == name]
    assert found and found[0]["offset"] is not None


def test_patches_are_looked_into(tmp_path: Path, media: Path, headers: HeaderCache) -> None:
    first, second, third = json.loads((media / "sizes").read_text())
    records = [
        image(patch(media, 0, first)),
        image(patch(media, first, second)),
        image(patch(media, 1 << 40, 7)),
        image(patch(media, 10, first)),  # begins in the middle of the first and ends in the second
        {
            "video": patch(media, 0, [first, second, third]),
            "conversations": example.turns("<image>\nWhat?", "Squares."),
        },
        {
            "video": patch(media, first, [second, third, 90]),
            "conversations": example.turns("<image>\nWhat?", "Squares."),
        },
    ]
    run(tmp_path, media, records, "ola", cache=headers)
    found = {(line["row"], line["name"]) for line in told_lines(tmp_path) if line["severity"] != "info"}
    assert found >= {(2, "patch-out-of-range"), (3, "media-unreadable"), (5, "media-kind")}
    assert {name for row, name in found if row in (0, 4)} == set()


def test_parts_of_a_patch_that_overlap_are_told_and_equal_ones_are_not(tmp_path: Path, media: Path) -> None:
    first, second, _ = json.loads((media / "sizes").read_text())
    good = [image(patch(media, 0, first), id=0), image(patch(media, first, second), id=1)]
    records = [*good, image(patch(media, 10, first), id=2), image(patch(media, 0, first), id=3)]
    run(tmp_path, media, records, "ola", depth="quick")
    told = [(line["row"], line["name"]) for line in told_lines(tmp_path)]
    assert told == [(1, "patch-overlap"), (2, "patch-overlap")]


def test_a_mark_at_the_start_of_a_file_is_told_of_the_file(tmp_path: Path, media: Path) -> None:
    run(tmp_path, media, b"\xef\xbb\xbf" + json.dumps([image("a.jpg")]).encode(), "ola", depth="quick")
    assert [(line["name"], line["row"]) for line in told_lines(tmp_path)] == [("json-bom", None)]


def test_equal_ids_and_equal_records_are_told_of_the_later_one(tmp_path: Path, media: Path) -> None:
    records = [image("a.jpg", id=1), image("b.jpg", id=1), image("a.jpg", id=2), image("a.jpg", id=2), image("b.jpg")]
    run(tmp_path, media, records, "lmms_finetune", depth="quick")
    found = [(line["row"], line["name"], line["message"].rpartition(":")[2]) for line in told_lines(tmp_path)]
    duplicates = [one for one in found if one[1] != "type-change"]
    assert duplicates == [(3, "id-duplicate", "2"), (3, "record-duplicate", "2")] or sorted(duplicates) == [
        (1, "id-duplicate", "0"),
        (3, "id-duplicate", "2"),
        (3, "record-duplicate", "2"),
    ]


def test_a_late_change_of_type_is_told_once_where_it_happens(tmp_path: Path, media: Path) -> None:
    lists = [image(["a.jpg", "b.jpg"], "<image><image>\nCompare."), image(["b.jpg"])]
    run(tmp_path, media, [image("a.jpg")] * 3 + lists, "lmms_finetune", depth="quick")
    found = [(line["row"], line["pointer"]) for line in told_lines(tmp_path) if line["name"] == "type-change"]
    assert found == [(3, "/image")]


def test_contradicting_sizes_of_one_medium_are_told_without_opening_it(tmp_path: Path, media: Path) -> None:
    masks = [{"0": {"segmentation": SQUARE}}]
    records = [region(masks, height=64, width=96, id=1), region(masks, height=90, width=96, id=2)]
    run(tmp_path, media, records, "videorefer", depth="quick")
    assert [(line["row"], line["name"]) for line in told_lines(tmp_path)] == [(1, "media-contradiction")]


def test_two_files_that_fit_a_path_are_told_and_none_is_taken(tmp_path: Path) -> None:
    for i, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.jpg").write_bytes(example.picture(i) * (1 + i))
    (tmp_path / "data.json").write_text(json.dumps([image("a.jpg")]))
    options = Options(media_root=(str(tmp_path / "one"), str(tmp_path / "two")))
    diagnosis = check(str(tmp_path / "data.json"), options, depth="quick").diagnosis
    assert diagnosis.counts.findings["MX102"] == 1 and diagnosis.counts.rejected == 1


def test_all_media_that_are_missing_are_told_and_not_the_first_alone(tmp_path: Path, media: Path) -> None:
    records = [image(["a.jpg", "x.jpg", "y.jpg"], "<image><image><image>")]
    told = run(tmp_path, media, records, "lmms_finetune", depth="quick")
    assert [(line["name"], line["pointer"]) for line in told_lines(tmp_path)] == [
        ("media-missing", "/image/1"),
        ("media-missing", "/image/2"),
    ]
    assert told.diagnosis.counts.rejected == 1 and told.diagnosis.counts.findings["MX101"] == 2


def test_files_nobody_refers_to_are_told_once_roots_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(example.picture(1))
    run(tmp_path, tmp_path, [image("a.jpg")], "lmms_finetune", depth="quick")
    assert [line["file"] for line in told_lines(tmp_path, orphans=True)] == ["b.jpg"]
    told = check(str(tmp_path / "data.json"), Options(format="lmms_finetune"), depth="quick")
    assert not told.diagnosis.counts.findings  # one file of a folder: the others may be of other annotation files


def test_a_bad_file_is_opened_once_and_told_of_every_record_that_refers_to_it(
    tmp_path: Path, media: Path, headers: HeaderCache
) -> None:
    records = [image(("a.jpg", "noise.jpg")[i % 2], id=i) for i in range(20)]
    told = run(tmp_path, media, records, "lmms_finetune", cache=headers)
    assert told.diagnosis.media == {"image": 2}
    assert [line["id"] for line in told_lines(tmp_path)] == [str(i) for i in range(1, 20, 2)]
    assert told.diagnosis.counts.written == {"image": 10} and told.diagnosis.counts.rejected == 10


def test_full_depth_finds_what_headers_do_not_tell(tmp_path: Path, media: Path, headers: HeaderCache) -> None:
    picture = _noise()
    (tmp_path / "half.jpg").write_bytes(picture[: len(picture) // 2])
    (tmp_path / "whole.jpg").write_bytes(picture)
    records = [image("whole.jpg"), image("half.jpg")]
    quick = run(tmp_path, tmp_path, records, "lmms_finetune", depth="headers", cache=headers)
    assert quick.diagnosis.counts.rejected == 0
    run(tmp_path, tmp_path, records, "lmms_finetune", depth="full", cache=headers)
    assert [(line["row"], line["severity"]) for line in told_lines(tmp_path)] == [(1, "error")]


def test_full_depth_is_silent_on_the_sound_example(example_folders: dict[str, str], headers: HeaderCache) -> None:
    for name in ("aria", "lmms_finetune", "llava_video"):
        told = check(example_folders[name], depth="full", cache=headers, threads=2)
        assert told.diagnosis.errors == 0, (name, told.diagnosis.examples)
        warned = {code for code in told.diagnosis.counts.findings if CATALOGUE[code].severity == "warning"}
        assert warned <= {"MX212"}  # one text speaks about the tag, which is for a person to judge


def test_a_truncated_video_is_told(tmp_path: Path, media: Path, headers: HeaderCache) -> None:
    run(tmp_path, media, [video("v.mp4"), video("cut.mp4")], "lmms_finetune", cache=headers)
    lines = told_lines(tmp_path)
    assert lines and {line["row"] for line in lines} == {1}
    assert {line["name"] for line in lines} <= {"video-truncated", "media-truncated", "media-unreadable"}


def test_more_frames_than_the_video_has(tmp_path: Path, media: Path, headers: HeaderCache) -> None:
    def moving(frames: int) -> Record:
        question = [{"type": "video", "text": None}, {"type": "text", "text": "What?"}]
        answer = [{"type": "text", "text": "A square."}]
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        return {"messages": messages, "video": {"path": "v.mp4", "num_frames": frames}}

    run(tmp_path, media, [moving(24), moving(25), moving(-1)], "aria", cache=headers)
    assert [(line["row"], line["name"]) for line in told_lines(tmp_path)] == [
        (2, "num-frames"),
        (1, "num-frames-too-many"),
    ]


def test_reading_stops_after_so_many_errors(tmp_path: Path, media: Path) -> None:
    told = run(tmp_path, media, [image("x.jpg")] * 50, "lmms_finetune", depth="quick", max_errors=3)
    assert told.diagnosis.counts.rejected == 3 and not told.diagnosis.complete


def test_findings_do_not_appear_by_halves(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        check(str(tmp_path / "nowhere.json"), findings=str(tmp_path / "findings.jsonl"))
    assert set(os.listdir(tmp_path)) <= {"datasets-cache", "modalmix-cache"}
