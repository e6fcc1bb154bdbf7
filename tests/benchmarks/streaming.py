"""How soon a stream begins, and what it holds in memory: `load_dataset(…, streaming=True)` over one large annotation file.

    python tests/benchmarks/streaming.py               a JSON array of 1 GB
    python tests/benchmarks/streaming.py --mb 100

``modalmix`` reads Ola records with a sound each, which is looked up; ``json`` is what `datasets` itself makes of the same file.
*first* is the time from the call to the first sample, libraries imported before; *peak* is resident memory above that of the
process before the call: at the first sample, halfway and at the end.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from modalmix.builders.cli import example_data

PEERS = ("modalmix", "json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1_000)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to put the file; a temporary folder by default")
    parser.add_argument("--run", nargs=3, metavar=("PEER", "FILE", "RECORDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(*options.run)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "annotations.json"
        count = make_file(path, options.mb * 1_000_000)
        print(f"{count:,} records, {path.stat().st_size / 1e6:,.0f} MB")
        print(f"{'':10} {'first s':>8} {'all s':>8} {'rows':>9} {'peak MB: first':>15} {'half':>8} {'end':>8}")
        for peer in options.peers:
            command = [sys.executable, __file__, "--run", peer, str(path), str(count)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            r = json.loads(done.stdout.splitlines()[-1])
            first, half, end = r["peaks"]
            print(f"{peer:10} {r['first']:8.2f} {r['all']:8.1f} {r['rows']:9,} {first:15.0f} {half:8.0f} {end:8.0f}")


def make_file(path: Path, size: int) -> int:
    for i in range(10):
        example_data.sound(str(path.parent / "sounds" / f"{i}.wav"), i)
    answer = "It is a tone of some two hundred hertz that neither rises nor falls, and ends as it began. " * 4
    count = 0
    with open(path, "w", encoding="utf-8") as file:
        file.write("[")
        while file.tell() < size:
            turns = example_data.turns(
                "<speech>\nDescribe what you hear.", answer, "Does it change?", answer, "Why?", answer
            )
            record = {"id": f"sound-{count}", "audio": f"/mnt/x/sounds/{count % 10}.wav", "conversations": turns}
            file.write((", " if count else "") + json.dumps(record))
            count += 1
        file.write("]")
    return count


def peak() -> float:
    """The most memory the process has held so far, in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def run_one(peer: str, path: str, records: str) -> None:
    import datasets

    from modalmix.builders.formats import ola  # noqa: F401  imported before the clock starts, as datasets is

    datasets.disable_progress_bars()
    name = "json" if peer == "json" else "ola"
    half = int(records) // 2
    before = peak()
    began = time.perf_counter()
    rows = datasets.load_dataset(name, data_files=path, split="train", streaming=True)
    peaks: list[float] = []
    first = 0.0
    count = 0
    for count, _ in enumerate(rows, 1):
        if count == 1:
            first = time.perf_counter() - began
            peaks.append(peak() - before)
        elif count == half:
            peaks.append(peak() - before)
    peaks.append(peak() - before)
    print(json.dumps({"first": first, "all": time.perf_counter() - began, "rows": count, "peaks": peaks}))


if __name__ == "__main__":
    main()
