"""How fast a tree is indexed, against GNU find, and how fast written paths are resolved against the index.

    python tests/benchmarks/paths.py                       200,000 files in folders of 1,000
    python tests/benchmarks/paths.py --files 1000000       the figures of the README

Each peer runs in a process of its own, in turn; medians over ``--repeats``:

find        ``find . -printf '%s %T@ %p\\n' > /dev/null``
index       the index anew, written to the cache
refresh     the index where nothing has changed
verify      rules applied to as many paths as there are files, against the index
learn       the same with the rules to be learned (two passes over the paths)
locate      `Rewriter.locate`, which looks at the disk, for a tenth of the paths

MB is the resident memory at its peak above that after the imports. The paths are made before the clock starts, in no order:
prefix of another machine, one in a hundred missing, one in a hundred with another extension. Seconds depend on who else uses
the machine; × is against find of the same turns. CPU is that of the peer and of the find it starts; paths a second are by CPU,
which the load changes least.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PEERS = ("find", "index", "refresh", "verify", "learn", "locate")
FOREIGN = "/mnt/lustre/somebody/data"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--per-folder", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument(
        "--folder", help="a tree made before, or where to make it and leave it; a temporary one by default"
    )
    parser.add_argument("--run", nargs=4, metavar=("PEER", "ROOT", "CACHE", "FILES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        peer, root, cache, files = options.run
        print(json.dumps(run_one(peer, root, cache, int(files), options.per_folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(options.folder or temporary) / "tree"
        if not root.exists():
            make_tree(root, options.files, options.per_folder)
        compare(root, options, temporary)


def make_tree(root: Path, files: int, per_folder: int) -> None:
    for first in range(0, files, per_folder):
        folder = root / local_folder(first // per_folder)
        folder.mkdir(parents=True)
        for i in range(first, min(first + per_folder, files)):
            os.close(os.open(folder / f"clip_{i:08}.mp4", os.O_CREAT | os.O_WRONLY))


def local_folder(number: int) -> str:
    return f"downloads/part{number // 100:03}/clips{number:05}"


def written(files: int, per_folder: int) -> Iterator[tuple[str, str]]:
    """Paths of all files as somebody else wrote them, in an order that is no order."""
    step = 611_953  # a prime, so that all files come
    for k in range(files):
        i = k * step % files
        folder = local_folder(i // per_folder).removeprefix("downloads/")
        lost = ("_gone", ".mp4") if i % 100 == 1 else ("", ".mkv") if i % 100 == 2 else ("", ".mp4")
        yield "video", f"{FOREIGN}/{folder}/clip_{i:08}{lost[0]}{lost[1]}"


def compare(root: Path, options: argparse.Namespace, temporary: str) -> None:
    results: dict[str, list[dict[str, float]]] = {peer: [] for peer in options.peers}
    for _ in range(options.repeats):
        for peer in options.peers:
            command = [sys.executable, __file__, "--per-folder", str(options.per_folder), "--run", peer, str(root),
                       f"{temporary}/cache", str(options.files)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            results[peer].append(json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{options.files:,} files, {options.per_folder:,} a folder, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'':10} {'seconds':>8} {'× find':>8} {'CPU s':>7} {'a second':>12} {'MB':>6}  {''}")
    base = median(results["find"], "seconds") if "find" in results else float("nan")
    for peer, runs in results.items():
        seconds = median(runs, "seconds")
        rate = f"{runs[0]['paths'] / median(runs, 'cpu'):,.0f}" if runs[0]["paths"] else ""
        print(
            f"{peer:10} {seconds:8.2f} {seconds / base:8.2f} {median(runs, 'cpu'):7.2f} {rate:>12} {median(runs, 'peak'):6.0f}"
            f"  {runs[0].get('result', '')}"
        )


def median(runs: list[dict[str, float]], key: str) -> float:
    return statistics.median(run[key] for run in runs)


def run_one(peer: str, root: str, cache: str, files: int, per_folder: int) -> dict[str, object]:
    if peer == "find":
        began = time.perf_counter()
        subprocess.run(["find", ".", "-printf", "%s %T@ %p\\n"], cwd=root, stdout=subprocess.DEVNULL, check=True)
        return {"seconds": time.perf_counter() - began, "cpu": cpu(), "peak": 0, "paths": 0}

    from modalmix.builders.paths import Rewriter, Rule, Rules, learn
    from modalmix.builders.paths.root_index import index
    from modalmix.builders.paths.roots import all_roots
    from modalmix.builders.paths.verify_rules import verify

    before = peak()
    rules = Rules(rules=[Rule("prefix", FOREIGN, "downloads", 1), Rule("extension", ".mkv", ".mp4")])
    paths = result = 0
    if peer == "index":
        for kept in Path(cache).glob("paths/*"):
            kept.unlink()
        began, used = time.perf_counter(), cpu()
        result = len(index(root, cache))
    elif peer == "refresh":
        began, used = time.perf_counter(), cpu()
        result = len(index(root, cache))
    elif peer == "verify":
        root_index, paths_written = index(root, cache), list(written(files, per_folder))
        before = peak()
        began, used = time.perf_counter(), cpu()
        found = verify(lambda: paths_written, all_roots([root]), [root_index], rules.rules)
        paths, result = found.total, f"{found.found:,} found, {found.missing:,} missing"  # type: ignore[assignment]
    elif peer == "learn":
        paths_written = list(written(files, per_folder))
        before = peak()
        began, used = time.perf_counter(), cpu()
        learned = learn(lambda: paths_written, [root], cache=cache).rules
        paths = learned.total
        result = f"{paths - learned.missing:,} found, {len(learned.rules)} rules"  # type: ignore[assignment]
    else:
        rewriter = Rewriter([root], rules=rules, cache=cache)
        random.seed(1)
        tenth = [path for _, path in written(files, per_folder) if random.random() < 0.1]
        before = peak()
        began, used = time.perf_counter(), cpu()
        result = sum(isinstance(rewriter.locate(path, "video", ""), str) for path in tenth)
        paths = len(tenth)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "cpu": cpu() - used, "peak": peak() - before, "paths": paths, "result": str(result)}


def cpu() -> float:
    """Processor seconds of this process and of those it waited for."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
