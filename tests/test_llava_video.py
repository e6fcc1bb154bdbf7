from __future__ import annotations

from typing import Any

import pytest

from modalmix.builders.core.sample import Reference, Sample, Turn
from modalmix.builders.formats import llava_video
from modalmix.builders.formats.recognition import recognise


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def found(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind.name, one.pointer) for one in llava_video.read(record).findings]


def test_the_image_tag_stands_for_the_video_in_every_round() -> None:
    record = {
        "id": "Q04US",
        "conversations": turns("<image>\nWhat happens?", "It rains.", "Where?", "Outdoors."),
        "data_source": "0_30_s_academic_v0_1",
        "video": "academic_source/Charades/Q04US.mp4",
    }
    sample = llava_video.read(record)
    assert sample.turns[0] == Turn("human", "<video>\nWhat happens?")
    assert (len(sample.turns), sample.id, sample.findings) == (4, "Q04US", [])
    assert sample.videos == [Reference("academic_source/Charades/Q04US.mp4")]
    assert sample.extra == {"data_source": "0_30_s_academic_v0_1", "video": "academic_source/Charades/Q04US.mp4"}


def test_an_id_may_be_a_number_and_stays_one() -> None:
    record = {"id": 7, "conversations": turns("<image>?", "A."), "video": "a.mp4"}
    sample = llava_video.read(record)
    assert (sample.id, sample.extra["id"]) == ("7", 7)
    assert llava_video.write(sample) == record


def test_an_image_and_a_video_are_both_read_with_a_note() -> None:
    record = {"image": "a.jpg", "video": "v.mp4", "conversations": turns("<image>\n<image>?", "A.")}
    sample = llava_video.read(record)
    assert (sample.mix, sample.turns[0].value) == ("image_video", "<image>\n<video>?")
    assert found(record) == [("combination-unsupported", "")]
    record = {"image": "a.jpg", "video": "v.mp4", "conversations": turns("<image>\n?", "A.")}
    assert found(record) == [("placeholder-count", ""), ("combination-unsupported", "")]


@pytest.mark.parametrize("question", ["<image>\n<video>?", "<video>\n<image>?"])
def test_a_video_tag_decides_where_image_tags_are_too_few(question: str) -> None:
    record = {"image": "a.jpg", "video": "v.mp4", "conversations": turns(question, "A.")}
    sample = llava_video.read(record)
    assert sample.turns[0].value == question
    assert "conversations" not in sample.extra
    assert llava_video.write(sample) == record


def test_a_folder_of_frames_is_one_reference() -> None:
    sample = llava_video.read({"video": "shareVideoGPTV/frames/abc", "conversations": turns("<image>?", "A.")})
    assert sample.videos == [Reference("shareVideoGPTV/frames/abc")]
    assert sample.findings == []


@pytest.mark.parametrize(
    ("change", "name", "at"),
    [
        ({"video": None}, "record-shape", "/video"),
        ({"video": ["a.mp4"]}, "record-shape", "/video"),
        ({"image": None}, "record-shape", "/image"),
        ({"image": ["a.jpg", {}]}, "record-shape", "/image/1"),
        ({"video": "a.mp4"}, "placeholder-count", ""),
        ({"video": "a.mp4", "conversations": turns("<video>?", "A.")}, "placeholder-count", ""),
        ({"conversations": {}}, "turns-missing", "/conversations"),
        ({"conversations": turns("a")}, "turns-odd", "/conversations"),
    ],
)
def test_each_defect_gives_exactly_one_error_at_its_place(change: dict[str, Any], name: str, at: str) -> None:
    record = {"id": "a", "conversations": turns("What?", "A."), **change}
    sample = llava_video.read(record)
    assert [(one.kind.name, one.pointer) for one in sample.findings if one.severity == "error"] == [(name, at)]
    assert llava_video.write(sample) == record


def test_a_sample_of_another_format_is_written_with_image_tags() -> None:
    sample = Sample(
        "7", [Turn("human", "<video>What?"), Turn("gpt", "A.")], system="Be brief.", videos=[Reference("v.mp4")],
        extra={"video": {"path": "v.mp4", "num_frames": 8}},
    )  # fmt: skip
    assert llava_video.write(sample) == {
        "id": "7",
        "conversations": turns("<image>What?", "A."),
        "video": "v.mp4",
        "system_prompt": "Be brief.",
    }


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("0_30_s_academic_v0_1/0_30_s_academic_v0_1_cap_processed.json", "caption"),
        ("0_30_s_academic_oe_v0_1_qa_processed.json", "open_ended"),
        ("0_30_s_nextqa_mc_qa_processed.json", "multi_choice"),
        ("landscape.json", "train"),
        ("cap/processed.json", "train"),
    ],
)
def test_the_split_is_the_kind_of_question_in_the_file_name(file: str, split: str) -> None:
    assert llava_video.split_of(file) == split


def test_the_folders_of_the_hub_are_each_named_once() -> None:
    assert len(set(llava_video.FOLDERS)) == len(llava_video.FOLDERS) == 19
    assert {"0_30_s_academic_v0_1", "2_3_m_activitynetqa", "30_60_s_perceptiontest", "llava_hound"} <= set(
        llava_video.FOLDERS
    )
    assert "1_2_m_perceptiontest" not in llava_video.FOLDERS


def test_it_is_recognised_by_its_source_and_by_the_image_tag_of_a_video() -> None:
    def confidence(**record: Any) -> float:
        return recognise(record)["llava_video"].confidence

    conversations = turns("<image>\n?", "A.")
    assert confidence(video="a.mp4", data_source="x", conversations=conversations) > 0.9
    assert confidence(video="a/shareVideoGPTV/b", conversations=conversations) > 0.8
    assert 0.5 < confidence(video="a.mp4", conversations=conversations) < 0.8
    assert confidence(video="a.mp4", conversations=turns("<video>\n?", "A.")) < 0.2
    assert confidence(video=["a.mp4"], conversations=conversations) < 0.1
    assert confidence(video="a.mp4", audio="a.wav", conversations=conversations) < 0.1
    assert confidence(image=[{"patch": "p"}], conversations=conversations) == 0
