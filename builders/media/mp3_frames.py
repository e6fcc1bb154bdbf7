"""The frames of an MP3: where they lie, and how many there are.

An MP3 is a row of frames, each with a header that says how long it is; nothing says how many there are but a first frame that
some encoders write (``Xing``, ``Info``), and that is wrong once files are joined or cut::

    [ID3v2 tag] [Xing frame] [frame] [frame] … [frame] [padding] [APE tag] [ID3v1 tag]

A decoder that guesses the count from the size and the first frame stops early or looks for sound in the tags.  `mp3_frames`
reads the headers from the first to the last: 4 bytes of each frame, nothing is decoded.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

Read = Callable[[int, int], bytes]
"""Offset and number of bytes to the bytes; fewer at the end of the file."""

_BITRATES = {  # kbit/s by (MPEG 1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)

_SAME = 0xFFFE0C00
"""Bits of a header that all frames of a sound share: the sync word, the version, the layer and the sampling rate."""

_WINDOW = 1 << 18
_NEAR, _SEARCHED = 1 << 14, 1 << 20
"""Bytes behind something unknown in which the next frame is looked for, first and if there is none."""

_IN_A_ROW = 3
"""Frames that must follow each other where no frame leads to them: four bytes alone are found in any data."""

_SHORT = 2
"""Frames by which encoders are wrong about their number."""


class Mp3(NamedTuple):
    """The frames of an MP3.

    Attributes:
        rate: samples a second.
        channels: 1 or 2.
        frames: number of frames with sound.
        samples: of all of them, of each channel, without what the encoder says is padding.
        declared: number of frames the file says it has; 0 where it does not say.
        missing: bytes by which the file is shorter than its last frame or its first one says.
        runs: start and end of the parts of the file that are frames.
        gap: the first place between two frames that is neither a frame nor a tag, where the count stops; -1 where there is none.
        exact: the file says how many samples it has and how many bytes, and has nothing else behind them.
    """

    rate: int
    channels: int
    frames: int
    samples: int
    declared: int
    missing: int
    runs: tuple[tuple[int, int], ...]
    gap: int
    exact: bool


class _Xing(NamedTuple):
    """What the first frame says: frames and bytes (0: not said), samples of padding, and whether it is such a frame."""

    frames: int
    size: int
    padding: int
    there: bool


def _lengths() -> tuple[int, ...]:
    """Bytes of a frame by bits 9 to 20 of its header; 0 where there is no such frame."""
    lengths = []
    for bits in range(1 << 12):
        version, layer = bits >> 10 & 3, 4 - (bits >> 8 & 3)
        bitrate, rate, padding = bits >> 3 & 15, bits >> 1 & 3, bits & 1
        if version == 1 or layer == 4 or rate == 3 or not 0 < bitrate < 15:
            lengths.append(0)
            continue
        thousands = _BITRATES[version == 3, layer][bitrate]
        hertz = _RATES[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
        if layer == 1:
            lengths.append((12_000 * thousands // hertz + padding) * 4)
        else:
            lengths.append((72_000 if layer == 3 and version != 3 else 144_000) * thousands // hertz + padding)
    return tuple(lengths)


_LENGTHS = _lengths()


def reader_of(file: BinaryIO) -> Read:
    """Reads bytes of an open file, and leaves its position as it is."""
    if isinstance(file, io.BytesIO):
        data = file.getvalue()
        return lambda at, count: data[at : at + count]
    number = file.fileno()
    return lambda at, count: os.pread(number, count, at)


def mp3_frames(read: Read, size: int) -> Mp3 | None:
    """The frames of an MP3; None where it has none that can be followed (free format, another kind of file).

    Args:
        read: gives bytes of the file.
        size: of the file.
    """
    at = after_tags(read, 0)
    start = _next_frame(read, at, size)
    if start is None:
        return None
    head = int.from_bytes(read(start, 4), "big")
    rate, samples = _format(head)
    channels = 1 if head >> 6 & 3 == 3 else 2
    first = read(start, _LENGTHS[head >> 9 & 0xFFF])
    xing = _xing(first, head)
    end = _end_of_frames(read, size)
    if xing.frames and xing.size and end in (start + xing.size, start + xing.size + len(first)):
        count = max(xing.frames * samples - xing.padding, 0)
        exact = size - end in (0, 128)
        return Mp3(rate, channels, xing.frames, count, xing.frames, 0, ((start, end),), -1, exact)
    runs, frames, missing, gap = _walk(read, start, end)
    frames -= xing.there
    if xing.frames > frames + _SHORT:
        missing = max(missing, start + xing.size - end, 1)
    whole = max(frames * samples - xing.padding, 0)
    exact = bool(xing.frames == frames and runs == [(start, size)] and not missing)
    return Mp3(rate, channels, frames, whole, xing.frames, missing, tuple(runs), gap, exact)


def _walk(read: Read, start: int, end: int) -> tuple[list[tuple[int, int]], int, int, int]:
    """The runs of frames, their number, the bytes that the last one lacks, and the first gap that is no tag (or -1)."""
    runs: list[tuple[int, int]] = []
    frames = missing = 0
    gap = -1
    at = run = start
    window, base = b"", 0
    same = 0
    while at + 4 <= end:
        offset = at - base
        if not 0 <= offset <= len(window) - 4:
            window, base, offset = read(at, _WINDOW), at, 0
        head = int.from_bytes(window[offset : offset + 4], "big")
        length = _LENGTHS[head >> 9 & 0xFFF] if head & _SAME == same or (at == run and head >> 21 == 0x7FF) else 0
        if length:
            same = head & _SAME
            frames += 1
            at += length
            if at > end:
                missing, at = at - end, end
            continue
        if at > run:
            runs.append((run, at))
        behind = after_tags(read, at)
        following = _next_frame(read, behind, end)
        run = at
        if following is None:
            break
        if read(behind, following - behind).strip(b"\0"):
            gap = behind
            break
        at = run = following
    if at > run:
        runs.append((run, at))
    return runs, frames, missing, gap


def _next_frame(read: Read, at: int, end: int) -> int | None:
    """Where the next frame begins that others follow, or the end of the file; None where there is none near."""
    for searched in (_NEAR, _SEARCHED):  # nearly always it is the next byte
        data = read(at, min(searched, max(end - at, 0)))
        place = 0
        while 0 <= (place := data.find(b"\xff", place)) <= len(data) - 4:
            if _follow(data, place, at + len(data) >= end):
                return at + place
            place += 1
    return None


def _follow(data: bytes, place: int, to_end: bool) -> bool:
    """Whether frames of one kind follow each other from `place` on."""
    kind = -1
    for i in range(_IN_A_ROW):
        head = int.from_bytes(data[place : place + 4], "big")
        if head >> 21 != 0x7FF or kind not in (-1, head & _SAME):
            return False
        kind = head & _SAME
        length = _LENGTHS[head >> 9 & 0xFFF]
        if not length:
            return False
        place += length
        if place >= len(data) - 3:
            return to_end and (i > 0 or place == len(data))
    return True


def after_tags(read: Read, at: int) -> int:
    """Where the tags end that begin here, and the zeros between them."""
    while True:
        head = read(at, 32)
        if head and not head[0]:
            while head and not head.strip(b"\0"):
                at += len(head)
                head = read(at, _NEAR)
            at += len(head) - len(head.lstrip(b"\0"))
            head = read(at, 32)
        if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
            size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
            at += 10 + size + (10 if head[5] & 0x10 else 0)
        elif head[:8] == b"APETAGEX" and len(head) == 32:
            header = head[23] & 0x20  # else it is the footer of a tag that has none
            at += 32 + (int.from_bytes(head[12:16], "little") if header else 0)
        elif head[:4] == b"TAG+":
            at += 227
        elif head[:3] == b"TAG":
            at += 128
        else:
            return at


def _end_of_frames(read: Read, size: int) -> int:
    """Where the tags at the end of the file begin."""
    end = size
    if end >= 128 and read(end - 128, 3) == b"TAG":
        end -= 128
    if end >= 32:
        foot = read(end - 32, 32)
        if foot[:8] == b"APETAGEX":
            length = int.from_bytes(foot[12:16], "little") + (32 if foot[23] & 0x80 else 0)
            end -= length if length <= end else 0
    return end


def _format(head: int) -> tuple[int, int]:
    """The sampling rate, and the samples of a frame."""
    version, layer = head >> 19 & 3, 4 - (head >> 17 & 3)
    rate = _RATES[head >> 10 & 3] >> (0 if version == 3 else 1 if version == 2 else 2)
    return rate, 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152


def _xing(frame: bytes, head: int) -> _Xing:
    """What the first frame says of all."""
    mpeg1, mono = head >> 19 & 3 == 3, head >> 6 & 3 == 3
    at = 4 + ((17 if mono else 32) if mpeg1 else (9 if mono else 17))
    if frame[36:40] == b"VBRI":
        return _Xing(int.from_bytes(frame[50:54], "big"), 0, 0, True)
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return _Xing(0, 0, 0, False)
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    at += 8
    frames = size = padding = 0
    if flags & 1:
        frames, at = int.from_bytes(frame[at : at + 4], "big"), at + 4
    if flags & 2:
        size, at = int.from_bytes(frame[at : at + 4], "big"), at + 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    if frame[at : at + 4] in (b"LAME", b"Lavf", b"Lavc"):
        both = int.from_bytes(frame[at + 21 : at + 24], "big")
        padding = (both >> 12) + (both & 0xFFF)
    return _Xing(frames, size, padding, True)
