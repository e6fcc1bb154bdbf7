"""Ends: whether a file is as long as its own container says.

A download that broke off decodes without a word in most containers: libsndfile gives what is there of a wav, FFmpeg what is
there of a Matroska file.  But each of them writes down how long its parts are::

    RIFF (wav, avi)   RIFF size … data size          ISO (mp4, mov, m4a)   box size, name, …
    Ogg               page: lengths of its segments  Matroska (mkv, webm)  EBML header, Segment size …

FLAC and MP3 count their samples, which shows after decoding; MPEG-TS, FLV and raw AAC say nothing.  A few small reads, wherever
the file is cut.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_PARTS = 100_000
"""Chunks or boxes looked at (a fragmented mp4 has two a second or so); a file of more is not judged."""

_UNKNOWN = 0x7FFF_0000
"""RIFF sizes from here on stand for "written to a pipe, length unknown"."""

_SLACK = 8
"""Bytes by which writers of avi are known to be wrong about its size."""

_BOXES = frozenset(b"ftyp styp moov moof mdat free skip wide mfra sidx uuid meta".split())
_SEGMENT = b"\x18\x53\x80\x67"

_OGG_PAGE = 65_307
"""Bytes of the longest page."""


def missing(file: BinaryIO) -> int:
    """Bytes that are not there: by how much the file is shorter than its container says; 0 where nothing is known.

    Args:
        file: open for reading; it is left where it was.
    """
    here = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(64)
        if head[:4] == b"RIFF":
            end = _wav_end(file) if head[8:12] == b"WAVE" else _avi_end(head)
        elif head[:4] == b"OggS":
            end = _ogg_end(file, size)
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _matroska_end(head)
        elif head[4:8] in _BOXES:
            end = _boxes_end(file, size)
        else:
            end = 0
        return max(0, end - size)
    finally:
        file.seek(here)


def _wav_end(file: BinaryIO) -> int:
    """Where the samples end; 0 where it is not said."""
    at = 12
    for _ in range(_PARTS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return 0
        name, length = struct.unpack("<4sI", header)
        if name == b"data":
            return at + 8 + int(length) if length < _UNKNOWN else 0
        at += 8 + length + length % 2
    return 0


def _avi_end(head: bytes) -> int:
    """Where the first part ends; the others (OpenDML) are not looked for."""
    length = int.from_bytes(head[4:8], "little")
    return 8 + length - _SLACK if length < _UNKNOWN else 0


def _ogg_end(file: BinaryIO, size: int) -> int:
    """Where the last page ends that has begun."""
    file.seek(max(0, size - _OGG_PAGE))
    tail = file.read(_OGG_PAGE)
    at = tail.rfind(b"OggS\0")
    if at < 0:
        return 0
    page = size - len(tail) + at
    header = tail[at : at + 27]
    if len(header) < 27:
        return page + 27
    segments = tail[at + 27 : at + 27 + header[26]]
    return page + 27 + header[26] + sum(segments)


def _matroska_end(head: bytes) -> int:
    """Where the Segment ends; 0 where it is of unknown size, as a live recording has it."""
    length, at = _vint(head, 4)
    at += length
    if head[at : at + 4] != _SEGMENT:
        return 0
    length, at = _vint(head, at + 4)
    return at + length if length else 0


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """An EBML size (RFC 8794) and where the next byte is; the size is 0 where it is unknown or not there."""
    if at >= len(data) or not data[at]:
        return 0, at
    width = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    unknown = value == (1 << 7 * width) - 1 or at + width > len(data)
    return 0 if unknown else value, at + width


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last top-level box ends that begins inside of the file."""
    at = end = 0
    for _ in range(_PARTS):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8 or header[4:8] not in _BOXES:
            return end  # the end, or something behind it that is no box
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:], "big")
        if length < 8:
            return end  # 0: up to the end of the file
        end = at = at + length
        if end >= size:
            return end
    return 0
