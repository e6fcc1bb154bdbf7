"""How fast builds are, against a plain copy of the same bytes and the ways others have.

    python tests/benchmarks/building.py                               pictures of 90 KB, clips of 5 and of 40 MB
    python tests/benchmarks/building.py --sizes 40000000 --peers copy build
    python tests/benchmarks/building.py --sparse 1900000000           one clip of that size, for the memory it takes

Peers, each run in a process of its own, in turn, medians over ``--repeats``:

copy        open each file, read it, write it into one file
build       `build.build`: read the annotations, look up the media, write shards, card and report
shards      `ShardWriter` alone, row groups of 32 MB
pyarrow     ``ParquetWriter``, row groups of 32 MB, media uncompressed, no dictionary on them
stock       ``Dataset.from_list`` with Image or Video, `embed_table_storage` (as push_to_hub does), ``to_parquet``
prepare     ``download_and_prepare(file_format="parquet", num_proc=2)`` of the builder of the same rows
webdataset  ``webdataset.ShardWriter``
mds         ``MDSWriter`` of mosaicml-streaming, by the Python that ``--mds-python`` names

All end with fsync, or none with ``--no-fsync``.  ``×`` is against the copy.  Files are random bytes in the page cache, libraries
are imported before the clock starts, and peak is the resident memory of the largest process.  A peer that is not installed is
left out.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GROUP_BYTES = 32 << 20
SHARD_BYTES = 500 << 20
PEERS = ("copy", "build", "shards", "pyarrow", "stock", "prepare", "webdataset", "mds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=int, default=[90_000, 5_000_000, 40_000_000], help="bytes of a file")
    parser.add_argument("--total", type=int, default=500_000_000, help="bytes of all files of a size")
    parser.add_argument("--sparse", type=int, help="bytes of one clip that is nothing but a hole")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to put files and output; a temporary folder by default")
    parser.add_argument("--no-fsync", action="store_true", help="leave the bytes in the page cache")
    parser.add_argument("--mds-python", default="", help="of an environment with mosaicml-streaming")
    parser.add_argument("--run", nargs=3, metavar=("PEER", "DATA", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.no_fsync:
        os.fsync = os.fdatasync = lambda descriptor: None
    if options.run:
        run_one(options.run[0], Path(options.run[1]), Path(options.run[2]))
        return
    for size in [options.sparse] if options.sparse else options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            count = 1 if options.sparse else max(options.total // size, 4)
            make_data(Path(folder) / "data", count, size, bool(options.sparse))
            print(f"\n{count} files of {size / 1e6:g} MB, median of {options.repeats}, load {os.getloadavg()[0]:.1f}")
            compare(Path(folder), options)


def make_data(folder: Path, count: int, size: int, sparse: bool = False) -> None:
    """Files of `size` bytes, and a JSON array about them."""
    kind, suffix = ("image", ".jpg") if size < 1_000_000 else ("video", ".mp4")
    (folder / "media").mkdir(parents=True)
    noise = os.urandom(0 if sparse else size + 4096)
    records = []
    for index in range(count):
        path = folder / "media" / f"{index:06}{suffix}"
        with open(path, "wb") as file:
            file.write(noise[index % 4096 : index % 4096 + size])
            file.truncate(size)
        turns = [
            {"from": "human", "value": f"<{kind}>\nDescribe it in detail."},
            {"from": "gpt", "value": "A yellow square on a coloured ground. " * 8},
        ]
        records.append({"id": index, kind: f"/mnt/x/media/{path.name}", "conversations": turns})
    (folder / "train.json").write_text(json.dumps(records))


def compare(folder: Path, options: argparse.Namespace) -> None:
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    peers = [peer for peer in options.peers if peer != "mds" or os.path.exists(options.mds_python)]
    for _ in range(options.repeats):
        for peer in list(peers):
            python = options.mds_python if peer == "mds" else sys.executable
            command = [python, __file__, "--run", peer, str(folder / "data"), str(folder / "out")]
            done = subprocess.run(command + ["--no-fsync"] * options.no_fsync, capture_output=True, text=True)
            shutil.rmtree(folder / "out", ignore_errors=True)
            if done.returncode:
                print(f"{peer:10} left out: {(done.stderr.strip().splitlines() or ['killed'])[-1][:100]}")
                peers.remove(peer)
                continue
            result = json.loads(done.stdout.splitlines()[-1])
            seconds.setdefault(peer, []).append(result["seconds"])
            peaks.setdefault(peer, []).append(result["peak"])
    base = statistics.median(seconds[peers[0]])
    print(f"{'':10} {'seconds':>8} {'× ' + peers[0]:>8} {'peak MB':>8}")
    for peer in peers:
        median = statistics.median(seconds[peer])
        print(f"{peer:10} {median:8.2f} {median / base:8.2f} {statistics.median(peaks[peer]):8.0f}")


def run_one(peer: str, data: Path, out: Path) -> None:
    out.mkdir()
    began = {
        "copy": copy, "build": build, "shards": shards, "pyarrow": pyarrow_writer, "stock": stock, "prepare": prepare,
        "webdataset": webdataset, "mds": mds,
    }[peer](data, out)  # fmt: skip
    if peer not in ("copy", "build", "shards"):
        for path in [path for path in out.rglob("*") if path.is_file()]:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    seconds = time.perf_counter() - began
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert written >= sum(path.stat().st_size for path in (data / "media").iterdir()), f"{peer} wrote {written} bytes"
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    print(json.dumps({"seconds": seconds, "peak": peak}), flush=True)


def records_of(data: Path) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Id, file and turns of each record."""
    with open(data / "train.json", encoding="utf-8") as file:
        records = json.load(file)
    return [
        (str(one["id"]), str(data / "media" / os.path.basename(one.get("image") or one["video"])), one["conversations"])
        for one in records
    ]


def column_of(data: Path) -> str:
    return "images" if (data / "media" / "000000.jpg").exists() else "videos"


def read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        parts = [file.read()]
        while part := file.read():  # one call reads 2 GiB at most
            parts.append(part)
    return b"".join(parts)


def copy(data: Path, out: Path) -> float:
    paths = sorted(str(path) for path in (data / "media").iterdir())
    began = time.perf_counter()
    with open(out / "all", "wb", buffering=0) as target:
        for path in paths:
            target.write(read(path))
        os.fsync(target.fileno())
    return began


def build(data: Path, out: Path) -> float:
    from modalmix.builders.build import (
        build,  # the names themselves: each brings its libraries in before the clock starts
    )
    from modalmix.builders.pipeline.options import Options
    from modalmix.cards import write

    began = time.perf_counter()
    report = build(str(data / "train.json"), str(out), Options(format="lmms_finetune"), card=write)
    assert report.counts.rejected == 0, report.counts
    return began


def shards(data: Path, out: Path) -> float:
    import pyarrow as pa

    from modalmix.builders.build.parquet import FileRange, ShardWriter

    schema, name = features(data).arrow_schema, column_of(data)
    began = time.perf_counter()
    with ShardWriter(out / "train.parquet", schema, media=[name]) as shard:
        for group in groups(data):
            names = [[{"path": os.path.basename(path)}] for _, path, _, _ in group]
            column = pa.array(names, schema.field(name).type)
            ids, turns = [one[0] for one in group], [one[2] for one in group]
            table = pa.table({"id": ids, "conversations": turns, name: column}, schema)
            shard.write_row_group(table, {name: [FileRange(path, 0, size, whole=True) for _, path, _, size in group]})
    return began


def groups(data: Path) -> Iterator[list[tuple[str, str, list[dict[str, str]], int]]]:
    """Records with the sizes of their files, cut into row groups."""
    group: list[tuple[str, str, list[dict[str, str]], int]] = []
    total = 0
    for name, path, turns in records_of(data):
        size = os.stat(path).st_size
        if group and total + size > GROUP_BYTES:
            yield group
            group, total = [], 0
        group.append((name, path, turns, size))
        total += size
    if group:
        yield group


def pyarrow_writer(data: Path, out: Path) -> float:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, name = features(data).arrow_schema, column_of(data)
    small = ["id", "conversations.list.element.from", "conversations.list.element.value"]
    large = dict.fromkeys([f"{name}.list.element.bytes", f"{name}.list.element.path"], "none")
    codecs = dict.fromkeys(small, "zstd") | large
    began = time.perf_counter()
    with pq.ParquetWriter(out / "train.parquet", schema, compression=codecs, use_dictionary=small) as writer:
        for group in groups(data):
            media = pa.array([read(path) for _, path, _, _ in group], pa.binary())
            paths = pa.array([os.path.basename(path) for _, path, _, _ in group])
            items = pa.StructArray.from_arrays([media, paths], ["bytes", "path"])
            offsets = pa.array(range(len(group) + 1), pa.int32())
            columns = {
                "id": [one[0] for one in group],
                "conversations": [one[2] for one in group],
                name: pa.ListArray.from_arrays(offsets, items),
            }
            writer.write_table(pa.table(columns, schema), row_group_size=len(group))
    return began


def stock(data: Path, out: Path) -> float:
    import datasets
    from datasets.table import embed_table_storage

    datasets.disable_progress_bars()
    kinds, name = features(data), column_of(data)
    began = time.perf_counter()
    rows = [{"id": one, "conversations": turns, name: [path]} for one, path, turns in records_of(data)]
    dataset = datasets.Dataset.from_list(rows, features=kinds).with_format("arrow")
    batch = 100 if name == "images" else 8
    embedded = dataset.map(embed_table_storage, batched=True, batch_size=batch, keep_in_memory=True)
    embedded.with_format(None).to_parquet(out / "train.parquet")
    return began


def prepare(data: Path, out: Path) -> float:
    import datasets

    from modalmix.builders.formats import lmms_finetune  # noqa: F401

    datasets.disable_progress_bars()
    os.environ["HF_HOME"] = str(out / "cache")
    began = time.perf_counter()
    builder = datasets.load_dataset_builder(
        "lmms_finetune", data_files=str(data / "train.json"), media_root=str(data), cache_dir=str(out / "cache")
    )
    builder.download_and_prepare(str(out / "prepared"), file_format="parquet", num_proc=2)
    return began


def webdataset(data: Path, out: Path) -> float:
    import webdataset as wds

    suffix = "jpg" if column_of(data) == "images" else "mp4"
    began = time.perf_counter()
    with wds.ShardWriter(str(out / "%06d.tar"), maxsize=SHARD_BYTES, verbose=0) as writer:
        for name, path, turns in records_of(data):
            writer.write({"__key__": name, suffix: read(path), "json": {"conversations": turns}})
    return began


def mds(data: Path, out: Path) -> float:
    sys.path.remove(str(Path(__file__).parent))  # streaming.py here is another one
    from streaming import MDSWriter

    columns = {"id": "str", "media": "bytes", "conversations": "json"}
    began = time.perf_counter()
    with MDSWriter(out=str(out / "mds"), columns=columns, size_limit=SHARD_BYTES) as writer:
        for name, path, turns in records_of(data):
            writer.write({"id": name, "media": read(path), "conversations": turns})
    return began


def features(data: Path) -> Any:
    import datasets

    turn = {"from": datasets.Value("string"), "value": datasets.Value("string")}
    medium = datasets.Image() if column_of(data) == "images" else datasets.Video()
    return datasets.Features(
        {
            "id": datasets.Value("string"),
            "conversations": datasets.List(turn),
            column_of(data): datasets.List(medium),
        }
    )


if __name__ == "__main__":
    main()
