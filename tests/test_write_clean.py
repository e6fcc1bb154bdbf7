"""Clean copies in every format: what is written is read again without the errors that kept records out."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from strategies_turns import copied

from modalmix.builders.check import check
from modalmix.builders.check.statistics import value_text
from modalmix.builders.check.write_clean import write_clean
from modalmix.builders.formats import formats
from modalmix.builders.pipeline.options import Options


def broken(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The record with one thing after the other wrong."""
    turns = "messages" if "messages" in record else "conversations"
    alone = {key: value for key, value in record.items() if key != turns}
    return [
        {**alone, turns: []},
        {**alone, turns: record[turns][:1]},
        {**alone, turns: record[turns], "video": 7},
        {**alone, turns: 7},
    ]


@pytest.mark.parametrize("name", formats())
@pytest.mark.parametrize("fix", [False, True])
def test_a_clean_copy_of_any_format_has_no_errors_left(
    example_folders: dict[str, str], tmp_path: Path, name: str, fix: bool
) -> None:
    module = importlib.import_module(f"strategies_{name}")
    records = []
    for record in module.EXAMPLES:
        if {"conversations", "messages"} & set(record):
            records += [*broken(copied(record)), copied(record)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data.json").write_text(json.dumps(records))
    options = Options(format=name, media_root=(example_folders[name],))
    result = check(str(tmp_path / "in"), options, depth="quick")
    assert result.diagnosis.errors
    copies = write_clean(result, str(tmp_path / "out"), options, fix=fix)["data.json"]
    assert copies.read == len(records) == copies.written + copies.left_out + copies.not_selected
    written = json.loads((tmp_path / "out" / "data.json").read_text())
    assert len(written) == copies.written
    if written:
        again = check(str(tmp_path / "out" / "data.json"), options, depth="quick").diagnosis
        assert again.errors == 0 and again.counts.read == copies.written
    if fix:
        mends = (tmp_path / "out" / "mends.log").read_text().splitlines()
        assert len({json.loads(line)["row"] for line in mends}) == copies.fixed
    unchanged = [one for one in written if one in records]
    assert len(unchanged) == copies.written - copies.fixed


def test_the_example_of_every_format_is_clean_once_it_was_cleaned(
    example_folders: dict[str, str], tmp_path: Path
) -> None:
    for name in formats():
        options = Options(media_root=(example_folders[name],))
        result = check(example_folders[name], options, depth="quick")
        copies = write_clean(result, str(tmp_path / name), options, fix=True)
        assert (
            sum(one.written for one in copies.values())
            >= result.diagnosis.counts.read - result.diagnosis.counts.rejected
        )
        assert check(str(tmp_path / name), options, depth="quick").diagnosis.errors == 0


def test_values_are_shown_with_their_unit() -> None:
    said = [value_text("row bytes", value) for value in (0, 999, 1_000, 99_449, 999_499, 1_000_000, 5_043_498, 10**19)]
    assert said == ["0 B", "999 B", "1.0 kB", "99.4 kB", "999 kB", "1.0 MB", "5.0 MB", "10,000 PB"]
    assert value_text("video milliseconds", 5_312) == "5.3 s" and value_text("turns", 12_345) == "12,345"
    assert value_text("turns", 2.345, exact=False) == "2.3"
