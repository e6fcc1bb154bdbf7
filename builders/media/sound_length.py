"""How many samples a sound has, where libsndfile would trust a count that is wrong.

libsndfile stops where the header says that the sound ends, and where the header says nothing it guesses.  For an MP3 the
frames are counted (`mp3_frames`); for the other formats it is seen whether the header is right::

    FLAC  the number of samples in the header; the last frame says which sample it begins with
    Ogg   the streams in it; joined files have one behind the other, and libsndfile reads the first
    WAV   the size of the samples; 0 where the writer was stopped before it could go back to fill it in
"""

from __future__ import annotations

from typing import NamedTuple

from .mp3_frames import Mp3, Read, after_tags, mp3_frames
from .sniff import sniffed

_PARTS = 1_000_000
"""Pages of an Ogg file that are read."""

_OGG_SEARCHED = 1 << 20
"""Bytes behind the last page in which another stream is looked for."""

_CHUNKS = 1_000
"""Chunks of a WAV that are read."""

_MOST_FLAC_FRAME = 1 << 19
"""Bytes of the longest frame that a FLAC can have in practice (65,535 samples, 2 channels of 24 bits)."""

_FLAC_TAIL = 1 << 10
"""Bytes of tags behind the last frame."""


class SoundLength(NamedTuple):
    """What a sound file says about the number of its samples.

    Attributes:
        exact: libsndfile, where it reads the format, decodes all of the sound.
        samples: of each channel; 0 where the file does not say, or in a format that is not counted here.
        mp3: the frames of an MP3; None for other files.
    """

    exact: bool
    samples: int = 0
    mp3: Mp3 | None = None


def sound_length(read: Read, size: int) -> SoundLength:
    """What a sound file says about the number of its samples, and whether it is so.

    Args:
        read: gives bytes of the file.
        size: of the file.
    """
    content = sniffed(read(0, 64))
    if content in ("mp3", "flac"):
        at = after_tags(read, 0)
        if read(at, 4) == b"fLaC":
            return _flac_length(read, at, size)
        mp3 = mp3_frames(read, size)
        return SoundLength(mp3.exact, mp3.samples, mp3) if mp3 else SoundLength(False)
    if content == "ogg":
        return SoundLength(not _is_chained(read, size))
    if content == "wav":
        return SoundLength(not _is_unfinished(read, size))
    return SoundLength(True)


def _flac_length(read: Read, at: int, size: int) -> SoundLength:
    info = read(at, 42)
    block = int.from_bytes(info[8:10], "big")
    fixed = info[8:10] == info[10:12]
    longest = min(int.from_bytes(info[15:18], "big") or _MOST_FLAC_FRAME, _MOST_FLAC_FRAME)
    total = int.from_bytes(info[21:26], "big") & ((1 << 36) - 1)
    if not total:
        return SoundLength(False)
    start = max(at + 42, size - longest - _FLAC_TAIL)
    data = read(start, size - start)
    place = len(data)
    while (place := data.rfind(b"\xff", 0, place)) >= 0:
        if (
            data[place + 1 : place + 2] in (b"\xf8", b"\xf9")
            and _flac_end(data[place : place + 17], block, fixed) == total
        ):
            return SoundLength(True, total)
    return SoundLength(False, total)


def _flac_end(head: bytes, block: int, fixed: bool) -> int:
    """The sample behind the frame that begins here; -1 where none does."""
    if len(head) < 6:
        return -1
    code, rate = head[2] >> 4, head[2] & 15
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # of a number in UTF-8
    width = ones or 1
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + width]:
        number = number << 6 | byte & 0x3F
    at = 4 + width
    if code == 1:
        samples = 192
    elif 2 <= code <= 5:
        samples = 576 << code - 2
    elif code >= 8:
        samples = 256 << code - 8
    else:
        extra = code - 5  # 6: one byte, 7: two
        if extra < 1:
            return -1
        samples = int.from_bytes(head[at : at + extra], "big") + 1
        at += extra
    at += 1 if rate == 12 else 2 if rate in (13, 14) else 0
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return -1
    if head[1] & 1:
        return number + samples
    return number * block + samples if fixed else -1


def _crc8(data: bytes) -> int:
    """As FLAC has it: x⁸ + x² + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _is_chained(read: Read, size: int) -> bool:
    """Whether an Ogg file has a stream that begins after the pages of another one."""
    at, begun = 0, False
    for _ in range(_PARTS):
        head = read(at, 282)
        if len(head) < 27 or head[:4] != b"OggS":
            return begun and b"OggS\0\2" in read(at, _OGG_SEARCHED)
        if head[5] & 2:
            if begun:
                return True
        else:
            begun = True
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return False


def _is_unfinished(read: Read, size: int) -> bool:
    """Whether a WAV says that it has no samples, but has bytes behind that are no other chunks of it."""
    at, empty = 12, False
    for _ in range(_CHUNKS):
        head = read(at, 8)
        if len(head) < 8:
            return empty and at < size - 1
        if empty and not (head[:4].isascii() and head[:4].decode("ascii").isprintable()):
            return True
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            if length:
                return False
            empty = True
        at += 8 + length + length % 2
        if at > size + 1:
            return empty
    return False
