"""Which format a record is in: what one format alone has decides, else the file, else the plainest format that fits."""

from __future__ import annotations

from typing import Any

import pytest

from modalmix.builders.formats import NAMES, formats
from modalmix.builders.formats.recognition import RecordFormat, best_of, recognise
from modalmix.builders.formats.shape import ANY, CERTAIN, NO, UNLIKELY, kind_of

TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A."}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "text"),
        (7, "number"),
        (7.5, "number"),
        (True, "flag"),
        (None, "null"),
        ({}, "object"),
        ([], "list"),
        ([7], "list"),
        ([None, "a"], "list"),
        (["a", 7], "texts"),
        ([{}], "objects"),
        (TURNS, "turns"),
        ([{"role": "user", "content": "a"}], "messages"),
        ([{"role": "user", "content": []}], "parts"),
    ],
)
def test_a_value_has_the_kind_of_its_first_item(value: Any, kind: str) -> None:
    assert kind_of(value) == kind
    assert kind in ANY


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ola", {"audio": "a.wav"}),
        ("ola", {"audio_q": "q.wav", "text_q": "What?"}),
        ("ola", {"image": {"patch": "p", "start_num": 0, "size": 3}}),
        ("ola", {"audio": "a.wav", "system_prompt": "Be brief."}),
        ("ola", {"audio": "a.wav", "data_source": "x", "video": "a.mp4"}),
        ("videorefer", {"annotation": []}),
        ("videorefer", {"masks": [], "system_prompt": "Be brief."}),
        ("lmms_finetune", {"system_prompt": None}),
        ("llava_video", {"data_source": "x", "video": "a.mp4"}),
    ],
)
def test_what_one_format_alone_has_decides_whatever_the_file_is(name: str, change: dict[str, Any]) -> None:
    record = {"id": "a", "image": "a.jpg", "conversations": TURNS, **change}
    found = recognise(record)
    assert [other for other in found if found[other].confidence >= CERTAIN] == [name]
    assert {RecordFormat(main)(record) for main in (None, *NAMES)} == {name}


def test_a_key_of_one_format_speaks_against_those_that_never_name_it() -> None:
    found = recognise({"audio": "a.wav", "conversations": TURNS})
    for name in set(NAMES) - {"ola", "aria"}:
        assert found[name] == (UNLIKELY, [f"has audio, which {formats()[name].TITLE} does not have"])


def test_a_record_with_keys_of_two_formats_is_in_the_format_of_its_file() -> None:
    record = {"audio": "a.wav", "masks": [], "conversations": TURNS}
    assert all(one.confidence < CERTAIN for one in recognise(record).values())
    assert {main: RecordFormat(main)(record) for main in ("ola", "videorefer")} == {
        "ola": "ola",
        "videorefer": "videorefer",
    }
    assert RecordFormat(None)(record) in ("ola", "videorefer")


def test_a_record_that_fits_several_is_in_the_format_of_its_file_or_else_in_the_plainest() -> None:
    record = {"image": "a.jpg", "conversations": TURNS}
    for main in ("lmms_finetune", "llava_video", "ola", "videorefer"):
        assert RecordFormat(main)(record) == main
    assert RecordFormat("aria")(record) == RecordFormat(None)(record) == best_of([recognise(record)]) == NAMES[0]


def test_a_format_that_cannot_read_a_record_never_gets_it() -> None:
    record = {"image": {"patch": "p"}, "conversations": TURNS}
    assert recognise(record)["lmms_finetune"].confidence == NO
    assert RecordFormat("lmms_finetune")(record) == "ola"
    assert RecordFormat("ola")({"id": 7}) is None and best_of([recognise({"id": 7})]) is None


def test_records_that_one_format_is_certain_of_outweigh_all_others_of_the_file() -> None:
    pictures = [recognise({"id": i, "image": "a.jpg", "conversations": TURNS}) for i in range(9)]
    assert best_of(pictures) == "llava_video"
    assert best_of([*pictures, recognise({"id": 9, "audio": "a.wav", "conversations": TURNS})]) == "ola"
