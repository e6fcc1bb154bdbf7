"""Where records lie: a `Source` is an annotation file, a `Slice` a byte range of one, a `Take` the ordinals selected of it.

All three are plain values that travel to other processes; nothing here opens a file.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec


@lru_cache(maxsize=64)
def _chosen(seed: int, count: int, total: int) -> frozenset[int]:
    """The ordinals of a random take; derived anew in each process, so that a pickled take stays a few bytes."""
    return frozenset(random.Random(seed).sample(range(total), min(count, total)))


class Take(msgspec.Struct, frozen=True):
    """Which ordinals of an annotation file are selected.

    Attributes:
        strategy: ``all``; the ``first`` or last (``end``) `count` records; `count` ``random`` ones.
        count: how many records; None for ``all``.
        total: records in the file; needed for ``end`` and ``random``.
        seed: of the random choice, which is ``random.Random(seed).sample(range(total), count)``.
        before: of those, only records with smaller ordinals; None for all.
    """

    strategy: Literal["all", "first", "end", "random"] = "all"
    count: int | None = None
    total: int | None = None
    seed: int = 42
    before: int | None = None

    def selects(self, row: int) -> bool:
        """Whether the record with this ordinal is selected.

        Raises:
            ValueError: the strategy needs a count or a total that is not there.
        """
        if self.before is not None and row >= self.before:
            return False
        if self.strategy == "all":
            return True
        if self.count is None:
            raise ValueError(f"a take of strategy {self.strategy!r} needs a count")
        if self.strategy == "first":
            return row < self.count
        if self.total is None:
            raise ValueError(f"a take of strategy {self.strategy!r} needs the total")
        if self.strategy == "end":
            return row >= self.total - self.count
        return row in _chosen(self.seed, self.count, self.total)


class Source(msgspec.Struct, frozen=True):
    """One annotation file.

    Attributes:
        path: where it is: local and absolute.
        file: how it is called everywhere: relative to the root it was given under, with ``/``; unique in one expansion.
        take: the ordinals selected of it.
        url: where it is on the Hub, if `path` is a copy in the client's cache, beside which no media lie.
    """

    path: str
    file: str
    take: Take = Take()
    url: str = ""


class LocalCopy(NamedTuple):
    """The copy of an annotation file that is elsewhere.

    Attributes:
        path: of the copy.
        folder: of the copy; it stands for the place that the file is named under.
        url: where the file itself is.
    """

    path: str
    folder: str
    url: str


class Slice(msgspec.Struct, frozen=True):
    """A byte range of an annotation file that starts and ends between records.

    Attributes:
        path: as in `Source`.
        file: as in `Source`.
        start: offset of the first record's first byte; 0 for the first slice, whatever the file begins with.
        stop: offset of the next slice's first byte, or the file's size; -1 for the end of a compressed file.
        row: ordinal of the first record; None while it is not known (see `first_row`).
        take: as in `Source`.
    """

    path: str
    file: str
    start: int
    stop: int
    row: int | None = None
    take: Take = Take()
