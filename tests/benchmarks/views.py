"""How fast a training view gives pictures, against bare Pillow in as many threads.

    python tests/benchmarks/views.py                600 pictures of 640 × 480 in JPEG, two threads

Peers, each run in a process of its own, in turn, medians over ``--repeats``:

pillow      a list of paths; `Image.open`, ``convert("RGB")``, `numpy.asarray` in a pool of threads
table       `views.training` of a Dataset loaded in place
stream      `views.training` of the same, ``streaming=True``
parquet     `views.training` of it built into Parquet, ``streaming=True``
datasets    the same Parquet, stock: features decode, ``streaming=True``

``×`` is the rate against Pillow's.  Libraries are imported, and datasets loaded, before the clock starts; peak is the resident
memory of the process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PEERS = ("pillow", "table", "stream", "parquet", "datasets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--no-simplejpeg", action="store_true", help="decode by Pillow, as where it is not installed")
    parser.add_argument("--run", nargs=2, metavar=("PEER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.no_simplejpeg:
        sys.modules["simplejpeg"] = None  # type: ignore[assignment]  # so that its import fails
    if options.run:
        run_one(options.run[0], Path(options.run[1]), options.threads)
        return
    with tempfile.TemporaryDirectory() as folder:
        size = make_data(Path(folder), options.files)
        print(f"{options.files} pictures of {size // options.files:,} bytes, {options.threads} threads, "
              f"median of {options.repeats}, load {os.getloadavg()[0]:.1f}")  # fmt: skip
        compare(folder, options)


def make_data(folder: Path, count: int) -> int:
    """Pictures with as much detail as photographs, annotated, and built; gives their bytes."""
    import numpy as np
    from PIL import Image

    from modalmix import cards
    from modalmix.builders import build
    from modalmix.builders.cli import example_data
    from modalmix.builders.pipeline import rows

    (folder / "pictures").mkdir()
    random = np.random.default_rng(0)
    records = []
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8)).resize((640, 480))
        noisy = np.asarray(coarse, np.int16) + random.integers(-12, 12, (480, 640, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"pictures/{index:06}.jpg", quality=85)
        records.append(
            {"image": f"pictures/{index:06}.jpg", "conversations": example_data.turns("<image>\nWhat?", "Noise.")}
        )
    (folder / "train.json").write_text(json.dumps(records))
    build.build(
        str(folder / "train.json"), str(folder / "out"), rows.Options(media_root=(str(folder),)), card=cards.write
    )
    return sum(path.stat().st_size for path in (folder / "pictures").iterdir())


def compare(folder: str, options: argparse.Namespace) -> None:
    rates: dict[str, list[float]] = {peer: [] for peer in options.peers}
    peaks: dict[str, list[float]] = {peer: [] for peer in options.peers}
    for _ in range(options.repeats):
        for peer in options.peers:
            command = [sys.executable, __file__, "--run", peer, folder, "--threads", str(options.threads)]
            command += ["--no-simplejpeg"] * options.no_simplejpeg
            done = subprocess.run(command, capture_output=True, text=True)
            printed = done.stdout.split()
            if len(printed) != 3 or int(printed[0]) != options.files:
                sys.exit(f"{peer}: {done.stdout}{done.stderr}")
            rates[peer].append(options.files / float(printed[1]))
            peaks[peer].append(float(printed[2]))
    base = statistics.median(rates[options.peers[0]])
    print(f"{'':10}{'pictures/s':>11}{'×':>7}{'peak MB':>9}")
    for peer in options.peers:
        rate = statistics.median(rates[peer])
        print(f"{peer:10}{rate:11,.0f}{rate / base:7.2f}{statistics.median(peaks[peer]):9,.0f}")


def run_one(peer: str, folder: Path, threads: int) -> None:
    """Prints the number of pictures, the seconds and the peak in MB."""
    read = prepared(peer, folder, threads)
    start = time.perf_counter()
    count = sum(1 for _ in read())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(count, seconds, peak, flush=True)


def prepared(peer: str, folder: Path, threads: int) -> Callable[[], Iterable[Any]]:
    import numpy as np
    from PIL import Image

    if peer == "pillow":
        paths = sorted((folder / "pictures").iterdir())

        def decoded(path: Path) -> Any:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))

        def bounded() -> Iterator[Any]:
            with ThreadPoolExecutor(threads) as pool:
                for start in range(0, len(paths), 64):  # as a reader must, or all pictures are in memory
                    yield from pool.map(decoded, paths[start : start + 64])

        return bounded
    import datasets

    import modalmix.builders
    from modalmix.builders import views

    datasets.disable_progress_bars()
    if peer == "datasets":
        rows = datasets.load_dataset(str(folder / "out"), split="train", streaming=True)
        return lambda: (np.asarray(row["images"][0].convert("RGB")) for row in rows)
    if peer == "parquet":
        rows = datasets.load_dataset(str(folder / "out"), split="train", streaming=True)
    else:
        rows = modalmix.builders.load_dataset(
            "lmms_finetune", data_files=str(folder / "train.json"), media_root=str(folder), split="train",
            streaming=peer == "stream", cache_dir=str(folder / "cache"),
        )  # fmt: skip
    view = views.training(rows, threads=threads)
    return lambda: view


if __name__ == "__main__":
    main()
