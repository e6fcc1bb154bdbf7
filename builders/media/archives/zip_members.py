"""Zip: the central directory of an archive, read in blocks, each entry checked against the member's own header.

Written down in PKWARE's APPNOTE.TXT 6.3.10. What `zipfile` has and this has not: an object per entry in memory (a kilobyte each).
Stored and deflated members are read; other methods and encryption are refused.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator

from ...core.findings import Finding
from .archive import BombError, DamageError, Gate, Member
from .joined_file import ArchiveFile

_END = struct.Struct("<4s4H2LH")
_END64_AT = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = 30  # bytes of a member's own header before its name
_LONGEST = _ENTRY.size + 3 * 65_535  # bytes of an entry
_BLOCK = 1 << 20
_UNIX = 3
_METHODS = {0: "stored", 8: "deflate"}
_OTHER_METHODS = {9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 99: "AES encryption"}


def walk(file: ArchiveFile, gate: Gate) -> Iterator[Member | Finding]:
    """The members of a zip archive, in the order of its directory.

    Raises:
        DamageError: it has no directory, or that ends early.
        BombError: its members would be far larger than the archive, or share their bytes.
    """
    count, size, start, shift = _directory(file)
    packed_total = out_total = 0
    buffer, place, at, end = b"", 0, start, start + size
    for number in range(count):
        if len(buffer) - place < _LONGEST and at < end:
            block = file.pread(min(_BLOCK, end - at), at)
            at += len(block)
            buffer, place = buffer[place:] + block, 0
        if len(buffer) - place < _ENTRY.size or buffer[place : place + 4] != b"PK\x01\x02":
            raise DamageError(f"entry {number:,} of {count:,} of its directory is broken")
        fields = _ENTRY.unpack_from(buffer, place)
        (_, made_by, _, flags, method, _, _, _, packed, out, name_size, extra_size, note_size, disk, _, mode, where) = (
            fields
        )
        place += _ENTRY.size
        if len(buffer) < place + name_size + extra_size + note_size:
            raise DamageError(f"entry {number:,} of {count:,} of its directory is broken")
        raw = buffer[place : place + name_size]
        extra = buffer[place + name_size : place + name_size + extra_size]
        place += name_size + extra_size + note_size
        out, packed, where = _long(extra, out, packed, where)
        if raw.endswith(b"/") and not out:
            continue
        name = gate.name(raw)
        if isinstance(name, Finding):
            yield name
            continue
        mode = mode >> 16 if made_by >> 8 == _UNIX else 0
        what = _METHODS.get(method)
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            link = "a symbolic link" if stat.S_ISLNK(mode) else "a folder, device or pipe"
            yield gate.refuse("member-kind", f"{name!r} is {link}")
            continue
        if flags & 0x2041 or what is None:
            why = "encrypted" if flags & 0x2041 else f"packed by {_OTHER_METHODS.get(method, f'method {method}')}"
            yield gate.refuse("member-kind", f"{name!r} is {why}")
            continue
        if disk not in (0, 0xFFFF):
            raise DamageError(f"{name!r} is on disk {disk} of a multi-volume archive; join the volumes (zip -s 0)")
        data = _data(file, where + shift, raw)
        if data < 0 or data + packed > file.size or (method == 0 and packed != out):
            yield gate.refuse(
                "member-size", f"{name!r}: its entry, its header and the archive's size contradict each other"
            )
            continue
        if refused := gate.new(name, out):
            yield refused
            continue
        packed_total += packed
        out_total += out
        if packed_total > file.size:
            raise BombError("its members share their bytes: together they are larger than the archive")
        if why := gate.limits.stop(out, packed) or gate.limits.stop(out_total, file.size):
            raise BombError(f"{name!r}: {why}")
        yield Member(name, data, out, packed if method else 0)


def inflate(packed: bytes, size: int) -> bytes:
    """The bytes of a deflated member.

    Raises:
        OSError: they are not `size` bytes, or no deflate stream.
    """
    inflater = zlib.decompressobj(wbits=-15)
    try:
        data = inflater.decompress(packed, size + 1)
    except zlib.error as error:
        raise OSError(f"the deflated bytes are damaged: {error}") from error
    if len(data) != size or not inflater.eof:
        raise OSError(f"the member says {size:,} bytes, but {len(data):,}{'' if inflater.eof else ' or more'} come out")
    return data


def _directory(file: ArchiveFile) -> tuple[int, int, int, int]:
    """Entries, bytes and place of the directory, and by how much all offsets are off (bytes put before the archive)."""
    tail_at = max(0, file.size - _END.size - 65_535)
    tail = file.pread(file.size - tail_at, tail_at)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if len(tail) - at >= _END.size and at + _END.size + _END.unpack_from(tail, at)[-1] <= len(tail):
            break
        at = tail.rfind(b"PK\x05\x06", 0, at)
    if at < 0:
        begin = file.pread(24, 0)
        raise DamageError(f"it has no directory at its end (cut off?); it begins with {begin!r}")
    _, _, _, _, count, size, start, _ = _END.unpack_from(tail, at)
    end = tail_at + at
    locator = file.pread(_END64_AT.size, end - _END64_AT.size) if end >= _END64_AT.size else b""
    if locator[:4] == b"PK\x06\x07":
        _, _, at64, _ = _END64_AT.unpack(locator)
        record = file.pread(_END64.size, at64)
        if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
            at64 = end - _END64_AT.size - _END64.size
            record = file.pread(_END64.size, at64)
        if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
            raise DamageError("its zip64 directory is not where it says")
        _, _, _, _, _, _, _, count, size, start = _END64.unpack(record)
        end = at64
    shift = end - size - start
    if size > end or shift < 0 or count * _ENTRY.size > size:
        raise DamageError(f"its directory of {count:,} entries and {size:,} bytes does not fit")
    return count, size, start + shift, shift


def _long(extra: bytes, out: int, packed: int, where: int) -> tuple[int, int, int]:
    """Sizes and place, those that do not fit 32 bits from the zip64 extra field."""
    if 0xFFFFFFFF not in (out, packed, where):
        return out, packed, where
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            values = iter(struct.unpack_from(f"<{min(length, len(extra) - at - 4) // 8}Q", extra, at + 4))
            out = next(values, out) if out == 0xFFFFFFFF else out
            packed = next(values, packed) if packed == 0xFFFFFFFF else packed
            where = next(values, where) if where == 0xFFFFFFFF else where
            break
        at += 4 + length
    return out, packed, where


def _data(file: ArchiveFile, where: int, name: bytes) -> int:
    """Where a member's bytes start; -1 where its own header is none, or names another member."""
    header = file.pread(_LOCAL + len(name), where)
    if len(header) < _LOCAL + len(name) or header[:4] != b"PK\x03\x04":
        return -1
    name_size, extra_size = struct.unpack_from("<2H", header, _LOCAL - 4)
    if header[_LOCAL:] != name or name_size != len(name):
        return -1
    return where + _LOCAL + len(name) + int(extra_size)
