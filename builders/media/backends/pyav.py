"""Video by PyAV: scanned without decoding, then decoded from the keyframe before each selected frame, and no further than it.

Three things make it as fast as the file allows: no packet is decoded after the last selected one of a stretch (the decoder is
drained instead), frames that no other frame refers to are skipped unless they are selected, and one converter to RGB is kept.
What the packets leave open (`frame_index.make`), and containers in which seeking is not exact, are decoded from the start.

Only demuxers that read one file are allowed: a playlist or a concat script that calls itself ``.mp4`` would read other files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MediaError
from ..video_streams import other_choices, shown_stream
from . import Deadline
from .frame_index import FrameIndex, Packet, make, runs

Pictures = npt.NDArray[np.uint8]

MAX_PIXELS = 1 << 26
"""Pixels of a frame, at most: 8K has half of them.  A header can claim any size."""
SEEKABLE = {"mov", "matroska"}
_FORMATS = "mov,matroska,avi,gif,mpegts,mpeg,flv,ogg,asf,mjpeg,h264,hevc,m4v,ivf,webp,apng,rm,mxf,nut,obu,av1,mpegvideo"
_UNREFERENCED = {"h264", "vp8", "vp9", "mpeg4", "mpeg2video", "mpeg1video"}
"""Codecs in which a skipped non-reference frame changes no other frame: the others decode bit by bit the same.  Not HEVC: its
"sub-layer non-reference" pictures may be referred to by higher temporal layers."""
_INVISIBLE = 0x10
"""VP8 (RFC 6386, 9.1): bit of the first byte of a frame that says it is shown."""


class Stream:
    """One opened video stream, with or without its edit list.

    Attributes:
        format: first name of the demuxer (``mov``, ``matroska``, …).
        number: index of the stream in the container.
        other_choices: which other streams decord or ffmpeg would take; empty where none.
        alone: whether the container has no other video stream.
        header_frames: number of frames the header gives; 0 where it does not.
        rate: frames per second the header gives; None where it does not.
        height: of a frame in pixels, before it is turned.
        width: likewise.
        time_base: seconds per unit of a time stamp.
        index: the frames; None where only decoding finds them.
        times: time stamp of each frame in the order they are shown in; None where the file does not say it.
        damaged: packets and frames that the decoder complained about, so far.
    """

    def __init__(self, source: str | bytes, deadline: Deadline, *, threads: int = 1, edits: bool = True) -> None:
        self._source = source
        self._threads = threads
        self._edits = edits
        self._converter: Any = None
        self.damaged = 0
        self._container, self._stream = self._open(deadline)
        try:
            self.format = str(self._container.format.name).split(",")[0]
            self.number = int(self._stream.index)
            self.other_choices = other_choices(self._container)
            self.alone = len(self._container.streams.video) == 1
            self.header_frames = int(self._stream.frames)
            self.rate: Fraction | None = self._stream.average_rate or None
            self.height, self.width = int(self._stream.codec_context.height), int(self._stream.codec_context.width)
            self.time_base = Fraction(self._stream.time_base)
            self.index = self._scan(deadline) if self.format in SEEKABLE else None
            self.times: Sequence[int | None] = self.index.pts if self.index else [f.pts for f in self.decoded(deadline)]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees the decoder and the file."""
        self._container.close()
        self._converter = None

    # ---- opening

    def _open(self, deadline: Deadline) -> tuple[Any, Any]:
        import av
        from av.stream import Discard

        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
        if not self._edits:
            options["ignore_editlist"] = "1"
        whole = isinstance(self._source, bytes)
        # a name may look like an address (`a:b.mp4`): the prefix says that it is none
        file: Any = BytesIO(self._source) if isinstance(self._source, bytes) else f"file:{self._source}"
        container = av.open(
            file, container_options=options, timeout=None if whole else deadline.seconds, metadata_errors="replace"
        )
        try:
            stream = shown_stream(container)
            if stream is None:
                raise MediaError("it has no video stream")
            for other in container.streams:
                if other is not stream:
                    other.discard = Discard.all  # the demuxer does not even read them
            context = stream.codec_context
            if context is None:
                raise MediaError("its codec is unknown")
            if context.width * context.height > MAX_PIXELS:
                raise MediaError(
                    f"frames of {context.width} × {context.height} pixels are over the bound of {MAX_PIXELS:,}"
                )
            context.options = {"max_pixels": str(MAX_PIXELS)}
            context.thread_count = self._threads
            if self._threads > 1:
                context.thread_type = "AUTO"
        except BaseException:
            container.close()
            raise
        return container, stream

    def _scan(self, deadline: Deadline) -> FrameIndex | None:
        packets: list[Packet] = []
        vp8 = self._stream.codec_context.name == "vp8"
        for packet in self._demux(deadline):
            if packet.is_corrupt:  # cut off in the middle: the file ends here
                self.damaged += 1
                continue
            if packet.pts is None:
                return None
            hidden = packet.is_discard or (vp8 and not memoryview(packet)[0] & _INVISIBLE)
            place = -1 if packet.pos is None else packet.pos
            packets.append(Packet(packet.pts, packet.is_keyframe, hidden, place, packet.duration or 0))
        return make(packets, self.time_base, leading=not self._edits)

    def _demux(self, deadline: Deadline) -> Iterator[Any]:
        """Packets from where the file stands to its end, or to where it cannot be read any more."""
        import av

        packets = self._container.demux(self._stream)
        for count in range(1 << 62):
            if not count % 64:
                deadline.check()
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError):
                self.damaged += 1
                return
            if packet is None:
                return
            if packet.size:
                yield packet

    def _reopen(self, deadline: Deadline) -> None:
        self._container.close()
        self._container, self._stream = self._open(deadline)

    # ---- decoding

    def decoded(self, deadline: Deadline) -> Iterator[Any]:
        """Every frame the decoder gives, from the start of the file, as PyAV frames."""
        self._reopen(deadline)
        self._stream.codec_context.skip_frame = "DEFAULT"
        for packet in self._demux(deadline):
            deadline.check()
            yield from self._decode(packet)
        yield from self._decode(None)

    def _decode(self, packet: Any) -> list[Any]:
        import av

        try:
            frames: list[Any] = self._stream.codec_context.decode(packet)
        except (av.FFmpegError, ValueError):
            self.damaged += 1
            return []
        self.damaged += sum(1 for frame in frames if frame.is_corrupt)
        return frames

    def frames(self, selected: Iterable[int], deadline: Deadline) -> Iterator[tuple[int, Any]]:
        """Frames by index, each once, in no order, as (index, PyAV frame); those that do not decode are left out."""
        missing = set(selected)
        if self.index is None:
            for frame, picture in enumerate(self.decoded(deadline)):
                if frame in missing:
                    missing.discard(frame)
                    yield frame, picture
                    if not missing:
                        return
            return
        for start, last, inside in runs(self.index, missing):
            for frame, picture in self._run(self.index, start, last, inside, deadline):
                if frame in missing:
                    missing.discard(frame)
                    yield frame, picture
        if not missing:
            return
        # A keyframe that is none, a seek that went astray: only from the start is it certain.
        ranks = {self.index.pts[frame]: frame for frame in missing}
        for picture in self.decoded(deadline):
            if (frame := ranks.pop(picture.pts, -1)) >= 0:
                yield frame, picture
                if not ranks:
                    return

    def _run(
        self, index: FrameIndex, start: int, last: int, selected: Sequence[int], deadline: Deadline
    ) -> Iterator[tuple[int, Any]]:
        """The selected frames of one stretch of packets; ends early where the file does not lie as the index says."""
        skips = self._stream.codec_context.name in _UNREFERENCED
        positions = {index.position[frame] for frame in selected}
        ranks = {index.pts[frame]: frame for frame in selected}
        position, skipping = -1, None
        for packet in self._from(index, start, deadline):
            deadline.check()
            position = start if position < 0 else position + 1
            if packet.pts != index.packets[position][0]:
                return
            skip = skips and position not in positions
            if skip is not skipping:
                self._stream.codec_context.skip_frame, skipping = ("NONREF" if skip else "DEFAULT"), skip
            for picture in self._decode(packet):
                if (frame := ranks.get(picture.pts)) is not None:
                    yield frame, picture
            if position == last:
                break
        for picture in self._decode(None):
            if (frame := ranks.get(picture.pts)) is not None:
                yield frame, picture

    def _from(self, index: FrameIndex, start: int, deadline: Deadline) -> Iterator[Any]:
        """Packets from position `start` on; none where that packet is not there."""
        import av

        pts, place = index.packets[start]
        for seeking in (True, False):
            if seeking:
                with suppress(av.FFmpegError):
                    self._container.seek(pts, stream=self._stream, backward=True)
            else:
                self._reopen(deadline)
            self._stream.codec_context.flush_buffers()
            packets = self._demux(deadline)
            for packet in packets:
                at = -1 if packet.pos is None else packet.pos
                if at == place and packet.pts == pts:
                    yield packet
                    yield from packets
                    return
                if seeking and at > place:
                    break  # past it, or a file whose packets do not lie in order: from the start, then

    # ---- pictures

    def convert(self, frame: Any, height: int, width: int) -> Pictures:
        """A frame as RGB, uint8 (height, width, 3) before it is turned, scaled where its own size differs (as players do)."""
        from av.video.reformatter import VideoReformatter

        if frame.width * frame.height > MAX_PIXELS:
            raise MediaError(f"a frame of {frame.width} × {frame.height} pixels is over the bound of {MAX_PIXELS:,}")
        if self._converter is None:
            self._converter = VideoReformatter()
        plane = self._converter.reformat(
            frame, width=width, height=height, format="rgb24", interpolation="BICUBIC"
        ).planes[0]
        rows: Pictures = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
        return rows[:, : width * 3].reshape(height, width, 3)


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """How a frame is turned to be shown: (a, b, c, d) of the display matrix, (1, 0, 0, 1) without one.

    A stored point (x, y) is shown at (a·x + c·y, b·x + d·y), up to a shift; only the signs are given, and matrices that are no
    quarter turn or mirror image count as none, as in the upstream decoders.
    """
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = (round(number / 0x10000) for number in np.frombuffer(data, np.int32)[:5].tolist())
    a, b, c, d = ((number > 0) - (number < 0) for number in (a, b, c, d))
    straight = (a and d and not b and not c) or (b and c and not a and not d)
    return (a, b, c, d) if straight else (1, 0, 0, 1)


def turned(picture: Pictures, matrix: tuple[int, int, int, int]) -> Pictures:
    """A stored picture (H, W, 3) as it is shown: a view of it."""
    a, b, c, d = matrix
    return picture[::d, ::a] if a else picture.transpose(1, 0, 2)[::b, ::c]
