"""The diagnosis: what a check gives."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..annotations import Source
from ..core.counts import Counts
from ..core.findings import CATALOGUE
from ..core.int_columns import Numbers
from .statistics import Spread

EXAMPLES = 3
"""Findings of a code that are kept to be shown."""


class Example(msgspec.Struct, frozen=True):
    """One finding as an example: where, and what was seen."""

    file: str
    row: int
    id: str | None
    pointer: str
    message: str


class FileDiagnosis(msgspec.Struct):
    """What one annotation file is, and what was found in it.

    Attributes:
        file: relative to the folder that was given.
        split: the split it belongs to.
        bytes: its size on disk.
        formats: each format's confidence in the first record, and its reasons.
        counts: what would become of its records.
        examples: for each code some findings.
        url: where it is on the Hub, if its media are there, too, and were not looked up.
    """

    file: str
    split: str
    bytes: int
    formats: dict[str, tuple[float, list[str]]]
    counts: Counts
    examples: dict[str, list[Example]] = {}
    url: str = ""

    def show(self, code: str, example: Example) -> None:
        """Adds an example, as long as there are few."""
        known = self.examples.setdefault(code, [])
        if len(known) < EXAMPLES:
            known.append(example)


class Diagnosis(msgspec.Struct):
    """What a check has found.

    Attributes:
        version: of modalmix.
        depth: how deep it looked.
        counts: what would become of the records; `rejected` counts those whose media are bad too.
        examples: for each code some findings.
        spreads: what is measured, by the names of `modalmix.builders.check.statistics.UNITS`.
        files: annotation file → the same of that one.
        media: number of distinct media by what they should be; empty at depth ``quick``.
        kinds: contents of media (jpeg, mp4 …) → how many.
        complete: it was not stopped by `max_errors`.
    """

    version: str
    depth: str
    counts: Counts
    examples: dict[str, list[Example]]
    spreads: dict[str, Spread]
    files: dict[str, FileDiagnosis]
    media: dict[str, int]
    kinds: dict[str, int]
    complete: bool

    @property
    def errors(self) -> int:
        """How many findings of severity error there are."""
        return sum(count for code, count in self.counts.findings.items() if CATALOGUE[code].severity == "error")

    def text(self) -> str:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"


class CheckResult(NamedTuple):
    """A diagnosis with what a clean copy needs.

    Attributes:
        diagnosis: what was found.
        bad: places (`modalmix.builders.core.int_columns.place`) of the records with an error, ascending.
        sources: the annotation files, in the order of the places.
    """

    diagnosis: Diagnosis
    bad: Numbers
    sources: list[Source]
