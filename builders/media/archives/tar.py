"""Tar: the headers of a stream, one after the other.

Written down in POSIX.1-2017 (*pax*, "ustar Interchange Format" and "pax Extended Header") and in the GNU tar manual ("Basic Tar
Format"): 512-byte headers, each followed by its member's bytes, padded to 512. What `tarfile` has and this has not: links and
sparse files (refused), and a list of all members in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ...core.findings import Finding
from .archive import DamageError, Gate, Member

BLOCK = 512
_MAX_EXTENDED = 1 << 20  # bytes of a pax header or a long name; real ones have some hundred
_MAX_PADDING = 4096  # blocks that pad a tar; by default, they make its size a multiple of 10 KB
_EMPTY = bytes(BLOCK)
_REGULAR = b"0\x007"
_REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"S": "a sparse file",
    b"M": "the rest of a file of another volume",
}


class Stream(Protocol):
    """Bytes in order."""

    def read(self, size: int) -> bytes:
        """The next bytes; fewer only at the end.

        Raises:
            DamageError: they cannot be read.
        """

    def skip(self, size: int) -> bool:
        """Skips the next bytes; false where there are not that many.

        Raises:
            DamageError: they cannot be read.
        """


def is_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a member."""
    if len(block) != BLOCK or block[:1] == b"\0":
        return False
    try:
        return number(block[148:156]) in (checksum(block), _signed_checksum(block))
    except ValueError:
        return False


def checksum(block: bytes) -> int:
    """The sum of a header's bytes, its own checksum taken for spaces."""
    return sum(block) - sum(block[148:156]) + 256


def _signed_checksum(block: bytes) -> int:
    """As some old writers had it."""
    return sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 256


def number(field: bytes) -> int:
    """A numeric field: octal digits, or, for sizes of 8 GiB and more, base 256 behind a set first bit.

    Raises:
        ValueError: it is neither.
    """
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & (1 << (8 * len(field) - 1)) - 1
        if field[0] & 0x40:
            raise ValueError("a negative number")
        return value
    digits = field.split(b"\0", 1)[0].strip()
    if digits.strip(b"01234567"):
        raise ValueError(f"{field!r} is no octal number")
    return int(digits or b"0", 8)


def walk(
    stream: Stream, gate: Gate, select: Callable[[Member], bool]
) -> Iterator[tuple[Member, bytes | None] | Finding]:
    """The members of a tar stream, each after its last byte.

    Args:
        stream: at the first header.
        gate: what is accepted.
        select: says of a member whether its bytes are needed; those of others are skipped.

    Yields:
        A member with its bytes, or None for one that is not selected; or a finding about something refused.

    Raises:
        DamageError: it cannot be read on; the members before were given.
    """
    offset = 0
    long_name: bytes | None = None
    local: dict[str, bytes] = {}
    shared: dict[str, bytes] = {}
    first = True
    while True:
        block = stream.read(BLOCK)
        if not block and not first:
            return  # without the two empty blocks that should end it, as cut pieces and some writers have it
        if len(block) < BLOCK:
            raise DamageError(f"it ends inside a header, at byte {offset + len(block):,}")
        if block == _EMPTY:
            block, empty = _after_end(stream)
            if not is_header(block):
                return  # the end; what follows it is none of tar's
            offset += empty * BLOCK
        if not is_header(block):
            what = f"it begins with {block[:24]!r}" if first else f"at byte {offset:,} stands {block[:24]!r}"
            raise DamageError(f"{what}, which is no tar header")
        first = False
        offset += BLOCK
        kind = block[156:157]
        try:
            size = number(block[124:136])
            if kind in b"xgLK":
                extended = _extended(stream, size, offset)
                offset += size + -size % BLOCK
                if kind == b"L":
                    long_name = extended.split(b"\0", 1)[0]
                elif kind == b"x":
                    local = _pax(extended)
                elif kind == b"g":
                    shared.update(_pax(extended))
                continue
            keys = {**shared, **local} if shared or local else local
            if "size" in keys:
                size = int(keys["size"])
                if size < 0:
                    raise ValueError("a negative size")
        except ValueError as error:
            raise DamageError(f"the header at byte {offset - BLOCK:,} is broken: {error}") from None
        raw = keys.get("path") or long_name or _short_name(block)
        long_name, local = None, {}
        if kind in b"123456" or (kind in b"0\0" and raw.endswith(b"/")):
            if kind in b"12346":
                yield gate.refuse("member-kind", f"{_quoted(raw)} is {_REFUSED[kind]}")
            if kind in b"0\0":
                offset = _past(stream, size, offset, raw)
            continue  # links and folders have no bytes, whatever their size says
        name = gate.name(raw)
        refused: Finding | None = None
        if isinstance(name, Finding):
            refused = name
        elif kind not in _REGULAR or any(key.startswith("GNU.sparse") for key in keys):
            what = _REFUSED.get(kind, "a sparse file" if kind in _REGULAR else f"a member of type {kind!r}")
            refused = gate.refuse("member-kind", f"{name!r} is {what}")
        else:
            refused = gate.new(name, size)
        if kind == b"S" and block[482]:
            offset = _past_sparse_map(stream, offset)
        start = offset
        if refused is not None or isinstance(name, Finding):
            offset = _past(stream, size, offset, raw)
            if refused is not None:
                yield refused
            continue
        member = Member(name, start, size)
        if select(member):
            data: bytes | None = stream.read(size)
            if data is None or len(data) < size:
                raise DamageError(f"it ends inside {name!r}: {size:,} bytes at byte {start:,}")
            stream.skip(-size % BLOCK)
            offset += size + -size % BLOCK
        else:
            data = None
            offset = _past(stream, size, offset, raw)
        yield member, data


def _after_end(stream: Stream) -> tuple[bytes, int]:
    """The first block behind the end mark that is not empty, and how many there were.

    Some tars are several put end to end. `tar` stops at the first end mark, and loses the rest without a word.
    """
    for empty in range(1, _MAX_PADDING):
        block = stream.read(BLOCK)
        if block != _EMPTY:
            return block, empty
    return b"", _MAX_PADDING


def _past(stream: Stream, size: int, offset: int, raw: bytes) -> int:
    """Skips a member's bytes; gives the offset of the next header."""
    if not stream.skip(size):
        raise DamageError(f"it ends inside {_quoted(raw)}: {size:,} bytes at byte {offset:,}")
    stream.skip(-size % BLOCK)  # the last padding may be missing
    return offset + size + -size % BLOCK


def _past_sparse_map(stream: Stream, offset: int) -> int:
    """Skips the blocks in which GNU tar lists the holes of a file that has many."""
    while True:
        block = stream.read(BLOCK)
        offset += BLOCK
        if len(block) < BLOCK:
            raise DamageError("it ends inside the map of a sparse file")
        if not block[504]:
            return offset


def _extended(stream: Stream, size: int, offset: int) -> bytes:
    if size > _MAX_EXTENDED:
        raise ValueError(f"an extended header of {size:,} bytes")
    data = stream.read(size)
    if len(data) < size or not stream.skip(-size % BLOCK):
        raise DamageError(f"it ends inside an extended header at byte {offset:,}")
    return data


def _pax(data: bytes) -> dict[str, bytes]:
    """The records ``length key=value newline`` of a pax header; the length counts all of it."""
    keys: dict[str, bytes] = {}
    at = 0
    while at < len(data) and data[at]:
        space = data.find(b" ", at, at + 20)
        if space < 0 or not data[at:space].isdigit():
            raise ValueError(f"{data[at : at + 20]!r} is no pax record")
        end = at + int(data[at:space])
        if end <= space or end > len(data) or data[end - 1] != 0x0A:
            raise ValueError(f"the pax record {data[at : at + 20]!r} lies about its length")
        key, _, value = data[space + 1 : end - 1].partition(b"=")
        keys[key.decode("utf-8", "replace")] = value
        at = end
    if "size" in keys and not keys["size"].isdigit():
        raise ValueError(f"the pax size {keys['size'][:20]!r}")
    return keys


def _short_name(block: bytes) -> bytes:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        return block[345:500].split(b"\0", 1)[0] + b"/" + name
    return name


def _quoted(raw: bytes) -> str:
    return repr(raw[:200].decode("utf-8", "backslashreplace"))
