"""How fast members of archives are found and read, against plain reads, `gzip`, `tarfile`, rapidgzip and unpacking.

    python tests/benchmarks/archives.py                1 GB of members of 5 MB, as a tar and a tar.gz
    python tests/benchmarks/archives.py --mb 200 --size 100000

tar           random members: `os.pread` of the same ranges with the file kept open; modalmix; `tarfile` (list read before)
index         of the tar.gz: ``gzip -dc`` to nowhere; modalmix (members and seek points); rapidgzip; `tarfile` (members only)
random        one member of the tar.gz after another, in a new process with the saved index: modalmix; rapidgzip; `tarfile`
one pass      all bytes of the tar.gz in order: modalmix; `tarfile`; ``tar xzf`` to a folder and reading that

Each peer runs in a process of its own, in turn, medians over ``--repeats``; libraries are imported before the clock starts; peak
is the resident memory of the process, some 150 MB of it for importing modalmix and `datasets`.
rapidgzip is left out where it is not installed. On a machine that does other things, too, compare processor time.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PEERS = {
    "tar": ("pread", "modalmix", "tarfile"),
    "index": ("gzip -dc", "modalmix", "rapidgzip", "tarfile"),
    "random": ("modalmix", "rapidgzip", "tarfile"),
    "one pass": ("gzip -dc", "modalmix", "tarfile", "tar xzf"),
}
READS = {"tar": 300, "random": 15}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--size", type=int, default=5_000_000, help="bytes of a member")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--parts", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--folder", help="where to put the archives; a temporary folder by default")
    parser.add_argument("--run", nargs=3, metavar=("PART", "PEER", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(*options.run[:2], Path(options.run[2]))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        make_data(Path(folder), options.mb * 1_000_000 // options.size, options.size)
        tar, packed = (os.path.getsize(Path(folder) / name) / 1e6 for name in ("X.tar", "X.tar.gz"))
        load = os.getloadavg()[0]
        print(f"tar of {tar:,.0f} MB, tar.gz of {packed:,.0f} MB, median of {options.repeats}, load {load:.1f}")
        for part in options.parts:
            compare(part, folder, options.repeats)


def make_data(folder: Path, count: int, size: int) -> None:
    """Members like media: three quarters noise, which does not compress, and one quarter sound-like values, which do."""
    some = random.Random(0)
    with tarfile.open(folder / "X.tar", "w") as tar:
        path = folder / "member"
        for index in range(count):
            data = some.randbytes(size)
            path.write_bytes(data if index % 4 else data.translate(bytes(value % 40 for value in range(256))))
            tar.add(path, f"clips/{index:06}.mp4")
    path.unlink()
    with open(folder / "X.tar.gz", "wb") as target:
        subprocess.run(["gzip", "-1c", str(folder / "X.tar")], stdout=target, check=True)


def compare(part: str, folder: str, repeats: int) -> None:
    peers = [peer for peer in PEERS[part] if peer != "rapidgzip" or importlib.util.find_spec("rapidgzip")]
    results: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for _ in range(repeats):
        for peer in peers:
            done = subprocess.run(
                [sys.executable, __file__, "--run", part, peer, folder], capture_output=True, text=True
            )
            if not done.stdout:
                sys.exit(f"{part}, {peer}: {done.stderr}")
            results[peer].append(json.loads(done.stdout.splitlines()[-1]))
    base, base_cpu = (
        max(0.001, statistics.median(run[key] for run in results[peers[0]])) for key in ("seconds", "cpu")
    )
    print(
        f"\n{part:10} {'seconds':>8} {'× ' + peers[0]:>10} {'cpu s':>6} {'× ' + peers[0]:>10} {'peak MB':>8}"
        + (f" {'ms a read':>10}" if part in READS else "")
    )
    for peer in peers:
        seconds = statistics.median(run["seconds"] for run in results[peer])
        peak = statistics.median(run["peak"] for run in results[peer])
        cpu = statistics.median(run["cpu"] for run in results[peer])
        reads = f" {seconds / READS[part] * 1000:10.2f}" if part in READS else ""
        print(f"{peer:10} {seconds:8.2f} {seconds / base:10.2f} {cpu:6.2f} {cpu / base_cpu:10.2f} {peak:8.0f}{reads}")


def run_one(part: str, peer: str, folder: Path) -> None:
    os.environ["MODALMIX_CACHE"] = str(folder / "cache")
    began = {"tar": of_tar, "index": index, "random": of_gzip, "one pass": one_pass}[part](peer, folder)
    seconds = time.perf_counter() - began
    cpu = sum(os.times()[:4]) - _cpu[-1]
    who = resource.RUSAGE_CHILDREN if peer in ("gzip -dc", "tar xzf") else resource.RUSAGE_SELF
    print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": resource.getrusage(who).ru_maxrss / 1024}), flush=True)


_cpu: list[float] = []


def clock() -> float:
    """Now; notes the processor time that was used before."""
    _cpu.append(sum(os.times()[:4]))
    return time.perf_counter()


def of_tar(peer: str, folder: Path) -> float:
    from modalmix.builders.media import archives
    from modalmix.builders.media.items import item_of_member, read_bytes

    archive = archives.Archive((str(folder / "X.tar"),), "tar")
    items = [item_of_member(archive, member) for member in archives.members(archive)]  # type: ignore[arg-type]
    picks = random.Random(1).choices(range(len(items)), k=READS["tar"])
    if peer == "tarfile":
        tar = tarfile.open(folder / "X.tar")  # noqa: SIM115  # ends with the process
        infos = tar.getmembers()
        began = clock()
        for pick in picks:
            tar.extractfile(infos[pick]).read()  # type: ignore[union-attr]
        return began
    file = os.open(folder / "X.tar", os.O_RDONLY)
    began = clock()
    if peer == "pread":
        for pick in picks:
            os.pread(file, items[pick].size, items[pick].start)
    else:
        for pick in picks:
            read_bytes(items[pick])
    return began


def index(peer: str, folder: Path) -> float:
    path = str(folder / "X.tar.gz")
    if peer == "gzip -dc":
        began = clock()
        subprocess.run(["gzip", "-dc", path], stdout=subprocess.DEVNULL, check=True)
    elif peer == "modalmix":
        import indexed_gzip  # noqa: F401

        from modalmix.builders.media import archives

        shutil.rmtree(folder / "cache", ignore_errors=True)
        began = clock()
        assert all(
            isinstance(member, archives.Member) for member in archives.members(archives.Archive((path,), "tar.gz"))
        )
    elif peer == "rapidgzip":
        import rapidgzip

        began = clock()
        with rapidgzip.open(path, parallelization=2) as file:
            buffer = bytearray(1 << 20)
            while file.readinto(buffer):
                pass
            file.export_index(str(folder / "rapidgzip"))
    else:
        began = clock()
        with tarfile.open(path, "r|gz") as tar:
            for _ in tar:
                tar.members = []  # type: ignore[attr-defined]
    return began


def of_gzip(peer: str, folder: Path) -> float:
    from modalmix.builders.media import archives
    from modalmix.builders.media.items import item_of_member, read_bytes

    path = str(folder / "X.tar.gz")
    plain = archives.Archive((str(folder / "X.tar"),), "tar")
    members = [member for member in archives.members(plain) if isinstance(member, archives.Member)]
    picks = random.Random(2).choices(members, k=READS["random"])
    if peer == "modalmix":
        import indexed_gzip  # noqa: F401

        archive = archives.Archive((path,), "tar.gz")
        began = clock()
        for pick in picks:
            read_bytes(item_of_member(archive, pick))
    elif peer == "rapidgzip":
        import rapidgzip

        began = clock()
        with rapidgzip.open(path, parallelization=1) as file:
            file.import_index(str(folder / "rapidgzip"))
            for pick in picks:
                file.seek(pick.start)
                file.read(pick.size)
    else:
        began = clock()
        with tarfile.open(path, "r:gz") as tar:
            for pick in picks:
                tar.extractfile(pick.name).read()  # type: ignore[union-attr]
    return began


def one_pass(peer: str, folder: Path) -> float:
    path = str(folder / "X.tar.gz")
    if peer == "modalmix":
        import isal.igzip  # noqa: F401

        from modalmix.builders.media import archives

        began = clock()
        assert sum(len(data) for _, data in archives.read_through(archives.Archive((path,), "tar.gz")))  # type: ignore[misc]
        return began
    began = clock()
    if peer == "gzip -dc":
        subprocess.run(["gzip", "-dc", path], stdout=subprocess.DEVNULL, check=True)
    elif peer == "tarfile":
        with tarfile.open(path, "r|gz") as tar:
            for info in tar:
                tar.extractfile(info).read()  # type: ignore[union-attr]
    else:
        out = folder / "unpacked"
        out.mkdir()
        subprocess.run(["tar", "xzf", path, "-C", str(out)], check=True)
        for file in (out / "clips").iterdir():
            file.read_bytes()
        took = time.perf_counter() - began
        shutil.rmtree(out)
        return time.perf_counter() - took
    return began


if __name__ == "__main__":
    main()
