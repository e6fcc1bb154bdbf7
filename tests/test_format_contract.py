"""What every format promises, run over all of them."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies_turns import copied, damaged, json_values

from modalmix.builders.core.findings import CATALOGUE, CODE, rejects
from modalmix.builders.core.sample import MODALITIES, NOTES, Sample
from modalmix.builders.formats import Format, formats
from modalmix.builders.formats.recognition import RecordFormat, best_of, recognise
from modalmix.builders.formats.shape import CERTAIN, UNLIKELY

FORMATS = formats()
STRATEGIES = {name: importlib.import_module(f"strategies_{name}") for name in FORMATS}
EXAMPLES = [(name, example) for name, module in STRATEGIES.items() for example in module.EXAMPLES]
KEYS = sorted({key for _, example in EXAMPLES for key in example} | {"id", "masks", "text_q", "video_long", NOTES})

every_format = pytest.mark.parametrize("name", FORMATS)
every_example = pytest.mark.parametrize(("name", "example"), EXAMPLES)
quickly = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def assert_round_trip(format_: Format, record: dict[str, Any]) -> Sample:
    """The record comes back with its key order and number types; also from `extra` as a dataset stores it."""
    text = json.dumps(record)
    sample = format_.read(record)
    assert json.dumps(record) == text, "read changed the record"
    stored = msgspec.structs.replace(sample, extra=json.loads(json.dumps(sample.extra)))
    assert json.dumps(format_.write(sample)) == text
    assert json.dumps(format_.write(stored)) == text
    return sample


def place(record: Any, pointer: str) -> Any:
    """The value a JSON pointer leads to."""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        record = record[int(step)] if isinstance(record, list) else record[step]
    return record


@every_example
def test_a_typical_record_has_no_errors_comes_back_and_is_not_stored_twice(name: str, example: dict[str, Any]) -> None:
    sample = assert_round_trip(FORMATS[name], copied(example))
    assert not rejects(sample.findings), sample.findings
    assert not {"conversations", "messages", "annotation", "masks"} & set(sample.extra)
    assert NOTES not in sample.extra or len(json.dumps(sample.extra[NOTES])) < 300
    assert not (set(sample.mix.split("_")) - {"text", "q"} - set("_".join(FORMATS[name].MODALITIES).split("_")))


@every_format
def test_a_well_formed_record_has_no_errors_and_comes_back(name: str) -> None:
    @quickly
    @given(STRATEGIES[name].records)
    def holds(record: dict[str, Any]) -> None:
        sample = assert_round_trip(FORMATS[name], record)
        assert not rejects(sample.findings), sample.findings

    holds()


@every_format
def test_a_damaged_record_is_read_without_raising_and_comes_back(name: str) -> None:
    @settings(quickly, max_examples=150)
    @given(damaged(STRATEGIES[name].records))
    def holds(record: dict[str, Any]) -> None:
        sample = assert_round_trip(FORMATS[name], record)
        assert recognise(record)[name].reasons
        for one in sample.findings:
            assert one.code in CATALOGUE and len(one.message) < 400
            place(record, one.pointer.rpartition("/")[0])  # a missing key is named too, so its holder must be there

    holds()


@every_format
def test_any_json_object_is_read_without_raising_and_comes_back(name: str) -> None:
    @settings(quickly, max_examples=150)
    @given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), json_values, max_size=6))
    def holds(record: dict[str, Any]) -> None:
        assert_round_trip(FORMATS[name], record)
        assert 0 <= recognise(record)[name].confidence <= 1

    holds()


class AskedKeys(dict[str, Any]):
    """A record that remembers which keys it was asked for."""

    def __init__(self, record: dict[str, Any]) -> None:
        super().__init__(record)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


@every_format
def test_the_keys_that_a_format_reads_are_those_that_it_says_it_reads(name: str) -> None:
    format_ = FORMATS[name]
    asked: set[str] = set()
    records = [example for _, example in EXAMPLES]
    for example in [*records, *({key: record[key]} for record in records for key in record), {}]:
        record = AskedKeys({key: value for key, value in example.items() if key in format_.READ_KEYS})
        format_.read(record)
        asked |= record.asked
    assert asked - {NOTES} == format_.READ_KEYS


@every_format
def test_a_value_too_deep_to_compare_is_kept(name: str) -> None:
    deep: Any = []
    for _ in range(700):
        deep = [deep]
    for key in KEYS:
        record = {key: deep}
        sample = FORMATS[name].read(record)
        assert FORMATS[name].write(sample) == record


@every_format
def test_a_record_of_another_format_comes_back_too(name: str) -> None:
    for _, example in EXAMPLES:
        assert_round_trip(FORMATS[name], copied(example))


@every_format
def test_a_sample_can_be_written_in_every_format_that_has_its_media(name: str) -> None:
    met = 0
    for source, example in EXAMPLES:
        sample = FORMATS[source].read(example)
        if len(sample.videos) > 1 and name != "lmms_finetune":
            continue  # only lmms-finetune has room for several
        columns = [getattr(sample, field) for field in ("images", "videos", "audios", "audio_q", "masks")]
        if {kind for kind, there in zip(MODALITIES, columns, strict=True) if there} <= set(FORMATS[name].MODALITIES):
            again = FORMATS[name].read(FORMATS[name].write(sample))
            assert not rejects(again.findings), (example, again.findings)
            assert again.turns == sample.turns
            assert len(again.images) == len(sample.images)
            assert len(again.videos) == len(sample.videos)
            assert again.masks == sample.masks
            met += source != name
    assert met


@every_example
def test_no_format_is_certain_of_a_typical_record_of_another(name: str, example: dict[str, Any]) -> None:
    found = recognise(example)
    assert list(found) == sorted(found, key=lambda one: -found[one].confidence)
    assert all(0 <= one.confidence <= 1 and one.reasons for one in found.values())
    certain = [one for one in found if found[one].confidence >= CERTAIN]
    assert name in certain if certain else found[name].confidence > UNLIKELY


@every_format
def test_a_file_of_typical_records_is_in_their_format(name: str) -> None:
    examples = STRATEGIES[name].EXAMPLES
    assert best_of(map(recognise, examples)) == name
    assert {RecordFormat(name)(example) for example in examples} == {name}


@every_format
def test_a_record_of_no_format_is_not_claimed(name: str) -> None:
    for record in ({}, {"id": 1}, {"text": "a"}, {"conversations": None, "messages": 3}):
        assert recognise(record)[name].confidence == 0


@every_format
def test_a_format_module_offers_what_the_protocol_asks_for(name: str) -> None:
    module = FORMATS[name]
    facts = inspect.get_annotations(Format)
    functions = {key: value for key, value in vars(Format).items() if isinstance(value, staticmethod)}
    assert facts and functions
    for fact, kind in facts.items():
        assert inspect.get_annotations(module).get(fact, type(getattr(module, fact)).__name__) == kind
    for key, function in functions.items():
        assert [*inspect.signature(getattr(module, key)).parameters] == [*inspect.signature(function).parameters]
    assert name == module.NAME


@every_format
def test_a_file_name_without_a_hint_is_of_the_split_train(name: str) -> None:
    for file in ("data.json", "contest/latest.jsonl", "", "/", "Ola_audio_1169k.json"):
        assert FORMATS[name].split_of(file) == "train"


@every_format
def test_the_modalities_are_named_in_the_usual_order(name: str) -> None:
    mine = FORMATS[name].MODALITIES
    assert mine and [one for one in MODALITIES if one in mine] == list(mine)


@quickly
@given(
    st.sampled_from(list(STRATEGIES)).flatmap(lambda name: damaged(STRATEGIES[name].records)),
    st.sampled_from([None, *FORMATS]),
)
def test_a_record_is_recognised_the_same_whatever_was_read_before(record: dict[str, Any], main: str | None) -> None:
    fresh, used = RecordFormat(main), RecordFormat(main)
    for _, example in EXAMPLES:
        used(example)
    assert used(record) == fresh(record) == used(copied(record))
    best, found = next(iter(recognise(record).items()))
    assert fresh(record) in ({best, main} if found.confidence else {None})


@every_format
def test_what_a_trainer_does_is_said_of_findings_that_exist(name: str) -> None:
    assert set(FORMATS[name].ON_DEFECT) <= set(CODE)
    assert all(says and not says.endswith(".") for says in FORMATS[name].ON_DEFECT.values())
