"""How far a build is: sums of what tasks tell, the lines that are shown, and what is said at the end."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tarfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modalmix import cards
from modalmix.builders import build
from modalmix.builders.build import BuildProgress, Settings
from modalmix.builders.build import build_plan as planning
from modalmix.builders.build.progress import TaskState, size_of
from modalmix.builders.cli import example_data
from modalmix.builders.cli import progress as progress_module
from modalmix.builders.cli.progress import BuildMeter, CountMeter, duration, shown, size
from modalmix.builders.core.counts import Counts
from modalmix.builders.core.findings import CATALOGUE
from modalmix.builders.core.report import Report
from modalmix.builders.pipeline.options import DEFAULTS

SMALL = Settings(row_group_bytes=20_000, shard_bytes=60_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 records with a picture each; ten are broken, and the pictures of five are not there."""
    folder = tmp_path_factory.mktemp("data")
    records = []
    for i in range(200):
        (folder / f"{i}.jpg").write_bytes(example_data.picture(i % 20) + bytes(i))
        record = {"id": str(i), "image": f"{i}.jpg", "conversations": example_data.turns("<image>\nWhat?", "A square.")}
        if i % 20 == 3:
            record["conversations"] = record["conversations"][:1]
        if i % 40 == 7:
            record["image"] = "nowhere.jpg"
        records.append(record)
    (folder / "train.json").write_text(json.dumps(records))
    return folder


def followed(data: Path, out: Path, **options: Any) -> tuple[Report, list[tuple[int, int]], BuildProgress]:
    """A build's report, what was done of how much whenever it was told, and the last progress."""
    marks: list[tuple[int, int]] = []
    last: list[BuildProgress] = []

    def note(progress: BuildProgress) -> None:
        marks.append((progress.done, progress.size))
        last[:] = [progress]

    report = build.build(str(data), str(out), settings=SMALL, progress=note, **options, card=cards.write)
    return report, marks, last[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_done_grows_to_all_and_the_sums_are_those_of_the_report(
    data: Path, tmp_path: Path, workers: int
) -> None:
    report, marks, progress = followed(data, tmp_path / "out", workers=workers)
    assert progress.tasks > 2 and progress.finished == progress.tasks and not progress.at_work
    assert marks[-1][0] == marks[-1][1] == progress.size
    assert [done for done, _ in marks] == sorted(done for done, _ in marks)
    assert progress.counts == report.counts
    assert progress.rows == sum(report.counts.written.values()) == 185
    assert progress.packed > 185 * 1000
    assert progress.severities()["error"] == 15
    assert [state.seconds for state in progress.slowest(9)] == sorted(
        (state.seconds for state in progress.finished_tasks), reverse=True
    )[:9]
    assert progress.work_of(0).startswith("train.json from byte 0")


def test_a_build_that_goes_on_knows_what_was_done_before(data: Path, tmp_path: Path) -> None:
    build.build_part(str(data), str(tmp_path / "out"), (0, 2), settings=SMALL)
    report, marks, progress = followed(data, tmp_path / "out")
    before = [state for state in progress.finished_tasks if state.earlier]
    assert before and progress.earlier == (sum(s.done for s in before), sum(s.packed for s in before))
    assert 0 < progress.earlier[0] < progress.size == marks[-1][0]
    assert progress.counts == report.counts and all(state.seconds > 0 for state in progress.finished_tasks)


def before(data: Path) -> BuildProgress:
    tasks = planning.make(str(data), DEFAULTS, SMALL).tasks
    return BuildProgress(tasks, list(map(size_of, tasks)))


def test_a_task_that_starts_again_replaces_its_earlier_progress(data: Path) -> None:
    progress = before(data)
    progress.update(TaskState(0, 500, 7, 9000, Counts(read=8, rejected=1)), 1)
    progress.update(TaskState(1, 300, 2, 1000), 0)
    assert (progress.done, progress.rows, progress.packed, progress.counts.read) == (800, 9, 10_000, 8)
    progress.update(TaskState(0), 1)
    assert (progress.done, progress.rows, progress.counts.read) == (300, 2, 0)


def test_passes_through_archives_are_part_of_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    records = []
    with tarfile.open(folder / "a.tar.gz", "w:gz") as archive:
        for i in range(4):
            (tmp_path / "clip.mp4").unlink(missing_ok=True)
            example_data.video(str(tmp_path / "clip.mp4"), i, frames=6)
            archive.add(tmp_path / "clip.mp4", f"clips/{i}.mp4")
            turns = example_data.turns("<image>\nWhat?", "A square.")
            records.append({"id": str(i), "video": f"clips/{i}.mp4", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(records))
    _, _, progress = followed(folder, tmp_path / "out")
    sizes = sum(os.path.getsize(folder / name) for name in ("a.tar.gz", "train.json"))
    assert progress.size == progress.done == sizes and progress.rows == 4
    assert "a.tar.gz" in [progress.work_of(state.task) for state in progress.finished_tasks]


def test_lines_say_what_a_person_asks(data: Path) -> None:
    meter = BuildMeter()
    assert "planning" in meter.summary() and meter.workers() == []
    progress = before(data)
    warning = next(code for code, kind in CATALOGUE.items() if kind.severity == "warning")
    counts = Counts(read=1_300, rejected=12, findings={"MX101": 12, warning: 31})
    progress.update(TaskState(0, progress.size // 4, 1_204, 4_200_000_000, counts), 1)
    progress.update(TaskState(1, 10, 1, 5_000), 0)
    meter.update(progress)
    assert f"1,205 rows, 4.20 GB; 12 rejected, 31 warnings; 0 of {progress.tasks} tasks" in meter.line()
    first, second = meter.workers()
    assert first.startswith("worker 1: task 1, ") and first.endswith("1 row, 0.0 MB")
    assert second.startswith("worker 2: task 0, ") and second.endswith("1,204 rows, 4.20 GB")
    assert "25% done" in meter.line()
    assert (duration(59), duration(4_000), duration(200_000)) == ("0:00:59", "1:06:40", "2 d 7:33:20")
    assert (size(0), size(71_500_000), size(2.5e12)) == ("0.0 MB", "71.5 MB", "2.50 TB")


def test_a_count_says_what_of_what(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    meter = CountMeter("reading annotations", 4_000_000, in_bytes=True)
    meter.advance(1_000_000)
    assert meter.line() == "reading annotations: 25% done, 1.0 MB of 4.0 MB"
    meter.update("opening media", 1_200, None)
    assert meter.line() == "opening media: 1,200"
    monkeypatch.setattr(progress_module, "_SECONDS_PER_LINE", 0)
    with shown(Namespace(quiet=False, json=False), meter):
        meter.update("opening [media]", 5, 10)
    with shown(Namespace(quiet=True, json=False), CountMeter("nothing")) as quiet:
        quiet.advance()
    assert capsys.readouterr().err == "opening [media]: 50% done, 5 of 10\n"


def test_a_terminal_sees_lines_and_then_the_slowest_tasks(data: Path, tmp_path: Path) -> None:
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, "-m", "modalmix.builders.cli.main", "build", str(data), "--out", str(tmp_path / "out")]
    running = subprocess.Popen(
        [*command, "--max-shard-size", "60000"], stdout=subprocess.PIPE, stderr=there, env=environment
    )
    os.close(there)
    seen = b""
    while True:
        try:
            part = os.read(here, 1 << 16)
        except OSError:  # how Linux says that nobody writes to a terminal any more
            break
        if not part:
            break
        seen += part
    printed = running.communicate()[0].decode()
    os.close(here)
    assert running.returncode == 1 and b"building" in seen and b"%" in seen
    assert "slowest tasks" in printed and "train.json:3 1 turns" in printed


def test_the_report_has_an_example_of_each_reason_and_their_numbers_add_up(data: Path, tmp_path: Path) -> None:
    report = build.build(str(data), str(tmp_path / "out"), settings=SMALL, card=cards.write)
    assert {code: one.records for code, one in report.rejects.items()} == {"MX101": 5, "MX202": 10}
    assert sum(one.records for one in report.rejects.values()) == report.counts.rejected
    assert (report.rejects["MX202"].file, report.rejects["MX202"].row) == ("train.json", 3)
    assert "nowhere.jpg" in report.rejects["MX101"].message
    written = msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes())
    assert written["rejects"]["MX101"]["records"] == 5 and "seconds" not in str(written)
