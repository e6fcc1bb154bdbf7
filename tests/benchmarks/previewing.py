"""How long the viewer lets a person wait on many samples, against merely inspecting them.

    python tests/benchmarks/previewing.py              100,000 records about pictures, in place and built

``list`` is the time until all samples are listed (the page is there from the first 500 on), ``inspect`` that of a quick check of
the same files, as ``modalmix inspect`` does it: the same records read, and nothing kept.  ``open`` is a sample at random with its
first picture, over HTTP; ``search`` a word that one sample has.  Each peer runs in a process of its own; peak is its resident
memory.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from modalmix import cards
from modalmix.builders.cli import example_data

PEERS = ("inspect", "in place", "built")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--looks", type=int, default=60, help="samples opened at random")
    parser.add_argument("--run", nargs=2, metavar=("PEER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(run_one(options.run[0], Path(options.run[1]), options.records, options.looks)))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = make_data(Path(folder), options.records)
        print(f"{options.records:,} records, {size / 1e6:,.0f} MB of annotations")
        print(f"{'':10}{'list s':>9}{'open ms':>9}{'95 %':>8}{'search ms':>11}{'peak MB':>9}")
        for peer in PEERS:
            command = [sys.executable, __file__, "--records", str(options.records), "--looks", str(options.looks)]
            done = subprocess.run([*command, "--run", peer, folder], capture_output=True, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            cells = [f"{found[name]:>{width}.1f}" if name in found else " " * width
                     for name, width in (("list", 9), ("open", 9), ("late", 8), ("search", 11), ("peak", 9))]  # fmt: skip
            print(f"{peer:10}{''.join(cells)}")


def make_data(folder: Path, count: int) -> int:
    """JSON Lines about 200 pictures of another machine, and the same built."""
    from modalmix.builders import build

    data = folder / "data"
    (data / "pictures").mkdir(parents=True)
    for index in range(200):
        (data / "pictures" / f"{index}.jpg").write_bytes(example_data.picture(index))
    with open(data / "train.jsonl", "w", encoding="utf-8") as file:
        for index in range(count):
            turns = example_data.turns(f"<image>\nWhat is word{index}?", "A yellow square on a coloured ground. " * 20)
            record = {"id": index, "image": f"/mnt/x/pictures/{index % 200}.jpg", "conversations": turns}
            file.write(json.dumps(record) + "\n")
    build.build(str(data), str(folder / "built"), card=cards.write)
    return (data / "train.jsonl").stat().st_size


def run_one(peer: str, folder: Path, count: int, looks: int) -> dict[str, float]:
    if peer == "inspect":
        from modalmix.builders.check import check

        began = time.perf_counter()
        check(str(folder / "data"), depth="quick")
        return {"list": time.perf_counter() - began, "peak": peak()}
    from modalmix.builders.preview import Server, Viewer, open_collection

    viewer = Viewer(open_collection([str(folder / ("data" if peer == "in place" else "built"))]))
    server = Server(viewer)
    server.start()
    try:
        began = time.perf_counter()
        viewer.list_all()
        listed = time.perf_counter() - began
        chosen = random.Random(1)
        waits = [timed(server.url, n) for n in (chosen.randrange(count) for _ in range(looks))]
        began = time.perf_counter()
        for look in range(5):
            assert b'"total":1,' in fetch(f"{server.url}list?search=word{count - 1 - look}?")
        return {
            "list": listed,
            "open": 1000 * statistics.median(waits),
            "late": 1000 * sorted(waits)[int(0.95 * len(waits))],
            "search": 1000 * (time.perf_counter() - began) / 5,
            "peak": peak(),
        }
    finally:
        server.close()
        viewer.close()


def timed(url: str, n: int) -> float:
    began = time.perf_counter()
    sheet = json.loads(fetch(f"{url}sample/{n}"))
    assert fetch(url + sheet["turns"][0]["parts"][0]["medium"]["url"])[:2] == b"\xff\xd8"
    return time.perf_counter() - began


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as reply:
        body: bytes = reply.read()
        return body


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
