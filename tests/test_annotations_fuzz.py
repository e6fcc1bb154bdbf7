"""Whatever is valid JSON reads as Python's json reads it, at every block size and cut into any slices."""

import json
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modalmix.builders.annotations import Slice, Source, count, plan, read
from modalmix.builders.annotations.decode_element import value_of

NASTY = [
    '},{"',
    '}, {"id": 1',
    "\\",
    '\\"',
    '"',
    "]}",
    "[{",
    "a\nb",
    "é😀",
    ':":',
    '" :',
    "\\\\",
    "",
    "\u2028",
    "x" * 90,
]
KEYS = ["id", "video", "conversations", "a", 'k"', "k\\", ":", "", "from", "value"]


def nasty_value(r: random.Random, depth: int) -> object:
    kind = r.randrange(9 if depth else 5)
    if kind == 0:
        return r.choice(NASTY) + r.choice(NASTY)
    if kind == 1:
        return r.choice([0, -1, 1.5, 2**63, 2**64, -(2**70), 1e-7, 1e22, 0.1])
    if kind == 2:
        return r.choice([None, True, False])
    if kind < 5:
        return r.choice(NASTY)
    if kind < 7:
        return [nasty_value(r, depth - 1) for _ in range(r.randrange(4))]
    return {r.choice(KEYS): nasty_value(r, depth - 1) for _ in range(r.randrange(4))}


def nasty_records(r: random.Random) -> list[dict]:
    shape = r.randrange(4)
    records = []
    for number in range(r.randrange(12)):
        record = {"id": number} if shape else {}
        for _ in range(r.randrange(4) if shape != 2 else 0):
            record[r.choice(KEYS)] = nasty_value(r, 3)
        if shape == 3:
            record["a"] = [{"id": 5, "a": []}, {"id": 6}]
        records.append(record)
    return records


def written(r: random.Random, records: list[dict]) -> str:
    style = r.randrange(5)
    ascii_only = r.random() < 0.5
    if style == 0:
        return json.dumps(records, ensure_ascii=ascii_only)
    if style == 1:
        return json.dumps(records, indent=r.choice([0, 1, 4]), ensure_ascii=ascii_only)
    if style == 2:
        blank = r.choice(["", " ", "\n", "\t\r\n  "])
        parts = [json.dumps(one, separators=(blank + "," + blank, blank + ":" + blank)) for one in records]
        return blank + "[" + blank + (blank + "," + blank).join(parts) + blank + "]" + blank
    if style == 3:
        end = r.choice(["\n", "\r\n", "\n\n \n"])
        return "".join(json.dumps(one, ensure_ascii=ascii_only) + end for one in records)
    return r.choice(["\n", "", " "]).join(json.dumps(one, indent=2) for one in records)


def test_a_thousand_nasty_documents_read_as_by_json_at_every_block_size(tmp_path):
    r = random.Random(20)
    path = str(tmp_path / "x.json")
    for number in range(1500):
        records = nasty_records(r)
        text = written(r, records)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.utime(path, ns=(number, number))  # a new time: what is known of a file is kept by path, size and time
        for block in (1, 64, 300, 1 << 19):
            got, row = [], 0
            for one in read(Slice(path, "x.json", 0, -1, 0), block_bytes=block):
                assert (one.findings, one.raw) == ([], {}), text
                assert one.row == row
                got += one.records
                row += len(one.records)
            assert got == records, (block, text)
            assert [list(record) for record in got] == [list(record) for record in records]
        assert count(path) == len(records)


@pytest.mark.parametrize("exact", [True, False])
def test_the_slices_of_nasty_documents_are_the_whole_or_say_that_they_are_not(tmp_path, exact):
    from modalmix.builders.annotations import first_row
    from modalmix.builders.core.errors import DataError

    r = random.Random(21)
    path = str(tmp_path / "x.json")
    sliced = refused = 0
    for number in range(400):
        records = nasty_records(r)
        text = written(r, records)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.utime(path, ns=(number, number))
        for size in (1, 40, 200):
            slices = plan(Source(path, "x.json"), slice_bytes=size, exact=exact)
            assert [one.stop for one in slices[:-1]] == [one.start for one in slices[1:]]
            sliced += len(slices) > 1
            try:
                got = []
                for one in slices:
                    assert first_row(one) == len(got) or not text.strip()
                    got += [record for block in read(one, block_bytes=64) for record in block.records]
            except DataError:
                assert not exact
                refused += 1
                continue
            assert got == records, (size, text)
    assert sliced > 300
    assert refused < 40


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.dictionaries(st.text(max_size=4), values, max_size=4), max_size=6), st.booleans(), st.integers(1, 90)
)
def test_any_records_read_as_by_json(tmp_path_factory, records, pretty, block):
    path = str(tmp_path_factory.mktemp("h") / "x.json")
    text = json.dumps(records, indent=2 if pretty else None)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    got = [record for one in read(Slice(path, "x", 0, -1, 0), block_bytes=block) for record in one.records]
    assert got == json.loads(text)


number_text = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@settings(max_examples=400, deadline=None)
@given(number_text)
def test_any_number_has_the_value_and_type_that_json_gives_it(number):
    value, _ = value_of(b'{"n": ' + number.encode() + b"}")
    expected = json.loads(number)
    assert value == {"n": expected}
    assert type(value["n"]) is type(expected)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "\\u0061", 'a\\"', ":", "a\\\\"]), st.sampled_from([":", " :", "\n\t: "])),
        max_size=5,
    ),
    st.sampled_from(['"\\":"', '"a\\" :"', '{"a": {"b": 1}}', '[{"a": 1}, {"a": 2}]', '":"']),
)
def test_a_repeated_key_is_found_exactly_when_there_is_one(tmp_path_factory, keys, value):
    path = str(tmp_path_factory.mktemp("k") / "x.json")
    record = "{" + ", ".join(f'"{key}"{colon}{value}' for key, colon in keys) + "}"
    with open(path, "w", encoding="utf-8") as file:
        file.write("[" + ", ".join(['{"a": {"b": 1}}', record, '{"a": [{"b": 1}]}']) + "]")
    blocks = list(read(Slice(path, "x", 0, -1, 0)))
    names = [json.loads(f'"{key}"') for key, _ in keys]
    found = [finding for block in blocks for finding in block.findings]
    if len(set(names)) < len(names):
        assert [(one.code, one.row) for one in found] == [("MX004", 1)]
    else:
        assert found == []
        assert sum(len(block.records) for block in blocks) == 3
