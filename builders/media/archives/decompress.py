"""Decompression: the bytes of an archive in order, decompressed, with what went wrong as one kind of error."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .archive import Archive, BombError, DamageError, Limits
from .joined_file import ArchiveFile

_CHUNK = 1 << 20
_HEADER_BUFFER = 64 << 10


class Uncompressed:
    """A tar that is not compressed: skipping bytes costs nothing."""

    def __init__(self, file: ArchiveFile) -> None:
        """At the beginning of `file`."""
        self._file = file
        self._at = 0
        self._buffer = b""
        self._buffer_at = 0

    def read(self, size: int) -> bytes:
        """The next bytes; headers that lie close together come from one read."""
        place = self._at - self._buffer_at
        if size <= 4096:
            if place < 0 or place + size > len(self._buffer):
                self._buffer, self._buffer_at, place = self._file.pread(_HEADER_BUFFER, self._at), self._at, 0
            data = self._buffer[place : place + size]
        else:
            data = self._file.pread(min(size, self._file.size - self._at), self._at)
        self._at += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Skips bytes, if they are there."""
        if self._at + size > self._file.size:
            return False
        self._at += size
        return True


class Decompressed:
    """A compressed tar: every byte has to come out."""

    def __init__(self, file: Any, packed: int, limits: Limits) -> None:
        """A stream over a decompressing file.

        Args:
            file: has ``read(n)`` and ``readinto``.
            packed: bytes of the archive, which the limits refer to.
            limits: what may come out.
        """
        self._file = file
        self._packed = packed
        self._limits = limits
        self._at = 0
        self._scratch = bytearray(_CHUNK)

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            DamageError: the compressed bytes are damaged.
            BombError: too many have come out.
        """
        self._check(min(size, self._limits.ratio * self._packed + _CHUNK))
        with damage(self._at):
            data: bytes = self._file.read(size)
            if len(data) < size:  # a file may give less than was asked for before its end
                parts = [data]
                missing = size - len(data)
                while missing and parts[-1]:
                    parts.append(self._file.read(missing))
                    missing -= len(parts[-1])
                data = b"".join(parts)
        self._at += len(data)
        self._check(0)
        return data

    def skip(self, size: int) -> bool:
        """Skips bytes.

        Raises:
            DamageError: the compressed bytes are damaged.
            BombError: too many have come out.
        """
        view = memoryview(self._scratch)
        while size > 0:
            with damage(self._at):
                count = self._file.readinto(view[: min(size, _CHUNK)])
            if not count:
                return False
            size -= count
            self._at += count
            self._check(0)
        return True

    def _check(self, more: int) -> None:
        if why := self._limits.stop(self._at + more, self._packed):
            raise BombError(why)


@contextmanager
def damage(at: int) -> Iterator[None]:
    """Turns what decompressors raise about their input into `DamageError`."""
    try:
        yield
    except (OSError, EOFError, ValueError, RuntimeError, MemoryError, zlib.error) as error:
        raise DamageError(f"its compressed bytes are damaged after {at:,} bytes came out: {error}") from error
    except Exception as error:  # ZranError of indexed_gzip, ZstdError, IsalError: none has a base class of its own
        if type(error).__module__.partition(".")[0] not in ("indexed_gzip", "zstandard", "isal", "igzip_lib", "zstd"):
            raise
        raise DamageError(f"its compressed bytes are damaged after {at:,} bytes came out: {error}") from error


def in_order(archive: Archive, file: ArchiveFile, limits: Limits) -> Uncompressed | Decompressed:
    """The bytes of a tar from its beginning, by the fastest way through."""
    if archive.kind == "tar":
        return Uncompressed(file)
    return Decompressed(decompressing(archive, file), file.size, limits)


def decompressing(archive: Archive, file: ArchiveFile) -> Any:
    """A file of the bytes that come out of a ``tar.gz`` or ``tar.zst``, for reading it once."""
    if archive.kind == "tar.zst":
        return from_zstd(file, 0)
    from isal import igzip

    file.seek(0)
    igzip_file: Any = igzip.IGzipFile
    return igzip_file(fileobj=io.BufferedReader(file, 256 << 10), mode="rb")


def from_zstd(file: Any, start: int) -> Any:
    """A file of the bytes that come out of zstd frames from the one that begins at `start`."""
    import zstandard

    file.seek(start)
    return zstandard.ZstdDecompressor().stream_reader(file, read_size=256 << 10, read_across_frames=True, closefd=False)


@contextmanager
def undamaged(archive: Archive) -> Iterator[None]:
    """Turns what decompressors raise about their input into `OSError`, as of any file that cannot be read."""
    try:
        with damage(0):
            yield
    except DamageError as error:
        raise OSError(f"{archive}: {error.__cause__ or error}") from error
