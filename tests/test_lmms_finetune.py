from __future__ import annotations

from typing import Any

import pytest

from modalmix.builders.core.sample import NOTES, Reference, Sample, Turn
from modalmix.builders.formats import lmms_finetune
from modalmix.builders.formats.recognition import recognise
from modalmix.builders.formats.turns import Roles


def turns(*texts: str, roles: tuple[str, str] = ("human", "gpt")) -> list[dict[str, Any]]:
    return [{"from": roles[i % 2], "value": text} for i, text in enumerate(texts)]


def errors(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind.name, one.pointer) for one in lmms_finetune.read(record).findings if one.severity == "error"]


def test_one_row_may_have_videos_images_and_a_system_prompt() -> None:
    record = {
        "system_prompt": "Answer.",
        "video": ["a.mp4", "b.mp4"],
        "image": "c.jpg",
        "conversations": turns("<video><video>What?", "A.", "<image>And this?", "B."),
    }
    sample = lmms_finetune.read(record)
    assert sample.findings == []
    assert (sample.system, sample.mix, sample.id) == ("Answer.", "image_video", None)
    assert sample.videos == [Reference("a.mp4"), Reference("b.mp4")]
    assert [turn.value for turn in sample.turns] == ["<video><video>What?", "A.", "<image>And this?", "B."]
    assert sample.extra == {"video": ["a.mp4", "b.mp4"], "image": "c.jpg"}


def test_a_row_without_media_is_text() -> None:
    sample = lmms_finetune.read({"conversations": turns("Name a fruit.", "Fig.")})
    assert (sample.mix, sample.findings, sample.extra) == ("text", [], {})


def test_a_tag_of_the_other_kind_is_text() -> None:
    sample = lmms_finetune.read({"image": "a.jpg", "conversations": turns("<image>What is a <video> tag?", "HTML.")})
    assert sample.turns[0].value == "<image>What is a \\<video> tag?"
    assert [one.kind.name for one in sample.findings] == ["placeholder-literal"]


def test_the_speakers_may_be_named_otherwise() -> None:
    record = {"image": "a.jpg", "conversations": turns("<image>?", "A.", roles=("user", "assistant"))}
    roles = Roles("user", "assistant")
    sample = lmms_finetune.read(record, roles)
    assert (sample.findings, [turn.role for turn in sample.turns]) == ([], ["human", "gpt"])
    assert "conversations" not in sample.extra
    assert lmms_finetune.write(sample, roles) == record
    assert errors(record) == [("turn-role", "/conversations/0/from"), ("turn-role", "/conversations/1/from")]


@pytest.mark.parametrize(
    ("change", "name", "at"),
    [
        ({"image": None}, "record-shape", "/image"),
        ({"video": None}, "record-shape", "/video"),
        ({"image": {"path": "a.jpg"}}, "record-shape", "/image"),
        ({"video": ["a.mp4", 3]}, "record-shape", "/video/1"),
        ({"system_prompt": ["a"]}, "record-shape", "/system_prompt"),
        ({"image": "a.jpg"}, "placeholder-count", ""),
        ({"video": ["a.mp4", "b.mp4"], "conversations": turns("<video>?", "A.")}, "placeholder-count", ""),
        ({"conversations": []}, "turns-missing", "/conversations"),
        ({"conversations": turns("a", "b", "c")}, "turns-odd", "/conversations"),
        ({"conversations": turns("a", "b")[::-1]}, "turns-order", "/conversations/0"),
        ({"conversations": turns("a")[:1] * 2}, "turns-order", "/conversations/1"),
    ],
)
def test_each_defect_gives_exactly_one_error_at_its_place(change: dict[str, Any], name: str, at: str) -> None:
    record = {"conversations": turns("What?", "A."), **change}
    assert errors(record) == [(name, at)]
    assert lmms_finetune.write(lmms_finetune.read(record)) == record


def test_the_error_for_null_media_quotes_it() -> None:
    (one,) = lmms_finetune.read({"image": None, "conversations": turns("?", "A.")}).findings
    assert one.message == "image is None, not a path or a list of paths"


def test_a_null_system_prompt_is_none() -> None:
    record = {"system_prompt": None, "conversations": turns("?", "A.")}
    sample = lmms_finetune.read(record)
    assert (sample.system, sample.findings) == (None, [])
    assert lmms_finetune.write(sample) == record


def test_unknown_keys_and_their_order_come_back() -> None:
    record = {"conversations": turns("<image>?", "A."), "score": 1.0, "image": "a.jpg", NOTES: {"keys": 3}}
    sample = lmms_finetune.read(record)
    assert list(lmms_finetune.write(sample)) == list(record)
    assert lmms_finetune.write(sample) == record


def test_a_sample_of_another_format_is_written_with_its_media() -> None:
    sample = Sample(
        "7",
        [Turn("human", "<image><video>"), Turn("gpt", "A.")],
        images=[Reference("a.jpg")],
        videos=[[Reference("f/0.jpg"), Reference("f/1.jpg")]],
        extra={"image": {"patch": "p", "start_num": 0, "size": 3}, "score": 2},
    )
    assert lmms_finetune.write(sample) == {
        "id": "7",
        "video": "f",
        "image": "a.jpg",
        "conversations": turns("<image><video>", "A."),
        "score": 2,
    }


def test_it_is_recognised_by_its_video_tag_and_system_prompt() -> None:
    def confidence(**record: Any) -> float:
        return recognise(record)["lmms_finetune"].confidence

    assert confidence(video="a.mp4", conversations=turns("<video>?", "A.")) > 0.7
    assert confidence(video="a.mp4", conversations=turns("<image>?", "A.")) < 0.2
    assert confidence(system_prompt="a", conversations=turns("?", "A.")) > 0.8
    assert confidence(audio="a.wav", conversations=turns("?", "A.")) < 0.1
    assert confidence(image={"patch": "p"}, conversations=turns("<image>?", "A.")) == 0
    assert 0 < confidence(image="a.jpg", conversations=turns("<image>?", "A.")) < 0.5


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("celeba_image_train.json", "train"),
        ("data/test.json", "test"),
        ("test/data.json", "train"),
        ("celeba_image_eval.json", "test"),
        ("my-val.jsonl", "validation"),
        ("valuable.json", "train"),
    ],
)
def test_the_split_is_a_word_of_the_file_name(file: str, split: str) -> None:
    assert lmms_finetune.split_of(file) == split
