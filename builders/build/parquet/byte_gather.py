"""Cells, and how their bytes get into a file without passing through anything else.

A **cell** is the value of one media item in a Parquet file: bytes in memory, or a range of a file that is read when its
turn has come.  `Gather` appends cells to a file behind one buffer that is used again and again, and into which ranges
are read directly.  First touch of fresh memory costs several times a copy within touched memory, and a ``bytes`` object
per file is fresh memory all the way.

The buffer is small on purpose.  Measured on ext4, files in the page cache: 256 KiB stays in the processor's cache, and
was faster than ``copy_file_range`` for files of 90 KB and of 37 MB alike (which copies in the kernel, but in pieces of
64 KiB); buffers of a megabyte varied by a factor of two from run to run.
"""

from __future__ import annotations

import os
import threading
from typing import Any, NamedTuple

import xxhash

BUFFER_BYTES = 1 << 18


class FileRange(NamedTuple):
    """A cell whose bytes are in a file.

    Attributes:
        path: of the file.
        start: of the range, in bytes.
        size: of the range, in bytes.
        whole: the range is the file to its end, and a file that has grown is as much changed as one that has shrunk.
        modified: when the file was last written to as its size was taken, in nanoseconds (``st_mtime_ns``); None where that
            is not known.
    """

    path: str
    start: int
    size: int
    whole: bool = False
    modified: int | None = None


Cell = bytes | memoryview | FileRange


class MediaChanged(OSError):  # noqa: N818  what has happened, as in FileExistsError; nothing of ours is at fault
    """A file is not what it was when its size was taken: gone, shorter, grown, written to, or not readable.

    Attributes:
        path: the file.
        expected: bytes it was to have (or at least to have, for a range in the middle).
        found: bytes it has; None if it cannot be opened.
        reason: what has happened to it, if not to its size.
        unreadable: the system refuses to read it; otherwise it is another file than it was.
        column: the media column of the cell.
        cell: its index among the cells of the column in the row group.
    """

    def __init__(
        self,
        path: str,
        expected: int,
        found: int | None,
        reason: str = "",
        unreadable: bool = False,
        column: str = "",
        cell: int = -1,
    ) -> None:
        super().__init__(f"{path!r} {reason or f'has {found} bytes, expected {expected}'}")
        self.path, self.expected, self.found, self.reason, self.unreadable = path, expected, found, reason, unreadable
        self.column, self.cell = column, cell

    def __reduce__(self) -> tuple[Any, ...]:  # OSError's own would give back the message alone
        return type(self), (
            self.path, self.expected, self.found, self.reason, self.unreadable, self.column, self.cell,
        )  # fmt: skip


def size_of(cell: Cell) -> int:
    """Bytes of a cell, without opening anything."""
    return cell.size if isinstance(cell, FileRange) else len(cell)


class Writeback:
    """Has the system begin to write a file to the disk while it is still growing, so that little is left for the last fsync.

    An error is kept and raised by `wait`: the system tells it once, and a later fsync would not know of it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def begin(self) -> None:
        """Begins to write what is in the file, unless that is still going on."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Waits until nothing is being written; the file may be closed then.

        Raises:
            OSError: the disk has failed.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _write(self) -> None:
        try:
            getattr(os, "fdatasync", os.fsync)(self._fd)
        except OSError as error:
            self._error = error


class Gather:
    """Appends to an open file.

    `digest` is the checksum of the bytes that are in it.  The file keeps its own offset, so nobody else may write to the
    descriptor meanwhile.
    """

    def __init__(self, fd: int, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._fd = fd
        self.digest = xxhash.xxh3_128()
        self._mark = self.digest.copy()
        self._view = memoryview(bytearray(buffer_bytes))
        self._room = buffer_bytes
        self._used = 0
        self._flushed = 0
        self._source = ("", -1)  # the file read last stays open: the frames of a patch are many ranges of one file

    @property
    def position(self) -> int:
        """Where the next byte goes, in bytes from the start of the file."""
        return self._flushed + self._used

    def append(self, data: bytes | memoryview) -> None:
        """Appends bytes; those that are larger than the buffer are written from where they are."""
        if len(data) > self._room - self._used:
            self.flush()
            if len(data) > self._room:
                self._write(memoryview(data))
                return
        end = self._used + len(data)
        self._view[self._used : end] = data
        self._used = end

    def append_range(self, cell: FileRange) -> None:
        """Appends a range of a file.

        Raises:
            MediaChanged: the file is gone, cannot be read, does not have the bytes promised, or has been written to since
                it was looked up or while it was read.  What was appended of it so far remains: see `rewind`.
        """
        path, start, size, whole, modified = cell
        source = self._source[1] if self._source[0] == path else self._open(path, start + size)
        before, end = os.fstat(source), start + size
        if whole and before.st_size != end:
            raise MediaChanged(path, end, before.st_size)
        if modified is not None and before.st_mtime_ns != modified:
            raise MediaChanged(path, end, before.st_size, "was written to after it was looked up")
        while start < end:
            if self._used == self._room:
                self.flush()
            used = self._used
            try:
                got = os.preadv(source, [self._view[used : min(used + end - start, self._room)]], start)
            except OSError as error:
                reason = f"cannot be read: {error.strerror}"
                raise MediaChanged(path, end, before.st_size, reason, unreadable=True) from error
            if not got:
                raise MediaChanged(path, end, os.fstat(source).st_size)
            self._used = used + got
            start += got
        if os.fstat(source).st_mtime_ns != before.st_mtime_ns:
            raise MediaChanged(path, end, before.st_size, "was written to while it was read")

    def mark(self) -> None:
        """Flushes, and makes this the place to `rewind` to."""
        self.flush()
        self._mark = self.digest.copy()

    def flush(self) -> None:
        """Writes what is in the buffer."""
        used, self._used = self._used, 0
        self._write(self._view[:used])

    def rewind(self, position: int) -> None:
        """Cuts the file back to `position`, where the last `mark` was made, and forgets the buffer."""
        self._used = 0
        self.digest = self._mark.copy()
        os.ftruncate(self._fd, position)
        os.lseek(self._fd, position, os.SEEK_SET)
        self._moved_to(position)

    def release(self) -> None:
        """Closes the source that is still open; the file itself belongs to the caller."""
        self._source, fd = ("", -1), self._source[1]
        if fd >= 0:
            os.close(fd)

    def _open(self, path: str, expected: int) -> int:
        self.release()
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a named pipe would wait for ever otherwise
        except (OSError, ValueError) as error:  # ValueError: a null character in the name
            reason = f"cannot be opened: {getattr(error, 'strerror', None) or error}"
            raise MediaChanged(path, expected, None, reason, not isinstance(error, FileNotFoundError)) from error
        self._source = (path, fd)
        return fd

    def _write(self, data: memoryview) -> None:
        while data:
            written = os.write(self._fd, data)
            self.digest.update(data[:written])
            data = data[written:]
            self._moved_to(self._flushed + written)

    def _moved_to(self, position: int) -> None:
        """The next full buffer ends at a multiple of its size, so that whole pages of the file are written at once."""
        self._flushed = position
        self._room = len(self._view) - position % len(self._view)
