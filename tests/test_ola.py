from __future__ import annotations

from typing import Any

import pytest

from modalmix.builders.core.sample import NOTES, Reference, Sample, Turn
from modalmix.builders.formats import ola
from modalmix.builders.formats.recognition import recognise

PATCH = {"patch": "/mnt/p/patch_00000", "start_num": 7, "size": 90}
FRAMES = {"patch": "/mnt/p/patch_000000", "start_num": 26608266, "size": [3, 2, 1]}


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def found(record: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.kind.name, one.pointer) for one in ola.read(record).findings]


def test_the_image_tag_stands_for_the_video_and_speech_for_the_sound() -> None:
    record = {
        "id": "v",
        "video": "/m/v.mp4",
        "audio": "/m/v.wav",
        "conversations": turns("<speech><image>\nWhat?", "A."),
    }
    sample = ola.read(record)
    assert sample.turns == [Turn("human", "<audio><video>\nWhat?"), Turn("gpt", "A.")]
    assert (sample.videos, sample.audios, sample.mix) == (
        [Reference("/m/v.mp4")],
        [Reference("/m/v.wav")],
        "video_audio",
    )
    assert sample.extra == {"video": "/m/v.mp4", "audio": "/m/v.wav"}


def test_a_tag_of_html_in_the_text_is_no_placeholder() -> None:
    sample = ola.read({"video": "v.mp4", "conversations": turns("<image>\nWhat does the <video> tag do?", "It plays.")})
    assert sample.turns[0].value == "<video>\nWhat does the \\<video> tag do?"
    assert sample.findings == []


def test_a_video_patch_gives_one_size_per_frame() -> None:
    sample = ola.read({"video": FRAMES, "conversations": turns("<image>\nWhat?", "A.")})
    assert sample.videos == [Reference("/mnt/p/patch_000000", (3, 2, 1), 26608266)]


@pytest.mark.parametrize("size", [90, "90", 90.0])
def test_the_numbers_of_a_patch_may_be_texts(size: object) -> None:
    sample = ola.read(
        {"image": {**PATCH, "size": size, "start_num": "7"}, "conversations": turns("<image>\nWhat?", "A.")}
    )
    assert sample.images == [Reference("/mnt/p/patch_00000", (90,), 7)]
    assert sample.findings == []


@pytest.mark.parametrize("key", ["image", "audio", "audio_q"])
def test_the_size_list_of_olas_own_packer_is_read_and_noted(key: str) -> None:
    tag = "<image>" if key == "image" else "<speech>"
    record = {key: {**PATCH, "size": [90]}, "text_q": "?", "conversations": turns(f"{tag}\nWhat?", "A.")}
    sample = ola.read(record)
    assert [*sample.images, *sample.audios, *sample.audio_q] == [Reference("/mnt/p/patch_00000", (90,), 7)]
    assert found(record) == [("patch-size-list", f"/{key}/size")]


@pytest.mark.parametrize("key", ["image_encoding", "image_encoing"])
def test_a_patch_says_base64_in_either_spelling(key: str) -> None:
    sample = ola.read({"image": {**PATCH, key: "base64"}, "conversations": turns("<image>\nWhat?", "A.")})
    assert sample.images[0].base64


def test_an_img_path_is_a_plain_path_and_goes_before_a_patch() -> None:
    for image in ({"img_path": "/m/a.jpg"}, {"img_path": "/m/a.jpg", **PATCH}):
        assert ola.read({"image": image, "conversations": turns("<image>\n?", "A.")}).images == [Reference("/m/a.jpg")]


def test_a_list_of_images_may_mix_paths_and_patches() -> None:
    sample = ola.read(
        {"image": ["a.jpg", PATCH, {"img_path": "b.jpg"}], "conversations": turns("<image><image><image>", "A.")}
    )
    assert [one.path for one in sample.images] == ["a.jpg", "/mnt/p/patch_00000", "b.jpg"]
    assert sample.findings == []


def test_a_spoken_question_needs_no_placeholder_but_may_have_one() -> None:
    for question in ("<image>\nUser's question in speech: <speech>\n", "<image>\nListen."):
        sample = ola.read(
            {"audio_q": "q.wav", "text_q": "How many?", "image": "a.jpg", "conversations": turns(question, "1")}
        )
        assert sample.findings == []
        assert (sample.text_q, sample.audio_q) == ("How many?", [Reference("q.wav")])
        assert sample.turns[0].value == question.replace("speech>", "audio>")
        assert "text_q" not in sample.extra


def test_text_q_is_in_the_notation_of_the_turns_and_comes_back_as_written() -> None:
    text_q = "<image>\nA <video> tag? User's question in speech: <speech>\n"
    record = {
        "audio_q": "q.wav",
        "text_q": text_q,
        "image": "a.jpg",
        "conversations": turns("<image>\nHow many?", "1"),
    }
    sample = ola.read(record)
    assert sample.text_q == "<image>\nA \\<video> tag? User's question in speech: <audio>\n"
    assert ola.write(sample) == record


def test_a_text_q_without_a_spoken_question_is_kept_in_extra() -> None:
    record = {"text_q": "How many?", "image": "a.jpg", "conversations": turns("<image>\nHow many?", "1")}
    sample = ola.read(record)
    assert (sample.text_q, sample.extra["text_q"]) == (None, "How many?")
    assert ola.write(sample) == record


@pytest.mark.parametrize("record", [{}, {"text_q": None}])
def test_a_spoken_question_without_its_transcript_is_read_with_a_warning(record: dict[str, Any]) -> None:
    record = {"audio_q": "q.wav", **record, "conversations": turns("<speech>\n", "1")}
    assert found(record) == [("text-q-missing", "/text_q" if "text_q" in record else "")]
    assert ola.write(ola.read(record)) == record


@pytest.mark.parametrize(
    ("media", "question"),
    [
        ({"image": "a.jpg", "audio": "a.wav"}, "<speech><image>"),
        ({"video": "a.mp4", "audio_q": "a.wav", "text_q": "?"}, "<image>"),
        ({"image": "a.jpg", "video": "a.mp4"}, "<image><image>"),
        ({"audio": "a.wav", "audio_q": "b.wav", "text_q": "?"}, "<speech>"),
        ({"video_long": "a.mp4"}, "<image>"),
        ({"video": "a.mp4", "video_long": FRAMES}, "<image><image>"),
    ],
)
def test_media_that_the_trainer_cannot_combine_are_read_and_noted(media: dict[str, Any], question: str) -> None:
    record = {**media, "conversations": turns(f"{question}\nWhat?", "A.")}
    sample = ola.read(record)
    assert found(record) == [("combination-unsupported", "")]
    there = len(sample.images) + len(sample.videos) + len(sample.audios) + len(sample.audio_q)
    assert there == len(media) - ("text_q" in media)


def test_image_tags_are_images_first_and_then_videos() -> None:
    record = {
        "image": ["a.jpg", "b.jpg"],
        "video": "v.mp4",
        "conversations": turns("<image>x<image>", "A.", "<image>?", "B."),
    }
    sample = ola.read(record)
    assert [turn.value for turn in sample.turns] == ["<image>x<image>", "A.", "<video>?", "B."]
    assert NOTES not in sample.extra
    assert ola.write(sample) == record


@pytest.mark.parametrize("question", ["<image>\n<video>?", "<video>\n<image>?"])
def test_a_video_tag_decides_where_image_tags_are_too_few(question: str) -> None:
    record = {"image": "a.jpg", "video": "v.mp4", "conversations": turns(question, "A.")}
    sample = ola.read(record)
    assert sample.turns[0].value == question
    assert found(record) == [("combination-unsupported", "")]
    assert "conversations" not in sample.extra
    assert ola.write(sample) == record


def test_image_tags_that_do_not_add_up_are_an_error_rather_than_a_guess() -> None:
    record = {"image": "a.jpg", "video": "v.mp4", "conversations": turns("<image>\n?", "A.")}
    assert found(record) == [("placeholder-count", ""), ("combination-unsupported", "")]


def test_a_video_before_an_image_is_written_so_that_it_reads_back() -> None:
    sample = Sample(
        turns=[Turn("human", "<video>\n<image>?"), Turn("gpt", "A.")], images=[Reference("a")], videos=[Reference("v")]
    )
    assert ola.read(ola.write(sample)).turns == sample.turns


DEFECTS: list[tuple[dict[str, Any], str, str]] = [
    ({"image": None}, "record-shape", "/image"),
    ({"image": 5}, "record-shape", "/image"),
    ({"image": ["a.jpg", None]}, "record-shape", "/image/1"),
    ({"video": ["a.mp4"]}, "record-shape", "/video"),
    ({"audio": ["a.wav"]}, "record-shape", "/audio"),
    ({"audio_q": True, "text_q": "?"}, "record-shape", "/audio_q"),
    ({"text_q": 7}, "record-shape", "/text_q"),
    ({"image": {}}, "patch-shape", "/image"),
    ({"video": {"img_path": "a.jpg"}}, "patch-shape", "/video"),
    ({"image": [{"patch": 3}]}, "patch-shape", "/image/0"),
    ({"image": {"patch": "p", "size": 3}}, "patch-shape", "/image/start_num"),
    ({"image": {**PATCH, "start_num": -1}}, "patch-shape", "/image/start_num"),
    ({"image": {**PATCH, "start_num": True}}, "patch-shape", "/image/start_num"),
    ({"image": {"patch": "p", "start_num": 3}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": 0}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": 1.5}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": "1e3"}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": [1, 2]}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": []}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "size": 2**63}}, "patch-shape", "/image/size"),
    ({"image": {**PATCH, "start_num": 2**63 - 5}}, "patch-shape", "/image/size"),
    ({"video": {**FRAMES, "size": 6}}, "patch-shape", "/video/size"),
    ({"video": {**FRAMES, "size": [6, None]}}, "patch-shape", "/video/size"),
    ({"audio": {**PATCH, "size": [1, 2]}}, "patch-shape", "/audio/size"),
    ({"image": "a.jpg"}, "placeholder-count", ""),
    ({"audio": "a.wav", "conversations": turns("<speech><speech>\n?", "A.")}, "placeholder-count", ""),
    ({"conversations": []}, "turns-missing", "/conversations"),
    ({"conversations": None}, "turns-missing", "/conversations"),
    ({"image": "a.jpg", "conversations": turns("<image>")}, "turns-odd", "/conversations"),
    ({"conversations": [{"from": "system", "value": "a"}, *turns("b", "c")]}, "turn-role", "/conversations/0/from"),
    ({"image": "a.jpg", "conversations": [{"from": "human"}, *turns("a", "b")[1:]]}, "turn-shape", "/conversations/0"),
    ({"conversations": turns("a", "b")[::-1]}, "turns-order", "/conversations/0"),
]


@pytest.mark.parametrize(("change", "name", "at"), DEFECTS)
def test_each_defect_gives_exactly_one_error_at_its_place(change: dict[str, Any], name: str, at: str) -> None:
    record = {"id": 1, "conversations": turns("What?", "A."), **change}
    sample = ola.read(record)
    assert [(one.kind.name, one.pointer) for one in sample.findings if one.severity == "error"] == [(name, at)]
    assert ola.write(sample) == record


def test_a_tag_without_media_is_kept_as_text_with_a_warning() -> None:
    record = {"conversations": turns("<image>\nWhat?", "The <speech> tag.")}
    assert found(record) == [
        ("placeholder-literal", "/conversations/0/value"),
        ("placeholder-literal", "/conversations/1/value"),
    ]
    assert ola.read(record).turns[0].value == "\\<image>\nWhat?"


@pytest.mark.parametrize(
    ("path", "order"),
    [
        ("/mnt/sharegpt4o/patch_000001", "BGR"),
        ("/x/ShareGPT4Video/new_patch/patch_0", "BGR"),
        ("cinepile", "BGR"),
        ("/a/nextqa_patch/1", "BGR"),
        ("/a/perceptiontest/1", "BGR"),
        ("/a/ShareGPT4Video/old_patch/1", "RGB"),
        ("/a/NextQA/patch_000000", "RGB"),
        ("/mnt/video_data/patch_000000", "RGB"),
    ],
)
def test_the_path_of_a_video_patch_decides_its_channel_order(path: str, order: str) -> None:
    assert ola.channel_order(path) == order
    sample = ola.read({"video": {**FRAMES, "patch": path}, "conversations": turns("<image>?", "A.")})
    assert sample.extra.get(NOTES, {}).get("channel_order", "RGB") == order
    assert sample.extra["video"]["patch"] == path


def test_only_patches_of_frames_that_are_no_base64_have_swapped_channels() -> None:
    conversations = turns("<image>?", "A.")
    for media in (
        {"video": "/a/nextqa/1.mp4"},
        {"image": {**PATCH, "patch": "/a/nextqa/p"}},
        {"video": {**FRAMES, "patch": "/a/nextqa/p", "image_encoding": "base64"}},
    ):
        assert NOTES not in ola.read({**media, "conversations": conversations}).extra


def test_a_sample_of_no_format_is_written_with_its_patches() -> None:
    sample = Sample(
        "7",
        [Turn("human", "<video><audio>\nWhat is \\<region>?"), Turn("gpt", "A.")],
        videos=[Reference("/p", (3, 2), 5, True)],
        audios=[Reference("/q", (9,), 1)],
    )
    assert ola.write(sample) == {
        "id": "7",
        "video": {"patch": "/p", "start_num": 5, "size": [3, 2], "image_encoding": "base64"},
        "audio": {"patch": "/q", "start_num": 1, "size": 9},
        "conversations": turns("<image><speech>\nWhat is <region>?", "A."),
    }


def test_frames_one_by_one_are_written_as_their_folder() -> None:
    sample = Sample(
        turns=[Turn("human", "<video>"), Turn("gpt", "A.")], videos=[[Reference("/f/0.jpg"), Reference("/f/1.jpg")]]
    )
    assert ola.write(sample)["video"] == "/f"


def test_what_only_ola_has_is_recognised_in_words() -> None:
    conversations = turns("<image>\nWhat?", "A.")
    assert recognise({"audio_q": "q.wav", "conversations": conversations})["ola"].reasons == [
        "has audio_q, which only Ola has"
    ]
    assert recognise({"video": FRAMES, "conversations": conversations})["ola"].confidence > 0.9
    assert recognise({"image": [PATCH], "conversations": conversations})["ola"].confidence > 0.9
    assert 0 < recognise({"image": "a.jpg", "conversations": conversations})["ola"].confidence <= 0.5
    assert recognise({"id": 1})["ola"] == (0.0, ["no conversations"])
