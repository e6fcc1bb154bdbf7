from __future__ import annotations

from typing import Any

import pytest

from modalmix.builders.core.sample import NOTES, Reference, Sample, Turn
from modalmix.builders.formats import aria
from modalmix.builders.formats.recognition import recognise

IMAGE: dict[str, Any] = {"type": "image", "text": None}
VIDEO: dict[str, Any] = {"type": "video", "text": None}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def messages(*contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def found(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind.name, one.pointer) for one in aria.read(record).findings]


def test_the_parts_of_a_message_are_one_text_with_placeholders() -> None:
    record = {"messages": messages([text("First:"), IMAGE, text("What?")], [text("Sunny.")]), "images": ["a.jpg"]}
    sample = aria.read(record)
    assert sample.turns == [Turn("human", "First:<image>What?"), Turn("gpt", "Sunny.")]
    assert (sample.images, sample.findings, sample.extra) == ([Reference("a.jpg")], [], {"images": ["a.jpg"]})


def test_a_tag_in_a_text_part_is_text() -> None:
    record = {
        "messages": messages([IMAGE, text("Is <image> or \\<video> a tag?")], [text("Yes.")]),
        "images": ["a.jpg"],
    }
    sample = aria.read(record)
    assert sample.turns[0].value == "<image>Is \\<image> or \\\\\\<video> a tag?"
    assert sample.findings == []
    assert sample.extra == {"images": ["a.jpg"]}


@pytest.mark.parametrize(
    ("parts", "canonical", "noted"),
    [
        ([text("a\\"), IMAGE], "a\\\\<image>", False),
        ([text("a\\\\"), IMAGE, text("\\")], "a\\\\\\\\<image>\\", False),
        ([text("a"), text("b"), IMAGE], "ab<image>", True),
        ([text("<im"), text("age>"), IMAGE], "\\<image><image>", True),
        ([text(""), IMAGE], "<image>", True),
        ([IMAGE, text("a"), text(""), text("b")], "<image>ab", True),
        ([IMAGE], "<image>", False),
    ],
)
def test_a_message_comes_apart_again_as_it_was(parts: list[dict[str, Any]], canonical: str, noted: bool) -> None:
    record = {"messages": messages(parts, [text("A.")]), "images": ["a.jpg"]}
    sample = aria.read(record)
    assert sample.turns[0].value == canonical
    assert "messages" not in sample.extra
    assert (NOTES in sample.extra) == noted
    assert aria.write(sample) == record


def test_media_parts_without_a_text_key_are_noted_once() -> None:
    record = {
        "messages": messages([{"type": "image"}, text("a")], [text("b")], [{"type": "image"}], [text("c")]),
        "images": ["a", "b"],
    }
    sample = aria.read(record)
    assert sample.extra == {"images": ["a", "b"], NOTES: {"media_text": "absent"}}
    assert aria.write(sample) == record


def test_lengths_that_no_longer_fit_a_changed_text_are_ignored() -> None:
    sample = aria.read({"messages": messages([text("a"), text("b"), IMAGE], [text("A.")]), "images": ["a.jpg"]})
    sample.turns[0] = Turn("human", "longer<image>text")
    assert aria.write(sample)["messages"][0]["content"] == [text("longer"), IMAGE, text("text")]


@pytest.mark.parametrize(("value", "number"), [(32, 32), ("8", 8), (8.0, 8)])
def test_the_number_of_frames_is_read_as_the_trainer_casts_it(value: object, number: int) -> None:
    record = {"messages": messages([VIDEO, text("?")], [text("A.")]), "video": {"path": "v.mp4", "num_frames": value}}
    sample = aria.read(record)
    assert (sample.num_frames, sample.videos, sample.findings) == (number, [Reference("v.mp4")], [])
    assert aria.write(sample) == record


@pytest.mark.parametrize("value", [None, 0, -3, "many", 1.5, True, 2**31, []])
def test_a_number_of_frames_that_is_none_is_a_warning(value: object) -> None:
    record = {"messages": messages([VIDEO, text("?")], [text("A.")]), "video": {"path": "v.mp4", "num_frames": value}}
    assert found(record) == [("num-frames", "/video/num_frames")]
    assert aria.read(record).num_frames is None


def test_a_video_without_a_number_of_frames_is_fine() -> None:
    assert found({"messages": messages([VIDEO], [text("A.")]), "video": {"path": "v.mp4"}}) == []


def test_images_and_a_video_are_both_read_with_a_note() -> None:
    record = {
        "messages": messages([VIDEO, IMAGE], [text("A.")]),
        "images": ["a.jpg"],
        "video": {"path": "v.mp4", "num_frames": 8},
    }
    assert (aria.read(record).mix, found(record)) == ("image_video", [("combination-unsupported", "")])


@pytest.mark.parametrize(
    ("change", "name", "at"),
    [
        ({"messages": None}, "turns-missing", "/messages"),
        ({"messages": []}, "turns-missing", "/messages"),
        ({"messages": [3, *messages([], [text("A.")])[1:]]}, "turn-shape", "/messages/0"),
        ({"messages": [{"role": "user", "content": "Hi."}, *messages([], [text("A.")])[1:]]},
         "turn-shape", "/messages/0"),
        ({"messages": [{"role": "system", "content": [text("Be brief.")]}, *messages([text("a")], [text("b")])]},
         "turn-role", "/messages/0/role"),
        ({"messages": messages([text("a"), {"type": "audio", "text": None}], [text("b")])},
         "turn-shape", "/messages/0/content/1"),
        ({"messages": messages([{"type": "text", "text": None}], [text("b")])}, "turn-shape", "/messages/0/content/0"),
        ({"messages": messages([text("a")])}, "turns-odd", "/messages"),
        ({"messages": messages([text("a")], [text("b")])[::-1]}, "turns-order", "/messages/0"),
        ({"images": "a.jpg"}, "record-shape", "/images"),
        ({"images": ["a.jpg", None]}, "record-shape", "/images/1"),
        ({"video": "v.mp4"}, "record-shape", "/video"),
        ({"video": {"path": None, "num_frames": None}}, "record-shape", "/video"),
        ({"images": ["a.jpg"]}, "placeholder-count", ""),
        ({"messages": messages([VIDEO], [text("A.")])}, "placeholder-count", ""),
    ],
)  # fmt: skip
def test_each_defect_gives_exactly_one_error_at_its_place(change: dict[str, Any], name: str, at: str) -> None:
    record = {"messages": messages([text("Say hi.")], [text("Hi.")]), **change}
    sample = aria.read(record)
    assert [(one.kind.name, one.pointer) for one in sample.findings if one.severity == "error"] == [(name, at)]
    assert aria.write(sample) == record


def test_a_message_without_text_is_a_warning() -> None:
    assert found({"messages": messages([text("a")], [])}) == [("turn-empty", "/messages/1/content")]


def test_a_sample_of_another_format_brings_no_key_that_fails_the_trainers_reader() -> None:
    sample = Sample(
        "7", [Turn("human", "<video>What?"), Turn("gpt", "A.")], videos=[Reference("v.mp4")], num_frames=16,
        extra={"id": 7, "video": "/mnt/v.mp4", "score": 2},
    )  # fmt: skip
    assert aria.write(sample) == {
        "messages": messages([VIDEO, text("What?")], [text("A.")]),
        "video": {"path": "v.mp4", "num_frames": 16},
    }


@pytest.mark.parametrize(
    ("file", "split"), [("train.jsonl", "train"), ("x/test.jsonl", "test"), ("val.jsonl", "validation")]
)
def test_the_split_is_the_files_name(file: str, split: str) -> None:
    assert aria.split_of(file) == split


def test_messages_of_parts_are_recognised_and_chat_messages_of_text_are_not() -> None:
    assert recognise({"messages": messages([text("a")], [text("b")])})["aria"].confidence > 0.9
    assert recognise({"messages": [{"role": "user", "content": "a"}]})["aria"].confidence < 0.5
    assert recognise({"conversations": []})["aria"] == (0.0, ["no messages"])
