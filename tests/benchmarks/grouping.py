"""The cost of storing, building and reading clips that several annotation files refer to, by order and form of the rows.

    python tests/benchmarks/grouping.py               60 clips of 5 MB, 7 rows each, over three annotation files

as they stand   the order of the records (``--order annotation``): a clip is stored wherever a record refers to it
together        the default: the rows of a clip are consecutive, and their row group has its bytes once
grouped         ``--group-by media``: one row for each clip, with seven samples

*building* is the process without its imports; *streaming* is stock `datasets` over the undecoded rows, with `views.flatten` in
between for ``flat``; *training* is `views.training` with 8 frames.  Each reading is a process of its own, all in turn, medians
over ``--repeats``; peak is its resident memory.  Samples are counted, not rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from modalmix.builders.cli import example_data

FORMS = {
    "as they stand": {"order": "annotation"},
    "together": {},
    "grouped": {"group_by": "media"},
}
READINGS = ("streaming", "flat", "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--size", type=int, default=5_000_000, help="bytes of a clip")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where to put files and output; a temporary folder by default")
    parser.add_argument("--run", nargs=3, metavar=("WHAT", "FORM", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        what, form, root = options.run
        began = (build if what == "building" else read)(what, form, Path(root))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": time.perf_counter() - began, "peak": peak}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        make(root, options.clips, options.size)
        compare(root, options.repeats, 7 * options.clips)


def make(root: Path, clips: int, size: int) -> None:
    """Clips with random bytes behind their end, and a caption, four questions and two multiple choices for each."""
    (root / "clips").mkdir()
    example_data.video(str(root / "head.mp4"), 1)
    head = (root / "head.mp4").read_bytes()
    for number in range(clips):
        (root / "clips" / f"{number}.mp4").write_bytes(head + os.urandom(size - len(head)))
    for seed, (kind, times) in enumerate({"cap": 1, "oe": 4, "mc": 2}.items()):
        turns = example_data.turns("<image>\nWhat moves?", "A square. " * 20)
        records = [
            {
                "id": f"{kind}-{number}-{turn}",
                "data_source": "x",
                "video": f"clips/{number}.mp4",
                "conversations": turns,
            }
            for number in range(clips)
            for turn in range(times)
        ]
        random.Random(seed).shuffle(records)
        (root / f"{kind}.json").write_text(json.dumps(records))


def compare(root: Path, repeats: int, samples: int) -> None:
    every = ("building", *READINGS)
    results: dict[tuple[str, str], list[dict[str, float]]] = {(form, what): [] for form in FORMS for what in every}
    for _ in range(repeats):
        for what in every:
            for form in FORMS:
                if what == "flat" and form != "grouped":
                    continue
                if what == "building":
                    shutil.rmtree(root / form, ignore_errors=True)
                done = subprocess.run(
                    [sys.executable, __file__, "--run", what, form, str(root)], capture_output=True, text=True
                )
                if not done.stdout:
                    sys.exit(done.stderr)
                results[form, what].append(json.loads(done.stdout.splitlines()[-1]))
    stored = sum(path.stat().st_size for path in (root / "clips").iterdir()) / 1e6
    print(f"{stored:,.0f} MB of clips, {samples} samples, median of {repeats}, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':14} {'MB':>7} {'build s':>8} {'peak MB':>8}"
        + "".join(f" {what + '/s':>12} {'peak MB':>8}" for what in READINGS)
    )
    for form in FORMS:
        size = sum(path.stat().st_size for path in (root / form).rglob("*.parquet")) / 1e6
        line = f"{form:14} {size:7,.0f} {median(results[form, 'building'], 'seconds'):8.1f}"
        line += f" {median(results[form, 'building'], 'peak'):8.0f}"
        for what in READINGS:
            some = results[form, what]
            line += f" {samples / median(some, 'seconds'):12.0f} {median(some, 'peak'):8.0f}" if some else " " * 22
        print(line)


def median(results: list[dict[str, float]], name: str) -> float:
    return statistics.median(result[name] for result in results)


def build(what: str, form: str, root: Path) -> float:
    from modalmix.builders.build import Settings  # each name brings its libraries in before the clock starts
    from modalmix.builders.build import build as build_dataset
    from modalmix.builders.pipeline.options import Options
    from modalmix.cards import write

    began = time.perf_counter()
    files = [str(root / f"{kind}.json") for kind in ("cap", "oe", "mc")]
    options = Options(format="llava_video", media_root=(str(root),))
    report = build_dataset(files, str(root / form), options, Settings(**FORMS[form]), card=write)
    assert not report.counts.rejected, report.counts
    return began


def read(what: str, form: str, root: Path) -> float:
    import datasets

    from modalmix.builders import views

    rows: Any = datasets.load_dataset(str(root / form), split="train", streaming=True)
    rows = rows.cast_column("videos", datasets.List(datasets.Video(decode=False)))
    began = time.perf_counter()
    if what == "flat":
        rows = views.flatten(rows)
    elif what == "training":
        rows = views.training(rows, num_frames=8)
    count = 0
    for row in rows:
        count += len(row["id"]) if isinstance(row["id"], list) else 1
    assert count % 7 == 0 and count, count
    return began


if __name__ == "__main__":
    main()
