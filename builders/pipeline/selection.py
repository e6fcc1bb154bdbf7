"""Selection: which records become rows, besides those of the wanted mixes.

What is asked first costs least: a sample is drawn by a hash of a record's place, so that it is the same in every build, however
many records others add, and the record is not even read as a sample of its format; then come conditions on what the record
says; and only for rows that are looked up those on media and findings.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import xxhash

from ..annotations import Slice
from ..core.errors import DataError
from .conditions import Condition, Subject, condition


class Selection(msgspec.Struct, frozen=True):
    """Which records are wanted.

    Attributes:
        where: conditions that all hold; see `modalmix.builders.pipeline.conditions`.
        sample: fraction of the records to draw.
        seed: of the draw; a record's place and the seed alone decide, so a smaller sample is part of a larger one.
    """

    where: tuple[str, ...] = ()
    sample: float = 1.0
    seed: int = 42


EVERYTHING = Selection()


class Selector:
    """Asks the records of one slice."""

    def __init__(self, selection: Selection, piece: Slice) -> None:
        """Reads the conditions.

        Raises:
            DataError: one cannot be read, or the sample is no fraction.
        """
        conditions = check(selection)
        self._take = piece.take
        self._before = [one for one in conditions if not one.late]
        self._after = [one for one in conditions if one.late]
        self._edge = int(selection.sample * 2**64) if selection.sample < 1 else None
        self._prefix = f"sample\0{selection.seed}\0{piece.file}\0"

    def draws(self, row: int) -> bool:
        """Whether the record with this ordinal is to be read."""
        if not self._take.selects(row):
            return False
        if self._edge is None:
            return True
        place = f"{self._prefix}{row}".encode("utf-8", "surrogateescape")
        return int(xxhash.xxh3_64_intdigest(place)) < self._edge

    def wants(self, subject: Subject) -> bool:
        """Whether what the record says is wanted; before its media are looked up."""
        return all(one.holds(subject) for one in self._before)

    def keeps(self, subject: Subject) -> bool:
        """Whether the row is wanted, its media and findings known."""
        return all(one.holds(subject) for one in self._after)

    @property
    def asks(self) -> tuple[bool, bool]:
        """Whether there are conditions to ask before the lookup, and after it."""
        return bool(self._before), bool(self._after)


def check(selection: Selection) -> Sequence[Condition]:
    """The conditions of a selection.

    Raises:
        DataError: one cannot be read, or the sample is no fraction.
    """
    if not 0 < selection.sample <= 1:
        raise DataError(f"the sample is {selection.sample:g}; it must be above 0, and at most 1")
    return [condition(text) for text in selection.where]
