"""Encoded videos with every trait that decoders disagree on; each frame shows its own number in black and white."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FRAMES, FPS = 128, 96, 48, 24
_BITS, _BAND = 8, 16


def painted(number: int, height: int = HEIGHT, width: int = WIDTH) -> Pictures:
    """A gradient and a moving square, with `number` in binary in the blocks of the upper band, most significant bit first."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(30, 220, width)
    picture[..., 1] = np.linspace(200, 60, height)[:, None]
    picture[..., 2] = 90
    left = number * 5 % (width - 24)
    picture[50:70, left : left + 20] = (240, 40, 200)
    for bit in range(_BITS):
        block = width // _BITS
        picture[:_BAND, bit * block : (bit + 1) * block] = 255 * (number >> _BITS - 1 - bit & 1)
    return picture


def numbers(pictures: Pictures) -> list[int]:
    """The numbers that pictures (N, H, W, 3) show."""
    block = pictures.shape[2] // _BITS
    bits = [
        pictures[:, 3 : _BAND - 3, b * block + 3 : (b + 1) * block - 3].mean(axis=(1, 2, 3)) > 127 for b in range(_BITS)
    ]
    return [int(n) for n in sum(bit.astype(int) << _BITS - 1 - b for b, bit in enumerate(bits))]


def encode(
    path: str,
    codec: str = "libx264",
    *,
    frames: int = FRAMES,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    pixels: str = "yuv420p",
    gop: int = 12,
    stamps: Iterable[int] | None = None,
    prepare: Callable[[Any], None] = lambda stream: None,
    container: dict[str, str] | None = None,
    **options: str,
) -> str:
    """Encodes numbered frames; `stamps` are their time stamps in units of 1 / FPS."""
    with av.open(path, "w", options=container or {}) as file:
        stream: Any = file.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.gop_size = gop
        prepare(stream)
        for number, stamp in enumerate(range(frames) if stamps is None else stamps):
            frame = av.VideoFrame.from_ndarray(painted(number, *size), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def remux(
    source: str,
    path: str,
    shift: float = 0.0,
    *,
    first: int = 0,
    prepare: Callable[[Any], None] = lambda stream: None,
    **options: str,
) -> str:
    """Copies the packets from the `first` on to another file, `shift` seconds later."""
    with av.open(source) as old, av.open(path, "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        prepare(stream)
        for packet in [packet for packet in old.demux(old.streams.video[0]) if packet.size][first:]:
            units = round(shift / packet.time_base)
            packet.pts += units
            packet.dts = None if packet.dts is None else packet.dts + units
            packet.stream = stream
            new.mux(packet)
    return path


def turned(source: str, path: str, degrees: int) -> str:
    return remux(source, path, prepare=lambda stream: stream.set_display_rotation(degrees))


def two_streams(path: str) -> str:
    """Two video streams; the second is marked default, and the first is larger and has other numbers."""
    with av.open(path, "w") as file:
        streams: list[Any] = []
        for size, disposition in (((2 * HEIGHT, 2 * WIDTH), 0), ((HEIGHT, WIDTH), av.stream.Disposition.default.value)):
            stream: Any = file.add_stream("libx264", rate=FPS)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            stream.disposition = disposition
            streams.append(stream)
        for number in range(FRAMES):
            for stream, painting in zip(streams, (100 + number, number), strict=True):
                frame = av.VideoFrame.from_ndarray(painted(painting, stream.height, stream.width), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                file.mux(stream.encode(frame))
        for stream in streams:
            file.mux(stream.encode(None))
    return path


def cut(source: str, path: str, share: float) -> str:
    data = Path(source).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share)])
    return path


def make(folder: str) -> dict[str, str]:
    """Trait → file."""

    def at(name: str) -> str:
        return os.path.join(folder, name)

    plain = encode(at("plain.mp4"))
    open_groups = {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0:keyint=12:min-keyint=12"}
    front = encode(at("front.mp4"), container={"movflags": "faststart"})
    clips = {
        "plain": plain,
        "no B-frames": encode(at("nob.mp4"), bf="0"),
        "open groups": encode(at("open.mp4"), **open_groups),
        "open groups in mkv": encode(at("open.mkv"), **open_groups),
        "one group": encode(at("one.mp4"), gop=250),
        "keyframes only": encode(at("keys.mp4"), gop=1),
        "variable rate": encode(at("vfr.mp4"), stamps=[n + n // 5 * 3 + n // 7 for n in range(FRAMES)]),
        "starts at 5 s": remux(plain, at("late.mkv"), 5.0),
        "mkv": remux(plain, at("plain.mkv")),
        "fragmented": encode(at("fragments.mp4"), container={"movflags": "frag_keyframe+empty_moov"}),
        "odd size": encode(at("odd.mp4"), size=(HEIGHT + 1, WIDTH + 1), pixels="yuv444p"),
        "odd size in vp9": encode(at("odd.webm"), "libvpx-vp9", size=(HEIGHT + 1, WIDTH + 1), b="500k"),
        "10 bit": encode(at("ten.mp4"), pixels="yuv420p10le"),
        "full range": encode(at("full.mp4"), pixels="yuvj420p"),
        "hevc": encode(at("hevc.mp4"), "libx265", **{"x265-params": "log-level=none:keyint=12"}),
        "vp8": encode(at("vp8.webm"), "libvpx", b="500k", **{"auto-alt-ref": "1", "lag-in-frames": "16"}),
        "vp9": encode(at("vp9.webm"), "libvpx-vp9", b="500k", cpu_used="8"),
        "mjpeg": encode(at("mjpeg.avi"), "mjpeg", pixels="yuvj420p"),
        "avi with B-frames": encode(at("mpeg4.avi"), "mpeg4", bf="2", b="800k"),
        "gif": encode(at("loop.gif"), "gif", pixels="rgb8"),
        "mpeg-ts": remux(plain, at("plain.ts")),
        "two streams": two_streams(at("two.mkv")),
    }
    clips["edit list"] = remux(plain, at("edit.mp4"), -17 / FPS, avoid_negative_ts="disabled")
    clips["truncated"] = cut(front, at("cut.mp4"), 0.6)
    clips["truncated mkv"] = cut(clips["mkv"], at("cut.mkv"), 0.6)
    for degrees in (90, 180, 270):
        clips[f"turned {degrees}"] = turned(plain, at(f"turned{degrees}.mp4"), degrees)
    return clips
