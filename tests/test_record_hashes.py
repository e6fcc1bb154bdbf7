"""Fingerprints: equal for equal records, whoever stands beside them, and unequal for all others."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_lmms_finetune import records as usual
from strategies_turns import copied, damaged, json_values

from modalmix.builders.check.record_batches import record_batches, stretches
from modalmix.builders.check.record_hashes import fingerprint, fingerprints, of_id
from modalmix.builders.cli import example_data

TURNS = example_data.turns("<image>\nWhat?", "A dog.")
RECORD = {"id": 7, "image": "a.jpg", "conversations": TURNS}
quickly = settings(max_examples=100, deadline=None, database=None)
any_object = st.dictionaries(st.sampled_from(("id", "image", "conversations", "messages")), json_values, max_size=4)


def written(record: dict[str, Any]) -> str:
    """A record as JSON, its keys in order; the two keys of a turn are sorted, as their order does not matter."""
    turns = record.get("conversations")
    if isinstance(turns, list):
        turns = [dict(sorted(one.items())) if isinstance(one, dict) and len(one) == 2 else one for one in turns]
        record = {**record, "conversations": turns}
    return json.dumps(record)


@quickly
@given(st.lists(usual | damaged(usual) | any_object, max_size=4))
def test_records_have_one_fingerprint_exactly_if_they_are_the_same(records: list[dict[str, Any]]) -> None:
    records = records + [copied(one) for one in records]
    assert len({fingerprint(one) for one in records}) == len({written(one) for one in records})


@quickly
@given(st.lists(usual | damaged(usual) | any_object, max_size=8))
def test_a_fingerprint_hangs_on_the_record_alone(records: list[dict[str, Any]]) -> None:
    for indices, table in record_batches(records):
        for first, some, said in stretches(table):
            alone = [fingerprint(records[i]) for i in indices[first : first + some.size]]
            assert fingerprints(some, said).records.tolist() == alone


def test_records_that_differ_in_one_thing_have_other_fingerprints() -> None:
    others: list[dict[str, Any]] = [
        {**RECORD, "id": "7"},
        {**RECORD, "id": 7.0},
        {**RECORD, "image": ["a.jpg"]},
        {**RECORD, "source": None},
        {"image": "a.jpg", "id": 7, "conversations": TURNS},
        {**RECORD, "conversations": TURNS * 2},
        {**RECORD, "conversations": [{**TURNS[0], "value": "<image>\nWhat? A"}, {**TURNS[1], "value": "dog."}]},
        {**RECORD, "conversations": [{**TURNS[0], "from": "user"}, TURNS[1]]},
        {**RECORD, "conversations": [{**TURNS[0], "score": 1}, TURNS[1]]},
        {**RECORD, "conversations": [{**TURNS[0], "score": 2}, TURNS[1]]},
        {**RECORD, "conversations": [*TURNS, {"from": "human", "value": "\ud800"}]},
        {**RECORD, "conversations": [TURNS[0], {"from": "gpt", "value": "\ud800"}]},
    ]
    assert len({fingerprint(one) for one in (RECORD, *others)}) == 1 + len(others)


def test_the_order_within_a_turn_does_not_matter() -> None:
    turned = [dict(reversed(list(one.items()))) for one in TURNS]
    assert list(turned[0]) != list(TURNS[0])
    assert fingerprint({**RECORD, "conversations": turned}) == fingerprint(RECORD)


def test_the_fingerprint_of_an_id_is_that_of_its_text() -> None:
    ids: list[Any] = [7, "7", "é", 1e16, -(1 << 70)]
    for one in ids:
        ((_, table),) = record_batches([{"id": one, "conversations": TURNS}])
        ((_, some, said),) = stretches(table)
        assert fingerprints(some, said).ids.tolist() == [of_id(str(one))]
