"""Statistics of a dataset: how long, how many, how large.

A `Spread` takes any number of values and keeps a histogram of bounded size: whole numbers below 256 exactly, above in steps of
less than 1 %.  Its quantiles are therefore exact for what is counted (turns, images, masks) and good for what is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

import msgspec
import numpy as np

from ..core.int_columns import Numbers

_KEPT_BITS = 8


class Spread(msgspec.Struct):
    """The distribution of values.

    Attributes:
        count: number of values.
        total: their sum.
        least: the smallest; 0 where there are none.
        most: the largest.
        histogram: value, rounded down to 8 significant bits → number of values.
    """

    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0
    histogram: dict[int, int] = {}

    def add(self, values: Numbers | Iterable[int]) -> None:
        """Adds values: whole numbers from 0 on."""
        numbers = np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.int64)
        if not len(numbers):
            return
        least, most = int(numbers.min()), int(numbers.max())
        self.least = min(self.least, least) if self.count else least
        self.most = max(self.most, most)
        self.count += len(numbers)
        self.total += int(numbers.sum())
        # float64 holds 53 bits: more than the 8 that are kept
        bits = np.frexp(numbers.astype(np.float64))[1]
        dropped = np.maximum(bits - _KEPT_BITS, 0)
        found, counts = np.unique(numbers >> dropped << dropped, return_counts=True)
        for value, count in zip(found.tolist(), counts.tolist(), strict=True):
            self.histogram[value] = self.histogram.get(value, 0) + count

    def merge(self, other: Spread) -> None:
        """Adds the values of another distribution."""
        if not other.count:
            return
        self.least = min(self.least, other.least) if self.count else other.least
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total
        for value, count in other.histogram.items():
            self.histogram[value] = self.histogram.get(value, 0) + count

    def quantile(self, part: float) -> int:
        """The value that `part` (0 to 1) of the values do not exceed; 0 where there are none."""
        rank = part * self.count
        seen = 0
        for value in sorted(self.histogram):
            seen += self.histogram[value]
            if seen >= rank and seen:
                return max(value, self.least)
        return 0

    @property
    def mean(self) -> float:
        """The mean; 0 where there are no values."""
        return self.total / self.count if self.count else 0.0

    def bins(self, most: int = 24) -> list[tuple[int, int, int]]:
        """At most `most` bins of equal width for a plot: first value, last value, number of values.

        Where the values span more than two powers of ten, each bin spans a power of two instead.
        """
        if not self.count:
            return []
        low, high = min(self.histogram), max(self.histogram)
        if high - low < most:
            edges = list(range(low, high + 2))
        elif high >= 100 * max(low, 1):
            edges = sorted({0, *(1 << i for i in range(high.bit_length() + 1))})
            edges = [edge for edge, after in pairwise(edges) if after > low] + [edges[-1]]
        else:
            step = -(-(high - low + 1) // most)
            edges = list(range(low, high + step + 1, step))
        counts = [0] * (len(edges) - 1)
        for value, count in self.histogram.items():
            counts[int(np.searchsorted(edges, value, side="right")) - 1] += count
        return [(edges[i], edges[i + 1] - 1, count) for i, count in enumerate(counts)]


UNITS = {
    "turns": "turns a row",
    "characters": "characters a row",
    "images": "images a row",
    "videos": "videos a row",
    "sounds": "sounds a row",
    "frames given": "frames of a pre-sampled video",
    "objects": "objects a row",
    "masks": "masks a row",
    "masks of a frame": "masks an annotated frame",
    "row bytes": "size of the media of a row",
    "image pixels": "pixels of a picture",
    "image width": "width of a picture, pixels",
    "image height": "height of a picture, pixels",
    "video width": "width of a video, pixels",
    "video height": "height of a video, pixels",
    "video frames": "frames of a video",
    "video milliseconds": "duration of a video",
    "sound milliseconds": "duration of a sound",
    "sound rate": "samples a second",
    "image bytes": "size of a picture",
    "video bytes": "size of a video",
    "sound bytes": "size of a sound",
}
"""The names of the distributions, in the order of reports, and what their numbers are."""


def value_text(name: str, value: float, *, exact: bool = True) -> str:
    """A value as text for people: bytes and durations with a unit, other numbers with commas.

    Args:
        name: of the distribution.
        value: to show.
        exact: without digits after the point.
    """
    if "milliseconds" in name:
        return f"{value / 1000:,.1f} s"
    if "bytes" in name:
        unit, units = "B", iter(("kB", "MB", "GB", "TB", "PB"))
        while value >= 999.5 and (larger := next(units, None)) is not None:
            value, unit = value / 1000, larger
        return f"{value:,.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:,.1f} {unit}"
    return f"{value:,.0f}" if exact else f"{value:,.1f}"


def merged(into: dict[str, Spread], other: Mapping[str, Spread]) -> None:
    """Adds distributions by name."""
    for name, spread in other.items():
        into.setdefault(name, Spread()).merge(spread)
