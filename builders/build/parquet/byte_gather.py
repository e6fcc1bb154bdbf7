"""Cells, and a writer that copies their bytes into a file through one buffer.

A **cell** is the value of one media item in a Parquet file: bytes in memory, or a range of a file that is read when it is
written.  `Gather` appends cells to a file.  It reads ranges directly into one buffer, which it uses again and again: to touch
fresh memory for the first time takes several times as long as a copy within used memory, and a ``bytes`` object for each file
is fresh memory.

The buffer is small on purpose.  Measured on ext4 with files in the page cache: 256 KiB stay in the processor's cache, and were
faster than ``copy_file_range``, which copies in the kernel in chunks of 64 KiB, for files of 90 KB and of 37 MB alike.  Buffers
of a megabyte varied by a factor of two from run to run.
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
        whole: the range is the file to its end; then a file that has grown has changed as well.
        modified: modification time of the file when its size was read, in nanoseconds (``st_mtime_ns``); None where it is
            unknown.
    """

    path: str
    start: int
    size: int
    whole: bool = False
    modified: int | None = None


Cell = bytes | memoryview | FileRange


class MediaChanged(OSError):  # noqa: N818  what has happened, as in FileExistsError
    """A file has changed since its size was read: it is missing, shorter, longer, written to, or not readable.

    Attributes:
        path: the file.
        expected: bytes that it had (or at least had, for a range in the middle).
        found: bytes that it has; None if it cannot be opened.
        reason: the change, if it is not one of size.
        unreadable: the system refuses to read it; otherwise its content may be another.
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
    """Makes the system write a file to the disk while it still grows, so that the last fsync has little left to do.

    An error is kept and raised by `wait`: the system reports it once, and a later fsync would succeed.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None

    def begin(self) -> None:
        """Begins to write the file's content to the disk, unless an earlier call still does."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._write, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Waits until nothing is being written; then the file may be closed.

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

    `digest` is the checksum of its bytes.  The descriptor's own offset is used, so nobody else may write to it meanwhile.
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
        """The position of the next byte, from the start of the file."""
        return self._flushed + self._used

    def append(self, data: bytes | memoryview) -> None:
        """Appends bytes; data larger than the buffer is written directly."""
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
            MediaChanged: the file is missing, cannot be read, has another size, or was written to since it was looked up or
                while it was read.  Bytes of it that are already appended remain: see `rewind`.
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
        """Writes the buffer to the file."""
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
        """Closes the source file; the file that is written belongs to the caller."""
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
        """Makes the next full buffer end at a multiple of its size, so that whole pages of the file are written at once."""
        self._flushed = position
        self._room = len(self._view) - position % len(self._view)
