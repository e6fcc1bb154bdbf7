"""Containers: how many bytes a video lacks by its own account, from its outermost boxes alone.

A download that broke off still opens, and decoders then differ: one gives the frames that are there, one an error, one repeats
the last frame.  The boxes tell it before anything is decoded::

    MP4     [size 4][type 4] … [size 4]["mdat"] ...............|            box after box; the last may reach past the end
    WebM    [1A 45 DF A3][size] … [18 53 80 67][size] .........|            one segment (its size may be left open)
    AVI     ["RIFF"][size 4]["AVI "] ..........................|

MPEG-TS, FLV and GIF say nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_BOXES = 100_000
"""Boxes walked at most: a fragmented MP4 has two a second or so."""
_FIRST = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")
_OPEN = 0x7FFF_0000
"""RIFF sizes from here on are those of a writer that could not go back to fill them in."""
_SLACK = 8
"""Bytes by which writers of AVI are known to be wrong."""


def missing_bytes(source: str | bytes) -> int:
    """Bytes that the outermost boxes of a file promise past its end; 0 where it is whole, or of another kind.

    Args:
        source: path of a file, or its bytes.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return _missing(lambda at, count: source[at : at + count], len(source))
    with open(source, "rb", buffering=0) as file:
        number = file.fileno()
        return _missing(lambda at, count: os.pread(number, count, at), os.fstat(number).st_size)


def _missing(read: Callable[[int, int], bytes], size: int) -> int:
    head = read(0, 16)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        length = int.from_bytes(head[4:8], "little")
        lacks = 8 + length - size
        return lacks if length < _OPEN and lacks > _SLACK else 0
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _missing_segment(read, size)
    if head[4:8] in _FIRST:
        return _missing_boxes(read, size)
    return 0


def _missing_boxes(read: Callable[[int, int], bytes], size: int) -> int:
    at = 0
    for _ in range(_BOXES):
        head = read(at, 16)
        if len(head) < 8 or not head[4:8].isalnum():
            return 0
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return 0
        at += length
        if at >= size:
            return at - size
    return 0


def _missing_segment(read: Callable[[int, int], bytes], size: int) -> int:
    length, width = _vint(read(4, 8))
    at = 4 + width + (length or 0)
    head = read(at, 12)
    if head[:4] != b"\x18\x53\x80\x67":
        return 0
    length, width = _vint(head[4:])
    return 0 if length is None else max(0, at + 4 + width + length - size)


def _vint(data: bytes) -> tuple[int | None, int]:
    """An EBML number (RFC 8794): its value, None for "unknown", and the number of bytes it takes."""
    if not data or not data[0]:
        return None, 0
    width = 9 - data[0].bit_length()
    ones = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width], "big") & ones
    return (None if value == ones or len(data) < width else value), width
