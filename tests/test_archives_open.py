"""Open archives: seek points are kept, files are shared and bounded, and threads and forked processes read the right bytes."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from test_archives import Files, archive_of, frames, listed, tar_bytes, zip_bytes

from modalmix.builders.core.cache_dir import cache_folder
from modalmix.builders.media import archives
from modalmix.builders.media.archives import Archive, joined_file, reader_pool, seek_index
from modalmix.builders.media.archives.joined_file import JoinedFile
from modalmix.builders.media.items import Item, item_of_member, read_bytes

LARGE: Files = {f"{i}.bin": random.Random(i).randbytes(1_500_000) for i in range(8)}


@pytest.fixture(autouse=True)
def own_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reader_pool, "_entries", OrderedDict())
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "points"))
    return tmp_path / "points"


def open_files(folder: Path) -> list[Path]:
    """The files under a folder that this process has open, each as often as it is open."""
    descriptors = Path("/proc/self/fd").iterdir()
    paths = [descriptor.readlink() for descriptor in descriptors if descriptor.is_symlink()]
    return [path for path in paths if folder in path.parents]


def points(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.gzidx"))


def items(archive: Archive) -> dict[str, Item]:
    return {one.name: item_of_member(archive, one) for one in listed(archive)[0]}


def packed(path: Path, kind: str, content: Files = LARGE) -> Archive:
    data = tar_bytes(content)
    pack = {
        "tar.gz": lambda: gzip.compress(data, 1),
        "tar.zst": lambda: zstandard.compress(data, 1),
        "frames": lambda: frames(data, 400_000),
        "zip": lambda: zip_bytes(content, 8),
    }[kind]
    return archive_of(path / ("X.tar.zst" if kind == "frames" else f"X.{kind}"), pack())


# ---- seek points


def test_listing_keeps_the_seek_points_and_reading_uses_them(tmp_path: Path, own_points: Path) -> None:
    archive = packed(tmp_path, "tar.gz")
    found = items(archive)
    (kept,) = points(own_points)
    assert kept.stat().st_size > 32_768  # one every 4 MB, each with the 32 KB before it
    before = kept.stat().st_mtime_ns
    assert read_bytes(found["7.bin"]) == LARGE["7.bin"]
    assert items(archive) == found
    assert points(own_points) == [kept] and kept.stat().st_mtime_ns == before


def test_listing_again_reads_each_byte_of_the_archive_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path, "tar.gz", {f"{i}.bin": random.Random(i).randbytes(20_000) for i in range(600)})
    found = items(archive)
    read: list[int] = []
    pread = joined_file.JoinedFile.pread

    def counted(file: joined_file.JoinedFile, size: int, offset: int) -> bytes:
        data = pread(file, size, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(joined_file.JoinedFile, "pread", counted)
    assert items(archive) == found
    assert sum(read) == (tmp_path / "X.tar.gz").stat().st_size


def test_reading_without_a_listing_finds_the_seek_points_once(tmp_path: Path, own_points: Path) -> None:
    archive = packed(tmp_path, "tar.gz")
    found = items(archive)
    points(own_points)[0].unlink()
    assert read_bytes(found["5.bin"]) == LARGE["5.bin"] and len(points(own_points)) == 1


@pytest.mark.parametrize("damage", [b"", b"GZIDX", b"\0" * 100_000])
def test_damaged_seek_points_are_made_anew(tmp_path: Path, own_points: Path, damage: bytes) -> None:
    archive = packed(tmp_path, "tar.gz")
    found = items(archive)
    (kept,) = points(own_points)
    good = kept.read_bytes()
    kept.write_bytes(good[:30_000] if damage == b"" else damage)
    assert read_bytes(found["6.bin"]) == LARGE["6.bin"]
    assert kept.read_bytes() == good


def test_a_changed_archive_has_other_seek_points(tmp_path: Path, own_points: Path) -> None:
    archive = packed(tmp_path, "tar.gz")
    assert read_bytes(items(archive)["3.bin"]) == LARGE["3.bin"]
    other = {name: data[::-1] for name, data in LARGE.items()}
    assert packed(tmp_path, "tar.gz", other) == archive
    assert read_bytes(items(archive)["3.bin"]) == other["3.bin"]  # the file that is open is the old one no more
    assert len(points(own_points)) == 2


def test_the_cache_may_be_named_or_not_be_writable(tmp_path: Path, own_points: Path) -> None:
    archive = packed(tmp_path, "tar.gz")
    list(archives.members(archive, cache=str(tmp_path / "other")))
    assert points(own_points) == [] and len(points(tmp_path / "other")) == 1
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    found = {one.name: item_of_member(archive, one) for one in archives.members(archive, cache=f"{blocked}/x")}  # type: ignore[union-attr,arg-type]
    assert read_bytes(found["2.bin"], cache=f"{blocked}/x") == LARGE["2.bin"]


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder("/a/../b") == "/b"
    monkeypatch.delenv("MODALMIX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == "/x/modalmix"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == "/home/me/.cache/modalmix"


# ---- zstd frames


def test_frames_of_zstd_are_found_without_decompressing(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(300_000) + bytes(300_000)
    skippable = (0x184D2A5E).to_bytes(4, "little") + (9).to_bytes(4, "little") + b"seektable"
    one, two = zstandard.compress(data), zstandard.ZstdCompressor(write_checksum=True).compress(data[:70_000])
    path = tmp_path / "a.zst"
    path.write_bytes(one + skippable + two + zstandard.compress(b"x"))
    with JoinedFile([str(path)]) as file:
        places = seek_index.zstd_frames(file)
    assert [place.out for place in places] == [0, 600_000, 670_000]
    assert [place.packed for place in places] == [0, len(one) + 17, len(one) + 17 + len(two)]


def test_frames_that_do_not_say_their_size_are_read_from_the_last_that_did(tmp_path: Path) -> None:
    data = tar_bytes(LARGE)
    silent = zstandard.ZstdCompressor(write_content_size=False)
    parts = [
        zstandard.compress(data[:5_000_000]),
        silent.compress(data[5_000_000:9_000_000]),
        zstandard.compress(data[9_000_000:]),
    ]
    archive = archive_of(tmp_path / "X.tar.zst", b"".join(parts))
    found = items(archive)
    for name in ("7.bin", "0.bin", "3.bin", "4.bin"):
        assert read_bytes(found[name]) == LARGE[name]


# ---- sharing


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst", "frames", "zip"])
def test_threads_share_an_archive(tmp_path: Path, kind: str) -> None:
    found = items(packed(tmp_path, kind))
    names = random.Random(1).choices(list(LARGE), k=60)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda name: read_bytes(found[name]) == LARGE[name], names))
    assert len(open_files(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["tar.gz", "frames", "zip"])
def test_forked_processes_read_beside_their_parent(tmp_path: Path, kind: str) -> None:
    found = items(packed(tmp_path, kind))
    assert read_bytes(found["0.bin"]) == LARGE["0.bin"]  # open in the parent, at a position of its own

    def read(name: str, answers: multiprocessing.Queue[bool]) -> None:
        answers.put(all(read_bytes(found[one]) == LARGE[one] for one in (name, "0.bin", name)))

    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[bool] = context.Queue()
    children = [context.Process(target=read, args=(name, answers)) for name in list(LARGE)[1:5]]
    for child in children:
        child.start()
    assert all(read_bytes(found[name]) == LARGE[name] for name in LARGE)
    assert [answers.get(timeout=60) for _ in children] == [True] * 4
    for child in children:
        child.join(60)
        assert child.exitcode == 0


def test_a_fork_while_a_thread_reads_does_not_hang(tmp_path: Path) -> None:
    """The child must not wait for a lock that a thread of its parent held."""
    archive = packed(tmp_path, "tar.gz")
    found = items(archive)
    stop = threading.Event()

    def keep_reading() -> None:
        while not stop.is_set():
            read_bytes(found["7.bin"])

    thread = threading.Thread(target=keep_reading)
    thread.start()
    try:
        for _ in range(10):
            child = multiprocessing.get_context("fork").Process(target=read_bytes, args=(found["1.bin"],))
            child.start()
            child.join(60)
            assert child.exitcode == 0
    finally:
        stop.set()
        thread.join()


def test_a_process_may_end_with_archives_open(tmp_path: Path) -> None:
    packed(tmp_path, "tar.gz")
    code = (
        "import sys\n"
        "from modalmix.builders.media import archives\n"
        "from modalmix.builders.media.items import item_of_member, read_bytes\n"
        "(archive,) = archives.group([sys.argv[1]])\n"
        "print(len(read_bytes([item_of_member(archive, one) for one in archives.members(archive)][3])))\n"
        "next(archives.read_through(archive)); next(archives.members(archive))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "X.tar.gz")], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "1500000\n", done.stderr


def test_open_archives_are_bounded_and_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_pool, "MOST_OPEN", 3)
    found = [items(packed(tmp_path / str(i), "zip", {"a": b"%d" % i * 500})) for i in range(6)]
    for i in (0, 1, 2, 3, 4, 5, 1, 0):
        assert read_bytes(found[i]["a"]) == b"%d" % i * 500
    assert {path.parent.name for path in open_files(tmp_path)} == {"5", "1", "0"}
    assert len(open_files(tmp_path)) == 3


def test_files_that_are_read_in_parts_stay_open_but_are_bounded(tmp_path: Path) -> None:
    found = []
    for i in range(40):
        (tmp_path / f"{i}").write_bytes(b"..%02d" % i)
        found.append(Item("x", str(tmp_path / f"{i}"), 2, 2, whole=False))

    def read_all() -> int:
        assert [read_bytes(item) for item in found * 2] == [b"%02d" % i for i in range(40)] * 2
        return len(os.listdir("/proc/self/fd"))

    before = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(read_all).result() <= before + joined_file.MOST_OPEN_FILES
    assert len(os.listdir("/proc/self/fd")) <= before  # closed with the thread
    read_all()
    os.replace(tmp_path / "1", tmp_path / "39")
    assert read_bytes(found[39]) == b"01"  # not the file that is still open
    os.remove(found[38].path)
    with pytest.raises(OSError):
        read_bytes(found[38])


def test_an_archive_in_use_is_closed_only_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_pool, "MOST_OPEN", 1)
    first, second = (packed(tmp_path / str(i), "zip", {"a": b"%d" % i * 500}) for i in range(2))
    (item,) = items(first).values()
    with reader_pool.archive_reader(first) as reader:
        assert read_bytes(next(iter(items(second).values()))) == b"1" * 500
        assert {str(path) for path in open_files(tmp_path)} == {*first.paths, *second.paths}
        assert reader.read(item.start, item.size, item.packed) == b"0" * 500
    assert reader.file.closed and {str(path) for path in open_files(tmp_path)} == {*second.paths}


def test_a_deleted_or_truncated_archive_is_an_os_error(tmp_path: Path) -> None:
    for kind in ("tar.gz", "tar.zst", "zip"):
        archive = packed(tmp_path / kind, kind)
        item = items(archive)["7.bin"]
        path = Path(archive.paths[0])
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(OSError):
            read_bytes(item)
        path.unlink()
        with pytest.raises(OSError):
            read_bytes(item)


def test_many_members_take_little_memory(tmp_path: Path) -> None:
    """Listing and a pass hold one member at a time: 200 members of 1 MB do not show."""
    archive = archive_of(
        tmp_path / "X.tar.gz", gzip.compress(tar_bytes({f"{i}": bytes([i]) * 1_000_000 for i in range(200)}), 1)
    )
    code = (
        "import sys, resource\n"
        "from modalmix.builders.media import archives\n"
        "(archive,) = archives.group([sys.argv[1]])\n"
        "import indexed_gzip, isal.igzip\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "n = sum(1 for _ in archives.members(archive, limits=archives.Limits(ratio=1000)))\n"
        "n += sum(len(data) == 1_000_000 for _, data in archives.read_through(archive, limits=archives.Limits(ratio=1000)))\n"
        "print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, archive.paths[0]], capture_output=True, text=True)
    count, grown = map(int, done.stdout.split())
    assert count == 400 and grown < 60, done.stdout
