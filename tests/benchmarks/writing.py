"""How fast shards are written, against a plain copy of the same bytes.

    python tests/benchmarks/writing.py                       6,000 files of 90 KB
    python tests/benchmarks/writing.py --files 36 --size 37000000

Peers, each run in a process of its own, in turn, medians over ``--repeats``:

copy        open each file, read it, write it into one file
modalmix    `ShardWriter`, row groups of 32 MB, with the small columns built and encoded
pyarrow     ``ParquetWriter``, row groups of 32 MB, media uncompressed, no dictionary on them
datasets    ``Dataset.from_list`` with an Image column, then ``to_parquet``

Each is timed without and with fsync on the written file; ``×`` is against the copy of the same kind.  Files are random
bytes, so nothing can be compressed, and they are in the page cache.  Peak is the resident memory of the process;
libraries are imported before the clock starts.
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
from collections.abc import Callable, Iterator
from pathlib import Path

GROUP_BYTES = 32 << 20
PEERS = ("copy", "modalmix", "pyarrow", "datasets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=6_000)
    parser.add_argument("--size", type=int, default=90_000, help="mean bytes of a file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--folder", help="where to put files and output; a temporary folder by default")
    parser.add_argument("--run", nargs=3, metavar=("PEER", "DATA", "FSYNC"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run[0], Path(options.run[1]), options.run[2] == "1")
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        total = make_files(Path(folder), options.files, options.size)
        print(f"{options.files} files, {total / 1e6:,.0f} MB, median of {options.repeats}")
        compare(Path(folder), options.peers, options.repeats)


def make_files(folder: Path, count: int, size: int) -> int:
    """Files of `size` bytes give or take a third, names in order."""
    noise = os.urandom(size * 4 // 3 + 4096)
    total = 0
    for index in range(count):
        length = size * 2 // 3 + int.from_bytes(os.urandom(4), "little") % (size * 2 // 3)
        (folder / f"{index:06}.jpg").write_bytes(noise[index % 4096 : index % 4096 + length])
        total += length
    os.sync()
    return total


def compare(folder: Path, peers: list[str], repeats: int) -> None:
    seconds: dict[tuple[str, bool], list[float]] = {}
    peaks: dict[str, list[float]] = {}
    for _ in range(repeats):
        for fsync in (False, True):
            for peer in peers:
                command = [sys.executable, __file__, "--run", peer, str(folder), str(int(fsync))]
                result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                seconds.setdefault((peer, fsync), []).append(result["seconds"])
                peaks.setdefault(peer, []).append(result["peak"])
    print(f"{'peer':10} {'seconds':>8} {'× copy':>7} {'+ fsync':>8} {'× copy':>7} {'peak MB':>8}  spread without fsync")
    for peer in peers:
        cells = []
        for fsync in (False, True):
            median = statistics.median(seconds[peer, fsync])
            cells.append(f"{median:8.2f} {median / statistics.median(seconds[peers[0], fsync]):7.2f}")
        spread = f"{min(seconds[peer, False]):.2f}–{max(seconds[peer, False]):.2f}"
        print(f"{peer:10} {' '.join(cells)} {statistics.median(peaks[peer]):8.0f}  {spread}")


def run_one(peer: str, folder: Path, fsync: bool) -> None:
    """One timed run in this process; prints seconds and peak."""
    write: Callable[[list[str], str], None] = {
        "copy": copy, "modalmix": modalmix, "pyarrow": pyarrow_writer, "datasets": datasets_writer,
    }[peer]  # fmt: skip
    names = sorted(str(path) for path in folder.glob("*.jpg"))
    out = str(folder / "out")
    write(names[:2], out)  # imports, and what a library does the first time
    os.unlink(out)
    os.sync()
    start = time.perf_counter()
    write(names, out)
    if fsync:
        fd = os.open(out, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    elapsed = time.perf_counter() - start
    assert os.stat(out).st_size >= sum(os.stat(name).st_size for name in names), f"{peer} did not write all bytes"
    os.unlink(out)
    print(json.dumps({"seconds": elapsed, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def groups(names: list[str]) -> Iterator[list[tuple[str, int]]]:
    """Files with their sizes, cut into row groups."""
    group: list[tuple[str, int]] = []
    total = 0
    for name in names:
        size = os.stat(name).st_size
        if group and total + size > GROUP_BYTES:
            yield group
            group, total = [], 0
        group.append((name, size))
        total += size
    if group:
        yield group


def conversation(name: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": f"This is {name}."}]


def copy(names: list[str], out: str) -> None:
    with open(out, "wb", buffering=0) as target:
        for name in names:
            with open(name, "rb", buffering=0) as source:
                target.write(source.read())


def modalmix(names: list[str], out: str) -> None:
    import datasets
    import pyarrow as pa

    from modalmix.builders.parquet import ShardWriter, media_column
    from modalmix.builders.parquet.gather import FileRange

    schema = features(datasets.Features, datasets.List, datasets.Value, datasets.Image).arrow_schema
    shard = ShardWriter(out, schema, media=["images"])
    for group in groups(names):
        table = pa.table(
            {
                "id": [name for name, _ in group],
                "conversations": [conversation(name) for name, _ in group],
                "images": media_column(schema.field("images").type, [[name] for name, _ in group]),
            },
            schema,
        )
        shard.write_row_group(table, {"images": [FileRange(name, 0, size, whole=True) for name, size in group]})
    shard.close(fsync=False)


def pyarrow_writer(names: list[str], out: str) -> None:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = features(datasets.Features, datasets.List, datasets.Value, datasets.Image).arrow_schema
    small = ["id", "conversations.list.element.from", "conversations.list.element.value"]
    compression = dict.fromkeys(small, "zstd") | {
        "images.list.element.bytes": "none",
        "images.list.element.path": "none",
    }
    with pq.ParquetWriter(out, schema, compression=compression, use_dictionary=small, write_page_index=True) as writer:
        for group in groups(names):
            media = []
            for name, _ in group:
                with open(name, "rb", buffering=0) as source:
                    media.append(source.read())
            paths = [name for name, _ in group]
            items = pa.StructArray.from_arrays([pa.array(media, pa.binary()), pa.array(paths)], ["bytes", "path"])
            columns = {
                "id": paths,
                "conversations": [conversation(name) for name in paths],
                "images": pa.ListArray.from_arrays(pa.array(range(len(paths) + 1), pa.int32()), items),
            }
            writer.write_table(pa.table(columns, schema), row_group_size=len(paths))


def datasets_writer(names: list[str], out: str) -> None:
    """Base names as paths: of a path that exists, `datasets` would keep the path and drop the bytes."""
    import datasets

    datasets.disable_progress_bars()
    kind = features(datasets.Features, datasets.List, datasets.Value, datasets.Image)
    rows = []
    for name in names:
        with open(name, "rb", buffering=0) as source:
            item = {"bytes": source.read(), "path": os.path.basename(name)}
        rows.append({"id": name, "conversations": conversation(name), "images": [item]})
    datasets.Dataset.from_list(rows, features=kind).to_parquet(out)


def features(dictionary, sequence, value, image):  # type: ignore[no-untyped-def]  # of an import that only some peers pay for
    turn = {"from": value("string"), "value": value("string")}
    return dictionary({"id": value("string"), "conversations": sequence(turn), "images": sequence(image())})


if __name__ == "__main__":
    main()
