"""Open archives: those read last stay open, a bounded number of them, shared by all threads of a process.

A forked process starts with none of its own, so that it inherits no lock that a thread of the parent held, and no position.
"""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .archive import DEFAULT_LIMITS, Archive, DamageError
from .decompress import Decompressed, from_zstd
from .joined_file import JoinedFile, Signature, signature
from .parquet_members import batches, leaf, media_columns, open_parquet
from .seek_index import gzip_file, save_points, single_builder, zstd_frames
from .zip_members import inflate

MOST_OPEN = 16
"""Archives that stay open in a process. One of 5 GB in gzip holds some 40 MB of seek points."""

_SCRATCH = 1 << 20


class Reader:
    """An open archive; `read` gives the bytes of one member."""

    def __init__(self, archive: Archive, cache: str | None) -> None:
        """Opens it."""
        self.archive = archive
        self.cache = cache
        self.lock = threading.Lock()
        self.file = JoinedFile(archive.paths)

    def read(self, start: int, size: int, packed: int) -> bytes:
        """The bytes of a member that lies as it is, or deflated, in the file.

        Raises:
            OSError: they are not there, or damaged.
        """
        data = self.file.pread(packed or size, start)
        return inflate(data, size) if packed else data

    def close(self) -> None:
        """Closes the files."""
        self.file.close()


class GzipReader(Reader):
    """A ``tar.gz``, by seek points."""

    def __init__(self, archive: Archive, cache: str | None) -> None:
        """Opens it, and finds its seek points where the cache has none: one pass through all of it."""
        super().__init__(archive, cache)
        self._unpacked, ready = gzip_file(archive, self.file, cache)
        if not ready:
            with single_builder(archive, cache):
                self._unpacked, ready = gzip_file(archive, self.file, cache)
                if not ready:
                    self._find_points()

    def _find_points(self) -> None:
        stream = Decompressed(self._unpacked, self.file.size, DEFAULT_LIMITS)
        try:
            while stream.skip(1 << 30):
                pass
        except DamageError:
            return  # what comes before the damage can be read
        save_points(self._unpacked, self.archive, self.cache)
        again, ready = gzip_file(self.archive, self.file, self.cache)  # with a buffer for seeking
        if ready:
            self._unpacked = again

    def read(self, start: int, size: int, packed: int) -> bytes:
        """The bytes from `start` on."""
        with self.lock:
            self._unpacked.seek(start)
            data: bytes = self._unpacked.read(size)
        return data

    def close(self) -> None:
        """Closes the files."""
        self._unpacked.close()
        super().close()


class ZstdReader(Reader):
    """A ``tar.zst``: from the frame a member is in, or on from the place the last read ended, whichever is nearer."""

    def __init__(self, archive: Archive, cache: str | None) -> None:
        """Opens it."""
        super().__init__(archive, cache)
        self._frames = zstd_frames(self.file)
        self._stream: Any = None
        self._at = 0

    def read(self, start: int, size: int, packed: int) -> bytes:
        """The bytes from `start` on; all that the frame has before them must come out first."""
        with self.lock:
            frame = max((one for one in self._frames if one.out <= start), default=self._frames[0])
            if self._stream is None or not frame.out <= self._at <= start:
                self._stream = from_zstd(self.file, frame.packed)
                self._at = frame.out
            scratch = memoryview(bytearray(_SCRATCH))
            stream, self._stream = self._stream, None  # gone if reading fails
            while self._at < start:
                count = stream.readinto(scratch[: min(start - self._at, _SCRATCH)])
                if not count:
                    return b""
                self._at += count
            data: bytes = stream.read(size)
            self._at += len(data)
            self._stream = stream
        return data


class ParquetReader(Reader):
    """A Parquet file: a cell's row group is read up to its row; rows in order cost one pass."""

    def __init__(self, archive: Archive, cache: str | None) -> None:
        """Opens it."""
        super().__init__(archive, cache)
        self._parquet = open_parquet(archive.paths[0])
        self._columns = media_columns(self._parquet.schema_arrow)
        self._ends: list[int] = []
        for group in range(self._parquet.num_row_groups):
            before = self._ends[-1] if self._ends else 0
            self._ends.append(before + self._parquet.metadata.row_group(group).num_rows)
        self._reading: tuple[int, int] = (-1, -1)
        self._batches: Iterator[Any] = iter(())
        self._batch: Any = None
        self._first = 0

    def read(self, start: int, size: int, packed: int) -> bytes:
        """The bytes of cell `start`."""
        row, index = divmod(start, len(self._columns)) if self._columns else (0, 0)
        group = bisect_right(self._ends, row)
        if not self._columns or group >= len(self._ends):
            return b""
        column = self._columns[index]
        with self.lock:
            if self._reading != (group, index) or row < self._first:
                self._reading = group, index
                self._batches = batches(self._parquet, [".".join(column.data)], range(group, group + 1))
                self._batch, self._first = None, self._ends[group - 1] if group else 0
            while self._batch is None or row >= self._first + len(self._batch):
                self._first += len(self._batch) if self._batch is not None else 0
                self._batch = next(self._batches, None)
                if self._batch is None:
                    self._reading = (-1, -1)
                    return b""
            value = leaf(self._batch, column.data)[row - self._first].as_py()
        return value if isinstance(value, bytes) else b""

    def close(self) -> None:
        """Closes the files."""
        self._batches, self._batch = iter(()), None
        self._parquet.close(force=True)
        super().close()


_READERS: dict[str, type[Reader]] = {
    "tar": Reader,
    "zip": Reader,
    "tar.gz": GzipReader,
    "tar.zst": ZstdReader,
    "parquet": ParquetReader,
}


class _Entry:
    def __init__(self, stamp: Signature) -> None:
        self.stamp = stamp
        self.reader: Reader | None = None
        self.users = 0
        self.opening = threading.Lock()
        self.evicted = False


_entries: OrderedDict[Archive, _Entry] = OrderedDict()
_lock = threading.Lock()
_inherited: list[Any] = []


def _after_fork() -> None:
    """Puts aside what the parent had open: its descriptors are closed with the process, its locks are never touched again."""
    global _entries, _lock
    _inherited.append(_entries)
    _entries, _lock = OrderedDict(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def archive_reader(archive: Archive, cache: str | None = None) -> Iterator[Reader]:
    """An open archive, which stays open until it is not used any more and `MOST_OPEN` others were.

    An archive that has changed on the disk is opened anew.

    Raises:
        OSError: a file of it cannot be read.
    """
    stamp = signature(archive.paths)
    entries = _entries
    with _lock:
        entry = entries.get(archive)
        if entry is not None and entry.stamp != stamp:
            _evict(entries, archive)
            entry = None
        if entry is None:
            entry = entries[archive] = _Entry(stamp)
        entries.move_to_end(archive)
        entry.users += 1
    try:
        with entry.opening:
            if entry.reader is None:
                try:
                    entry.reader = _READERS[archive.kind](archive, cache)
                except DamageError as error:
                    raise OSError(f"{archive}: {error}") from error
        yield entry.reader
    finally:
        with _lock:
            entry.users -= 1
            if entry.evicted and not entry.users and entry.reader:
                entry.reader.close()
            for old in list(entries)[: max(0, len(entries) - MOST_OPEN)]:
                _evict(entries, old)


def _evict(entries: OrderedDict[Archive, _Entry], archive: Archive) -> None:
    entry = entries.pop(archive)
    entry.evicted = True
    if not entry.users and entry.reader:
        entry.reader.close()
