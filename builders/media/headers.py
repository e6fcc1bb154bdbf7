"""Headers: frames, height and width of a video or picture, read without decoding it.

Only rows with masks need them (is the frame there, is the mask of the picture's size), so the results are kept for the
files met last: rows about one video usually follow each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Header(NamedTuple):
    """What a file says about its pictures.

    Attributes:
        frames: number of coded frames, as decord counts them (edit lists ignored): the count VideoRefer's masks use.
        height: of a shown frame in pixels (after rotation).
        width: likewise.
    """

    frames: int
    height: int
    width: int


@lru_cache(maxsize=4096)
def video_header(path: str) -> Header | str:
    """The header of a video file; a text that says why, where it has none."""
    import av

    try:
        with av.open(path) as container:
            if not container.streams.video:
                return "it has no video stream"
            stream = container.streams.video[0]
            frames = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            height, width = stream.codec_context.height, stream.codec_context.width
            container.seek(0)
            first = next(container.decode(stream), None)
            if first is None:
                return "none of its frames can be decoded"
            if first.rotation % 180:
                height, width = width, height
            return Header(frames, height, width)
    except (av.FFmpegError, OSError, ValueError) as error:
        return f"it cannot be opened: {error}"


@lru_cache(maxsize=4096)
def image_header(path: str) -> Header | str:
    """The header of an image file; a text that says why, where it has none."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
            return Header(1, height, width)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"it cannot be opened: {error}"
