"""Plots: bars as PNG pictures, drawn with Pillow; the same statistics give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from ..builders.core.storage import Output
from .statistics import MixStatistics, Statistics

FOLDER = "plots"
_WIDTH, _ROW, _LEFT, _RIGHT, _TOP = 900, 34, 230, 120, 64
_INK, _BAR, _GROUND, _FAINT = (33, 37, 41), (52, 107, 188), (255, 255, 255), (222, 226, 230)


MEANINGS = {
    f"{FOLDER}/rows.png": "rows by mix",
    f"{FOLDER}/turns.png": "turns of a row",
    f"{FOLDER}/user.png": "characters of a user's turn",
    f"{FOLDER}/assistant.png": "characters of an assistant's turn",
}
"""The plots of a build: path → title."""


def plots(statistics: Statistics) -> dict[str, bytes]:
    """The plots of a build: path → picture."""
    mixes = statistics.mixes
    drawn = {}
    for path, meaning in MEANINGS.items():
        name = os.path.basename(path).removesuffix(".png")
        if name == "rows":
            values = [(mix, mix_statistics.rows) for mix, mix_statistics in mixes.items()]
        else:
            values = _labelled(
                [
                    sum(bins)
                    for bins in zip(
                        *(_histogram(mix_statistics, name) for mix_statistics in mixes.values()), strict=True
                    )
                ]
            )
        drawn[path] = bars(meaning[0].upper() + meaning[1:], values)
    return drawn


def write(out: Output, statistics: Statistics) -> None:
    """Writes the plots of a build."""
    for path, picture in plots(statistics).items():
        out.write(path, picture, safe=False)


def bars(title: str, values: Sequence[tuple[str, int]]) -> bytes:
    """A plot of horizontal bars, as PNG, 900 pixels wide."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (_WIDTH, _TOP + _ROW * max(1, len(values)) + 20), _GROUND)
    draw = ImageDraw.Draw(picture)
    large: Any = ImageFont.load_default(22)
    small: Any = ImageFont.load_default(16)
    draw.text((20, 16), title, _INK, large)
    most = max((value for _, value in values), default=0) or 1
    for number, (label, value) in enumerate(values):
        top = _TOP + number * _ROW
        width = round((_WIDTH - _LEFT - _RIGHT) * value / most)
        draw.text((_LEFT - 12 - draw.textlength(label, small), top + 4), label, _INK, small)
        draw.rectangle((_LEFT, top + 2, _WIDTH - _RIGHT, top + _ROW - 8), _FAINT)
        if width:
            draw.rectangle((_LEFT, top + 2, _LEFT + width, top + _ROW - 8), _BAR)
        draw.text((_WIDTH - _RIGHT + 10, top + 4), f"{value:,}", _INK, small)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _histogram(mix_statistics: MixStatistics, name: str) -> list[int]:
    values: list[int] = getattr(mix_statistics, name)
    return values


def _labelled(histogram: Sequence[int]) -> list[tuple[str, int]]:
    """The bins from the first to the last that is not empty, with their ranges."""
    used = [index for index, count in enumerate(histogram) if count]
    if not used:
        return []
    return [(_range(index), histogram[index]) for index in range(used[0], used[-1] + 1)]


def _range(index: int) -> str:
    if index <= 1:
        return str(index)
    return f"{2 ** (index - 1):,} to {2**index - 1:,}"
