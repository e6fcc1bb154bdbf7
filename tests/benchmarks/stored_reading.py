"""How fast stock readers read what was built, against Parquet that stock `datasets` built of the same rows.

    python tests/benchmarks/stored_reading.py

Data: pictures of 90 KB, a row each; and clips of 5 MB that seven rows each ask about.  Builds: `modalmix` (`build.build`) and
`stock` (``Dataset.from_list``, `embed_table_storage`, ``to_parquet``).  Each is read, in a process of its own and in turn, by

datasets    ``load_dataset(streaming=True)``: first sample, MB read up to it (by this process, see proc(5) io), samples a second
map         ``load_dataset`` into the Arrow cache, then samples at random
pyarrow     ``ParquetFile``, row group by row group
duckdb      the bytes of all media summed
polars      likewise, in its streaming engine

Media are not decoded.  Medians over ``--repeats``; peak is the resident memory of the process.
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
from contextlib import suppress
from pathlib import Path
from typing import Any

READERS = ("datasets", "map", "pyarrow", "duckdb", "polars")
DATA = {"pictures, a row each": (3_000, 90_000, 1), "clips, seven rows each": (12, 5_000_000, 7)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--readers", nargs="+", default=list(READERS), choices=READERS)
    parser.add_argument("--folder", help="where to put files; a temporary folder by default")
    parser.add_argument("--run", nargs=3, metavar=("READER", "FOLDER", "COLUMN"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=4, help=argparse.SUPPRESS)  # apart: a child's peak begins with its parent's
    options = parser.parse_args()
    if options.make:
        make(Path(options.make[0]), *map(int, options.make[1:]))
        return
    if options.run:
        read(*options.run)
        return
    for name, (media, size, times) in DATA.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            command = [sys.executable, __file__, "--make", folder, *map(str, (media, size, times))]
            subprocess.run(command, check=True, capture_output=True)
            column = "images" if size < 1_000_000 else "videos"
            sizes = {peer: stored(Path(folder) / peer) / 1e6 for peer in ("stock", "modalmix")}
            print(
                f"\n{name}: {media * size / 1e6:,.0f} MB of media, {media * times} rows, load {os.getloadavg()[0]:.1f}"
            )
            print(", ".join(f"{peer} {size:,.0f} MB" for peer, size in sizes.items()))
            compare(Path(folder), column, options)


def make(folder: Path, media: int, size: int, times: int) -> None:
    """Builds the same rows both ways."""
    import datasets
    from datasets.table import embed_table_storage

    from modalmix import cards
    from modalmix.builders import build
    from modalmix.builders.pipeline.options import Options

    datasets.disable_progress_bars()
    kind, column, suffix = ("image", "images", "jpg") if size < 1_000_000 else ("video", "videos", "mp4")
    (folder / "data").mkdir()
    records = []
    for index in range(media):
        (folder / "data" / f"{index:06}.{suffix}").write_bytes(os.urandom(size))
        for time_ in range(times):
            turns = [
                {"from": "human", "value": f"<{kind}>\nQuestion {time_}?"},
                {"from": "gpt", "value": "It is. " * 40},
            ]
            records.append({"id": f"{index}/{time_}", kind: f"{index:06}.{suffix}", "conversations": turns})
    (folder / "data" / "train.json").write_text(json.dumps(records))
    build.build(str(folder / "data"), str(folder / "modalmix"), Options(format="lmms_finetune"), card=cards.write)
    turn = {"from": datasets.Value("string"), "value": datasets.Value("string")}
    medium = datasets.Image() if kind == "image" else datasets.Video()
    features = datasets.Features(
        {"id": datasets.Value("string"), "conversations": datasets.List(turn), column: datasets.List(medium)}
    )
    rows = [
        {"id": one["id"], "conversations": one["conversations"], column: [str(folder / "data" / one[kind])]}
        for one in records
    ]
    dataset = datasets.Dataset.from_list(rows, features=features).with_format("arrow")
    embedded = dataset.map(embed_table_storage, batched=True, batch_size=100 if kind == "image" else 8)
    (folder / "stock" / "data").mkdir(parents=True)
    embedded.with_format(None).to_parquet(folder / "stock" / "data" / "train-00000.parquet")


def shards(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*.parquet"))


def stored(folder: Path) -> int:
    return sum(os.path.getsize(path) for path in shards(folder))


def compare(folder: Path, column: str, options: argparse.Namespace) -> None:
    print(f"{'':10} {'build':10} {'first s':>8} {'first MB':>8} {'rows/s':>8} {'random/s':>8} {'peak MB':>8}")
    for reader in options.readers:
        results: dict[str, list[dict[str, float]]] = {"stock": [], "modalmix": []}
        for _ in range(options.repeats):
            for peer, found in results.items():
                command = [sys.executable, __file__, "--run", reader, str(folder / peer), column]
                environment = {**os.environ, "HF_HOME": str(folder / f"cache-{time.time_ns()}")}
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if not done.stdout.strip():
                    sys.exit(done.stderr)
                found.append(json.loads(done.stdout.splitlines()[-1]))
        for peer, found in results.items():
            cells = []
            for key in ("first", "first_mb", "rate", "random", "peak"):
                values = [one[key] for one in found if key in one]
                cells.append(
                    f"{statistics.median(values):8.{0 if key in ('rate', 'random', 'peak') else 2}f}"
                    if values
                    else " " * 8
                )
            print(f"{reader:10} {peer:10} {' '.join(cells)}")


def read(reader: str, folder: str, column: str) -> None:
    files = shards(Path(folder))
    if reader in ("datasets", "map"):
        files = [folder]
    result = {"datasets": stream, "map": cached, "pyarrow": pyarrow, "duckdb": duckdb, "polars": polars}[reader](
        files, column
    )
    result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(result), flush=True)
    os._exit(0)  # a Parquet stream of datasets may abort at exit


def bytes_read() -> int:
    """Bytes this process has read by system calls, in the page cache or not."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("rchar:"):
            return int(line.split()[1])
    return 0


def undecoded(dataset: Any, column: str) -> Any:
    import datasets

    medium = datasets.Image(decode=False) if column == "images" else datasets.Video(decode=False)
    return dataset.cast_column(column, datasets.List(medium))


def loaded(folder: str, column: str, **options: Any) -> Any:
    """The dataset as one loads it; of a build, the mix."""
    import datasets

    mix = column[:-1] if Path(folder, "README.md").exists() else None
    return undecoded(datasets.load_dataset(folder, mix, split="train", **options), column)


def stream(folder: list[str], column: str) -> dict[str, float]:
    import datasets  # noqa: F401  before the clock starts

    with suppress(ImportError):
        import torch  # noqa: F401  a stream imports it where it is installed, which takes seconds

    began, before = time.perf_counter(), bytes_read()
    rows, first = 0, {}
    for row in loaded(folder[0], column, streaming=True):
        first = first or {"first": time.perf_counter() - began, "first_mb": (bytes_read() - before) / 1e6}
        assert row[column][0]["bytes"]
        rows += 1
    return {**first, "rate": rows / (time.perf_counter() - began)}


def cached(folder: list[str], column: str) -> dict[str, float]:
    import datasets

    datasets.disable_progress_bars()
    began = time.perf_counter()
    dataset = loaded(folder[0], column)
    first = time.perf_counter() - began
    order = [random.Random(1).randrange(len(dataset)) for _ in range(len(dataset))]
    began = time.perf_counter()
    for index in order:
        assert dataset[index][column][0]["bytes"]
    return {"first": first, "random": len(order) / (time.perf_counter() - began)}


def pyarrow(files: list[str], column: str) -> dict[str, float]:
    import pyarrow.parquet as pq

    began, before = time.perf_counter(), bytes_read()
    rows, first = 0, {}
    for file in map(pq.ParquetFile, files):
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["id", "conversations", column])
            rows += table.num_rows
            del table
            first = first or {"first": time.perf_counter() - began, "first_mb": (bytes_read() - before) / 1e6}
    return {**first, "rate": rows / (time.perf_counter() - began)}


def duckdb(files: list[str], column: str) -> dict[str, float]:
    import duckdb

    began = time.perf_counter()
    rows, _ = duckdb.sql(
        f"SELECT count(*), sum(octet_length({column}[1].bytes)) FROM read_parquet({files})"
    ).fetchall()[0]
    return {"rate": rows / (time.perf_counter() - began)}


def polars(files: list[str], column: str) -> dict[str, float]:
    import polars

    began = time.perf_counter()
    size = polars.col(column).list.get(0).struct.field("bytes").bin.size()
    found = polars.scan_parquet(files).select(size.sum(), polars.len().alias("rows")).collect(engine="streaming")
    return {"rate": found["rows"][0] / (time.perf_counter() - began)}


if __name__ == "__main__":
    main()
