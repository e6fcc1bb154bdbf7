"""The diagnosis: the result of a check, summed up."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ..annotations import Source
from ..core.counts import Counts
from ..core.findings import CATALOGUE
from ..core.int_columns import Numbers
from .statistics import Spread

EXAMPLES = 3
"""How many findings of a code are kept as examples."""


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
        url: its place on the Hub, where its media are there too and are not looked up.
    """

    file: str
    split: str
    bytes: int
    formats: dict[str, tuple[float, list[str]]]
    counts: Counts
    examples: dict[str, list[Example]] = {}
    url: str = ""

    def add_example(self, code: str, example: Example) -> None:
        """Adds an example, up to `EXAMPLES` of a code."""
        examples = self.examples.setdefault(code, [])
        if len(examples) < EXAMPLES:
            examples.append(example)


class Diagnosis(msgspec.Struct):
    """What a check finds.

    Attributes:
        version: of modalmix.
        depth: of the check.
        counts: what would become of the records; `rejected` includes those whose media are bad.
        examples: for each code some findings.
        spreads: the measurements, by the names of `modalmix.builders.check.statistics.UNITS`.
        files: annotation file → the diagnosis of that file.
        media: medium (image, video …) → number of distinct media; empty at depth ``quick``.
        kinds: content (jpeg, mp4 …) → number of media.
        complete: `max_errors` did not stop the check.
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
    """A diagnosis, with what a clean copy needs.

    Attributes:
        diagnosis: the findings, summed up.
        bad: places (`modalmix.builders.core.int_columns.place`) of the records with an error, ascending.
        sources: the annotation files, in the order of the places.
    """

    diagnosis: Diagnosis
    bad: Numbers
    sources: list[Source]
