"""Rows that share a medium stand together in a build, wherever their records stand."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_clips import CLIPS, SIZE, build, files, write, write_annotations

from build_data import digests
from dataset_rows import undecoded
from modalmix.builders.build import Settings
from modalmix.builders.build.reorder_plan import reordered
from modalmix.builders.build.reorder_spill import decoded, encoded
from modalmix.builders.core.findings import CODE, finding
from modalmix.builders.core.int_columns import Columns


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"))


def rows_in_order(out: Path) -> list[dict[str, Any]]:
    return list(undecoded(datasets.load_dataset(str(out), "video", split="train")))


def runs(values: Iterable[Any]) -> list[Any]:
    return [value for value, _ in groupby(values)]


def clip_of(row: dict[str, Any]) -> int:
    return (len(row["videos"][0]["bytes"]) - SIZE) // 100


def test_rows_of_a_clip_from_three_annotation_files_are_together_at_the_place_of_the_first(
    data: Path, tmp_path: Path
) -> None:
    report = build(data, tmp_path / "out")
    build(data, tmp_path / "kept", Settings(order="annotation", row_group_bytes=150_000, shard_bytes=400_000))
    kept, rows = rows_in_order(tmp_path / "kept"), rows_in_order(tmp_path / "out")
    first_met = list(dict.fromkeys(clip_of(row) for row in kept))
    assert runs(map(clip_of, rows)) == first_met and len(runs(map(clip_of, kept))) > 3 * CLIPS
    for number in first_met:
        together = [row["id"] for row in rows if clip_of(row) == number]
        assert together == [row["id"] for row in kept if clip_of(row) == number]
    assert sorted(map(str, rows)) == sorted(map(str, kept))
    counts = report.counts
    assert counts.read == 7 * CLIPS == sum(counts.written.values()) + counts.rejected
    assert counts.written == {"text": 3, "video": 7 * CLIPS - 12} and counts.rejected == 9


def test_records_that_are_moved_come_with_all_that_they_said(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "kept", Settings(order="annotation"))
    build(data, tmp_path / "out")
    lines = {out: sorted((tmp_path / out / "rejected.jsonl").read_text().splitlines()) for out in ("kept", "out")}
    assert lines["kept"] == lines["out"] and len(lines["out"]) == 9
    extras = [json.loads(row["extra"]) for row in rows_in_order(tmp_path / "out")]
    assert [extra["number"] for extra in extras if "number" in extra] == [2**70] * 3


def test_a_record_comes_back_from_the_disk_as_it_was() -> None:
    for found in ({"a": float("nan"), "b": 2**70}, {"a": "\ud800"}, {"a": [1.5, None, {"ä": True}], "": -(2**63)}):
        findings = [finding(next(iter(CODE)), "twice", "/a").placed("x.json", 7)]
        record, reported = decoded(encoded(found, findings))
        assert repr(record) == repr(found) and reported == findings


def test_any_number_of_workers_brings_the_same_rows_together(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "one" / "built")
    build(data, tmp_path / "three" / "built", workers=3)
    assert digests(tmp_path / "one" / "built") == digests(tmp_path / "three" / "built")


def test_a_build_that_is_killed_while_it_moves_records_goes_on(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "undisturbed" / "built")
    out = tmp_path / "out" / "built"
    code = (
        "import sys; from modalmix import cards; from modalmix.builders import build; "
        "from modalmix.builders.build import Settings; "
        "from modalmix.builders.pipeline.options import Options; "
        "build.build(sys.argv[3:], sys.argv[2], Options(media_root=(sys.argv[1],)), "
        "Settings(row_group_bytes=150_000, shard_bytes=400_000), card=cards.write)"
    )
    moments = random.Random(3)
    kills = 0
    for attempt in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(data), str(out), *files(data)],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        while not (out / ".build" / "plan.json").exists() and process.poll() is None:
            time.sleep(0.005)
        if attempt < 3:
            until = out / ".build" / ("moved.lock", "00000.moved", "moved")[attempt]
            while not until.exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.01))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        if process.wait() == 0:
            break
    assert kills
    assert digests(out) == digests(tmp_path / "undisturbed" / "built")


def test_rows_led_by_members_of_archives_come_together_from_all_annotation_files(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archived"
    write_annotations(folder)
    for half in range(2):
        with tarfile.open(folder / f"videos_{half}.tar.gz", "w:gz") as archive:
            for number in range(half, CLIPS, 2):
                archive.add(data / "academic" / str(number) / "clip.mp4", f"academic/{number}/clip.mp4")
    report = build(folder, tmp_path / "one" / "built")
    build(folder, tmp_path / "three" / "built", workers=3)
    assert digests(tmp_path / "one" / "built") == digests(tmp_path / "three" / "built")
    rows = rows_in_order(tmp_path / "one" / "built")
    assert report.counts.written == {"video": 7 * CLIPS} and report.counts.read == 7 * CLIPS
    assert len(runs(map(clip_of, rows))) == CLIPS and len(rows) == 7 * CLIPS
    dealt = Settings(splits=(("train", 0.5), ("test", 0.5)))
    build(folder, tmp_path / "dealt", dealt)
    splits = datasets.load_dataset(str(tmp_path / "dealt"))
    clips = {split: {*map(clip_of, undecoded(part))} for split, part in splits.items()}
    assert len(clips["train"] | clips["test"]) == CLIPS and not clips["train"] & clips["test"]


def test_clips_with_one_name_in_other_folders_are_kept_apart(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "out")
    assert len(runs(map(clip_of, rows_in_order(tmp_path / "out")))) == CLIPS  # all are called clip.mp4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.sampled_from([-1, -1, -1, 40])), max_size=60),
)
def test_whoever_shares_a_lead_ends_up_together_and_nobody_twice(
    records: list[tuple[int, bool, int]],
) -> None:
    survey = Columns("place", "key", "task", "archive")
    task = 0
    for place, (key, new_task, archive) in enumerate(records):
        task += new_task
        survey.add(place, 0 if archive >= 0 else key, task, archive)
    found = reordered(survey)
    written: dict[int, list[int]] = {}
    behind: dict[int, list[int]] = {}
    for place, home, where in zip(*(column.tolist() for column in found), strict=True):
        behind.setdefault(home, []).append(place)
        assert home == place or survey["task"][home] == where
        if home == place:
            written.setdefault(where, []).append(place)
    gone = set(found.places.tolist())
    for place in range(len(records)):
        if place not in gone:
            written.setdefault(int(survey["task"][place]), []).extend([place, *behind.pop(place, [])])
    assert sorted(place for places in written.values() for place in places) == list(range(len(records)))
    assert not [home for home in behind if home not in gone]
    together = [int(survey["key"][place]) for number in sorted(written) if number < 40 for place in written[number]]
    keys = [key for key in together if key]
    assert len(set(keys)) == len([key for key in runs(together) if key])
    assert np.all(np.diff(found.places) > 0)
