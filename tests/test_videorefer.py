from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from strategies_videorefer import EXAMPLES, LAYOUTS, PICTURE, POLYGON, REGION, SIZE, anything, records, square, talk

from modalmix.builders.core.sample import NOTES, Mask, Reference, Sample, Turn
from modalmix.builders.formats import videorefer
from modalmix.builders.formats.recognition import recognise
from modalmix.builders.formats.turns import Roles
from modalmix.builders.media.mask_findings import media_findings

MASK = Mask(3, 6, 8, square()["counts"])


def errors(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(f.code, f.pointer) for f in videorefer.read(record).findings if f.severity == "error"]


def video(objects: Any, question: str = "<video>\nWhat is <region>?", **more: Any) -> dict[str, Any]:
    return {"id": "a", "video": "a.mp4", **more, "conversations": talk(question), "annotation": objects}


# ---- round trip


@given(records)
def test_a_well_formed_record_has_no_errors_and_comes_back(record: dict[str, Any]) -> None:
    sample = videorefer.read(record)
    assert not [f for f in sample.findings if f.severity == "error"]
    assert json.dumps(videorefer.write(sample)) == json.dumps(record)


@given(anything)
def test_any_json_object_is_read_and_comes_back(record: dict[str, Any]) -> None:
    before = json.dumps(record)
    sample = videorefer.read(record)
    assert json.dumps(videorefer.write(sample)) == before == json.dumps(record)
    confidence, reasons = recognise(record)["videorefer"]
    assert 0 <= confidence <= 1 and reasons


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_comes_back_without_findings_that_reject(name: str) -> None:
    assert errors(LAYOUTS[name]) == []
    assert json.dumps(videorefer.write(videorefer.read(LAYOUTS[name]))) == json.dumps(LAYOUTS[name])


@pytest.mark.parametrize("name", LAYOUTS)
def test_masks_and_turns_are_not_repeated_in_extra(name: str) -> None:
    extra = videorefer.read(LAYOUTS[name]).extra
    assert not extra.keys() & {"conversations", "conversation", "masks"}
    if "frame_idx" not in extra:
        assert len(json.dumps(extra)) < 260
    assert square()["counts"] not in json.dumps(extra)


def test_a_normal_row_keeps_only_its_paths() -> None:
    assert videorefer.read(LAYOUTS["annotation"]).extra == {"video": "a.mp4"}


def test_other_names_of_the_speakers_come_back() -> None:
    record = video([{"3": {"segmentation": square()}}])
    for turn, name in zip(record["conversations"], ("user", "bot"), strict=True):
        turn["from"] = name
    roles = Roles("user", "bot")
    sample = videorefer.read(record, roles)
    assert [turn.role for turn in sample.turns] == ["human", "gpt"]
    assert "conversations" not in sample.extra
    assert videorefer.write(sample, roles) == record


# ---- layouts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("annotation", [[MASK, Mask(40)]]),
        ("without the segmentation level", [[MASK, Mask(4)]]),
        ("one level more", [[Mask(36, 6, 8, square()["counts"]), Mask(40, 6, 8, square(2)["counts"])]]),
        ("picture", [[Mask(0, 6, 8, square()["counts"])]]),
        ("picture without the frame level", [[Mask(0, 6, 8, None, POLYGON)]]),
        ("masks", [[MASK, Mask(5, 6, 8, None, POLYGON)]]),
        ("masks of a picture", [[Mask(0, 6, 8, square()["counts"])], [Mask(0, 6, 8, None, POLYGON)]]),
        ("no objects", []),
    ],
)
def test_each_layout_gives_the_same_kind_of_masks(name: str, expected: list[list[Mask]]) -> None:
    assert videorefer.read(LAYOUTS[name]).masks == expected


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("annotation", "/annotation/0/3"),
        ("without the segmentation level", "/annotation/0/3"),
        ("one level more", "/annotation/0/36/36"),
        ("picture", "/annotation/0/17"),
        ("picture without the frame level", "/annotation/0"),
        ("masks", "/masks/0/3"),
        ("masks of a picture", "/masks/0"),
    ],
)
def test_a_finding_against_the_media_points_at_the_frame_key_as_written(name: str, pointer: str) -> None:
    found = media_findings(
        videorefer.read(LAYOUTS[name]), frames=None, height=7, width=8, pointer_of=videorefer.mask_pointer
    )
    assert [(f.code, f.pointer) for f in found] == [("MX306", pointer)]


def test_a_frame_that_the_video_does_not_have_is_found() -> None:
    sample = videorefer.read(video([{"287": {"segmentation": None}}, {"0288": {"segmentation": None}}]))
    found = media_findings(sample, frames=288, height=6, width=8, pointer_of=videorefer.mask_pointer)
    assert [(f.code, f.pointer) for f in found] == [("MX307", "/annotation/1/0288")]


def test_several_objects_stay_in_order() -> None:
    objects = [{"9": {"segmentation": square(top)}, "2": {"segmentation": None}} for top in (0, 3)]
    sample = videorefer.read(video(objects, "<video>\n<region> and <region>?"))
    assert [[mask.frame for mask in one] for one in sample.masks] == [[9, 2], [9, 2]]
    assert sample.masks[0][0].counts != sample.masks[1][0].counts


def test_masks_in_another_spelling_are_read_and_kept_as_written() -> None:
    objects = [{"3": {"segmentation": {"size": [6, 8], "counts": [13, 2, 4, 2, 27]}}}]
    sample = videorefer.read(video(objects))
    assert sample.masks == [[MASK]]
    assert sample.extra["annotation"] == objects


def test_annotation_wins_over_masks_and_both_come_back() -> None:
    record = video([{"3": {"segmentation": square()}}], masks=[{"5": square()}])
    sample = videorefer.read(record)
    assert sample.masks == [[MASK]]
    assert ("MX213", "/masks") in [(f.code, f.pointer) for f in sample.findings]
    assert videorefer.write(sample) == record


# ---- media


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a.mp4", [Reference("a.mp4")]),
        (["a.mp4"], [Reference("a.mp4")]),
        (["0.jpg", "1.jpg"], [[Reference("0.jpg"), Reference("1.jpg")]]),
    ],
)
def test_a_video_is_a_path_or_its_frames(value: Any, expected: list[Any]) -> None:
    sample = videorefer.read({"video": value, "conversations": talk("<video>\nWhat?")})
    assert sample.videos == expected
    assert sample.findings == []


@pytest.mark.parametrize("key", ["image", "video"])
def test_null_and_an_empty_list_are_no_media(key: str) -> None:
    for value in (None, []):
        sample = videorefer.read({key: value, "conversations": talk("Hello?")})
        assert (sample.mix, sample.findings) == ("text", [])


@pytest.mark.parametrize(("value", "pointer"), [(7, "/video"), ({"path": "a"}, "/video"), (["a", None], "/video/1")])
def test_media_of_another_shape_give_one_error(value: Any, pointer: str) -> None:
    record = {**LAYOUTS["annotation"], "video": value}
    assert errors(record) == [("MX012", pointer)]
    assert videorefer.read(record).videos == []


def test_the_image_wins_over_a_video_without_a_placeholder() -> None:
    record = {
        "image": "a.jpg",
        "video": "a.mp4",
        "conversations": PICTURE,
        "annotation": [{"0": {"segmentation": None}}],
    }
    sample = videorefer.read(record)
    assert (sample.mix, [f.code for f in sample.findings]) == ("image_masks", ["MX213"])
    assert videorefer.write(sample) == record


def test_an_image_and_a_video_with_a_placeholder_each_are_both_read() -> None:
    sample = videorefer.read({"image": "a.jpg", "video": "a.mp4", "conversations": talk("<image><video>\nWhat?")})
    assert (sample.mix, [f.code for f in sample.findings]) == ("image_video", ["MX213"])


# ---- turns


def test_tags_of_what_the_row_does_not_have_are_text() -> None:
    sample = videorefer.read({"video": "a.mp4", "conversations": talk("<video>\nWhat is <image> and <audio> in HTML?")})
    assert sample.turns[0].value == "<video>\nWhat is \\<image> and \\<audio> in HTML?"
    assert [f.code for f in sample.findings] == ["MX212"]


def test_bench_d_asks_for_the_caption_of_each_object() -> None:
    sample = videorefer.read(LAYOUTS["bench D"])
    assert sample.turns == [Turn("human", "<video>\n<region>"), Turn("gpt", "A dog runs.")]


def test_bench_q_asks_its_question_with_one_option_a_line() -> None:
    asked = "<video>\nWhat does <object3><region> do?\n(A) Run\n(B) Sit"
    assert videorefer.read(LAYOUTS["bench Q"]).turns == [Turn("human", asked), Turn("gpt", "(A) Run")]


def test_bench_q_without_region_gets_one_per_object() -> None:
    record = {**LAYOUTS["bench Q"], "Question": "What is it?"}
    assert videorefer.read(record).turns[0].value == "<video>\n<region>\nWhat is it?\n(A) Run\n(B) Sit"
    assert errors(record) == []


@pytest.mark.parametrize(("key", "value"), [("Question", 3), ("options", [1]), ("Answer", ["A"])])
def test_a_bench_row_of_another_shape_gives_one_error(key: str, value: Any) -> None:
    assert errors({**LAYOUTS["bench Q"], key: value}) == [("MX012", f"/{key}")]


def test_a_bench_row_without_an_answer_is_rejected() -> None:
    record = {key: value for key, value in LAYOUTS["bench Q"].items() if key != "Answer"}
    assert errors(record) == [("MX202", "")]


def test_rows_for_streaming_are_read_from_their_own_key() -> None:
    sample = videorefer.read(LAYOUTS["stream"])
    assert (len(sample.turns), [f.code for f in sample.findings]) == (2, ["MX213"])
    assert errors({"conversation": [{"role": "user"}]}) == [("MX205", "/conversation/0")]


# ---- defects: one error each


@pytest.mark.parametrize(
    ("record", "code", "pointer"),
    [
        (video([{"3": {"segmentation": square()}}], "<video>\nWhat is it?"), "MX301", ""),
        (video([{"3": {"segmentation": square()}}], "<video>\n<region> <region>?"), "MX301", ""),
        (video([]), "MX301", ""),
        ({"video": "a.mp4", "conversations": REGION}, "MX301", ""),
        (video([{"3": {"segmentation": [1, 1, 5, 1, 5, 4]}}], **SIZE), "MX302", "/annotation/0/3/segmentation"),
        (video([{"3": {"segmentation": {}}}]), "MX302", "/annotation/0/3/segmentation"),
        (video([{"3": {}}]), "MX302", "/annotation/0/3"),
        (video([{"3": square(), "4": []}]), "MX302", "/annotation/0/4"),
        (video([{}]), "MX302", "/annotation/0"),
        (video(["mask.png"]), "MX302", "/annotation/0"),
        (video([{"3": {"segmentation": POLYGON}}]), "MX303", "/annotation/0/3/segmentation"),
        ({"image": "a.jpg", "conversations": PICTURE, "masks": [POLYGON]}, "MX303", "/masks/0"),
        (
            video([{"3": {"segmentation": {"size": [6, 8], "counts": [10, 5]}}}]),
            "MX304",
            "/annotation/0/3/segmentation",
        ),
        (video([{"3": {"segmentation": {"size": [6, 8], "counts": "0"}}}]), "MX304", "/annotation/0/3/segmentation"),
        (video([{"frame_idx": {"segmentation": square()}}]), "MX305", "/annotation/0/frame_idx"),
        (video([{"-1": square()}]), "MX305", "/annotation/0/-1"),
        (video([{"3/4": square()}]), "MX305", "/annotation/0/3~14"),
        (video([{"9" * 19: square()}]), "MX305", f"/annotation/0/{'9' * 19}"),
        (video([{"3": square(), "03": square()}]), "MX305", "/annotation/0/03"),
        (video([{"segmentation": square()}]), "MX305", "/annotation/0"),
        (video([square()]), "MX305", "/annotation/0"),
        (video([None]), "MX305", "/annotation/0"),
        ({**LAYOUTS["picture"], "annotation": [{"0": square(), "1": square()}]}, "MX305", "/annotation/0/1"),
        (video([{"3": {"segmentation": square()}}], height=7, width=8), "MX306", "/annotation/0/3/segmentation"),
        (
            video([{"3": {"segmentation": square()}, "4": {"segmentation": square(height=7)}}]),
            "MX306",
            "/annotation/0/4/segmentation",
        ),
        (video([{"3": {"segmentation": POLYGON}}], height="720", width=1280), "MX012", "/height"),
        (video([{"3": {"segmentation": POLYGON}}], height=720, width=-1), "MX012", "/width"),
        (video({"3": {"segmentation": square()}}), "MX012", "/annotation"),
        ({**video([{"3": {"segmentation": square()}}]), "conversations": REGION[:1]}, "MX202", "/conversations"),
        ({**video([{"3": {"segmentation": square()}}]), "conversations": None}, "MX201", "/conversations"),
        ({"video": "a.mp4", "conversations": talk("What?")}, "MX211", ""),
    ],
)
def test_each_defect_gives_exactly_one_error(record: dict[str, Any], code: str, pointer: str) -> None:
    assert errors(record) == [(code, pointer)]
    assert json.dumps(videorefer.write(videorefer.read(record))) == json.dumps(record)


def test_sizes_exported_as_floats_are_taken() -> None:
    sample = videorefer.read(video([{"3": {"segmentation": POLYGON}}], height=6.0, width=8.0))
    assert (sample.masks, sample.findings) == ([[Mask(3, 6, 8, None, POLYGON)]], [])


# ---- from other formats


def test_a_sample_of_another_format_becomes_a_record_of_the_first_layout() -> None:
    sample = Sample(
        "7",
        [Turn("human", "<video>\nWhat is <region>?"), Turn("gpt", "A tag, \\<image>.")],
        videos=[Reference("a.mp4")],
        masks=[[MASK, Mask(4), Mask(5, 6, 8, None, POLYGON)]],
        extra={"video": {"patch": "p", "start_num": 0, "size": [5]}, NOTES: {"keys": ["id", "messages"]}},
    )
    record = videorefer.write(sample)
    assert record == {
        "id": "7",
        "video": "a.mp4",
        "height": 6,
        "width": 8,
        "conversations": talk("<video>\nWhat is <region>?", "A tag, <image>."),
        "annotation": [
            {"3": {"segmentation": square()}, "4": {"segmentation": None}, "5": {"segmentation": POLYGON}},
        ],
    }
    assert errors(record) == []


def test_frames_from_another_format_become_their_folder() -> None:
    frames = [Reference("clip/0.jpg"), Reference("clip/1.jpg")]
    record = videorefer.write(Sample(None, [Turn("human", "<video>")], videos=[frames], system="Be brief."))
    assert (record["video"], record["system_prompt"]) == ("clip", "Be brief.")


def test_masks_changed_after_reading_are_written_as_they_are_now() -> None:
    sample = videorefer.read(copy.deepcopy(LAYOUTS["one level more"]))
    sample.masks.append([MASK])
    written = videorefer.write(sample)["annotation"]
    assert written[1] == {"3": {"segmentation": square()}}


# ---- recognition


@pytest.mark.parametrize(
    ("record", "low", "high"),
    [
        (LAYOUTS["annotation"], 0.9, 1),
        (LAYOUTS["masks of a picture"], 0.9, 1),
        (LAYOUTS["bench D"], 0.9, 1),
        (LAYOUTS["bench Q"], 0.9, 1),
        (LAYOUTS["frames one by one"], 0.9, 1),
        ({"video": "a.mp4", "conversations": REGION}, 0.5, 0.9),
        (LAYOUTS["no objects"], 0.2, 0.5),
        ({"image": "a.jpg", "conversations": PICTURE[1:]}, 0.1, 0.4),
        ({"video": "a.mp4", "conversations": talk("<image>\nWhat?")}, 0, 0.2),
        ({"video": {"patch": "p"}, "conversations": talk("<image>\nWhat?")}, 0, 0),
        ({"audio": "a.wav", "conversations": talk("<speech>")}, 0, 0.1),
        ({"messages": []}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_a_record_is_recognised_by_its_objects(record: dict[str, Any], low: float, high: float) -> None:
    confidence, reasons = recognise(record)["videorefer"]
    assert low <= confidence <= high
    assert all(reasons)


def test_every_record_with_objects_is_recognised() -> None:
    with_objects = [example for example in EXAMPLES if "annotation" in example or "masks" in example]
    assert len(with_objects) > 8
    assert all(recognise(example)["videorefer"].confidence > 0.9 for example in with_objects)


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("VideoRefer-Bench-D.json", "test"),
        ("bench/videorefer-qa-75k.json", "train"),
        ("videorefer-detailed-caption-125k.json", "train"),
        ("mine_val.jsonl", "validation"),
    ],
)
def test_bench_files_are_the_test_split(file: str, split: str) -> None:
    assert videorefer.split_of(file) == split
