from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_turns import json_values

from modalmix.builders.core.sample import NOTES, notes_of
from modalmix.builders.formats.extra import keep, restore, same

OBJECTS = st.dictionaries(st.sampled_from(["id", "a", "b", "c", NOTES, "keys"]), json_values, max_size=5)
ORDERS = st.lists(st.sampled_from(["id", "a", "b", "z"]), unique=True)


@settings(max_examples=400, deadline=None, database=None)
@given(OBJECTS, OBJECTS.map(lambda columns: {k: v for k, v in columns.items() if k != NOTES}), ORDERS)
def test_the_record_comes_back_whatever_the_columns(
    record: dict[str, Any], columns: dict[str, Any], order: list[str]
) -> None:
    extra = keep(record, columns, {"mine": 1}, order)
    stored = json.loads(json.dumps(extra))
    assert json.dumps(restore(columns, stored, order)) == json.dumps(record)
    assert notes_of(stored)["mine"] == 1


def test_only_what_the_columns_do_not_say_is_kept() -> None:
    record = {"id": 7, "image": "a.jpg", "conversations": [], "score": 0.5}
    assert keep(record, {"id": "7", "conversations": []}, order=("id", "image", "conversations")) == {
        "id": 7,
        "image": "a.jpg",
        "score": 0.5,
    }


def test_the_order_of_keys_is_noted_only_where_it_is_unusual() -> None:
    columns = {"id": "7", "turns": [1]}
    usual = {"id": "7", "image": "a", "turns": [1]}
    assert NOTES not in keep(usual, columns, order=("id", "image", "turns"))
    unusual = {"turns": [1], "id": "7", "image": "a"}
    assert keep(unusual, columns, order=("id", "image", "turns"))[NOTES] == {"keys": ["turns", "id", "image"]}


def test_notes_of_one_format_do_not_hide_columns_of_another() -> None:
    extra = keep({"b": 1, "turns": [1], "a": 2}, {"turns": [1]}, order=("a", "turns"))
    assert restore({"messages": [2]}, extra, ("messages",)) == {"b": 1, "a": 2, "messages": [2]}


def test_a_column_that_the_record_lacks_is_not_invented() -> None:
    extra = keep({"a": 1}, {"a": 1, "id": None})
    assert restore({"a": 1, "id": None}, extra) == {"a": 1}


def test_the_key_for_notes_may_be_a_key_of_the_record() -> None:
    record = {NOTES: {"keys": 3}, "a": 1}
    extra = keep(record, {"a": 1})
    assert list(restore({"a": 1}, extra).items()) == list(record.items())


NAN = float("nan")


@pytest.mark.parametrize(
    ("a", "b", "alike"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (0.0, -0.0, False),
        ("a", "a", True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False),
        ([1, [2]], [1, [2]], True),
        ([1, [2.0]], [1, [2]], False),
        (None, NAN, False),
        ([None], [NAN], False),
        (float("inf"), NAN, False),
        (2**70, 2**70, True),
        ([2**70, 1], [2**70, 1.0], False),
        (["\ud800"], ["\ud800"], True),
        ("\ud800", "\ud801", False),
    ],
)
def test_values_are_alike_only_if_they_are_written_alike(a: object, b: object, alike: bool) -> None:
    assert same(a, b) == alike


def test_values_too_deep_to_compare_are_not_said_to_be_alike() -> None:
    a: list[object] = []
    b: list[object] = []
    for _ in range(100_000):
        a, b = [a], [b]
    assert not same(a, b)
    for outer in (a, b):  # taken apart here: freeing such a chain at once would recurse as deeply
        while outer:
            outer = outer.pop()  # type: ignore[assignment]
