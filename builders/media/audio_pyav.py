"""Sound tracks: the sound of a video, and of sound files that only FFmpeg reads, decoded in process by PyAV.

Files are hostile: only containers that hold their own media are opened (a playlist could name other files or hosts), and
nothing but the file itself is read.
"""

from __future__ import annotations

import ctypes
import io
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import MediaError
from .samples import EmptySoundError, NoSoundError, Samples, check_rate, mixed

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,live_flv,asf,ogg,wav,w64,flac,mp3,aac,ac3,eac3,dts,"
    "aiff,au,caf,amr,amrnb,amrwb,ape,wv,tta,rm,mxf,nut,vob,dv,gif"
)
"""Names of FFmpeg's demuxers that may open a file: none that reads a second one."""

GUESSED = frozenset({"mp3", "aac", "ac3", "eac3", "dts", "amr", "amrnb", "amrwb", "flac"})
"""Containers that do not say how long they are; FFmpeg guesses it from the size and the first frames, or the header is wrong."""

_BLOCK = 1 << 18
"""Samples, of all channels together, that are mixed at a time."""

_TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "s64": np.int64, "flt": np.float32, "dbl": np.float64}

_PREROLL = 1.0
"""Seconds that are decoded and thrown away before a start that was sought: more than any codec looks back."""

_TOLERANCE = 1.0
"""Seconds by which a track may be shorter than its header says; muxers round, and cut at the video's end."""

_OWN_ORDER = " channels ("
"""Part of FFmpeg's name of a layout that is not one of the usual ones."""

_SIDES = frozenset({"BL", "BR", "BC", "SL", "SR", "TBL", "TBR", "TBC"})


class FileParts(io.RawIOBase):
    """Parts of a file, one behind the other, as a file."""

    def __init__(self, read: Callable[[int, int], bytes], parts: Sequence[tuple[int, int]]) -> None:
        """Opens nothing.

        Args:
            read: gives bytes of the file: offset and number of bytes to the bytes.
            parts: start and end of each part.
        """
        super().__init__()
        self._read = read
        self._parts = parts
        self._starts = [0, *accumulate(end - start for start, end in parts)]
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase` has it."""
        if self._at >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._at) - 1
        start, end = self._parts[number]
        place = start + self._at - self._starts[number]
        data = self._read(place, min(len(buffer), end - place))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.RawIOBase` has it."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        return self._at

    def tell(self) -> int:
        """The place `read` goes on at."""
        return self._at


def decoded(
    data: str | bytes | FileParts,
    mono: bool,
    start: float,
    end: float | None,
    kind: str | None = None,
    least: int = 0,
) -> Iterator[tuple[int, Samples]]:
    """The sound track block by block, as `modalmix.builders.media.audio.decoded`.

    Args:
        data: path, bytes, or parts of a file.
        mono: mix the channels down, with ffmpeg's weights for surround sound.
        start: seconds.
        end: seconds, or None.
        kind: FFmpeg's name of the container; None to find out.
        least: samples that the whole sound has at least, where that is known.

    Raises:
        NoSoundError: there is no sound track.
        MediaError: the file cannot be opened, or its sound not be decoded to its end.
    """
    import av

    try:
        with _open_container(data, kind) as container:
            stream = container.streams.best("audio")
            if stream is None:
                raise NoSoundError("the file has no sound track")
            if stream.codec_context is None:
                raise MediaError("the sound cannot be decoded: its codec is unknown")
            for other in container.streams:
                if other is not stream and hasattr(other, "discard"):
                    other.discard = av.stream.Discard.all  # the bytes of the pictures are then not even read
            yield from _blocks(container, stream, mono, start, end, least)
    except (av.FFmpegError, UnicodeError, EOFError) as error:
        raise MediaError(f"the sound cannot be decoded: {getattr(error, 'strerror', None) or error}") from error


def _open_container(data: str | bytes | FileParts, kind: str | None) -> Any:
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    file = f"file:{data}" if isinstance(data, str) else io.BytesIO(data) if isinstance(data, bytes) else data
    return av.open(file, format=kind, options=options, metadata_errors="replace")


def _blocks(
    container: Any, stream: Any, mono: bool, start: float, end: float | None, least: int
) -> Iterator[tuple[int, Samples]]:
    track: _Track | None = None
    buffered = given = position = last = first = 0  # positions are samples from the sound's first
    for frame in _frames(container, stream, start):
        if track is None:
            track = _Track.of(frame)
            first, last = round(start * track.rate), (1 << 62) if end is None else round(end * track.rate)
            position = _position(frame, stream, track.rate)
            channels = len(track.names)
            buffer = np.empty((channels, max(_BLOCK // channels, 1)), _TYPES[track.kind])
        elif (frame.sample_rate, frame.layout.name, frame.format.name) != (track.rate, track.layout, track.format):
            raise MediaError(
                f"the sound changes from {track.rate} Hz {track.layout} to {frame.sample_rate} Hz {frame.layout.name}"
            )
        if position >= last:
            break
        count = frame.samples
        if position + count > first:
            begin, stop = max(first - position, 0), min(last - position, count)
            if buffered + count > buffer.shape[1]:
                if buffered:
                    yield track.rate, track.mixed(buffer[:, :buffered], mono)
                given, buffered = given + buffered, 0
                if count > buffer.shape[1]:
                    buffer = np.empty((len(buffer), count), buffer.dtype)
            if track.planar:  # without to_ndarray, whose cost for frames of 1,024 samples is that of decoding them
                for row, plane in zip(buffer, frame.planes, strict=False):
                    row[buffered : buffered + stop - begin] = np.frombuffer(plane, buffer.dtype, count)[begin:stop]
            else:
                packed = np.frombuffer(frame.planes[0], buffer.dtype, count * len(buffer)).reshape(count, len(buffer))
                buffer[:, buffered : buffered + stop - begin] = packed[begin:stop].T
            buffered += stop - begin
        position += count
    if track is None:
        if stream.start_time is None and not stream.duration:
            raise EmptySoundError("the sound has no samples")
        raise MediaError("none of the sound can be decoded")
    if buffered or not given:
        yield track.rate, track.mixed(buffer[:, :buffered], mono)
    if end is None and position < least:
        raise MediaError(f"the sound breaks off after {position:,} of {least:,} samples")
    if end is None and stream.duration is not None and not set(container.format.name.split(",")) & GUESSED:
        promised = float(stream.duration * stream.time_base)
        if position / track.rate < promised - max(_TOLERANCE, 0.01 * promised):
            raise MediaError(f"the sound breaks off after {position / track.rate:.1f} of {promised:.1f} seconds")


class _Track(NamedTuple):
    """What all frames of a sound track have in common.

    Attributes:
        rate: samples a second.
        layout: FFmpeg's name of the channels.
        names: of the channels.
        format: FFmpeg's name of the samples' type.
        kind: the same without the arrangement.
        planar: each channel has a plane of its own.
    """

    rate: int
    layout: str
    names: tuple[str, ...]
    format: str
    kind: str
    planar: bool

    @classmethod
    def of(cls, frame: Any) -> _Track:
        """The track of its first frame."""
        names = tuple(channel.name for channel in frame.layout.channels)
        kind = frame.format.name.removesuffix("p")
        if kind not in _TYPES or not names:
            raise MediaError(f"the sound has {len(names)} channels of {frame.format.name} samples")
        planar = bool(frame.format.is_planar)
        return cls(check_rate(frame.sample_rate), frame.layout.name, names, frame.format.name, kind, planar)

    def mixed(self, raw: NDArray[Any], mono: bool) -> Samples:
        """Raw samples (channels, n) as float32 in [-1, 1], mixed down if asked; never a view of them."""
        alone = raw.dtype == np.float32 and mono and len(raw) > 1  # then mixing makes new samples
        samples: Samples = raw if alone else raw.astype(np.float32)
        if raw.dtype == np.uint8:
            samples -= 128
        if raw.dtype.kind != "f":
            samples *= np.float32(2.0 ** (1 - 8 * raw.dtype.itemsize))
        return mixed(samples, _weights(self.names), mono, check=raw.dtype.kind == "f")


def _frames(container: Any, stream: Any, start: float) -> Iterator[Any]:
    """Decoded frames from `start` or some time before it on; from the first, where the file cannot be sought exactly.

    Only where a tick of the clock is a sample does a time stamp say which sample it is: in mp4 nearly always, in Matroska
    (milliseconds) never.
    """
    if start > 2 * _PREROLL and _exact(stream):
        origin = stream.start_time * stream.time_base
        container.seek(int((Fraction(start) - Fraction(_PREROLL) + origin) / stream.time_base), stream=stream)
        frames = _decoded(container, stream)
        frame = next(frames, None)
        if frame is not None and frame.pts is not None and frame.pts * stream.time_base - origin <= start:
            yield frame
            yield from frames
            return
        container.seek(stream.start_time, stream=stream)
    yield from _decoded(container, stream)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """`container.decode`, but for channels in an order of their own (QuickTime's ``chan`` box), on which PyAV up to 19.0 crashes.

    Its `AudioLayout` frees a list that belongs to the frame.  The frames cannot be had without; so these objects are never let
    go, which costs some bytes per such file.
    """
    for packet in container.demux(stream):
        frames = packet.decode()
        if any(_OWN_ORDER in frame.layout.name for frame in frames):
            name = frames[-1].layout.name
            for frame in frames:
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(frame.layout))
            raise MediaError(f"the sound has its channels in an order of its own: {name}")
        yield from frames


def _exact(stream: Any) -> bool:
    rate = stream.codec_context.sample_rate
    return bool(stream.start_time is not None and stream.time_base and rate and stream.time_base == Fraction(1, rate))


def _position(frame: Any, stream: Any, rate: int) -> int:
    if frame.pts is None or not _exact(stream):
        return 0
    return max(0, round(Fraction((frame.pts - stream.start_time) * stream.time_base * rate)))


def _weights(names: tuple[str, ...]) -> Samples | None:
    """How loud each channel is in the mix; None for all alike.

    As libswresample mixes to mono (``swr_build_matrix2``, ``ffmpeg -ac 1``): left and right −3 dB, sides and back −6 dB, the
    low frequencies not at all, and the sum scaled to 1.  For stereo that is the mean.
    """
    if "FC" not in names or len(names) < 3:
        return None
    loud = [
        1.0 if name == "FC" else 0.0 if name.startswith("LFE") else 0.5 if name in _SIDES else 0.5**0.5
        for name in names
    ]
    weights: Samples = np.asarray(loud, np.float32) / np.float32(sum(loud))
    return weights
