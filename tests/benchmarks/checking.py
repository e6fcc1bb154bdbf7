"""How fast a check is, compared with reading the records alone and with opening the media alone.

    python tests/benchmarks/checking.py                    100 MB of annotations; 3,000 pictures and 100 clips
    python tests/benchmarks/checking.py --megabytes 1000 --pictures 6000 --clips 500

Peers, each run in a process of its own, in turn, medians over ``--repeats``:

read        read all records                                        ┐
rows        read all rows, as a build does, and look their media up │ annotations about 2,000 pictures
quick       ``check(depth="quick")``                                │
workers     the same in a process for each processor                ┘
open        open each file once, with Pillow or decord, in threads  ┐ a record for each file
headers     ``check(depth="headers")``, cache empty                 │
cached      ``check(depth="headers")`` again, headers in the cache  ┘

``×`` is against the first peer of the group; CPU is the processor time of its processes, which other work on the machine
changes less than the clock. Libraries are imported before the clock starts; peak is the resident memory of the process; all
files are in the page cache.
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
from pathlib import Path
from typing import NamedTuple

from modalmix.builders.cli import example_data

PEERS = {
    "read": "read",
    "rows": "read",
    "quick": "read",
    "workers": "read",
    "open": "open",
    "headers": "open",
    "cached": "open",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="of annotations")
    parser.add_argument(
        "--turns", type=int, default=4, help="of a conversation; its text is some 300 characters a turn"
    )
    parser.add_argument("--pictures", type=int, default=3_000)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--run", nargs=2, metavar=("PEER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run[0], Path(options.run[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_media(folder / "media", options.pictures, options.clips)
        size = make_annotations(folder / "text", options.megabytes, options.turns)
        print(f"{size / 1e6:,.0f} MB of annotations; {options.pictures:,} pictures, {options.clips:,} clips; "
              f"median of {options.repeats}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")  # fmt: skip
        compare(folder, options.peers, options.repeats)


def make_annotations(folder: Path, megabytes: int, turns: int) -> int:
    folder.mkdir()
    for index in range(2_000):
        (folder / f"{index}.jpg").write_bytes(example_data.picture(index % 50))
    text = "A yellow square on a coloured ground, moving to the right. " * 5
    more = [text] * (turns - 1)
    size = index = 0
    with open(folder / "train.jsonl", "w") as file:
        while size < megabytes * 1_000_000:
            record = {
                "id": index,
                "image": f"/mnt/x/{index % 2_000}.jpg",
                "conversations": example_data.turns(f"<image>\n{text}", *more),
            }
            size += file.write(json.dumps(record) + "\n")
            index += 1
    return size


def make_media(folder: Path, pictures: int, clips: int) -> None:
    from io import BytesIO

    import numpy as np
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    file = BytesIO()
    Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).resize((640, 480)).save(file, "JPEG")
    example_data.video(str(folder / "clip.mp4"), 1, frames=240, fps=24)
    clip = (folder / "clip.mp4").read_bytes()
    (folder / "clip.mp4").unlink()
    records = []
    for index in range(pictures):
        (folder / f"{index}.jpg").write_bytes(file.getvalue())
        records.append(
            {
                "id": index,
                "image": f"/mnt/x/{index}.jpg",
                "conversations": example_data.turns("<image>\nWhat?", "A square."),
            }
        )
    for index in range(clips):
        (folder / f"{index}.mp4").write_bytes(clip)
        records.append(
            {
                "id": f"v{index}",
                "video": f"/mnt/x/{index}.mp4",
                "conversations": example_data.turns("<video>\nWhat?", "A square."),
            }
        )
    (folder / "train.json").write_text(json.dumps(records))


def compare(folder: Path, peers: list[str], repeats: int) -> None:
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    computed: dict[str, list[float]] = {peer: [] for peer in peers}
    peaks: dict[str, list[float]] = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            if peer == "headers":
                for name in (folder / "cache").glob("*") if (folder / "cache").exists() else ():
                    name.unlink()
            command = [sys.executable, __file__, "--run", peer, str(folder)]
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "MODALMIX_CACHE": str(folder / "cache")}
            )
            if done.returncode:
                sys.exit(done.stderr)
            result = json.loads(done.stdout.splitlines()[-1])
            seconds[peer].append(result["seconds"])
            computed[peer].append(result["computed"])
            peaks[peer].append(result["peak"])
    print(f"{'':10} {'seconds':>8} {'×':>8} {'CPU':>8} {'×':>8} {'peak MB':>8}")
    for peer in peers:
        cells = ""
        for times in (seconds, computed):
            base = statistics.median(times[PEERS[peer]]) if PEERS[peer] in times else float("nan")
            cells += f"{statistics.median(times[peer]):8.2f} {statistics.median(times[peer]) / base:8.2f} "
        print(f"{peer:10} {cells}{statistics.median(peaks[peer]):8.0f}")


def run_one(peer: str, folder: Path) -> None:
    began = PEER[peer](folder)
    now = begin()
    seconds, computed = now.clock - began.clock, now.computed - began.computed
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "computed": computed, "peak": peak}))


class Began(NamedTuple):
    """When, by the clock, and after how many seconds of computing, children included."""

    clock: float
    computed: float


def begin() -> Began:
    return Began(time.perf_counter(), sum(os.times()[:4]))


def read_records(folder: Path) -> Began:
    from modalmix.builders.annotations import plan, read, sources

    began = begin()
    count = sum(
        len(block.records)
        for slice_ in plan(sources(str(folder / "text" / "train.jsonl"))[0])
        for block in read(slice_)
    )
    assert count
    return began


def read_rows(folder: Path) -> Began:
    from modalmix.builders.annotations import plan, sources
    from modalmix.builders.core.counts import Counts
    from modalmix.builders.formats import lmms_finetune  # noqa: F401
    from modalmix.builders.pipeline.options import Options
    from modalmix.builders.pipeline.rewriters import Rewriters
    from modalmix.builders.pipeline.rows import rows

    options = Options(format="lmms_finetune")
    rewriters = Rewriters(options)
    began = begin()
    for slice_ in plan(sources(str(folder / "text" / "train.jsonl"))[0]):
        for _ in rows(slice_, options, Counts(), rewriters.of(slice_)):
            pass
    return began


def in_processes(folder: Path) -> Began:
    from modalmix.builders.check import check
    from modalmix.builders.formats import lmms_finetune  # noqa: F401
    from modalmix.builders.pipeline.options import Options

    began = begin()
    options = Options(format="lmms_finetune")
    checked = check(str(folder / "text" / "train.jsonl"), options, depth="quick", workers=os.cpu_count() or 1)
    assert checked.diagnosis.errors == 0
    return began


def quick(folder: Path) -> Began:
    from modalmix.builders.check import check
    from modalmix.builders.formats import lmms_finetune  # noqa: F401
    from modalmix.builders.pipeline.options import Options

    began = begin()
    checked = check(str(folder / "text" / "train.jsonl"), Options(format="lmms_finetune"), depth="quick")
    assert checked.diagnosis.errors == 0
    return began


def open_media(folder: Path) -> Began:
    from concurrent.futures import ThreadPoolExecutor

    import decord
    from PIL import Image

    def look(path: Path) -> tuple[int, int]:
        if path.suffix == ".jpg":
            with Image.open(path) as image:
                return image.size
        video = decord.VideoReader(str(path))
        return len(video), video[0].shape[0]

    paths = [path for path in sorted((folder / "media").iterdir()) if path.suffix != ".json"]
    began = begin()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert len(list(pool.map(look, paths))) == len(paths)
    return began


def headers(folder: Path) -> Began:
    import av  # noqa: F401
    import PIL.Image  # noqa: F401

    from modalmix.builders.check import check
    from modalmix.builders.formats import lmms_finetune  # noqa: F401
    from modalmix.builders.pipeline.options import Options

    began = begin()
    checked = check(str(folder / "media" / "train.json"), Options(format="lmms_finetune"), depth="headers")
    assert checked.diagnosis.errors == 0
    return began


PEER = {
    "read": read_records,
    "rows": read_rows,
    "quick": quick,
    "workers": in_processes,
    "open": open_media,
    "headers": headers,
    "cached": headers,
}

if __name__ == "__main__":
    main()
