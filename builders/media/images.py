"""Images: an encoded picture as an array of RGB pixels, as a person would see it.

What the usual ``Image.open(…).convert("RGB")`` gets wrong, and what happens here:

============  =====================================================================================================
EXIF          the picture is turned as its orientation says; cameras store it on its side
alpha         laid on white, as viewers do; ``convert`` shows the colour that lies hidden below, mostly black
16 bit        the upper 8 bits; Pillow cuts greys over 255 off, so that nearly all becomes white
palette       with its transparent colours, likewise on white
CMYK          by Pillow, Adobe's inverted values included
animated      the first frame
truncated     raises; never a picture that is grey from some row on, even where another library has set
              ``LOAD_TRUNCATED_IMAGES`` (as Ola's trainer does)
bombs         over `MAX_PIXELS` raises, from the header alone
============  =====================================================================================================

Colour profiles are ignored, as all the upstream trainers do.  JPEG that is not to be scaled is decoded by simplejpeg
if that is installed and by Pillow if not: both are libjpeg-turbo, with the same pixels; simplejpeg leaves out the copies.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .cells import Cell, data_of
from .errors import MediaError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

MAX_PIXELS = 89_478_485
"""Pixels a picture may have (268 MB decoded): what Pillow warns of."""

MAX_BYTES = 1 << 29
"""Bytes an encoded picture may have."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Formats that are opened.  Pillow has some forty more, one of which (EPS) starts another program."""

_ORIENTATION = 0x0112
_TURNS = (
    None,
    None,
    "FLIP_LEFT_RIGHT",
    "ROTATE_180",
    "FLIP_TOP_BOTTOM",
    "TRANSPOSE",
    "ROTATE_270",
    "TRANSVERSE",
    "ROTATE_90",
)
"""What turns a stored picture upright, by its EXIF orientation; anything over 8 is upright."""


def read_image(
    cell: Cell,
    *,
    channel_order: Literal["RGB", "BGR"] = "RGB",
    size: tuple[int, int] | None = None,
    upright: bool = True,
) -> Pixels:
    """Decodes a picture.

    Args:
        cell: a path, bytes, an item or a cell of a dataset.
        channel_order: ``"BGR"`` swaps red and blue: what Ola's trainer sees of frames whose record says
            ``{"channel_order": "BGR"}`` (see `modalmix.builders.formats.ola.channel_order`).
        size: (height, width) in pixels to scale to, bicubic with antialiasing as Pillow does; None for the picture's own.
        upright: turn it as its EXIF orientation says.  Masks are of the picture as it is stored: so VideoRefer's trainer
            opens it, and so its header gives its size.

    Returns:
        uint8 of shape (H, W, 3), contiguous.

    Raises:
        MediaError: not a picture, truncated or damaged, or too large.
        OSError: it cannot be read.
        ValueError: `channel_order` or `size` make no sense.
    """
    if channel_order not in ("RGB", "BGR"):
        raise ValueError(f"channel_order is {channel_order!r}, not RGB or BGR")
    if size is not None and not (min(size) >= 1 and size[0] * size[1] <= MAX_PIXELS):
        raise ValueError(f"size is {size!r}, not (height, width) in pixels")
    from PIL import Image

    data = _encoded(cell)
    with _open_image(data) as image:
        as_stored = size in (None, (image.height, image.width))  # Pillow scales what it has decoded itself at less cost
        pixels = _by_simplejpeg(data, image) if as_stored else None
        if pixels is None:
            picture = _rgb(image)  # first: Pillow turns a TIFF itself while it decodes, and takes its orientation away
            pixels = np.array(_scaled(_turned(picture, _orientation(image) if upright else 1), size))
        elif (orientation := _orientation(image) if upright else 1) != 1 or size not in (None, pixels.shape[:2]):
            pixels = np.array(_scaled(_turned(Image.fromarray(pixels), orientation), size))
    return np.ascontiguousarray(pixels[..., ::-1]) if channel_order == "BGR" else pixels


def _encoded(cell: Cell) -> bytes:
    data = data_of(cell)
    if isinstance(data, str):
        status = os.stat(data)
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{data!r} is not a file")
        if status.st_size > MAX_BYTES:
            raise MediaError(f"the picture has {status.st_size:,} bytes, over {MAX_BYTES:,}")
        with open(data, "rb", buffering=0) as file:
            data = file.read()
    if not data or len(data) > MAX_BYTES:
        raise MediaError(f"the picture has {len(data):,} bytes")
    return data


@contextmanager
def _open_image(data: bytes) -> Iterator[Image.Image]:
    """The picture with its header read; what Pillow raises in here becomes a `MediaError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _STRICT:
            try:
                image = Image.open(io.BytesIO(data), formats=_formats())
            except UnidentifiedImageError:
                raise MediaError(f"no picture of a known format begins with {data[:12]!r}") from None
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise MediaError(f"the picture has {width:,} × {height:,} pixels, over {MAX_PIXELS:,} in all")
            yield image
    except MediaError:
        raise
    except Exception as error:  # damaged files make Pillow raise whatever its parsers come upon
        raise MediaError(f"the picture cannot be decoded: {error}") from error


class _Strict:
    """While this process decodes a picture, Pillow fills no truncated picture with grey.

    ``ImageFile.LOAD_TRUNCATED_IMAGES`` is one switch for the process, and some trainers set it.  The first decoder that begins
    clears it, the last that ends sets it again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    def __enter__(self) -> None:
        from PIL import ImageFile

        with self._lock:
            if not self._inside:
                self._before = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        from PIL import ImageFile

        with self._lock:
            self._inside -= 1
            if not self._inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._before


_STRICT = _Strict()


def _by_simplejpeg(data: bytes, image: Image.Image) -> Pixels | None:
    """The pixels of an ordinary JPEG; None where Pillow must decode it."""
    if image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    simplejpeg = _simplejpeg()
    if simplejpeg is None:
        return None
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:  # damaged; Pillow decides, so that the outcome is the same with and without simplejpeg
        return None
    return pixels if pixels.shape == (image.height, image.width, 3) else None


def _rgb(image: Image.Image) -> Image.Image:
    """The picture decoded, in RGB."""
    from PIL import Image

    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(_upper_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise MediaError("the picture has floating-point pixels, and does not say which value is white")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        above = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", above.size, "white"), above).convert("RGB")
    return image.convert("RGB")


def _upper_bits(grey: NDArray[Any]) -> Pixels:
    """The upper 8 of 16 bits, in whatever integer type they come."""
    if grey.size and not 0 <= grey.min() <= grey.max() < 1 << 16:
        raise MediaError(f"the picture has grey values of {grey.min()}–{grey.max()}, over 16 bits")
    return (grey >> 8).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF says nothing about the picture
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    from PIL import Image

    turn = _TURNS[orientation]
    return picture.transpose(Image.Transpose[turn]) if turn else picture


def scaled(pictures: Pixels, size: tuple[int, int] | None) -> Pixels:
    """Pictures (N, H, W, 3) at another size (height, width), as `read_image` scales; None for their own."""
    if size is None or pictures.shape[1:3] == size:
        return pictures
    from PIL import Image

    made = np.empty((len(pictures), *size, 3), np.uint8)
    for picture, place in zip(pictures, made, strict=True):
        place[:] = np.asarray(_scaled(Image.fromarray(picture), size))
    return made


def _scaled(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    from PIL import Image

    if size is None or size == (picture.height, picture.width):
        return picture
    return picture.resize((size[1], size[0]), Image.Resampling.BICUBIC)


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of the formats that this Pillow has (AVIF needs a recent one)."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@lru_cache(maxsize=1)
def _simplejpeg() -> ModuleType | None:
    try:
        return import_module("simplejpeg")
    except ImportError:
        return None
