"""Reading a large JSON array of Ola-like records: our reader beside its peers, on the same file, in the same run.

Each measurement is a fresh process; the quick ones are repeated in turn and the medians shown.  Peak memory is the
resident memory above that of the interpreter with the peer's modules imported; first is the time to the first record.

    python tests/benchmarks/reading.py --mb 1024 --repeats 3 --slow
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
from collections.abc import Callable

WORDS = [
    "the",
    "a",
    "dog",
    "runs",
    "across",
    "field",
    "while",
    "two",
    "people",
    "watch",
    "from",
    "behind",
    "fence",
    "answer",
    "question",
    "what",
    "happens",
    "in",
    "video",
    "before",
    "after",
    "then",
    "children",
    "jump",
    "on",
    "bed",
    "where",
    "outdoors",
]


def generate(folder: str, megabytes: int) -> tuple[str, str, int]:
    """An array and the same records as JSON Lines; their paths and the number of records, about 1.65 KB each."""
    r = random.Random(1)
    array, lines = os.path.join(folder, f"ola_{megabytes}.json"), os.path.join(folder, f"ola_{megabytes}.jsonl")
    number = size = 0
    with open(array, "w") as one, open(lines, "w") as other:
        one.write("[")
        while size < megabytes << 20:
            sizes = [r.randint(20_000, 90_000) for _ in range(r.randint(8, 70))]
            turns = [
                {
                    "from": ("human", "gpt")[turn % 2],
                    "value": ("" if turn else "<image>\n") + " ".join(r.choices(WORDS, k=r.randint(10, 80))),
                }
                for turn in range(2 * r.randint(1, 3))
            ]
            patch = {"patch": f"/mnt/data/video_data/patch_{number // 10_000:06d}", "size": sizes, "start_num": size}
            text = json.dumps({"id": f"v{number}", "video": patch, "conversations": turns})
            one.write((", " if number else "") + text)
            other.write(text + "\n")
            size += len(text) + 2
            number += 1
        one.write("]")
    return array, lines, number


def ours(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """read() of the whole array, with all checks."""
    from modalmix.builders.annotations import Slice, read

    def run(first: Callable[[], None]) -> int:
        total = 0
        for block in read(Slice(array, "x.json", 0, -1, 0)):
            if not total:
                first()
            total += len(block.records)
        return total

    return run


def ours_lines(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """read() of the JSON Lines."""
    return ours(lines, lines)


def ours_count(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """count() of the array."""
    from modalmix.builders.annotations import count

    return lambda first: count(array)


def msgspec_lines(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """The same records line by line with msgspec, untyped, unchecked."""
    import msgspec

    decode = msgspec.json.Decoder().decode

    def run(first: Callable[[], None]) -> int:
        total = 0
        with open(lines, "rb") as file:
            for line in file:
                decode(line)
                if not total:
                    first()
                total += 1
        return total

    return run


def json_load(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """json.load of the whole."""

    def run(first: Callable[[], None]) -> int:
        with open(array, "rb") as file:
            total = len(json.load(file))
        first()
        return total

    return run


def ijson_items(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """ijson with its fastest backend."""
    import ijson

    def run(first: Callable[[], None]) -> int:
        total = 0
        with open(array, "rb") as file:
            for _ in ijson.items(file, "item"):
                if not total:
                    first()
                total += 1
        return total

    return run


def load_dataset_json(array: str, lines: str) -> Callable[[Callable[[], None]], int]:
    """load_dataset("json") of the array, into a fresh cache."""
    import datasets

    datasets.disable_progress_bars()

    def run(first: Callable[[], None]) -> int:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(array)) as cache:
            rows = datasets.load_dataset("json", data_files=array, split="train", cache_dir=cache)
            first()
            return len(rows)

    return run


QUICK = {
    "msgspec, line by line": msgspec_lines,
    "read(), array": ours,
    "read(), lines": ours_lines,
    "count()": ours_count,
}
SLOW = {"json.load": json_load, "ijson": ijson_items, 'load_dataset("json")': load_dataset_json}


def measure(name: str, array: str, lines: str) -> None:
    """Run one peer in this process and print what was measured as JSON."""
    run = {**QUICK, **SLOW}[name](array, lines)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    marks: list[float] = []
    total = run(lambda: marks.append(time.perf_counter() - start))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"seconds": seconds, "first": marks[0] if marks else None, "peak": peak / 1024, "total": total}))


def measured(name: str, array: str, lines: str) -> dict[str, float]:
    """What one peer gives in a fresh process."""
    command = [sys.executable, os.path.abspath(__file__), "--measure", name, array, lines]
    found: dict[str, float] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout.splitlines()[-1]
    )
    return found


def main() -> None:
    """Generate the file, run the peers in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="json.load, ijson and load_dataset too, once each")
    parser.add_argument("--folder", help="keep the generated files here")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        array, lines, number = generate(folder, options.mb)
        results: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.repeats):
            for name in QUICK:
                results.setdefault(name, []).append(measured(name, array, lines))
        for name in SLOW if options.slow else ():
            results[name] = [measured(name, array, lines)]
    print(f"{options.mb} MB, {number:,} records")
    print(f"{'reader':24}{'seconds':>9}{'speed':>8}{'first ms':>10}{'peak MB':>9}")
    base = statistics.median(one["seconds"] for one in results["msgspec, line by line"])
    for name, runs in results.items():
        if any(one["total"] != number for one in runs):
            print(f"{name}: {runs[0]['total']} records")
        seconds = statistics.median(one["seconds"] for one in runs)
        first = statistics.median(one["first"] or 0 for one in runs) * 1000
        peak = max(one["peak"] for one in runs)
        print(f"{name:24}{seconds:9.2f}{base / seconds:8.2f}{first:10.1f}{peak:9.0f}")


if __name__ == "__main__":
    main()
