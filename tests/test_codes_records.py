"""Each finding about a record: its defect planted beside the sound record, which stays silent."""

from __future__ import annotations

import json
from base64 import b64encode
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from defects import (
    FIRST,
    RLE,
    SECOND,
    SQUARE,
    THIRD,
    Defect,
    aria,
    audio,
    finding_lines,
    headers_of,
    image,
    mask,
    names,
    patch,
    region,
    run,
    video,
)
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.check import DEPTHS
from modalmix.builders.cli import example_data
from modalmix.builders.core.findings import CATALOGUE, CODE
from modalmix.builders.pipeline.options import Options

TEXT = example_data.turns("<image>\nWhat?", "A square.")
BOTH = {"video": "v.mp4", "audio": "s.wav"}
SPOKEN = {**image("a.jpg"), "audio_q": "s.wav"}
DATA_URI = "data:image/png;base64,iVBORw0KGgo="
BASE64 = b64encode(example_data.picture(1)).decode()
TWO = "<image><image>\nCompare."


def talk(*texts: str, **more: Any) -> dict[str, Any]:
    return {"conversations": example_data.turns(*texts), **more}


def moving(frames: Any) -> dict[str, Any]:
    return aria(video={"path": "v.mp4", "num_frames": frames})


DEFECTS = [
    # ---- the record itself
    Defect("json-not-a-number", "ola", image("a.jpg", x=1.0), image("a.jpg", x=float("nan"))),
    Defect("json-lone-surrogate", "ola", image("a.jpg", x="\U0001f600"), image("a.jpg", x="\ud83d")),
    Defect("record-shape", "lmms_finetune", image("a.jpg"), image(7), "/image", also=("type-change",)),
    Defect("record-shape", "lmms_finetune", image("a.jpg"), image(None), "/image"),
    Defect("record-shape", "aria", aria("a.jpg"), {**aria("a.jpg"), "video": "v.mp4"}, "/video"),
    Defect("record-shape", "ola", audio("s.wav"), audio(["s.wav"]), "/audio", also=("type-change",)),
    # ---- paths and files
    Defect("media-missing", "ola", image("/x/a.jpg"), image("/x/nowhere.jpg"), "/image"),
    Defect("media-missing", "videorefer", video("walk"), video(["walk/0.png", "walk/7.png"]), "/video/1", also=("type-change",)),
    Defect("media-empty", "ola", image("a.jpg"), image("empty.jpg"), "/image"),
    Defect("path-invalid", "ola", image("a.jpg"), image(""), "/image"),
    Defect("path-invalid", "aria", aria("a.jpg"), aria("a\0.jpg"), "/image"),
    Defect("path-outside-root", "ola", image("a.jpg"), image("../../etc/passwd"), "/image"),
    Defect("path-backslash", "lmms_finetune", image("deep/d.jpg"), image("x\\deep\\d.jpg"), "/image"),
    Defect("path-case", "lmms_finetune", image("Mixed.jpg"), image("mixed.JPG"), "/image", also=("media-missing",)),
    Defect("path-absolute", "aria", aria("a.jpg"), aria("/mnt/x/a.jpg")),
    Defect("media-kind", "ola", image("a.jpg"), image("deep"), "/image"),
    Defect("mixed-video-kinds", "lmms_finetune", video(["v.mp4"]), video(["v.mp4", "walk"], "<video><video>")),
    # ---- patches
    Defect("patch-shape", "ola", image(patch(0, FIRST)), image(patch("x", 1)), "/image/start_num"),
    Defect("patch-shape", "ola", video(patch(0, [FIRST]), "<image>"), video(patch(0, FIRST), "<image>"), "/video/size"),
    Defect("patch-shape", "ola", image(patch(0, FIRST)), image({"start_num": 0, "size": 1}), "/image"),
    Defect("patch-size-list", "ola", image(patch(0, FIRST)), image(patch(0, [FIRST])), "/image/size"),
    Defect("patch-out-of-range", "ola", image(patch(0, FIRST)), image(patch(1 << 40, 1)), "/image"),
    Defect("patch-out-of-range", "ola", image(patch(0, FIRST)), image(patch(0, 1 << 40)), "/image"),
    Defect(
        "patch-channels",
        "ola",
        video(patch(0, [FIRST, SECOND]), "<image>"),
        video(patch(0, [FIRST, SECOND], "/mnt/sharegpt4o/patch"), "<image>"),
        "/video",
    ),
    # ---- turns
    Defect("turns-missing", "ola", image("a.jpg"), {"image": "a.jpg", "conversations": []}, "/conversations"),
    Defect("turns-missing", "aria", aria("a.jpg"), {"images": ["a.jpg"]}, "/messages"),
    Defect("turns-odd", "ola", image("a.jpg"), talk("<image>", "b", "c", image="a.jpg"), "/conversations"),
    Defect("turns-odd", "videorefer", video("v.mp4"), {"video": "v.mp4", "conversations": example_data.turns("<video>", "b")[:1]}, "/conversations"),
    Defect("turns-order", "lmms_finetune", image("a.jpg"), {"image": "a.jpg", "conversations": TEXT[::-1]}, "/conversations/0"),
    Defect("turn-role", "ola", image("a.jpg"), {"image": "a.jpg", "conversations": [{**TEXT[0], "from": "cat"}, TEXT[1]]}, "/conversations/0/from"),
    Defect("turn-role", "aria", aria("a.jpg"), {**aria("a.jpg"), "messages": [{"role": "system", "content": []}]}, "/messages/0/role"),
    Defect("turn-shape", "ola", image("a.jpg"), {"image": "a.jpg", "conversations": ["<image>", "b"]}, "/conversations/0"),
    Defect("turn-empty", "llava_video", video("v.mp4", "<image>\nWhat?"), talk("<image>\nWhat?", " ", video="v.mp4"), "/conversations/1/value"),
    # ---- placeholders against media
    Defect("placeholder-count", "lmms_finetune", image("a.jpg"), image("a.jpg", "What?")),
    Defect("placeholder-count", "lmms_finetune", video("v.mp4"), video("v.mp4", "<video><video>")),
    Defect("placeholder-count", "ola", image("a.jpg"), image("a.jpg", TWO)),
    Defect("placeholder-count", "ola", audio("s.wav"), audio("s.wav", "<speech><speech>\nWhat?")),
    Defect("placeholder-count", "ola", {**audio("s.wav", "<speech><image>\nWhat?"), **BOTH}, {**audio("s.wav"), **BOTH}),
    Defect("placeholder-count", "llava_video", video("v.mp4", "<image>\nWhat?"), video("v.mp4", TWO)),
    Defect("placeholder-count", "videorefer", video("v.mp4"), video("v.mp4", "What moves?")),
    Defect("placeholder-count", "aria", aria("a.jpg", "b.jpg"), {**aria("a.jpg", "b.jpg"), "images": ["a.jpg"]}),
    Defect("placeholder-literal", "lmms_finetune", image("a.jpg"), image("a.jpg", "<image> or <video>?")),
    Defect("placeholder-literal", "ola", talk("What?", "b"), talk("What is <image>?", "b"), "/conversations/0/value"),
    # ---- keys that the format does not read
    Defect("medium-unread", "lmms_finetune", image("a.jpg"), talk("<image>\nWhat?", "b", images=["a.jpg"]), "/images/0", also=("placeholder-literal",)),
    Defect("medium-unread", "lmms_finetune", talk("What?", "b", source="web"), talk("What?", "b", source="deep/d.jpg"), "/source"),
    Defect("medium-unread", "ola", talk("What?", "b", speech="far"), talk("What?", "b", speech="/mnt/x/patch"), "/speech"),
    Defect("medium-unread", "ola", talk("What?", "b", clip={"path": "far"}), talk("What?", "b", clip={"path": "walk/0.png"}), "/clip/path"),
    Defect("medium-unread", "ola", talk("What?", "b", pictures=[]), talk("What?", "b", pictures=[patch(0, 9, "far")]), "/pictures/0"),
    Defect("medium-unread", "llava_video", talk("What?", "b", img=""), talk("What?", "b", img=DATA_URI), "/img"),
    Defect("medium-unread", "videorefer", talk("What?", "b", img={}), talk("What?", "b", img={"bytes": BASE64}), "/img/bytes"),
    Defect("medium-unread", "lmms_finetune", video("v.mp4"), video("v.mp4", "<video><audio>\nWhat?", audios=["s.wav"]), "/audios/0"),
    Defect("medium-unread", "lmms_finetune", image("a.jpg"), image("a.jpg", TWO, image_2="b.jpg"), "/image_2", also=("placeholder-count",)),
    Defect("medium-unread", "videorefer", video("v.mp4"), talk("<video>\nWhat?", "b", frames="x/walk"), "/frames", also=("placeholder-literal",)),
    Defect("medium-extra", "lmms_finetune", image("a.jpg", thumbnail="none"), image("a.jpg", thumbnail="b.jpg"), "/thumbnail"),
    Defect("medium-extra", "videorefer", video("v.mp4", source_image=None), video("v.mp4", source_image="/mnt/x/first.png"), "/source_image"),
    Defect("medium-extra", "aria", aria("a.jpg"), {**aria("a.jpg"), "videos": [{"path": "v.mp4"}]}, "/videos/0/path"),
    Defect("prompt-unread", "lmms_finetune", image("a.jpg", system_prompt="Be brief."), image("a.jpg", system="Be brief."), "/system"),
    Defect("prompt-unread", "ola", image("a.jpg", system_prompt=""), image("a.jpg", system_prompt="Be brief."), "/system_prompt"),
    Defect("prompt-unread", "llava_video", image("a.jpg", tools=[]), image("a.jpg", tools=[{"name": "zoom"}]), "/tools"),
    Defect("part-unread", "lmms_finetune", video("v.mp4", start=None, end=None), video("v.mp4", start=0, end=1.5), "/start"),
    Defect("part-unread", "llava_video", image("a.jpg", bbox=[]), image("a.jpg", bbox=[0.1, 0.1, 0.3, 0.4]), "/bbox"),
    Defect("part-unread", "videorefer", talk("What?", "b", fps=2), video("v.mp4", fps=2), "/fps"),
    # ---- what trainers do with placeholders, and numbers of frames
    Defect(
        "placeholder-order",
        "ola",
        {**audio("s.wav", "<speech><image>\nWhat?"), **BOTH},
        {**audio("s.wav", "<image>What?\n<speech>"), **BOTH},
        "/conversations/0/value",
    ),
    Defect("placeholder-order", "ola", audio("s.wav"), audio("s.wav", "What sounds? <speech>"), "/conversations/0/value"),
    Defect(
        "placeholder-order",
        "ola",
        image(["a.jpg", "b.jpg"], TWO),
        image(["a.jpg", "b.jpg"], "Compare <image> with <image>."),
        "/conversations/0/value",
    ),
    Defect("placeholder-order", "llava_video", video("v.mp4", "<image>\nWhat?"), video("v.mp4", "What?\n<image>"), "/conversations/0/value"),
    Defect("placeholder-order", "videorefer", video("v.mp4"), video("v.mp4", "What moves?\n<video>"), "/conversations/0/value"),
    Defect(
        "placeholder-unseen",
        "lmms_finetune",
        talk("What?", "That.", "<image>And?", "b", image="a.jpg"),
        talk("What?", "That: <image>", "And?", "b", image="a.jpg"),
        "/conversations/1/value",
    ),
    Defect(
        "placeholder-unseen",
        "videorefer",
        talk("<image>\nWhat is <region>?", "b", image="a.jpg", annotation=[{"0": {"segmentation": RLE}}]),
        talk("What is <region>?", "b", "<image>\nSure?", "c", image="a.jpg", annotation=[{"0": {"segmentation": RLE}}]),
        "/conversations/0/value",
    ),
    Defect("combination-unsupported", "ola", image("a.jpg"), {**image("a.jpg", "<speech><image>\n?"), "audio": "s.wav"}),
    Defect("combination-unsupported", "aria", aria("a.jpg"), {**aria("a.jpg"), "video": {"path": "v.mp4", "num_frames": 4}}, also=("placeholder-count",)),
    Defect("combination-unsupported", "llava_video", image("a.jpg"), {**image("a.jpg", "<image><image>\n?"), "video": "v.mp4"}),
    Defect("combination-unsupported", "videorefer", image("a.jpg"), {**image("a.jpg"), "video": "v.mp4"}),
    Defect("text-q-missing", "ola", {**SPOKEN, "text_q": "What?"}, SPOKEN),
    Defect("num-frames", "aria", moving(8), moving(-1), "/video/num_frames"),
    Defect("num-frames-too-many", "aria", moving(24), moving(25), "/num_frames", depth="headers"),
    # ---- masks
    Defect("region-count", "videorefer", mask(RLE), region([])),
    Defect("mask-payload", "videorefer", mask(RLE), mask([1, 2, 3, 4]), "/annotation/0/0/segmentation"),
    Defect("mask-payload", "videorefer", mask(SQUARE, height=64, width=96), mask([[1, 1, 5, 5]], height=64, width=96), "/annotation/0/0/segmentation"),
    Defect("mask-payload", "videorefer", mask(RLE), mask({"size": [64], "counts": "0"}), "/annotation/0/0/segmentation"),
    Defect("mask-payload", "videorefer", mask(RLE), region([{}]), "/annotation/0"),
    Defect("mask-size-missing", "videorefer", mask(SQUARE, height=64, width=96), mask(SQUARE), "/annotation/0/0/segmentation"),
    Defect("mask-counts", "videorefer", mask(RLE), mask({"size": [64, 96], "counts": [5, 5]}), "/annotation/0/0/segmentation"),
    Defect("mask-counts", "videorefer", mask(RLE), mask({"size": [64, 96], "counts": "0"}), "/annotation/0/0/segmentation"),
    Defect("mask-frame-key", "videorefer", mask(RLE, video="v.mp4"), mask(RLE, "first", video="v.mp4"), "/annotation/0/first"),
    Defect("mask-frame-key", "videorefer", mask(RLE, video="v.mp4"), mask(RLE, "-1", video="v.mp4"), "/annotation/0/-1"),
    Defect("mask-size-differs", "videorefer", mask(RLE, height=64, width=96), mask(RLE, height=60, width=96), "/annotation/0/0/segmentation"),
    Defect("mask-size-differs", "videorefer", mask(RLE), mask({"size": [4, 4], "counts": [8, 8]}), "/annotation/0/0", depth="headers"),
    Defect("mask-frame-out-of-range", "videorefer", mask(RLE, "23", video="v.mp4"), mask(RLE, "24", video="v.mp4"), "/annotation/0/24", depth="headers"),
    Defect("mask-frame-out-of-range", "videorefer", mask(None, "1", video="walk"), mask(None, "2", video="walk"), "/annotation/0/2", depth="headers"),
    Defect("mask-empty", "videorefer", mask(RLE), mask({"size": [64, 96], "counts": [64 * 96]})),
    Defect("mask-empty", "videorefer", mask(SQUARE, height=64, width=96), mask([[1, 1, 5, 1, 9, 1]], height=64, width=96)),
    # ---- what only the files tell
    Defect("media-unreadable", "ola", image("a.jpg"), image("noise.jpg"), "/image", depth="headers"),
    Defect("media-unreadable", "ola", image(patch(0, FIRST)), image(patch(1, FIRST - 1)), "/image", depth="headers", also=("patch-overlap",)),
    Defect("media-stand-in", "ola", image("a.jpg"), image("pointer.jpg"), "/image", depth="headers"),
    Defect("media-stand-in", "lmms_finetune", video("v.mp4"), video("page.mp4"), "/video", depth="headers"),
    Defect("media-kind", "ola", image("a.jpg"), image("tone.jpg"), "/image", depth="headers"),
    Defect("media-kind", "lmms_finetune", video("v.mp4"), video("a.jpg"), "/video", depth="headers"),
    Defect("media-kind", "ola", audio("s.wav"), audio("a.jpg"), "/audio", depth="headers"),
    Defect(
        "media-kind",
        "ola",
        video(patch(0, [FIRST, SECOND]), "<image>"),
        video(patch(FIRST, [SECOND, THIRD, 90]), "<image>"),
        "/video",
        depth="headers",
    ),
    Defect("patch-base64", "ola", image(patch(0, FIRST)), image(patch(0, FIRST, image_encoding="base64")), "/image", depth="headers"),
    Defect("media-extension", "lmms_finetune", image("a.jpg"), image("really.png"), "/image", depth="headers"),
    Defect("media-truncated", "ola", audio("s.wav"), audio("cut.wav"), "/audio", depth="headers"),
    Defect("media-truncated", "ola", image("whole.jpg"), image("half.jpg"), "/image", depth="full"),
    Defect("no-sound-track", "ola", audio("s.wav"), audio("v.mp4"), "/audio", depth="headers"),
    Defect("duration-zero", "ola", audio("s.wav"), audio("none.wav"), "/audio", depth="headers"),
    Defect("size-extreme", "lmms_finetune", image("a.jpg"), image("tiny.png"), "/image", depth="headers"),
    Defect("frames-differ-in-size", "videorefer", video("walk"), video("stumble"), "/video", depth="headers"),
    Defect("frames-order", "videorefer", video("padded"), video("counted"), "/video", depth="headers"),
]  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_planted_defect_is_found_where_it_is_and_the_sound_record_is_silent(
    tmp_path: Path, media: Path, defect: Defect
) -> None:
    records = [{"id": "sound", **defect.sound}, {"id": "broken", **defect.broken}]
    for record in records if defect.format == "aria" else ():
        del record["id"]
    headers = headers_of(tmp_path)
    result = run(tmp_path, media, records, defect.format, cache=headers, depth=defect.depth)
    headers.close()
    lines = finding_lines(tmp_path)
    assert {line["row"] for line in lines} == {1}, lines
    assert set(names(lines)) == {defect.name, *defect.also}
    found = next(line for line in lines if line["name"] == defect.name)
    assert defect.pointer is None or found["pointer"] == defect.pointer
    assert found["file"] == "data.json" and found["mend"] == CATALOGUE[CODE[defect.name]].fix
    assert found["severity"] == CATALOGUE[CODE[defect.name]].severity
    errors = [line for line in lines if line["severity"] == "error"]
    counts = result.diagnosis.counts
    assert counts.rejected == bool(errors) and list(result.bad) == [1] * bool(errors)
    assert counts.read == sum(counts.written.values()) + counts.rejected + counts.not_selected


@pytest.mark.parametrize("defect", [one for one in DEFECTS if one.depth != "quick"], ids=str)
def test_a_defect_of_a_file_is_not_reported_before_the_file_is_opened(
    tmp_path: Path, media: Path, defect: Defect
) -> None:
    shallower = DEPTHS[DEPTHS.index(defect.depth) - 1]
    run(tmp_path, media, [defect.sound, defect.broken], defect.format, cache=headers_of(tmp_path), depth=shallower)
    assert defect.name not in names(finding_lines(tmp_path))


KNOWN_TO_BUILDS = ("quick", "mask-size-differs", "mask-frame-out-of-range", "patch-base64")
"""A build opens media for their masks, and reads them; it decodes none."""


@pytest.mark.parametrize("format", sorted({defect.format for defect in DEFECTS}))
def test_a_build_rejects_what_has_an_error_by_its_code_and_nothing_else(
    tmp_path: Path, media: Path, format: str
) -> None:
    every = [one for one in DEFECTS if one.format == format]
    known = [one for one in every if one.depth in KNOWN_TO_BUILDS or one.name in KNOWN_TO_BUILDS]
    records = [record for one in known for record in (one.sound, one.broken)]
    (tmp_path / "data.json").write_text(json.dumps(records))
    options = Options(format=format, media_root=(str(media),))
    report = build.build(str(tmp_path / "data.json"), str(tmp_path / "out"), options, card=cards.write)
    rejected: defaultdict[int, set[str]] = defaultdict(set)
    for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines():
        reject = json.loads(line)
        rejected[reject["row"]] = {reject["name"], *(one["name"] for one in reject.get("findings", ()))}
        assert "raw" in reject or reject["record"] == records[reject["row"]]
    expected = {
        2 * i + 1: errors
        for i, one in enumerate(known)
        if (errors := {name for name in (one.name, *one.also) if CATALOGUE[CODE[name]].severity == "error"})
    }
    assert set(rejected) == set(expected)
    assert all(errors <= rejected[row] for row, errors in expected.items())
    assert sum(report.counts.written.values()) == len(records) - len(expected)
