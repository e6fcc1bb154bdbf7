"""How fast a build is with one worker, with two, and with two of a Ray cluster, on the same data.

    python tests/benchmarks/engines.py                        60,000 pictures of some 10 KB
    python tests/benchmarks/engines.py --files 6000 --size 90000 --no-fsync --folder /dev/shm

Peers, in turn, medians over ``--repeats``:

one     `build.build` in the process itself
two     with two workers, which are started while the clock runs
fresh   with two workers of a Ray cluster that is up; it gives each driver processes of its own, which import modalmix first
ray     the same, by a driver that has built once before

Libraries are imported, and the cluster is connected to, before the clock starts. CPU is that of the build's processes, where they
are its own; peak is the resident memory of the largest of them. How long a task takes follows from how many there are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from building import make_data

PEERS = ("one", "two", "fresh", "ray")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=10_000, help="bytes of a picture")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to put files and output; a temporary folder by default")
    parser.add_argument("--no-fsync", action="store_true", help="leave the bytes in the page cache")
    parser.add_argument("--run", nargs=3, metavar=("PEER", "DATA", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(*options.run)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name, environment(Path(name), options.no_fsync):
        folder = Path(name)
        make_data(folder / "data", options.files, options.size)
        total = options.files * options.size
        print(
            f"{options.files} pictures, {total / 1e6:,.0f} MB, median of {options.repeats}, load {os.getloadavg()[0]:.1f}"
        )
        with cluster(bool({"fresh", "ray"} & set(options.peers))):
            compare(folder, options.peers, options.repeats)


@contextmanager
def environment(folder: Path, no_fsync: bool) -> Iterator[None]:
    """What the processes of builds find: with `no_fsync`, a Python that does not wait for the disk."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if no_fsync:
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text("import os\nos.fsync = lambda descriptor: None\n")
        os.environ["PYTHONPATH"] = f"{folder / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    yield


@contextmanager
def cluster(needed: bool) -> Iterator[None]:
    """A Ray of one node with two processors; its address is in the environment."""
    if not needed:
        yield
        return
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 256 << 20}
    nodes = Cluster(initialize_head=True, head_node_args=node)
    os.environ["RAY_ADDRESS"] = nodes.address
    try:
        yield
    finally:
        nodes.shutdown()


def compare(folder: Path, peers: list[str], repeats: int) -> None:
    results: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for repeat in range(repeats + 1):  # the first one warms up
        for peer in peers:
            out = folder / "out"
            command = [sys.executable, __file__, "--run", peer, str(folder / "data"), str(out)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            if repeat:
                results[peer].append(json.loads(done.stdout.splitlines()[-1]))
            shutil.rmtree(out)
    median = {
        peer: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for peer, runs in results.items()
    }
    print(f"{median[peers[0]]['tasks']:.0f} tasks")
    print(f"{'':6} {'seconds':>8} {'speed × ' + peers[0]:>12} {'CPU s':>8} {'peak MB':>8}")
    for peer, values in median.items():
        cpu, peak = ("–", "–") if peer in ("fresh", "ray") else (f"{values['cpu']:.2f}", f"{values['peak']:.0f}")
        speed = median[peers[0]]["seconds"] / values["seconds"]
        print(f"{peer:6} {values['seconds']:8.2f} {speed:12.2f} {cpu:>8} {peak:>8}")
    if {"two", "ray"} <= set(peers):
        print(f"ray takes {median['ray']['seconds'] / median['two']['seconds']:.2f} × the time of two")


def run_one(peer: str, data: str, out: str) -> None:
    from modalmix.builders.build import (
        build as build_dataset,  # each name brings its libraries in before the clock starts
    )
    from modalmix.builders.pipeline.options import Options
    from modalmix.cards import write

    tasks: list[int] = []

    def build() -> float:
        began = time.perf_counter()
        report = build_dataset(
            os.path.join(data, "train.json"),
            out,
            Options(format="lmms_finetune"),
            workers=1 if peer == "one" else 2,
            engine="ray" if peer in ("fresh", "ray") else "local",
            progress=lambda standing: tasks.append(standing.tasks),
            card=write,
        )
        assert report.counts.rejected == 0, report.counts
        return time.perf_counter() - began

    if peer in ("fresh", "ray"):
        import ray

        ray.init(os.environ["RAY_ADDRESS"], log_to_driver=False)
    if peer == "ray":
        build()
        shutil.rmtree(out)
    seconds = build()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in used)
    peak = max(usage.ru_maxrss for usage in used) / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "tasks": tasks[-1]}))


if __name__ == "__main__":
    main()
