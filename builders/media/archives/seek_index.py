"""The seek index: where decompression can begin inside of a compressed tar, so that a member is read without all before it.

gzip has no such places of its own: `indexed_gzip` notes one every 4 MB while it decompresses (the 32 KB before it, and the bit),
and they are kept in the cache, keyed by size, modification time and inode, so that each machine finds them once.
zstd has one at each frame; the block headers say where frames begin (RFC 8878, 3.1.1) without decompressing.

Chosen over rapidgzip by measurement (``tests/benchmarks/archives.py``): that builds its points in half the processor time and
reads single members about as fast, but it takes two to three times the memory, and its threads abort an interpreter that ends
with a file open, which is what a data loader's worker does.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ...core.atomic_files import atomic_file
from ...core.cache_dir import cache_folder
from ...core.locks import acquire
from .archive import Archive, DamageError
from .joined_file import JoinedFile, signature

SPACING = 4 << 20
"""Bytes of output between two seek points; each takes 32 KB of memory and of the cache."""

_PACKED_BYTES = 1 << 20  # read from the file at a time
_BUILDING_BUFFER = 4 * SPACING  # each time it fills its buffer, indexed_gzip starts from the last seek point
_SEEKING_BUFFER = 64 << 10  # each time it seeks, it fills its buffer
_ZSTD_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50


def points_path(archive: Archive, cache: str | None = None) -> str:
    """The file that holds an archive's seek points, now or later.

    Raises:
        OSError: a piece of the archive is gone.
    """
    key = hashlib.sha256(repr((archive.kind, SPACING, signature(archive.paths))).encode()).hexdigest()[:32]
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", os.path.basename(archive.paths[0]))[:80]
    return os.path.join(cache_folder(cache), "seek", f"{name}-{key}.gzidx")


def gzip_file(archive: Archive, file: JoinedFile, cache: str | None) -> tuple[Any, bool]:
    """A file of what comes out of a ``tar.gz`` that can seek, and whether all of its seek points are known.

    Where they are not yet, reading to the end finds them; see `save_points`.
    """
    import indexed_gzip

    def open_gzip(buffer: int) -> Any:
        return indexed_gzip.IndexedGzipFile(
            fileobj=file, spacing=SPACING, readbuf_size=_PACKED_BYTES, buffer_size=buffer
        )

    path = points_path(archive, cache)
    if os.path.exists(path):
        ready = open_gzip(_SEEKING_BUFFER)
        try:
            ready.import_index(path)
            return ready, True
        except (OSError, ValueError):  # cut off, or of another version: made anew
            ready.close()
            file.seek(0)
    return open_gzip(_BUILDING_BUFFER), False


def save_points(unpacked: Any, archive: Archive, cache: str | None) -> None:
    """Keeps the seek points of a file from `gzip_file` that was read to its end.

    Where the cache cannot be written, the next process finds them again. The file appears whole or not at all.
    """
    path = points_path(archive, cache)
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with atomic_file(path) as target:
            unpacked.build_full_index()  # reading leaves out those of the last buffer
            unpacked.export_index(fileobj=target)


@contextmanager
def single_builder(archive: Archive, cache: str | None) -> Iterator[None]:
    """Lets one process at a time find the seek points of an archive; the others wait for it and load them."""
    path = f"{points_path(archive, cache)}.lock"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock = acquire(path)
    except OSError:  # a cache that cannot be written, or has no locks: each builds its own
        yield
        return
    try:
        yield
    finally:
        os.close(lock)


class Frame(NamedTuple):
    """A place where decompressing a zstd file can begin.

    Attributes:
        packed: offset in the file.
        out: offset in what comes out.
    """

    packed: int
    out: int


def zstd_frames(file: JoinedFile) -> list[Frame]:
    """The frames of a zstd file, up to the first whose header does not say how much comes out of the one before.

    Raises:
        DamageError: a frame's header is none.
    """
    frames: list[Frame] = []
    at = out = 0
    while at < file.size:
        head = file.pread(18, at)
        magic = int.from_bytes(head[:4], "little")
        if magic & 0xFFFFFFF0 == _SKIPPABLE and len(head) >= 8:
            at += 8 + int.from_bytes(head[4:8], "little")
            continue
        if magic != _ZSTD_MAGIC or len(head) < 6:
            if not frames:
                raise DamageError(f"it begins with {head!r}, which is no zstd frame")
            break  # reading on will say what is wrong there
        frames.append(Frame(at, out))
        end, size = _frame_end(file, at, head)
        if end < 0 or size < 0:
            break
        at, out = end, out + size
    return frames


def _frame_end(file: JoinedFile, at: int, head: bytes) -> tuple[int, int]:
    """Where a frame ends, and what comes out of it; -1 where it does not say."""
    descriptor = head[4]
    single = descriptor >> 5 & 1
    size_bytes = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    place = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(head[place : place + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    if not size_bytes or len(head) < place + size_bytes:
        return -1, -1
    at += place + size_bytes
    while True:
        block = int.from_bytes(file.pread(3, at), "little")
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        if at > file.size:
            return -1, -1
        if block & 1:
            return at + (4 if descriptor >> 2 & 1 else 0), size
