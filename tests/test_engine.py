"""The build engine: the same bytes whoever builds, however often it is interrupted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from build_data import SMALL, command, digests, make_data
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.build import Settings, build_plan, task
from modalmix.builders.core import storage
from modalmix.builders.core.errors import DataError
from modalmix.builders.pipeline.options import DEFAULTS, Options
from modalmix.builders.pipeline.rejects import RejectedRow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"), 240)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "built"
    report = build.build(str(data), str(out), settings=SMALL, card=cards.write)
    counts = report.counts
    assert counts.read == 240 == sum(counts.written.values()) + counts.rejected and counts.rejected > 10
    assert len(build_plan.make(str(data), DEFAULTS, SMALL).tasks) > 5 and len(report.all_shards()) > 10
    return digests(str(out))


def test_any_number_of_workers_makes_the_same_bytes(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    build.build(str(data), str(tmp_path / "built"), settings=SMALL, workers=3, card=cards.write)
    assert digests(str(tmp_path / "built")) == undisturbed


def test_parts_run_by_hand_make_the_same_bytes(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = str(tmp_path / "built")
    for number in (2, 0, 1):
        with pytest.raises(DataError, match=r"tasks are not done|no unfinished build"):
            build.finish(out, card=cards.write)
        build.build_part(str(data), out, (number, 3), settings=SMALL)
    build.finish(out, card=cards.write)
    assert digests(str(tmp_path / "built")) == undisturbed


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_any_moment_a_build_goes_on_and_ends_with_the_same_bytes(
    data: Path, tmp_path: Path, undisturbed: dict[str, str], workers: int
) -> None:
    out = tmp_path / "built"
    moments = random.Random(workers)
    kills = 0
    for attempt in range(60):
        process = subprocess.Popen(
            command(data, str(out), workers=workers), start_new_session=True, stderr=subprocess.DEVNULL
        )
        while not (out / ".build" / "plan.json").exists() and process.poll() is None:
            time.sleep(0.005)
        if attempt < 12:
            time.sleep(moments.uniform(0, 0.15))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        if process.wait() == 0:
            break
    assert kills > 0
    assert digests(str(out)) == undisturbed


def test_only_the_shards_in_flight_are_made_again(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "built"
    made = build_plan.make(str(data), DEFAULTS, SMALL)
    first, second = made.tasks[0], made.tasks[1]
    (out / ".build").mkdir(parents=True)
    task.run(storage.at(str(out)), made, first)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert before
    task.run(storage.at(str(out)), made, first)
    task.run(storage.at(str(out)), made, second)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_shard_that_has_changed_is_made_again(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = tmp_path / "built"
    made = build_plan.make(str(data), DEFAULTS, SMALL)
    (out / ".build").mkdir(parents=True)
    for one in made.tasks:
        task.run(storage.at(str(out)), made, one)
    shard = sorted(out.rglob("*.parquet"))[3]
    text = bytearray(shard.read_bytes())
    text[len(text) // 2] ^= 1
    shard.write_bytes(text)
    build.build(str(data), str(out), settings=SMALL, card=cards.write)
    assert digests(str(out)) == undisturbed


def test_another_input_or_option_is_refused_and_named(data: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "built")
    build.build_part(str(data), out, (0, 9), settings=SMALL)
    with pytest.raises(DataError, match="shard_bytes was 300000, now 200000"):
        build.build(str(data), out, settings=Settings(row_group_bytes=150_000, shard_bytes=200_000), card=cards.write)
    with pytest.raises(DataError, match="mixes was None, now"):
        build.build(str(data), out, Options(mixes=frozenset({"image"})), SMALL, card=cards.write)
    records = (data / "train.json").read_text()
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "train.json").write_text(records)
    with pytest.raises(DataError, match=r"train\.json is (new|no longer)"):
        build.build(str(copy), out, settings=SMALL, card=cards.write)


def test_a_mixture_may_take_from_one_file_twice(data: Path, tmp_path: Path) -> None:
    mixture, out = data / "mixture.yaml", tmp_path / "resumed" / "built"
    takes = "".join(f"  - {{json_path: train.json, sampling_strategy: '{take}'}}\n" for take in ("first:7", "end:5"))
    mixture.write_text(f"datasets:\n{takes}")
    report = build.build(str(mixture), str(tmp_path / "built"), settings=SMALL, card=cards.write)
    assert report.checksums["train.json"] == report.checksums["train.json#2"] and report.counts.read == 480
    rows = datasets.load_dataset(str(tmp_path / "built"), "all", split="train", cache_dir=str(tmp_path / "cache"))
    taken = {(row["file"], row["row"]) for row in rows["source"]}
    assert taken <= {("train.json", row) for row in range(7)} | {("train.json#2", row) for row in range(235, 240)}
    assert len(taken) == sum(report.counts.written.values()) >= 9
    plan = build_plan.make(str(mixture), DEFAULTS, SMALL)
    build.build_part(str(mixture), str(out), (0, len(plan.tasks) + 1), settings=SMALL)
    build.build(str(mixture), str(out), settings=SMALL, card=cards.write)
    assert digests(out) == digests(tmp_path / "built")


def test_a_plan_of_another_version_is_refused_by_name(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out = tmp_path / "built"
    build.build_part(str(data), str(out), (0, 9), settings=SMALL)
    written = json.loads((out / build_plan.FILE).read_text())
    for plan, reason in (
        ({**written, "version": "0.0.9"}, r"modalmix was 0\.0\.9, now"),
        ({**written, "tasks": [{"files": [1]}]}, "is not a plan of this version of modalmix; pass --overwrite"),
        ({}, "is not a plan of this version"),
    ):
        (out / build_plan.FILE).write_text(json.dumps(plan))
        with pytest.raises(DataError, match=reason) as refused:
            build.build(str(data), str(out), settings=SMALL, card=cards.write)
        assert "\n" not in str(refused.value)
    build.build(str(data), str(out), settings=SMALL, overwrite=True, card=cards.write)
    assert digests(out) == undisturbed


def test_a_second_build_in_the_same_folder_stops_and_says_why(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "built"
    holding: list[str] = []

    def during(_: object) -> None:
        if not holding:
            with pytest.raises(DataError, match="another build is at work"):
                build.build(str(data), str(out), settings=SMALL, card=cards.write)
            holding.append("told")

    build.build(str(data), str(out), settings=SMALL, progress=during, card=cards.write)
    assert holding


def test_a_record_that_is_rejected_stops_workers_too(data: Path, tmp_path: Path) -> None:
    strict = Settings(on_error="raise", row_group_bytes=150_000, shard_bytes=300_000)
    with pytest.raises(RejectedRow, match="MX202"):
        build.build(str(data), str(tmp_path / "built"), settings=strict, workers=2, card=cards.write)


def test_a_worker_that_dies_is_replaced(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    killed: list[int] = []

    def during(_: object) -> None:
        if not killed:
            found = subprocess.run(
                ["pgrep", "-P", str(os.getpid()), "-f", "build.local_engine"], capture_output=True, text=True
            )
            killed.extend(int(pid) for pid in found.stdout.split()[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    build.build(str(data), str(tmp_path / "built"), settings=SMALL, workers=2, progress=during, card=cards.write)
    assert killed and digests(str(tmp_path / "built")) == undisturbed


def test_a_full_disk_stops_the_build_which_continues_later(
    data: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    import resource

    out = tmp_path / "built"

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(command(data, str(out), workers=1), capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1 and "File too large" in done.stderr
    build.build(str(data), str(out), settings=SMALL, card=cards.write)
    assert digests(str(out)) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB of its own, where the system lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("a disk can be mounted by root alone")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_an_error_in_one_line_and_nothing_is_lost(
    data: Path, small_disk: Path, undisturbed: dict[str, str], workers: int
) -> None:
    out = small_disk / "built"
    code = "from modalmix.builders.cli.main import main; raise SystemExit(main())"
    result = subprocess.run(
        [sys.executable, "-c", code, "build", str(data), "--out", str(out), "--workers", str(workers), "--quiet"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and "No space left on device" in result.stderr and result.stderr.count("\n") == 1
    shutil.rmtree(out)
    result = subprocess.run(command(data, str(out), workers=workers), capture_output=True, text=True)
    assert result.returncode == 1 and "No space left on device" in result.stderr
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert before
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    build.build(str(data), str(out), settings=SMALL, workers=workers, card=cards.write)
    assert digests(str(out)) == undisturbed
    again = [path for path, modified in before.items() if path.stat().st_mtime_ns != modified]
    assert len(again) <= workers < len(before), "those in flight: they had their name, but no line in a journal yet"
