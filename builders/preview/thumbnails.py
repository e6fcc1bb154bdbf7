"""Thumbnails: pictures for the page that no file holds: masks in colour, frames of videos, formats no browser shows.

A mask is a picture of its own over its frame, transparent outside the object.  So the page can fade one object and highlight
another without another request.
"""

from __future__ import annotations

import colorsys
import io
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.sample import Mask
from ..media.cells import Cell
from ..media.errors import MediaError
from ..media.images import read_image
from ..media.mask_arrays import to_array

_COLOURS = (
    (0xE6, 0x4B, 0x3C), (0x2B, 0x8C, 0xE6), (0x37, 0xB2, 0x4D), (0xF0, 0xA2, 0x02), (0xB1, 0x5D, 0xE3), (0x0C, 0xB8, 0xB0),
    (0xEC, 0x4C, 0x9C), (0x8B, 0xB8, 0x1A), (0x6F, 0x7B, 0xF0), (0xD1, 0x7A, 0x3B),
)  # fmt: skip
_FILL, _EDGE = 110, 255
_LONGEST_SIDE = 1600
_PIXELS = 64_000_000

_IMAGE_TYPES = {"jpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "webp": "image/webp", "bmp": "image/bmp",
               "avif": "image/avif"}  # fmt: skip
_VIDEO_TYPES = {"mp4": "video/mp4", "matroska": "video/webm", "ogg": "video/ogg", "avi": "video/x-msvideo", "mpeg": "video/mpeg",
           "flv": "video/x-flv"}  # fmt: skip
_AUDIO_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg", "ogg": "audio/ogg", "m4a": "audio/mp4",
          "mp4": "audio/mp4", "matroska": "audio/webm"}  # fmt: skip
_TYPES = {"image": _IMAGE_TYPES, "video": _VIDEO_TYPES, "audio": _AUDIO_TYPES}

UNKNOWN = "application/octet-stream"


def colour(object_: int) -> tuple[int, int, int]:
    """The colour of an object, by its number: ten that are easy to distinguish, then other hues."""
    if object_ < len(_COLOURS):
        return _COLOURS[object_]
    hue = (object_ * 0.618034) % 1  # the golden ratio: each hue falls into the widest gap between the others
    red, green, blue = colorsys.hls_to_rgb(hue, 0.55, 0.7)
    return round(red * 255), round(green * 255), round(blue * 255)


def media_type(kind: str, head: bytes) -> str:
    """The media type for a browser, by the first bytes: one it shows or plays for this kind of medium; else `UNKNOWN`.

    It is never a type that a browser runs or reads as a page, whatever the name of the file says.
    """
    from ..media.sniff import sniffed

    return _TYPES[kind].get(sniffed(head), UNKNOWN)


def mask_png(mask: Mask, object_: int) -> bytes:
    """A mask in its object's colour: half transparent inside, opaque at the edge, transparent outside.

    Raises:
        MediaError: the mask cannot be drawn, or has more than 64 million pixels.
    """
    from PIL import Image

    if (mask.height or 0) * (mask.width or 0) > _PIXELS:
        raise MediaError(f"a mask of {mask.height} × {mask.width} pixels is too large to show")
    inside = np.ascontiguousarray(to_array(mask)).astype(np.bool_)
    edge = inside & ~_eroded(inside, max(1, round(max(inside.shape) / 200)))
    picture = Image.fromarray(inside.astype(np.uint8) + edge)
    picture.putpalette([*(0, 0, 0), *colour(object_), *colour(object_)])  # turns the mode into P
    file = io.BytesIO()
    picture.save(file, "PNG", transparency=bytes([0, _FILL, _EDGE]))
    return file.getvalue()


def frame_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A frame as JPEG, its longest side at most 1,600 pixels."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def image_png(cell: Cell) -> bytes:
    """A picture in a format that browsers do not show, as PNG.

    Raises:
        MediaError: it is not a picture.
        OSError: it cannot be read.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(read_image(cell)).save(file, "PNG")
    return file.getvalue()


def _eroded(inside: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    """The region without its outer `pixels`; the border of the picture is no edge of the region."""
    eroded: npt.NDArray[Any] = inside
    for axis in (0, 1):
        size = inside.shape[axis]
        padded = np.pad(eroded, [(pixels, pixels) if axis == at else (0, 0) for at in (0, 1)], mode="edge")
        eroded = np.logical_and.reduce([padded.take(range(i, i + size), axis) for i in range(2 * pixels + 1)])
    return eroded
