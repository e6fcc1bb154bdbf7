"""How fast masks are drawn, measured and written, against pycocotools.

    python tests/benchmarks/masks.py                480p, 720p and 1080p; one blob with a rough edge in each

Both do the same in turn, in one process, and must give equal pixels; medians over ``--repeats``, in milliseconds a mask:

rle         compressed counts → picture          `to_array` against ``decode``
runs        a list of run lengths → picture      `compress`, `to_array` against ``frPyObjects``, ``decode``
rows        compressed counts → picture in rows  `to_arrays` and ``ascontiguousarray`` against ``decode`` and the same
polygons    polygons → picture                   `to_array` against ``frPyObjects``, ``merge``, ``decode``
16 frames   compressed counts of 16 pictures     `to_arrays` against ``decode`` of the list
encode      picture → compressed counts          `from_array` against ``encode``
area, box   compressed counts → numbers          `area`, `box` against ``area``, ``toBbox``
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco

from modalmix.builders.core.sample import Mask
from modalmix.builders.media import mask_arrays

SIZES = {"480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=60)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, ms a mask, median of {options.repeats}")
    print(f"{'':10}{'':8}{'modalmix':>10}{'pycocotools':>13}{'×':>7}")
    for name, (height, width) in SIZES.items():
        for task, (ours, theirs) in tasks(height, width).items():
            assert same(ours(), theirs()), f"{task} at {name} differs"
            times = interleaved([ours, theirs], options.repeats)
            print(f"{task:10}{name:>8}{times[0]:10.3f}{times[1]:13.3f}{times[1] / times[0]:7.1f}")


def tasks(height: int, width: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    pictures = [blob(height, width, seed) for seed in range(16)]
    encoded = [coco.encode(np.asfortranarray(picture, np.uint8)) for picture in pictures]
    masks = [Mask(0, height, width, rle["counts"].decode()) for rle in encoded]
    mask, rle, picture = masks[0], encoded[0], pictures[0]
    runs = mask_arrays.runs(mask).tolist()
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    outline = np.stack([width / 2 + height / 4 * np.cos(angles), height / 2 + height / 4 * np.sin(angles)], 1)
    polygons = [outline.ravel().tolist(), (outline / 2).ravel().tolist()]

    def from_runs() -> Any:
        return mask_arrays.to_array(Mask(0, height, width, mask_arrays.compress(runs)))

    def coco_runs() -> Any:
        return coco.decode(coco.frPyObjects({"size": [height, width], "counts": runs}, height, width))

    def coco_polygons() -> Any:
        return coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))

    def coco_box() -> Any:
        left, top, wide, high = coco.toBbox(rle).astype(int).tolist()
        return int(coco.area(rle)), (top, left, top + high, left + wide)

    return {
        "rle": (lambda: mask_arrays.to_array(mask), lambda: coco.decode(rle)),
        "runs": (from_runs, coco_runs),
        "rows": (
            lambda: np.ascontiguousarray(mask_arrays.to_arrays([mask], height, width)[0]),
            lambda: np.ascontiguousarray(coco.decode(rle)),
        ),
        "polygons": (lambda: mask_arrays.to_array(Mask(0, height, width, None, polygons)), coco_polygons),
        "16 frames": (
            lambda: mask_arrays.to_arrays(masks, height, width).transpose(1, 2, 0),
            lambda: coco.decode(encoded),
        ),
        "encode": (
            lambda: mask_arrays.from_array(picture).counts,
            lambda: coco.encode(np.asfortranarray(picture, np.uint8))["counts"].decode(),
        ),
        "area, box": (lambda: (mask_arrays.area(mask), tuple(mask_arrays.box(mask) or ())), coco_box),
    }


def blob(height: int, width: int, seed: int) -> Any:
    """About half the picture, with an edge as rough as that of a mask drawn by a segmentation model."""
    rows = np.arange(height)[:, None]
    edge = height / 4 + np.random.default_rng(seed).normal(0, 3, width).cumsum()
    return abs(rows - height / 2) < edge


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def interleaved(calls: list[Callable[[], Any]], repeats: int) -> list[float]:
    """The median time of each call in ms."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [1e3 * statistics.median(times) for times in seconds]


if __name__ == "__main__":
    main()
