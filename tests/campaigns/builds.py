"""Build campaign: builds are killed again and again, and must end with the bytes of an undisturbed build.

    python tests/campaigns/builds.py --kills 100                  # two local workers
    python tests/campaigns/builds.py --kills 100 --engine ray     # a Ray of two nodes, started for it

The data are patches, a tar.gz of videos, videos with several questions each, pictures and broken records.  Each build is killed
several times at random moments, all of its processes or one of them, and then runs to its end.  After every kill, all shards
under their final names must be complete.  At the end the bytes must be equal, and each record must exist once: as a row or in
the rejects.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from modalmix.builders.cli import example_data

TARGETS = ("all", "all", "one")
"""What a kill hits: all processes of the build, or one that is not the first; a target is drawn at random."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kills-per-build", type=int, default=5)
    parser.add_argument("--mb", type=int, default=300, help="megabytes of media")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to put files; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, cluster(options.engine) as engine:
        folder = Path(name)
        make_data(folder / "data", options.mb * 1_000_000)
        arguments = [*engine, "--workers", str(options.workers), "--max-shard-size", "12MB"]
        print(f"{options.engine}, {options.mb} MB")
        campaign = run(folder, arguments, options.kills, options.kills_per_build, options.seed)
    print(campaign.table())
    sys.exit(campaign.failures != 0)


class Campaign(NamedTuple):
    """The results.

    Attributes:
        builds: that ran to their end.
        kills: that hit a running build.
        hit: kills by target.
        failures: builds with other bytes, with lost or repeated records, or with a broken shard under its final name.
        undisturbed: seconds of an undisturbed build.
        last_runs: seconds of the last run of each build, which continues where the killed runs stopped.
    """

    builds: int
    kills: int
    hit: Counter[str]
    failures: int
    undisturbed: float
    last_runs: list[float]

    def table(self) -> str:
        last_run = f"{statistics.median(self.last_runs):.1f} s" if self.last_runs else "–"
        hits = ", ".join(f"{count} × {what}" for what, count in sorted(self.hit.items()))
        lines = [
            ("builds", str(self.builds)),
            ("kills", f"{self.kills} ({hits})"),
            ("undisturbed", f"{self.undisturbed:.1f} s"),
            ("last run after the kills, median", last_run),
            ("builds that differ, or lost or repeated a record", str(self.failures)),
        ]
        return "\n".join(f"{name:50} {value:>20}" for name, value in lines)


def run(folder: Path, arguments: Sequence[str], kills: int, kills_per_build: int, seed: int) -> Campaign:
    """Kills builds of ``folder/data`` until `kills` have hit."""
    moments = random.Random(seed)
    whole = folder / "undisturbed" / "built"  # the card's title is the folder's name
    started = time.monotonic()
    finish(command(folder / "data", whole, arguments))
    undisturbed = time.monotonic() - started
    expected, records = digests(whole), count_records(whole)
    assert records == Counter(dict.fromkeys(records, 1)), "the undisturbed build repeats a record"
    hit: Counter[str] = Counter()
    last_runs: list[float] = []
    failures = builds = 0
    while sum(hit.values()) < kills:
        out = folder / "built"
        shutil.rmtree(out, ignore_errors=True)
        problems = []
        for _ in range(min(kills_per_build, kills - sum(hit.values()))):
            target = moments.choice(TARGETS)
            # a run after the first has less left to do, so early moments are more likely
            if kill(command(folder / "data", out, arguments), target, undisturbed * moments.random() ** 1.5):
                hit[target] += 1
            problems += broken_shards(out)
            if (out / "report.json").exists() and not (out / ".build").exists():
                break
        else:
            started = time.monotonic()
            finish(command(folder / "data", out, arguments))
            last_runs.append(time.monotonic() - started)
        builds += 1
        if (built := digests(out)) != expected:
            problems += [f"{path} differs" for path in {*built, *expected} if built.get(path) != expected.get(path)]
        if (found := count_records(out)) != records:
            problems += [f"{sum((records - found).values())} records lost, {sum((found - records).values())} repeated"]
        for problem in problems:
            print(f"build {builds}: {problem}")
        failures += bool(problems)
        print(f"{sum(hit.values())} of {kills} kills, {builds} builds, {failures} failures", flush=True)
    return Campaign(builds, sum(hit.values()), hit, failures, undisturbed, last_runs)


def command(data: Path, out: Path, arguments: Sequence[str]) -> list[str]:
    code = "from modalmix.builders.cli.main import main; raise SystemExit(main())"
    return [sys.executable, "-c", code, "build", str(data), "--out", str(out), "--quiet", *arguments]


def finish(command: Sequence[str]) -> None:
    """Runs a build to its end; it rejects records, so its exit code is 1."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1) or "Traceback" in done.stderr:
        raise SystemExit(f"a build failed:\n{done.stderr}")


def kill(command: Sequence[str], target: str, after: float) -> bool:
    """Starts a build and kills it, or one of its other processes, after so many seconds; False if it ends before."""
    build = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        build.wait(after)
        return False
    except subprocess.TimeoutExpired:
        pass
    if target == "all":
        os.killpg(build.pid, signal.SIGKILL)
        build.communicate()
        return True
    others = [pid for pid in (*_processes("-g", str(build.pid)), *_processes("-f", "^ray::_run")) if pid != build.pid]
    if others:
        os.kill(random.choice(others), signal.SIGKILL)
    _, errors = build.communicate()
    if build.returncode not in (0, 1):
        raise SystemExit(f"a build did not survive the death of a worker:\n{errors}")
    return bool(others)


def _processes(*options: str) -> list[int]:
    """The processes that `pgrep` finds: of a process group, or by command line, as Ray starts its own workers."""
    found = subprocess.run(["pgrep", *options], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of all files, hidden ones included."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file()
    }


def count_records(out: Path) -> Counter[tuple[str, int]]:
    """How many times each record is a row or a reject."""
    found: Counter[tuple[str, int]] = Counter()
    for shard in out.rglob("*.parquet"):
        for source in pq.read_table(shard, columns=["source"])["source"].to_pylist():
            found[source["file"], source["row"]] += 1
    with open(out / "rejected.jsonl", encoding="utf-8") as lines:
        for line in lines:
            reject = json.loads(line)
            found[reject["file"], reject["row"]] += 1
    return found


def broken_shards(out: Path) -> list[str]:
    """Shards under their final names that cannot be read to the end."""
    problems = []
    for shard in out.rglob("*.parquet"):
        try:
            file = pq.ParquetFile(shard)
            for group in range(file.num_row_groups):
                file.read_row_group(group)
        except Exception as error:  # a reader may raise anything for a broken file
            problems.append(f"{shard.name} is broken after a kill: {error}")
    return problems


@contextmanager
def cluster(engine: str) -> Iterator[list[str]]:
    """The arguments for an engine; for Ray, a cluster of two nodes runs as long as the campaign."""
    if engine == "local":
        yield []
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    try:
        yield ["--engine", "ray", "--address", nodes.address]
    finally:
        nodes.shutdown()


def make_data(folder: Path, size: int) -> None:
    """Data of some `size` bytes, a quarter each as pictures, patches, videos, and videos in tar.gz."""
    folder.mkdir(parents=True)
    noise = random.Random(1).randbytes(4_000_000)
    quarter = size // 4
    _pictures(folder, noise, quarter)
    _patches(folder, noise, quarter)
    _videos(folder, noise, quarter)


def _pictures(folder: Path, noise: bytes, size: int) -> None:
    records, total = [], 0
    (folder / "pictures").mkdir()
    while total < size:
        i = len(records)
        data = example_data.picture(i % 50) + noise[i : i + 20_000 + 997 * i % 120_000]
        total += len(data)
        (folder / "pictures" / f"{i}.jpg").write_bytes(data)
        record = {
            "id": i,
            "image": f"/x/pictures/{i}.jpg",
            "conversations": example_data.turns("<image>\nWhat?", "It. " * 50),
        }
        if i % 17 == 5:
            record["image"] = "/x/pictures/nowhere.jpg"
        if i % 19 == 7:
            record["conversations"] = record["conversations"][:1]
        records.append(record)
    lines = [json.dumps(record) for record in records]
    lines.insert(len(lines) // 2, '{"id": "cut off')
    (folder / "pictures.jsonl").write_text("\n".join(lines))


def _patches(folder: Path, noise: bytes, size: int) -> None:
    records, written = [], 0
    for number in range(4):
        name = f"patch_{number:05}"
        with open(folder / name, "wb") as patch:
            while patch.tell() < size // 4:
                i = len(records)
                frames = [
                    example_data.picture(i % 50 + k) + noise[7 * i + k :][: 9_000 + 31 * i % 40_000] for k in range(4)
                ]
                video = {"patch": f"/x/{name}", "start_num": patch.tell(), "size": [len(frame) for frame in frames]}
                if i % 23 == 3:
                    video["start_num"] = 10**12
                turns = example_data.turns("<image>\nWhat moves?", f"A square. {i}")
                records.append({"id": f"p{i}", "video": video, "conversations": turns})
                patch.write(b"".join(frames))
            written += patch.tell()
    (folder / "patches.json").write_text(json.dumps(records))


def _videos(folder: Path, noise: bytes, size: int) -> None:
    """Videos with three questions each: half of the bytes in a folder, half in two tar.gz."""
    (folder / "videos").mkdir()
    clip = folder / "clip.mp4"
    example_data.video(str(clip), 1)
    plain = clip.read_bytes()
    clip.unlink()
    questions, total, i = [], 0, 0
    names = [folder / f"videos_{k}.tar.gz" for k in range(2)]
    archives = [tarfile.open(name, "w:gz", compresslevel=1) for name in names]  # noqa: SIM115  closed below
    while total < size:
        free = noise[i * 101 :][: 200_000 + 7919 * i % 1_000_000]
        data = plain + (len(free) + 8).to_bytes(4, "big") + b"free" + free  # a box that players skip
        total += len(data)
        (folder / "videos" / f"{i}.mp4").write_bytes(data)
        member = tarfile.TarInfo(f"packed/{i}.mp4")
        member.size = len(data)
        archives[i % 2].addfile(member, io.BytesIO(data))
        for k in range(3):
            for where in ("videos", "packed"):
                turns = example_data.turns("<image>\nWhat moves?", f"A square, {k}.")
                questions.append((k, i, {"id": f"{where}{i}-{k}", "video": f"{where}/{i}.mp4", "conversations": turns}))
        i += 1
    for archive in archives:
        archive.close()
    questions.append(
        (3, 0, {"id": "lost", "video": "packed/nowhere.mp4", "conversations": example_data.turns("<image>\n?", "!")})
    )
    questions.sort(key=lambda question: question[:2])
    (folder / "videos.json").write_text(json.dumps([record for _, _, record in questions]))


if __name__ == "__main__":
    main()
