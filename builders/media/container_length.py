"""How many bytes a media file lacks, by what its own container says.

A download that broke off decodes without a word in most containers: libsndfile gives what is there of a wav, FFmpeg what is
there of a Matroska file, and video decoders differ: one gives the frames that are there, one an error, one repeats the last
frame.  But each container writes down how long its parts are::

    MP4, MOV, M4A   [size 4][type 4] … [size 4]["mdat"] ..........|     box after box; the last may reach past the end
    Matroska, WebM  [1A 45 DF A3][size] … [18 53 80 67][size] ....|     one segment (its size may be left open)
    WAV             ["RIFF"][size 4]["WAVE"] … ["data"][size 4] ..|
    AVI             ["RIFF"][size 4]["AVI "] .....................|
    Ogg             page: lengths of its segments

FLAC and MP3 count their samples, which shows after decoding; MPEG-TS, FLV, GIF and raw AAC say nothing.  A few small reads,
wherever the file is cut.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

_PARTS = 100_000
"""Chunks or boxes that are read (a fragmented MP4 has two a second or so); a file of more is not judged."""

_UNKNOWN = 0x7FFF_0000
"""RIFF sizes from here on are those of a writer that could not go back to fill them in."""

_SLACK = 8
"""Bytes by which writers of AVI are known to be wrong about its size."""

_BOXES = frozenset(
    b"ftyp styp moov moof mdat free skip wide mfra sidx ssix prft emsg pdin udta uuid meta meco pnot PICT junk".split()
)
"""Top-level boxes of ISO and QuickTime files.  What follows them and is none of these (tags of a player) is no box."""

_SEGMENT = b"\x18\x53\x80\x67"

_OGG_PAGE = 65_307
"""Bytes of the longest page."""

_Read = Callable[[int, int], bytes]
"""Offset and number of bytes to the bytes; fewer at the end of the file."""


def missing_bytes(source: str | bytes | BinaryIO) -> int:
    """Bytes by which a file is shorter than its container says; 0 where it is whole, or where nothing is known.

    Args:
        source: path of a file, its bytes, or a file open for reading, whose position stays.

    Raises:
        OSError: the file cannot be read.
    """
    if isinstance(source, bytes):
        return _missing(lambda at, count: source[at : at + count], len(source))
    if isinstance(source, str):
        with open(source, "rb", buffering=0) as file:
            number = file.fileno()
            return _missing(lambda at, count: os.pread(number, count, at), os.fstat(number).st_size)
    return _missing_in_file(source)


def _missing_in_file(file: BinaryIO) -> int:
    def read(at: int, count: int) -> bytes:
        file.seek(at)
        return file.read(count)

    here = file.tell()
    try:
        return _missing(read, file.seek(0, os.SEEK_END))
    finally:
        file.seek(here)


def _missing(read: _Read, size: int) -> int:
    head = read(0, 16)
    slack = 0
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        end = _wav_end(read)
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        end, slack = _avi_end(head), _SLACK
    elif head[:4] == b"OggS":
        end = _ogg_end(read, size)
    elif head[:4] == b"\x1a\x45\xdf\xa3":
        end = _matroska_end(read)
    elif head[4:8] in _BOXES:
        end = _boxes_end(read, size)
    else:
        end = 0
    return end - size if end - size > slack else 0


def _wav_end(read: _Read) -> int:
    """Where the samples end; 0 where the file does not say."""
    at = 12
    for _ in range(_PARTS):
        header = read(at, 8)
        if len(header) < 8:
            return 0
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"data":
            return at + 8 + length if length < _UNKNOWN else 0
        at += 8 + length + length % 2
    return 0


def _avi_end(head: bytes) -> int:
    """Where the first part ends; the others (OpenDML) are not read."""
    length = int.from_bytes(head[4:8], "little")
    return 8 + length if length < _UNKNOWN else 0


def _ogg_end(read: _Read, size: int) -> int:
    """Where the last page ends that has begun."""
    start = max(0, size - _OGG_PAGE)
    tail = read(start, _OGG_PAGE)
    at = tail.rfind(b"OggS\0")
    if at < 0:
        return 0
    header = tail[at : at + 27]
    if len(header) < 27:
        return start + at + 27
    segments = tail[at + 27 : at + 27 + header[26]]
    return start + at + 27 + header[26] + sum(segments)


def _matroska_end(read: _Read) -> int:
    """Where the Segment ends; 0 where it is of unknown size, as a live recording has it."""
    length, width = _vint(read(4, 8))
    at = 4 + width + (length or 0)
    head = read(at, 12)
    if head[:4] != _SEGMENT:
        return 0
    length, width = _vint(head[4:])
    return 0 if length is None else at + 4 + width + length


def _vint(data: bytes) -> tuple[int | None, int]:
    """An EBML size (RFC 8794): its value, None where it is unknown or not there, and the number of bytes it takes."""
    if not data or not data[0]:
        return None, 0
    width = 9 - data[0].bit_length()
    ones = (1 << 7 * width) - 1
    value = int.from_bytes(data[:width], "big") & ones
    return (None if value == ones or len(data) < width else value), width


def _boxes_end(read: _Read, size: int) -> int:
    """Where the last top-level box ends that begins inside of the file; 0 where the file does not say."""
    at = 0
    for _ in range(_PARTS):
        header = read(at, 16)
        if len(header) < 8 or header[4:8] not in _BOXES:
            return at  # the end, or something behind it that is no box
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return at  # 0: up to the end of the file
        at += length
        if at >= size:
            return at
    return 0
