"""How fast pictures decode to RGB arrays, against Pillow used directly.

    python tests/benchmarks/images.py

JPEG pictures, from path and in threads:

Pillow        ``np.asarray(Image.open(path).convert("RGB"))``, with ``resize`` (bicubic) where a size is asked for
modalmix      `read_image`, with simplejpeg where it is installed
without it    `read_image` as it is where simplejpeg is not installed

Peers take turns; medians, in seconds, and × against Pillow.  Whether the pixels are the same is said below.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from modalmix.builders.media import images

Size = tuple[int, int] | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = pictures(Path(folder), options.files)
        mean = sum(os.path.getsize(file) for file in files) / len(files)
        print(f"load {os.getloadavg()[0]:.1f}; {len(files)} JPEG of 640 × 480, {mean / 1000:.0f} KB on average; "
              f"{options.threads} threads; medians of {options.repeats}")  # fmt: skip
        print(f"{'size':12} {'peer':14} {'seconds':>8} {'×':>6}")
        for size in (None, (336, 336)):
            compare(files, size, options.repeats, options.threads)
        same = all(np.array_equal(pillow(file, None), images.read_image(file)) for file in files)
        print(f"pixels {'are the same' if same else 'DIFFER'}")


def compare(files: list[str], size: Size, repeats: int, threads: int) -> None:
    peers: dict[str, Callable[[str, Size], Any]] = {"Pillow": pillow, "modalmix": ours, "without it": ours}
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    with ThreadPoolExecutor(threads) as pool:
        for turn in range(repeats + 1):
            for peer, run in peers.items():
                simplejpeg = images._simplejpeg
                if peer == "without it":
                    images._simplejpeg = lambda: None
                began = time.perf_counter()
                for _ in pool.map(partial(run, size=size), files):
                    pass
                images._simplejpeg = simplejpeg
                if turn:
                    seconds[peer].append(time.perf_counter() - began)
    base = statistics.median(seconds["Pillow"])
    for peer in peers:
        median = statistics.median(seconds[peer])
        print(f"{'own' if size is None else '336 × 336':12} {peer:14} {median:8.3f} {median / base:6.2f}")


def pictures(folder: Path, count: int) -> list[str]:
    random = np.random.default_rng(0)
    paths = []
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (60, 80, 3), np.uint8))
        paths.append(str(folder / f"{i}.jpg"))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def pillow(path: str, size: Size) -> Any:
    with Image.open(path) as image:
        picture = image.convert("RGB")
        if size is not None:
            picture = picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        return np.asarray(picture)


def ours(path: str, size: Size) -> Any:
    return images.read_image(path, size=size)


if __name__ == "__main__":
    main()
