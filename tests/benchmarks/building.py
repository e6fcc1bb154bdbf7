"""How fast a build is, against a plain copy of the same bytes and the stock way.

    python tests/benchmarks/building.py                6,000 pictures of some 90 KB and their annotations

Peers, each run in a process of its own, in turn, medians over ``--repeats``:

copy        open each picture, read it, write it into one file
modalmix    `packing.build`: read the annotations, look up the media, write shards, card and report
stock       ``Dataset.from_list`` with Image, `embed_table_storage` (as push_to_hub does), ``to_parquet``

All three end with fsync. ``×`` is against the copy. Libraries are imported before the clock starts; peak is the resident
memory of the process.
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
from pathlib import Path

from modalmix.builders import example

PEERS = ("copy", "modalmix", "stock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=6_000)
    parser.add_argument("--size", type=int, default=90_000, help="bytes of a picture")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to put files and output; a temporary folder by default")
    parser.add_argument("--no-fsync", action="store_true", help="leave the bytes in the page cache")
    parser.add_argument("--run", nargs=3, metavar=("PEER", "DATA", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.no_fsync:
        os.fsync = lambda descriptor: None
    if options.run:
        run_one(options.run[0], Path(options.run[1]), Path(options.run[2]))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        total = make_data(Path(folder) / "data", options.files, options.size)
        print(f"{options.files} pictures, {total / 1e6:,.0f} MB, median of {options.repeats}")
        compare(Path(folder), options.peers, options.repeats, options.no_fsync)


def make_data(folder: Path, count: int, size: int) -> int:
    """Pictures with random bytes behind their end, which decoders skip, and a JSON array about them."""
    (folder / "pictures").mkdir(parents=True)
    noise = os.urandom(size + 4096)
    records = []
    for index in range(count):
        (folder / "pictures" / f"{index:06}.jpg").write_bytes(
            example.picture(index % 50) + noise[index % 4096 : index % 4096 + size]
        )
        question, answer = "<image>\nDescribe the picture in detail.", "A yellow square on a coloured ground. " * 8
        records.append(
            {"id": index, "image": f"/mnt/x/pictures/{index:06}.jpg", "conversations": example.turns(question, answer)}
        )
    (folder / "train.json").write_text(json.dumps(records))
    return sum(path.stat().st_size for path in (folder / "pictures").iterdir())


def compare(folder: Path, peers: list[str], repeats: int, no_fsync: bool) -> None:
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    peaks: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            out = folder / "out"
            command = [sys.executable, __file__, "--run", peer, str(folder / "data"), str(out)]
            done = subprocess.run(command + ["--no-fsync"] * no_fsync, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            result = json.loads(done.stdout.splitlines()[-1])
            seconds[peer].append(result["seconds"])
            peaks[peer].append(result["peak"])
            shutil.rmtree(out)
    base = statistics.median(seconds[peers[0]])
    print(f"{'':10} {'seconds':>8} {'× ' + peers[0]:>8} {'peak MB':>8}")
    for peer in peers:
        median = statistics.median(seconds[peer])
        print(f"{peer:10} {median:8.2f} {median / base:8.2f} {statistics.median(peaks[peer]):8.0f}")


def run_one(peer: str, data: Path, out: Path) -> None:
    out.mkdir()
    began = {"copy": copy, "modalmix": modalmix, "stock": stock}[peer](data, out)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def copy(data: Path, out: Path) -> float:
    paths = sorted(str(path) for path in (data / "pictures").iterdir())
    began = time.perf_counter()
    with open(out / "all", "wb", buffering=0) as target:
        for path in paths:
            with open(path, "rb", buffering=0) as source:
                target.write(source.read())
        os.fsync(target.fileno())
    return began


def modalmix(data: Path, out: Path) -> float:
    from modalmix.builders import lmms_finetune, packing  # noqa: F401
    from modalmix.builders.rows import Options

    began = time.perf_counter()
    report = packing.build(str(data / "train.json"), str(out), Options(format="lmms_finetune"))
    assert report.counts.rejected == 0, report.counts
    return began


def stock(data: Path, out: Path) -> float:
    import datasets
    from datasets.table import embed_table_storage

    datasets.disable_progress_bars()
    began = time.perf_counter()
    with open(data / "train.json", encoding="utf-8") as file:
        records = json.load(file)
    rows = [
        {
            "id": str(record["id"]),
            "images": [str(data / "pictures" / os.path.basename(record["image"]))],
            "conversations": record["conversations"],
        }
        for record in records
    ]
    turn = {"from": datasets.Value("string"), "value": datasets.Value("string")}
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "images": datasets.List(datasets.Image()),
            "conversations": datasets.List(turn),
        }
    )
    dataset = datasets.Dataset.from_list(rows, features=features).with_format("arrow")
    embedded = dataset.map(embed_table_storage, batched=True, batch_size=100, keep_in_memory=True)
    with open(out / "train.parquet", "wb") as target:
        embedded.with_format(None).to_parquet(target)
        target.flush()
        os.fsync(target.fileno())
    return began


if __name__ == "__main__":
    main()
