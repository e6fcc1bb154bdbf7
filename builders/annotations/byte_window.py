"""A window on an annotation file: one reusable buffer over its bytes, decompressed where they are compressed.

::

    buf   ? | consumed | pos … the bytes at hand … end | free
          └ one byte of room in front, so that a ``[`` can be written before any run of records

Fresh memory costs more than copying into touched memory, so the buffer is kept and what is left over moves to its front.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, BinaryIO

COMPRESSED = (".gz", ".zst")
BLANK = b" \t\r\n"


def _gzip_decompressor() -> Any:
    return zlib.decompressobj(wbits=31)  # 31: a gzip header, and the checksum at its end is verified


def _zstd_decompressor() -> Any:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor

        return ZstdDecompressor()
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


class _Inflated:
    """The decompressed bytes of a gzip or zstd file of one or several members; never raises for bad data."""

    def __init__(self, file: BinaryIO, new: Callable[[], Any], chunk_bytes: int) -> None:
        self.file, self.new, self.chunk_bytes = file, new, chunk_bytes
        self.member: Any = None
        self.began = 0
        self.fed = 0
        self.ready = b""
        self.source = b""
        self.damage: str | None = None

    def readinto(self, target: memoryview) -> int:
        """Fills the front of `target`; 0 at the end, be it the true one or the place of the damage."""
        while not self.ready and self._more():
            pass
        taken = min(len(target), len(self.ready))
        target[:taken] = self.ready[:taken]
        self.ready = self.ready[taken:]
        return taken

    def _more(self) -> bool:
        if self.damage is not None:
            return False
        chunk = self.source or self.file.read(self.chunk_bytes)
        self.source = b""
        if not chunk:
            if self.member is not None:
                self.damage = "the compressed data ends early"
            return False
        if self.member is None:
            if not chunk.strip(b"\0"):
                return True  # zero padding after the last member, as tape tools write it
            self.member, self.began, self.fed = self.new(), self.file.tell() - len(chunk), 0
        try:
            self.ready = self.member.decompress(chunk)
        except Exception as error:  # zlib.error, ZstdError: each library has its own
            self.damage = f"the compressed data is corrupt ({error})"
            self.ready = self._before_damage(chunk)
            return bool(self.ready)
        self.fed += len(chunk)
        if self.member.eof:
            self.source, self.member = self.member.unused_data, None
        return True

    def _before_damage(self, chunk: bytes) -> bytes:
        """What a chunk gives before its damage: a failed call gives nothing, so the member is decompressed again."""
        member = self.new()
        self.file.seek(self.began)
        left = self.fed
        saved = bytearray()
        try:
            while left:
                again = self.file.read(min(self.chunk_bytes, left))
                member.decompress(again)
                left -= len(again)
            for at in range(len(chunk)):
                saved += member.decompress(chunk[at : at + 1])
        except Exception:  # the same damage again
            pass
        return bytes(saved)


class Window:
    """The bytes of a file from an offset on, as many at a time as the caller needs.

    Attributes:
        buf: the buffer; ``buf[pos:end]`` are the bytes at hand, and ``buf[pos - 1]`` may be overwritten.
        eof: no bytes follow those at hand.
        damage: why the file ends before its end, or None.
    """

    def __init__(self, path: str, start: int = 0, size: int = 1 << 16) -> None:
        self.normal = size + 1
        self.buf = bytearray(self.normal)
        self.pos = self.end = 1
        self._base = start - 1
        self.eof = False
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by __exit__
        self._inflated: _Inflated | None = None
        lower = path.lower()
        if lower.endswith(".gz"):
            self._inflated = _Inflated(self._file, _gzip_decompressor, 16 << 10)
        elif lower.endswith(".zst"):
            # small chunks: one byte of zstd can stand for tens of kilobytes, and a chunk is decompressed at once
            self._inflated = _Inflated(self._file, _zstd_decompressor, 2 << 10)
        elif start:
            self._file.seek(start)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    @property
    def damage(self) -> str | None:
        """Why the file ends before its end."""
        return self._inflated.damage if self._inflated else None

    def offset(self, index: int) -> int:
        """The file's (decompressed) byte offset of a buffer index."""
        return self._base + index

    def index(self, offset: int) -> int:
        """The buffer index of a byte offset."""
        return offset - self._base

    def fill(self, count: int) -> int:
        """Holds `count` bytes, fewer only at the end of the file; `pos` may move. Returns how many there are."""
        held = self.end - self.pos
        if held >= count or self.eof:
            return held
        buf = self.buf
        if self.pos > 1:
            buf[1 : 1 + held] = buf[self.pos : self.end]
            self._base += self.pos - 1
            self.pos, self.end = 1, 1 + held
        if len(buf) < count + 1:
            buf.extend(bytes(count + 1 - len(buf)))
        elif len(buf) > 4 * self.normal and count < self.normal:
            del buf[max(self.normal, held + 1, count + 1) :]  # the memory of a huge record goes back
        reader = self._inflated or self._file
        with memoryview(buf) as view:
            while self.end - 1 < count:
                got = reader.readinto(view[self.end : count + 1])
                if not got:
                    self.eof = True
                    break
                self.end += got
        return self.end - self.pos

    def skip_blank(self) -> int:
        """Moves `pos` to the next byte that is no white space; that byte, or -1 at the end of the file."""
        while True:
            buf, pos, end = self.buf, self.pos, self.end
            while pos < end and buf[pos] in BLANK:
                pos += 1
            self.pos = pos
            if pos < end:
                return buf[pos]
            if not self.fill(1 << 12):
                return -1
