"""A stream from a Hub on loopback: how soon its first sample comes, and how fast it goes on.

    python tests/benchmarks/hub_streaming.py                  two tar.gz of 100 MB, clips of 1 MB
    python tests/benchmarks/hub_streaming.py --mb 50 --rounds 1

Peers, interleaved: ``stream`` is `load_dataset(…, streaming=True)`; ``download`` downloads the release first, then streams it in
place, each cell read; ``urllib`` reads the same archives over HTTP and drops the bytes, the limit; ``urllib+gunzip`` also
decompresses them. *first* is the time from the call to the first sample with its bytes; *cpu* is the processor time of the
client; *peak* is resident memory above that of the process before the call. Each runs in a process of its own, with an empty
cache; libraries are imported before the clock starts.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hub import Hub
from hub.client import Clients

REPO, SUBSET = "lmms-lab/LLaVA-Video-178K", "0_30_s_academic_v0_1"
PEERS = ("stream", "download", "urllib", "urllib+gunzip")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=100, help="of an archive")
    parser.add_argument("--archives", type=int, default=2)
    parser.add_argument("--clip-kb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs=2, metavar=("PEER", "URLS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(*options.run)
        return
    with tempfile.TemporaryDirectory() as folder, Hub(f"{folder}/hub") as hub:
        rows, urls = fill(hub, options.mb * 1_000_000, options.archives, options.clip_kb * 1000)
        size = options.mb * options.archives
        print(f"{options.archives} archives, {size} MB, {rows} samples; load {os.getloadavg()[0]:.1f}")
        results: dict[str, list[dict[str, float]]] = {peer: [] for peer in PEERS}
        for round_ in range(options.rounds):
            for peer in PEERS:
                home = Path(folder) / f"home-{peer}-{round_}"
                env = {**os.environ, **Clients(hub, home, "lfs").env(), "MODALMIX_CACHE": str(home / "cache")}
                env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
                command = [sys.executable, __file__, "--run", peer, json.dumps(urls)]
                done = subprocess.run(command, capture_output=True, text=True, env=env)
                if done.returncode:
                    sys.exit(done.stderr)
                results[peer].append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{'':14} {'first s':>8} {'all s':>8} {'cpu s':>7} {'MB/s':>7} {'rows/s':>7} {'peak MB':>8}")
        for peer, found in results.items():
            first, whole, cpu, most = (
                statistics.median(one[key] for one in found) for key in ("first", "all", "cpu", "peak")
            )
            print(f"{peer:14} {first:8.2f} {whole:8.2f} {cpu:7.2f} {size / whole:7.0f} {rows / whole:7.0f} {most:8.0f}")


def fill(hub: Hub, archive_bytes: int, archives: int, clip_bytes: int) -> tuple[int, list[str]]:
    """A release of noise, which gzip leaves as large as it is, like video."""
    source, store = random.Random(7), hub.store
    files, records, urls = {}, [], []
    for number in range(1, archives + 1):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as file:
            for clip in range(archive_bytes // clip_bytes):
                info = tarfile.TarInfo(f"academic_source/Charades/{number}-{clip}.mp4")
                info.size = clip_bytes
                file.addfile(info, io.BytesIO(source.randbytes(clip_bytes)))
                turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Something. " * 60}]
                records.append({"id": f"{number}-{clip}", "conversations": turns, "video": info.name})
        blob = store.put([out.getvalue()])
        files[f"{SUBSET}/{SUBSET}_videos_{number}.tar.gz"] = store.large(blob)
        urls.append(f"{hub.cdn}/blob/{blob}")
    source.shuffle(records)
    files[f"{SUBSET}/{SUBSET}_cap_processed.json"] = store.regular(json.dumps(records).encode())
    store.create(REPO, False, "tester")
    store.commit(REPO, "main", files, "all", "tester", None)
    return len(records), urls


def peak() -> float:
    """The most memory the process has held so far, in MB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def import_torch() -> None:
    """Imports torch where it is installed, as the first stream does; that takes seconds."""
    with suppress(ImportError):
        import torch  # noqa: F401


def run_one(peer: str, urls: str) -> None:
    import zlib
    from urllib.request import urlopen

    import datasets

    import modalmix.builders
    from dataset_rows import bytes_of, undecoded
    from modalmix.builders.formats import llava_video  # noqa: F401  imported before the clock starts, as datasets is
    from modalmix.builders.loading.hub import streams  # noqa: F401
    from modalmix.upload import download

    import_torch()
    datasets.disable_progress_bars()
    before, began, spent = peak(), time.perf_counter(), time.process_time()
    first, size = 0.0, 0
    if peer.startswith("urllib"):
        for url in json.loads(urls):
            inflate = zlib.decompressobj(wbits=31)
            with urlopen(url) as answer:
                while piece := answer.read(1 << 18):
                    size += len(inflate.decompress(piece)) if "gunzip" in peer else len(piece)
                    first = first or time.perf_counter() - began
    else:
        if peer == "download":
            to = f"{os.environ['MODALMIX_CACHE']}/release"
            download("llava-video-178k", to, subsets=[SUBSET])
            rows = modalmix.builders.load_dataset("llava_video", SUBSET, data_dir=to, split="caption", streaming=True)
        else:
            rows = datasets.load_dataset("llava_video", SUBSET, split="caption", streaming=True)
        for row in undecoded(rows):
            size += len(bytes_of(row["videos"][0]))
            first = first or time.perf_counter() - began
    whole = time.perf_counter() - began
    cpu = time.process_time() - spent
    print(json.dumps({"first": first, "all": whole, "cpu": cpu, "peak": peak() - before, "bytes": size}))


if __name__ == "__main__":
    main()
