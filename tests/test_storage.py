"""Where builds write: a folder or an object store, and the same bytes in both."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

import datasets
import msgspec
import pytest

from build_data import SMALL, command, digests, make_data
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.build import build_plan, run_build
from modalmix.builders.build.task import run as run_task
from modalmix.builders.cli.main import main
from modalmix.builders.core import storage
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.storage import object_lock
from modalmix.builders.pipeline.options import DEFAULTS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = str(tmp_path_factory.mktemp("undisturbed") / "built")
    build.build(str(data), out, settings=SMALL, card=cards.write)
    return digests(out)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, for processes too."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_build_in_an_object_store_has_the_same_bytes_and_leaves_nothing_here(
    data: Path, bucket: str, undisturbed: dict[str, str], scratch: Path
) -> None:
    out = f"{bucket}/same/built"
    report = build.build(str(data), out, settings=SMALL, workers=2, card=cards.write)
    assert digests(out) == undisturbed and len(report.all_shards()) > 8
    assert not list(scratch.glob("modalmix-*"))
    rows = datasets.load_dataset("parquet", data_files=f"{out}/data/image/*.parquet", split="train", streaming=True)
    assert sum(1 for _ in rows) == report.counts.written["image"]
    with pytest.raises(DataError, match="holds a finished build; pass --overwrite"):
        build.build(str(data), out, settings=SMALL, card=cards.write)
    build.build(str(data), out, settings=SMALL, overwrite=True, card=cards.write)
    assert digests(out) == undisturbed


def test_any_file_system_that_fsspec_knows_will_do(data: Path, undisturbed: dict[str, str]) -> None:
    build.build(str(data), "memory://folder/built", settings=SMALL, card=cards.write)
    assert digests("memory://folder/built") == undisturbed


def test_parts_that_machines_build_into_an_object_store_are_put_together(
    data: Path, bucket: str, undisturbed: dict[str, str]
) -> None:
    out = f"{bucket}/parts/built"
    for number in (1, 0):
        build.build_part(str(data), out, (number, 2), settings=SMALL)
    build.finish(out, card=cards.write)
    assert digests(out) == undisturbed


def test_a_build_into_an_object_store_that_is_killed_goes_on(
    data: Path, bucket: str, undisturbed: dict[str, str], scratch: Path
) -> None:
    out, moments, kills = f"{bucket}/killed/built", random.Random(3), 0
    place = storage.at(out)
    for attempt in range(20):
        process = subprocess.Popen(command(data, out), start_new_session=True, stderr=subprocess.DEVNULL)
        while place.size(build_plan.FILE) is None and process.poll() is None:
            time.sleep(0.02)
        if attempt < 4:
            time.sleep(moments.uniform(0, 1))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                kills += 1
        if process.wait() == 0:
            break
    assert kills > 0 and digests(out) == undisturbed
    assert not list(scratch.glob("modalmix-*")), "what the killed have left is removed by who comes after them"


def test_a_shard_is_sent_again_only_if_the_store_says_it_is_another(
    data: Path, bucket: str, undisturbed: dict[str, str]
) -> None:
    import fsspec

    out = f"{bucket}/known/built"
    place, store = storage.at(out), fsspec.filesystem("s3", use_listings_cache=False)
    made = build_plan.make(str(data), DEFAULTS, SMALL)
    for task in made.tasks:
        run_task(place, made, task)

    def sent() -> dict[str, object]:
        return {path: store.info(f"{out}/{path}")["LastModified"] for path in sorted(place.sizes("data"))}

    before = sent()
    changed = list(before)[3]
    text = bytearray(place.read(changed) or b"")
    text[len(text) // 2] ^= 1
    time.sleep(1.1)  # the store tells times in seconds
    place.write(changed, bytes(text))
    build.build(str(data), out, settings=SMALL, card=cards.write)
    after = sent()
    again = {path for path in before if before[path] != after[path]}
    assert changed in again and len(again) <= 3, "that one, and those of its mix and task behind it"
    assert digests(out) == undisturbed


def test_a_second_build_into_an_object_store_stops_and_says_why(data: Path, bucket: str) -> None:
    out, reported = f"{bucket}/second/built", []

    def during(standing: object) -> None:
        if not reported:
            for overwrite in (False, True):
                with pytest.raises(DataError, match=r"another build is at work in 's3://.*: process \d+ of"):
                    build.build(str(data), out, settings=SMALL, overwrite=overwrite, card=cards.write)
            reported.append("told")

    build.build(str(data), out, settings=SMALL, progress=during, card=cards.write)
    assert reported


def elsewhere(place: storage.Output, host: str = "gpu-7", pid: int = 12) -> None:
    """Writes the lock of another build."""
    other = object_lock.Holder("somebody", host, pid, "2026-01-02 03:04:05 UTC")
    place.write(f"{storage.STATE}/lock.json", msgspec.json.encode(other))


HELD = r"another build is at work in .* process 12 of gpu-7, since 2026-01-02 03:04:05 UTC; .* pass --take-over"


def test_the_lock_of_another_host_is_taken_over_on_demand_alone(
    data: Path, bucket: str, undisturbed: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    out = f"{bucket}/elsewhere/built"
    place = storage.at(out)
    elsewhere(place)
    for part in (None, (0, 2)):
        with pytest.raises(DataError, match=HELD):
            if part:
                build.build_part(str(data), out, part, settings=SMALL)
            else:
                build.build(str(data), out, settings=SMALL, card=cards.write)
    assert main(["build", str(data), "--out", out, "--quiet"]) == 2
    build.build(str(data), out, settings=SMALL, take_over=True, card=cards.write)
    assert "taking over from process 12 of gpu-7" in caplog.text
    assert digests(out) == undisturbed


def test_the_lock_of_a_dead_process_of_this_host_is_no_obstacle(bucket: str) -> None:
    place = storage.at(f"{bucket}/dead/built")
    dead = subprocess.Popen(["true"])
    dead.wait()
    elsewhere(place, socket.gethostname(), dead.pid)
    with place.lock(""):
        pass
    elsewhere(place, socket.gethostname(), os.getpid())  # of a process that had the number of this one
    with place.lock(""):
        pass
    assert place.size(f"{storage.STATE}/lock.json") is None
    living = subprocess.Popen(["sleep", "600"])
    try:
        elsewhere(place, socket.gethostname(), living.pid)
        with pytest.raises(DataError, match=f"process {living.pid} of"), place.lock(""):
            pass
    finally:
        living.kill()
    with pytest.raises(DataError, match="an unknown process"):
        place.write(f"{storage.STATE}/lock.json", b"{")
        with place.lock(""):
            pass


def test_a_build_whose_lock_was_taken_stops(data: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_build, "CHECK_SECONDS", 0.0)
    out = f"{bucket}/taken/built"
    place = storage.at(out)
    with pytest.raises(DataError, match=HELD):
        build.build(str(data), out, settings=SMALL, progress=lambda _: elsewhere(place), card=cards.write)
    assert place.size("report.json") is None
    assert place.size(f"{storage.STATE}/lock.json") is not None, "it is not ours to remove"


def test_parts_hold_an_object_store_against_the_whole_but_not_against_each_other(bucket: str) -> None:
    place = storage.at(f"{bucket}/leases/built")
    with place.lock("-0-2"), place.lock("-1-2"):
        for part in ("", "-0-2"):
            with pytest.raises(DataError, match="another build"), place.lock(part):
                pass
    with place.lock(""), pytest.raises(DataError, match="another build"), place.lock("-0-2"):
        pass


@pytest.mark.parametrize(
    "out, reason",
    [
        ("s3://no-such-bucket/x", "does not exist"),
        ("nothing://x/y", "Protocol not known"),
        ("hf://datasets/ns/name", "use modalmix push"),
    ],
)
def test_an_output_that_cannot_be_written_is_an_error_in_one_line(
    data: Path, bucket: str, out: str, reason: str
) -> None:
    with pytest.raises((DataError, OSError), match=reason) as reported:
        build.build(str(data), out, settings=SMALL, card=cards.write)
    assert "\n" not in str(reported.value)


def test_other_peoples_objects_are_left_alone(data: Path, bucket: str) -> None:
    place = storage.at(f"{bucket}/theirs")
    place.write("thesis.tex", b"precious")
    with pytest.raises(DataError, match=r"holds other files \('thesis.tex'"):
        build.build(str(data), place.url, settings=SMALL, overwrite=True, card=cards.write)
    with pytest.raises(DataError, match="is a file"):
        build.build(str(data), f"{place.url}/thesis.tex", settings=SMALL, card=cards.write)
    assert digests(place.url).keys() == {"thesis.tex"}


def test_a_process_that_outlives_its_master_cannot_harm_the_next(tmp_path: Path) -> None:
    old, new = storage.at(str(tmp_path)), storage.at(str(tmp_path))
    with open(old.draft("data/a.parquet"), "wb") as late:
        Path(new.draft("data/a.parquet")).write_bytes(b"whole")
        late.write(b"half")
    with pytest.raises(FileNotFoundError):
        old.publish("data/a.parquet")
    new.publish("data/a.parquet")
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {"a.parquet": b"whole"}


def test_a_build_that_was_killed_while_it_cleaned_up_is_finished(
    data: Path, tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    out = tmp_path / "built"
    build.build(str(data), str(out), settings=SMALL, card=cards.write)
    (out / storage.STATE).mkdir()
    for name in ("finished", "00001.json"):
        (out / storage.STATE / name).write_text("")
    with pytest.raises(DataError, match="holds a finished build"):
        build.build(str(data), str(out), settings=SMALL, card=cards.write)
    assert digests(str(out)) == undisturbed


def test_a_build_at_work_is_not_overwritten(data: Path, tmp_path: Path, undisturbed: dict[str, str]) -> None:
    out, reported = str(tmp_path / "built"), []

    def during(standing: object) -> None:
        if not reported:
            with pytest.raises(DataError, match="another build is at work"):
                build.build(str(data), out, settings=SMALL, overwrite=True, card=cards.write)
            reported.append("told")

    build.build(str(data), out, settings=SMALL, progress=during, card=cards.write)
    assert reported and digests(out) == undisturbed
