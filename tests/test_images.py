from __future__ import annotations

import io
import random
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from modalmix.builders.cli import example_data
from modalmix.builders.media import images
from modalmix.builders.media.errors import MediaError
from modalmix.builders.media.images import read_image
from modalmix.builders.media.items import Item


def picture(height: int = 60, width: int = 80, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 10, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pillow(data: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


LOSSLESS = {
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "ppm": ("PPM", {}),
}
LOSSY: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "gif": ("GIF", {}),
    "webp-lossy": ("WEBP", {}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_pictures_come_back_as_they_were(name: str) -> None:
    kind, options = LOSSLESS[name]
    pixels = read_image(encoded(picture(), kind, **options))
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, np.asarray(picture()))


def test_every_kind_of_cell_gives_the_same_pixels(tmp_path: Path) -> None:
    data = example_data.picture(3)
    whole, patch = tmp_path / "p.jpg", tmp_path / "patch"
    whole.write_bytes(data)
    patch.write_bytes(b"before" + data + b"after")
    cells: list[Any] = [
        data,
        str(whole),
        whole,
        {"bytes": data, "path": None},
        {"bytes": None, "path": str(whole)},
        Item("p.jpg", str(whole), 0, len(data)),
        Item("patch.6", str(patch), 6, len(data), whole=False),
    ]
    for cell in cells:
        np.testing.assert_array_equal(read_image(cell), pillow(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), kind, exif=exif)
    pixels = read_image(data)
    assert pixels.shape == ((60, 80, 3) if orientation < 5 else (80, 60, 3))
    np.testing.assert_array_equal(pixels, pillow(data))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert read_image(encoded(picture(), "JPEG", exif=exif)).shape == (60, 80, 3)


def test_damaged_exif_does_not_lose_the_picture() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xffgarbage")
    np.testing.assert_array_equal(read_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_what_is_transparent_is_white() -> None:
    image = picture().convert("RGBA")
    alpha = np.zeros((60, 80), np.uint8)
    alpha[:, 40:] = 255
    image.putalpha(Image.fromarray(alpha))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        pixels = read_image(encoded(image, kind, **options))
        assert (pixels[:, :40] == 255).all()
        np.testing.assert_array_equal(pixels[:, 40:], np.asarray(picture())[:, 40:])
    half = Image.new("LA", (2, 2), (0, 128))
    assert (read_image(encoded(half, "PNG")) == 127).all()


def test_a_palettes_transparent_colour_is_white_and_the_others_are_kept() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.paste(1, (0, 0, 2, 2))
    for data in (encoded(image, "PNG", transparency=0), encoded(image, "GIF", transparency=0)):
        pixels = read_image(data)
        assert (pixels[:, :2] == (0, 0, 200)).all() and (pixels[:, 2:] == 255).all()
    assert (read_image(encoded(image, "PNG"))[:, 2:] == (200, 0, 0)).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_shades(kind: str) -> None:
    grey = np.linspace(0, 65535, 80 * 60).astype(np.uint16).reshape(60, 80)
    pixels = read_image(encoded(Image.fromarray(grey), kind))
    np.testing.assert_array_equal(pixels, np.repeat((grey >> 8).astype(np.uint8)[..., None], 3, 2))


def test_pixels_without_a_known_white_are_refused() -> None:
    with pytest.raises(MediaError, match="floating-point"):
        read_image(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))
    with pytest.raises(MediaError, match="over 16 bits"):
        read_image(encoded(Image.fromarray(np.full((4, 4), 1 << 20, np.int32)), "TIFF"))


def test_grey_black_and_white_and_cmyk_become_rgb() -> None:
    for mode, kind in (("L", "PNG"), ("1", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("CMYK", "TIFF")):
        data = encoded(picture().convert(mode), kind)
        np.testing.assert_array_equal(read_image(data), pillow(data))
    red = read_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert (red[..., 0] > 240).all() and (red[..., 1:] < 15).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    first, second = Image.new("RGB", (16, 8), (0, 0, 255)), Image.new("RGB", (16, 8), (255, 0, 0))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = read_image(encoded(first, kind, save_all=True, append_images=[second], **options))
    assert (pixels == (0, 0, 255)).all()


def test_bgr_swaps_red_and_blue_and_nothing_else() -> None:
    data = example_data.picture(1)
    swapped = read_image(data, channel_order="BGR")
    assert swapped.flags.c_contiguous
    np.testing.assert_array_equal(swapped[..., ::-1], read_image(data))
    with pytest.raises(ValueError, match="'GBR'"):
        read_image(data, channel_order="GBR")  # type: ignore[arg-type]


def test_a_picture_is_scaled_as_pillow_does_after_it_was_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (encoded(picture(), "JPEG"), encoded(picture(), "JPEG", exif=exif), encoded(picture(), "PNG")):
        pixels = read_image(data, size=(30, 50))
        expected = Image.fromarray(pillow(data)).resize((50, 30), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(pixels, np.asarray(expected))
    for size in ((0, 5), (-1, -1), (1 << 20, 1 << 20)):
        with pytest.raises(ValueError, match="size is"):
            read_image(data, size=size)


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
def test_a_truncated_picture_raises_or_is_complete(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as Ola's trainer sets it
    kind, options = {**LOSSLESS, **LOSSY}[name]
    data = encoded(picture(), kind, **options)
    whole = read_image(data)
    refused = 0
    for cut in sorted({*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 12, len(data))}):
        try:
            pixels = read_image(data[:cut])
        except MediaError:
            refused += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert refused > 40
    assert ImageFile.LOAD_TRUNCATED_IMAGES, "it is another library's setting, and must stay"


def test_another_librarys_setting_survives_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(picture(400, 600), "PNG")
    reported: list[str] = []

    def work() -> None:
        for _ in range(8):
            try:
                read_image(data[: len(data) // 2])
            except MediaError:
                reported.append("refused")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reported) == 32 and ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(MediaError):
        read_image(data)


def test_our_own_limit_holds_where_pillows_was_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(MediaError, match=r"10,000 × 10,000 pixels"):
        read_image(encoded(Image.new("1", (10_000, 10_000)), "PNG"))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError):
        read_image(data)


def test_a_missing_file_is_an_os_error_and_a_folder_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image(str(tmp_path / "none.jpg"))
    with pytest.raises(MediaError, match="not a file"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY])
@pytest.mark.filterwarnings("ignore")
def test_damaged_pictures_raise_nothing_but_media_errors(name: str) -> None:
    kind, options = {**LOSSLESS, **LOSSY}[name]
    data = encoded(picture(), kind, **options)
    dice = random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 5, 50))):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            pixels = read_image(bytes(damaged))
        except MediaError:
            continue
        assert pixels.ndim == 3 and pixels.shape[2] == 3


@pytest.mark.filterwarnings("ignore")
def test_simplejpeg_changes_no_pixel_and_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    dice = random.Random(0)
    cases = [
        encoded(picture(61, 83, seed).convert(mode), "JPEG", quality=quality, subsampling=sampling, progressive=progressive)
        for seed, (mode, quality, sampling, progressive) in enumerate(
            (mode, quality, sampling, progressive)
            for mode in ("RGB", "L", "CMYK")
            for quality in (30, 75, 95)
            for sampling in (0, 1, 2)
            for progressive in (False, True)
        )
    ]  # fmt: skip
    for data in list(cases):
        damaged = bytearray(data)
        damaged[dice.randrange(200, len(damaged))] = dice.randrange(256)
        cases += [bytes(damaged), data[: dice.randrange(len(data))]]

    def outcomes() -> list[Any]:
        found: list[Any] = []
        for data in cases:
            try:
                found.append(read_image(data))
            except MediaError:
                found.append(None)
        return found

    fast = outcomes()
    monkeypatch.setattr(images, "_simplejpeg", lambda: None)
    slow = outcomes()
    assert sum(one is not None for one in slow) > 60
    for one, other in zip(fast, slow, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)
