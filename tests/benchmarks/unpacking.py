"""A build straight from tar.gz, against unpacking first and building then.

    python tests/benchmarks/unpacking.py               two archives with 80 clips of 5 MB, two rows a clip

Both end with the same rows.  *disk* is what lies on it beyond the archives and the built dataset while the work goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from modalmix.builders.cli import example_data

CODE = (
    "import sys; from modalmix import cards; from modalmix.builders import build; "
    "from modalmix.builders.pipeline.options import Options; "
    "r = build.build(sys.argv[1], sys.argv[2], Options(media_root=tuple(sys.argv[3:])), card=cards.write); "
    "assert not r.counts.rejected, r.counts"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--size", type=int, default=5_000_000, help="bytes of a clip")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where to put everything; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        make(root, options.clips, options.size)
        seconds: dict[str, list[float]] = {"from tar.gz": [], "unpack, then build": []}
        disk = dict.fromkeys(seconds, 0.0)
        for _ in range(options.repeats):
            for name in seconds:
                began = time.perf_counter()
                media = root / "data"
                if name != "from tar.gz":
                    media = root / "unpacked"
                    media.mkdir()
                    for archive in sorted((root / "data").glob("*.tar.gz")):
                        subprocess.run(["tar", "xzf", archive, "-C", media], check=True)
                    disk[name] = sum(path.stat().st_size for path in media.rglob("*") if path.is_file()) / 1e6
                arguments = [str(root / "train.json"), str(root / "out"), str(media)]
                subprocess.run([sys.executable, "-c", CODE, *arguments], check=True, stderr=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - began)
                shutil.rmtree(root / "out")
                shutil.rmtree(root / "unpacked", ignore_errors=True)
        base = statistics.median(seconds["unpack, then build"])
        print(f"{options.clips} clips, {options.clips * options.size / 1e6:,.0f} MB, median of {options.repeats}")
        print(f"{'':20} {'seconds':>8} {'×':>6} {'disk MB':>8}")
        for name, times in seconds.items():
            median = statistics.median(times)
            print(f"{name:20} {median:8.2f} {median / base:6.2f} {disk[name]:8,.0f}")


def make(root: Path, clips: int, size: int) -> None:
    """Archives of clips with random bytes behind their end, which hardly compress, as in the real thing."""
    (root / "data").mkdir()
    example_data.video(str(root / "clip.mp4"), 1)
    head = (root / "clip.mp4").read_bytes()
    records = []
    for number in range(2):
        with tarfile.open(root / "data" / f"videos_{number}.tar.gz", "w:gz", compresslevel=1) as archive:
            for i in range(number, clips, 2):
                path = root / "clip.mp4"
                path.write_bytes(head + os.urandom(size - len(head)))
                archive.add(path, f"academic_source/{i}/clip_{i}.mp4")
                turns = example_data.turns("<image>\nWhat moves?", "A square.")
                video = f"academic_source/{i}/clip_{i}.mp4"
                records += [
                    {"id": f"{i}-{k}", "video": video, "data_source": "x", "conversations": turns} for k in (0, 1)
                ]
    (root / "train.json").write_text(json.dumps(records))


if __name__ == "__main__":
    main()
