from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_turns import TAGS, json_values

from modalmix.builders.core.findings import finding, quote
from modalmix.builders.core.sample import Mask, Reference, Sample, Turn
from modalmix.builders.formats.turns import (
    Roles,
    canonical,
    count_findings,
    first_tags,
    order_findings,
    placeholders,
    plain_text,
    read_image_turns,
    read_turns,
    rename,
    split,
    upstream,
    write_image_turns,
    write_turns,
)

TEXTS = st.lists(st.one_of(st.text(max_size=5), st.sampled_from(["\\", "\\\\", "<", *TAGS])), max_size=8).map("".join)
NAMES = st.sampled_from(["image", "video", "audio", "region", "speech"])
MAPPINGS = st.dictionaries(NAMES, NAMES.filter(lambda name: name != "speech")).filter(
    lambda tags: len(set(tags.values())) == len(tags)
)
often = settings(max_examples=300, deadline=None, database=None)


def turns(*texts: str) -> list[Turn]:
    return [Turn(("human", "gpt")[i % 2], text) for i, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("text", "tags", "expected"),
    [
        ("<image>\nWhat does the <video> tag do?", {"image": "video"}, "<video>\nWhat does the \\<video> tag do?"),
        ("<speech><image>", {"image": "image", "speech": "audio"}, "<audio><image>"),
        ("a \\<image>", {"image": "image"}, "a \\\\<image>"),
        ("a \\<image>", {}, "a \\\\\\<image>"),
        ("a \\<speech>", {}, "a \\<speech>"),
        ("C:\\dir < 3", {"image": "image"}, "C:\\dir < 3"),
        ("<Image> <image >", {"image": "image"}, "<Image> <image >"),
    ],
)
def test_tags_become_placeholders_or_are_escaped(text: str, tags: dict[str, str], expected: str) -> None:
    assert canonical(text, tags) == expected
    assert upstream(expected, tags) == text


@often
@given(TEXTS, MAPPINGS)
def test_the_exact_text_comes_back_whatever_the_tags(text: str, tags: dict[str, str]) -> None:
    assert upstream(canonical(text, tags), tags) == text


@often
@given(TEXTS, MAPPINGS)
def test_there_are_as_many_placeholders_as_upstream_tags(text: str, tags: dict[str, str]) -> None:
    found = placeholders([Turn("human", canonical(text, tags))])
    assert found == {tags[tag]: text.count(f"<{tag}>") for tag in tags if f"<{tag}>" in text}


@often
@given(TEXTS)
def test_a_canonical_text_is_cut_at_its_placeholders_alone(text: str) -> None:
    value = canonical(text, {"image": "image", "speech": "audio"})
    tags, texts = split(value)
    assert len(texts) == len(tags) + 1
    assert "".join(
        a + b for a, b in zip(map(plain_text, texts), [f"<{tag}>" for tag in tags] + [""], strict=True)
    ) == plain_text(value)
    assert tags == ["image" if tag == "<image>" else "audio" for tag in _in_order(text, ("<image>", "<speech>"))]


def _in_order(text: str, tags: tuple[str, ...]) -> list[str]:
    return [tag for i in range(len(text)) for tag in tags if text.startswith(tag, i)]


def test_a_reader_sees_literal_tags_without_their_backslash() -> None:
    assert plain_text("<video>\nThe \\<video> tag") == "<video>\nThe <video> tag"


def test_placeholders_are_renamed_from_left_to_right_and_literal_tags_are_not() -> None:
    names = iter(["video", "audio"])
    assert rename("<image> \\<image> \\\\<image>", lambda _: next(names)) == "<video> \\<image> \\\\<audio>"


def test_the_first_of_two_tags_that_mean_the_same_is_written() -> None:
    assert upstream("<video>", {"image": "video", "video": "video"}) == "<image>"


def test_unreadable_turns_are_named_one_by_one_and_the_others_kept() -> None:
    conversations = [{"from": "human", "value": "a"}, 3, {"from": "gpt"}, {"value": "b"}, {"from": 7, "value": "c"}]
    read, findings = read_turns(conversations, {})
    assert read == [Turn("human", "a")]
    assert [(one.kind.name, one.pointer) for one in findings] == [
        ("turn-shape", "/conversations/1"),
        ("turn-shape", "/conversations/2"),
        ("turn-shape", "/conversations/3"),
        ("turn-role", "/conversations/4/from"),
    ]


def test_an_empty_text_is_a_warning() -> None:
    for text in ("", " \n\t"):
        _, findings = read_turns([{"from": "human", "value": "a"}, {"from": "gpt", "value": text}], {})
        assert [(one.kind.name, one.severity, one.pointer) for one in findings] == [
            ("turn-empty", "warning", "/conversations/1/value")
        ]


@pytest.mark.parametrize(
    ("roles", "name", "at"),
    [
        (["human", "gpt"], None, ""),
        (["human"], "turns-odd", "/x"),
        (["gpt", "human"], "turns-order", "/x/0"),
        (["human", "human"], "turns-order", "/x/1"),
        ([], None, ""),
    ],
)
def test_turns_alternate_and_end_with_an_answer(roles: list[str], name: str | None, at: str) -> None:
    findings = order_findings([Turn(role, "a") for role in roles], "/x")
    assert [(one.kind.name, one.pointer) for one in findings] == ([(name, at)] if name else [])


def test_turns_are_written_with_the_names_of_the_speakers() -> None:
    written = write_turns(turns("<video>\\<image>", "A."), {"image": "video"}, Roles("user", "bot"))
    assert written == [{"from": "user", "value": "<image><image>"}, {"from": "bot", "value": "A."}]


def test_placeholders_are_counted_against_media_and_objects() -> None:
    sample = Sample(
        turns=turns("<image><video>\\<image>", "<region>"),
        images=[Reference("a")],
        videos=[Reference("b")],
        masks=[[Mask(0)]],
    )
    assert count_findings(sample) == []
    sample.images.append(Reference("c"))
    sample.masks.append([])
    assert [(one.kind.name, one.message) for one in count_findings(sample)] == [
        ("placeholder-count", "1 <image> for 2 image(s)"),
        ("region-count", "1 <region> for 2 object(s)"),
    ]


@pytest.mark.parametrize(("tags", "right"), [(0, False), (1, True), (2, True), (3, False)])
def test_a_spoken_question_may_have_a_placeholder(tags: int, right: bool) -> None:
    sample = Sample(turns=turns("<audio>" * tags, "A."), audios=[Reference("a")], audio_q=[Reference("q")])
    assert [one.message for one in count_findings(sample)] == ([] if right else [f"{tags} <audio> for 1 or 2 sound(s)"])


@pytest.mark.parametrize(
    ("name", "counted"), [("record-shape", False), ("mask-payload", False), ("turns-odd", True), ("turn-empty", True)]
)
def test_counts_do_not_repeat_an_error_of_the_media_or_turns(name: str, counted: bool) -> None:
    sample = Sample(turns=turns("<image>"), findings=[finding(name, "")])
    assert bool(count_findings(sample)) == counted


@often
@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(0, 3), st.integers(0, 3))
def test_turns_with_one_tag_for_images_and_videos_come_back(texts: list[str], images: int, videos: int) -> None:
    written = [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]
    read, _, literal = read_image_turns(written, images, videos, {"speech": "audio"}, Roles(), ())
    assert write_image_turns(read, images, videos, {"speech": "audio"}, Roles(), literal) == written


def test_the_tags_of_the_first_turn_with_any_are_found() -> None:
    turns = [{"value": "a < b"}, 3, {"value": None}, {"value": "\\<speech><image><speech>"}, {"value": "<video>"}]
    assert first_tags(turns) == ("speech", "image")
    assert first_tags([{"value": "a"}]) == () == first_tags("<image>")


@settings(max_examples=100, deadline=None, database=None)
@given(json_values)
def test_a_quoted_value_is_short_and_on_one_line(value: object) -> None:
    text = quote(value)
    assert 0 < len(text) <= 80 and "\n" not in text


def test_a_large_and_deep_value_is_quoted_too() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert len(quote(deep)) <= 80
    assert len(quote("x" * 10**6)) <= 80
    assert quote("short") == "'short'"
