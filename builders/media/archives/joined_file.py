"""Archive files: the bytes of one or several pieces as one stream, read at any place by any thread."""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

MOST_OPEN_FILES = 16
"""Files of which parts are read that stay open in a thread."""

Signature = tuple[tuple[int, int, int], ...]
"""Size, modification time in nanoseconds and inode of each piece: what says that an archive is still the same."""


def signature(paths: Sequence[str]) -> Signature:
    """What says whether files have changed.

    Raises:
        OSError: a file is gone.
    """
    found: list[tuple[int, int, int]] = []
    for path in paths:
        status = os.stat(path)
        found.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


class ArchiveFile(io.RawIOBase):
    """An archive as one file of bytes, wherever it lies; a subclass says how `pread` reads.

    Attributes:
        size: in bytes.
    """

    size: int

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase` has it."""
        with memoryview(buffer).cast("B") as view:
            data = self.pread(len(view), self._at)
            view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """As `io.RawIOBase` has it, without the copy its own makes."""
        data = self.pread(self.size - self._at if size is None or size < 0 else size, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.RawIOBase` has it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """The place `read` goes on at."""
        return self._at


class JoinedFile(ArchiveFile):
    """The pieces of an archive end to end, as one file that is read.

    `pread` moves nothing, so threads and forked processes may share the object; the position that `read` and `seek` use is
    the object's own.

    Attributes:
        size: of all pieces together, in bytes.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        """Opens all pieces.

        Raises:
            OSError: one cannot be opened.
        """
        super().__init__()
        self._descriptors: list[int] = []
        try:
            for path in paths:
                self._descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            sizes = [os.fstat(descriptor).st_size for descriptor in self._descriptors]
        except OSError:
            self.close()
            raise
        self._starts = [0, *accumulate(sizes)][:-1]
        self.size = sum(sizes)

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end."""
        if offset < 0 or offset >= self.size or size <= 0:
            return b""
        piece = bisect_right(self._starts, offset) - 1
        data = os.pread(self._descriptors[piece], size, offset - self._starts[piece])
        if len(data) == size or offset + len(data) >= self.size:
            return data
        parts = [data]
        missing = size - len(data)
        while missing > 0 and data:
            offset += len(data)
            piece = bisect_right(self._starts, offset) - 1
            data = os.pread(self._descriptors[piece], missing, offset - self._starts[piece])
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def close(self) -> None:
        """Closes all pieces."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        super().close()


class _OpenFile:
    """An open file that closes with its last reference: when others take its place, or its thread ends."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self.descriptor).st_ino

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class _OpenFiles(threading.local):
    """The files a thread read parts of last: none is closed while another thread reads it."""

    def __init__(self) -> None:
        self.by_path: dict[str, _OpenFile] = {}


_open_files = _OpenFiles()


def read_range(path: str, size: int, start: int) -> bytes:
    """Up to `size` bytes of a file at `start`; fewer only at its end.

    The file stays open for the next part (opening it costs more than reading a small one). A file that has been replaced by
    another is opened anew.

    Raises:
        OSError: it cannot be read.
    """
    files = _open_files.by_path
    file = files.get(path)
    if file is None or os.stat(path).st_ino != file.inode:
        files.pop(path, None)
        if len(files) >= MOST_OPEN_FILES:
            del files[next(iter(files))]
        file = files[path] = _OpenFile(path)
    data = os.pread(file.descriptor, size, start)
    while 0 < len(data) < size:  # one call reads 2 GiB at most
        more = os.pread(file.descriptor, size - len(data), start + len(data))
        if not more:
            break
        data += more
    return data
