"""The index of a video: which packet is which frame, and where decoding has to begin for it.

Packets lie in the order they are decoded in, frames are shown in another; a time stamp (pts) identifies a frame::

    position   0   1   2   3   4   5   6   7        order in the file = order of decoding
    packet     I   P   B   B   I   B   B   P        the I at 4 starts an open group: the two B before it in time come after it
    pts        0   3   1   2   6   4   5   9
    frame      0   3   1   2   6   4   5   7        rank of the pts
    start      0   0   0   0   4   0   0   4        the keyframe decoding has to begin at: the last one not later in both orders

Two counts: *shown* frames, what a player shows, and *coded* frames, all there are.  They differ where an edit list cuts the
front off an MP4 without encoding it again; the packets are still there, marked to be discarded.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple


class Packet(NamedTuple):
    """What the index needs to know of a packet.

    Attributes:
        pts: time stamp in units of the stream.
        key: decoding can begin here.
        hidden: decoded, but not shown (before the start of an edit).
        place: offset of its bytes in the file, which identifies a packet when the file is read again.
        duration: in units of the stream; 0 where unknown.
    """

    pts: int
    key: bool
    hidden: bool
    place: int
    duration: int


class FrameIndex(NamedTuple):
    """The frames of a stream in the order they are shown in.

    Attributes:
        pts: time stamp of each frame, ascending, each once.
        position: packet of each frame, counted in the order of decoding.
        start: position of the keyframe that decoding has to begin at, for each frame.
        packets: (pts, place) of every packet in the order of decoding, hidden ones too.
        time_base: seconds per unit.
        last: duration of the last frame in units of the stream; 0 where unknown.
    """

    pts: list[int]
    position: list[int]
    start: list[int]
    packets: list[tuple[int, int]]
    time_base: Fraction
    last: int

    def places(self) -> list[int]:
        """Offset of each frame's bytes in the file."""
        return [self.packets[position][1] for position in self.position]


def make(packets: Iterable[Packet], time_base: Fraction, *, leading: bool = False) -> FrameIndex | None:
    """The index over the packets of a stream, given in the order of decoding.

    Args:
        packets: the packets.
        time_base: seconds per unit of their time stamps.
        leading: count frames before the first keyframe too, though they may never come out of the decoder: decord does.

    Returns:
        None where packets alone do not give the frames: a time stamp twice, frames before the first keyframe (they may come
        out of the decoder or not).  Then only decoding finds them.
    """
    seen: list[tuple[int, int]] = []
    keys: list[tuple[int, int]] = []
    shown: list[tuple[int, int, int, int]] = []
    for position, packet in enumerate(packets):
        seen.append((packet.pts, packet.place))
        if packet.key:
            keys.append((packet.pts, position))
        if packet.hidden:
            continue
        start = next((at for pts, at in reversed(keys) if pts <= packet.pts), None)
        if start is None:
            if not leading:
                return None
            start = 0
        shown.append((packet.pts, position, start, packet.duration))
    shown.sort()
    if any(a[0] == b[0] for a, b in pairwise(shown)):
        return None
    return FrameIndex(
        [entry[0] for entry in shown],
        [entry[1] for entry in shown],
        [entry[2] for entry in shown],
        seen,
        time_base,
        shown[-1][3] if shown else 0,
    )


def runs(index: FrameIndex, frames: Iterable[int]) -> list[tuple[int, int, list[int]]]:
    """The stretches of packets to decode for some frames.

    Args:
        index: the index.
        frames: the frames, each once.

    Returns:
        (position of the keyframe to begin at, position of the last packet, frames in it), in file order; stretches that touch
        are one, since going on costs less than a seek.
    """
    found: list[tuple[int, int, list[int]]] = []
    for start, position, frame in sorted((index.start[frame], index.position[frame], frame) for frame in frames):
        if found and start <= found[-1][1] + 1:
            first, last, inside = found[-1]
            found[-1] = (first, max(last, position), inside)
            inside.append(frame)
        else:
            found.append((start, position, [frame]))
    return found


def has_leading(index: FrameIndex) -> bool:
    """Whether some frame comes after a keyframe in the file but before it in time: the groups of pictures are open."""
    begin = dict(zip(index.position, index.start, strict=True))
    keys, latest = set(index.start), 0
    for position in sorted(begin):
        latest = position if position in keys else latest
        if begin[position] < latest:
            return True
    return False
