"""Selection: conditions, samples, limits; every record is accounted for, whoever builds."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import modalmix.builders  # noqa: F401  registers the builders
from dataset_rows import ids, undecoded
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.annotations import plan as slices_of
from modalmix.builders.annotations import sources
from modalmix.builders.build import Settings
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.counts import Counts
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.sample import Mask, Reference, Sample, Turn
from modalmix.builders.pipeline import conditions
from modalmix.builders.pipeline.conditions import Subject, condition
from modalmix.builders.pipeline.options import Options
from modalmix.builders.pipeline.rewriters import Rewriters
from modalmix.builders.pipeline.rows import Row, rows
from modalmix.builders.pipeline.selection import Selection

RECORDS = 120


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files with 60 records each: pictures, text, some broken, some whose picture is not there."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b"):
        records: list[dict[str, Any]] = []
        for i in range(60):
            record = {"id": f"{name}{i}", "conversations": example_data.turns("<image>\nWhat?", "A square. " * (i % 9))}
            if i % 3:
                record["image"] = f"{i % 7}.jpg"
            else:
                record["conversations"] = example_data.turns("Hello?", "Yes. " * i)
            if i % 10 == 4:
                record["image"] = "nowhere.jpg"
            if i % 20 == 7:
                record["conversations"] = record["conversations"][:1]
            records.append({**record, "source": "web" if i % 2 else "book"})
        (folder / f"{name}.json").write_text(json.dumps(records))
    for i in range(7):
        (folder / f"{i}.jpg").write_bytes(example_data.picture(i))
    return folder


def selected(data: Path, selection: Selection, mixes: frozenset[str] | None = None) -> tuple[list[str], Counts]:
    options = Options(selection=selection, mixes=mixes)
    found, total = [], Counts()
    for source in sources(str(data)):
        for slice_ in slices_of(source):
            counts = Counts()
            for row in rows(slice_, options, counts, Rewriters(options).of(slice_)):
                if isinstance(row, Row):
                    found.append(row.id)
            total.add(counts)
    return found, total


CONDITIONS = (
    "mix == 'image'",
    "chars < 40",
    "'MX101' not in findings",
    "extra['source'] == 'web'",
    "len(images) == 1 and row % 2 == 0",
    "bytes > 0",
    "matches('^a', id) or file == 'b.json'",
    "num_frames <= 32",
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    conditions=st.lists(st.sampled_from(CONDITIONS), max_size=3),
    sample=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**31),
    mixes=st.sampled_from((None, frozenset({"image"}), frozenset({"text"}))),
)
def test_every_record_is_written_rejected_or_not_selected(
    data: Path, conditions: list[str], sample: float, seed: int, mixes: frozenset[str] | None
) -> None:
    found, counts = selected(data, Selection(tuple(conditions), sample, seed), mixes)
    assert counts.read == RECORDS == len(found) + counts.rejected + counts.not_selected
    assert sum(counts.written.values()) == len(found)
    everything, _ = selected(data, Selection(), mixes)
    assert [one for one in everything if one in set(found)] == found


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    conditions=st.lists(st.sampled_from(CONDITIONS[:6]), max_size=1),
    sample=st.floats(0.3, 1.0),
    limit=st.one_of(st.none(), st.integers(1, 130)),
)
def test_builds_select_the_same_rows_in_one_go_and_in_parts(
    data: Path, tmp_path_factory: pytest.TempPathFactory, conditions: list[str], sample: float, limit: int | None
) -> None:
    out = tmp_path_factory.mktemp("built")
    options = Options(selection=Selection(tuple(conditions), sample))
    small = Settings(limit=limit, shard_bytes=20_000, row_group_bytes=8_000)
    report = build.build(str(data), str(out / "one"), options, small, card=cards.write)
    for number in (2, 0, 1):
        build.build_part(str(data), str(out / "parts"), (number, 3), options, small)
    assert build.finish(str(out / "parts"), card=cards.write) == report
    counts = report.counts
    written = sum(counts.written.values())
    assert counts.read == RECORDS == written + counts.rejected + counts.not_selected
    everything, _ = selected(data, options.selection)
    assert written == min(len(everything), limit or RECORDS)
    if written:
        rows = undecoded(datasets.load_dataset(str(out / "parts"), split="train", cache_dir=str(out)))
        assert sorted(ids(rows)) == sorted(everything[:limit])


def test_three_workers_select_the_same_rows(data: Path, tmp_path: Path) -> None:
    options = Options(selection=Selection(("chars < 300",), 0.7))
    chosen = Settings(limit=40, shard_bytes=20_000, row_group_bytes=8_000)
    reports = [
        build.build(str(data), str(tmp_path / str(workers)), options, chosen, workers=workers, card=cards.write)
        for workers in (1, 3)
    ]
    assert reports[0] == reports[1] and sum(reports[0].counts.written.values()) == 40


def test_a_limit_ends_a_build_in_the_order_of_the_records(data: Path, tmp_path: Path) -> None:
    report = build.build(str(data), str(tmp_path / "out"), settings=Settings(limit=10), card=cards.write)
    everything, _ = selected(data, Selection())
    assert sorted(ids(undecoded(datasets.load_dataset(str(tmp_path / "out"), split="train")))) == sorted(
        everything[:10]
    )
    counts = report.counts
    assert (counts.read, sum(counts.written.values())) == (RECORDS, 10) and counts.rejected < 5
    assert report.options["limit"] == 10
    assert "- the first 10 rows" in (tmp_path / "out" / "README.md").read_text()
    with pytest.raises(DataError, match="must be at least 1"):
        build.build(str(data), str(tmp_path / "none"), settings=Settings(limit=0), card=cards.write)


def test_a_sample_is_drawn_by_place_and_seed_and_smaller_ones_are_part_of_larger_ones(data: Path) -> None:
    half, _ = selected(data, Selection(sample=0.5, seed=1))
    tenth, _ = selected(data, Selection(sample=0.1, seed=1))
    other, _ = selected(data, Selection(sample=0.5, seed=2))
    everything, _ = selected(data, Selection())
    assert set(tenth) < set(half) < set(everything) and half != other
    assert 0.3 < len(half) / len(everything) < 0.7
    for wrong in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(DataError, match="the sample is"):
            selected(data, Selection(sample=wrong))


def test_a_condition_on_what_is_written_leaves_rows_out_before_their_media_are_looked_up(data: Path) -> None:
    _, counts = selected(data, Selection(("images != ['nowhere.jpg']",)))
    assert "MX101" not in counts.findings
    _, counts = selected(data, Selection(("bytes >= 0",)))
    assert counts.findings["MX101"] == 8  # two of the twelve are broken or text besides


def test_reading_in_place_selects_alike(data: Path) -> None:
    conditions = ["mix == 'image'", "chars < 40"]
    here = datasets.load_dataset(
        "lmms_finetune", data_dir=str(data), data_files=[str(data / "a.json"), str(data / "b.json")],
        where=conditions, sample=0.5, seed=3, split="train",
    )  # fmt: skip
    expected, _ = selected(data, Selection(tuple(conditions), 0.5, 3))
    assert sorted(here["id"]) == sorted(expected) and expected


SUBJECT = Subject(
    "fv7",
    "ola",
    "a/b.json",
    7,
    Sample(
        turns=[Turn("human", "<image>\nWhat?"), Turn("gpt", "A cat.")],
        images=[Reference("/x/1.jpg")],
        masks=[[Mask(3), Mask(9)], [Mask(3)]],
        extra={"source": "web", "score": 0.5},
    ),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("mix == 'image_masks'", True),
        ("len(images) == 1 and chars < 4000", True),
        ("num_frames <= 32", False),
        ("not num_frames <= 32", True),
        ("num_frames > 32 or num_frames <= 32", False),
        ("num_frames is None and system is None", True),
        ("num_frames + 1 > 0", False),
        ("'cat' in text", True),
        ("'cat' in lower(system)", False),
        ("extra['score'] >= 0.5 and extra['source'] in ('web', 'book')", True),
        ("extra['nothing'] == 1", False),
        ("max(masks[0]) == 9 and len(masks) == 2", True),
        ("masks[7] is None", True),
        ("1 < row < 8", True),
        ("-row == -7 and row % 2 == 1 and row // 2 == 3 and row / 2 == 3.5", True),
        ("matches('^fv[0-9]+$', id)", True),
        ("conversations[1]['value'] == 'A cat.' and format == 'ola' and file == 'a/b.json'", True),
    ],
)
def test_conditions_say_what_they_say(text: str, holds: bool) -> None:
    assert condition(text).holds(SUBJECT) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame_count < 3", "names 'frame_count'; there are id, file, row, "),
        ("__import__('os').system('true')", "conditions do not do"),
        ("eval('1')", "calls 'eval'; there are len, "),
        ("id.__class__", "conditions do not do"),
        ("[x for x in images]", "conditions do not do"),
        ("lambda: 1", "conditions do not do"),
        ("f'{id}'", "conditions do not do"),
        ("2 ** 99", "conditions do not do"),
        ("(id := 'x')", "conditions do not do"),
        ("num_frames is 3", "is and is not are for None"),
        ("mix = 'image'", "cannot be read"),
        ("mix ==", "cannot be read"),
        ("", "cannot be read"),
        ("(" * 5000, "cannot be read"),
        ("1" + " + 1" * 2_000 + " > chars", "cannot be read|nested too deeply"),
        ("1" + " + 1" * 20_000 + " > chars", "80,009 characters, of at most 10,000"),
    ],
)
def test_an_invalid_condition_is_an_error(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        condition(text)


@pytest.mark.parametrize(
    "text", ["id < 3", "'a' * 9 == id", "len(row) == 1", "row / 0 > 1", "matches('(', id)", "len() > 0"]
)
def test_a_condition_that_cannot_be_evaluated_names_the_record(text: str) -> None:
    with pytest.raises(DataError, match=r"cannot be asked of a/b\.json:7"):
        condition(text).holds(SUBJECT)


@given(st.text(alphabet="()[]'\"<>=+-*/%. andortiselfmixrow0123456789\\\n", max_size=40))
def test_no_text_does_harm(text: str) -> None:
    with contextlib.suppress(DataError):
        conditions.condition(text).holds(SUBJECT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "frame_count < 3"], "names 'frame_count'; there are id, file, row, "),
        (["--where", "id < 3"], "cannot be asked of a.json:0"),
        (["--sample", "2"], "the sample is 2"),
        (["--limit", "0"], "the limit is 0"),
        (["--split", "train=0.5"], "add up to 0.5"),
    ],
)
def test_a_wrong_choice_is_one_line_and_exit_code_2(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["build", str(data), "--out", str(tmp_path / "out"), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_another_condition_is_refused_where_a_build_has_begun(data: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    build.build_part(str(data), out, (0, 9))
    with pytest.raises(DataError, match=r"where was \(\), now \('row < 3',\)"):
        build.build(str(data), out, Options(selection=Selection(("row < 3",))), card=cards.write)
    with pytest.raises(DataError, match="limit was None, now 3"):
        build.build(str(data), out, settings=Settings(limit=3), card=cards.write)
