"""Selection: which records of the selected mixes become rows.

The cheapest test comes first.  A sample is drawn by a hash of a record's place: it is the same in every build, however many
records others add, and a record that is not drawn is not read as a sample of its format.  Then come conditions on what the record
says, and last, for rows whose media were looked up, conditions on media and findings.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import xxhash

from ..annotations import Slice, Take
from ..core.errors import DataError
from .conditions import Condition, condition


class Selection(msgspec.Struct, frozen=True):
    """Which records are selected.

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
    """Which records of one slice become rows.

    Attributes:
        everything: every record is sampled.
        prefilter: conditions on what a record says; asked before its media are looked up.
        postfilter: conditions on its media and findings.
    """

    def __init__(self, selection: Selection, slice_: Slice) -> None:
        """Reads the conditions.

        Raises:
            DataError: one cannot be read, or the sample is no fraction.
        """
        conditions = check(selection)
        self.prefilter = [one for one in conditions if not one.needs_media]
        self.postfilter = [one for one in conditions if one.needs_media]
        self._take = slice_.take
        self._edge = int(selection.sample * 2**64) if selection.sample < 1 else None
        self._prefix = f"sample\0{selection.seed}\0{slice_.file}\0"
        self.everything = self._edge is None and self._take == Take()

    def sampled(self, row: int) -> bool:
        """Whether the record with this ordinal is to be read."""
        if not self._take.selects(row):
            return False
        if self._edge is None:
            return True
        place = f"{self._prefix}{row}".encode("utf-8", "surrogateescape")
        return int(xxhash.xxh3_64_intdigest(place)) < self._edge


def check(selection: Selection) -> Sequence[Condition]:
    """The conditions of a selection.

    Raises:
        DataError: one cannot be read, or the sample is no fraction.
    """
    if not 0 < selection.sample <= 1:
        raise DataError(f"the sample is {selection.sample:g}; it must be above 0, and at most 1")
    return [condition(text) for text in selection.where]
