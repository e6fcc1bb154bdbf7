"""The result of a slice: columns of numbers, and examples; the results of all slices are joined into one."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

import msgspec

from ..core.counts import Counts
from ..core.findings import Finding
from ..core.int_columns import Columns
from .diagnosis import EXAMPLES, Example
from .statistics import Spread, merged

Depth = Literal["quick", "headers", "full"]
DEPTHS: tuple[Depth, ...] = ("quick", "headers", "full")

COLUMN_KINDS = ("image", "video", "frames", "audio", "audio_q")
"""Columns of a row that hold media; the index of one is part of each reference."""
LARGE = 1 << 30
"""Bytes; records with more of media are listed."""
_MANY = 1 << 20


def column_place(kind: int, position: int) -> int:
    """One number for the place of a medium in a record: the index of its column in `COLUMN_KINDS`, and its position there."""
    return kind * _MANY + position


def column_placed(number: int) -> tuple[str, int]:
    """The column and the position that `column_place` made one number of."""
    return COLUMN_KINDS[number // _MANY], number % _MANY


class Entry(NamedTuple):
    """A finding and the id of its record: one line of the findings file."""

    finding: Finding
    id: str | None

    def example(self) -> Example:
        """The finding as an example."""
        finding = self.finding
        return Example(finding.file, finding.row, self.id, finding.pointer, finding.message)

    def line(self) -> bytes:
        """The line, newline included."""
        finding, kind = self.finding, self.finding.kind
        entry = {
            "code": finding.code,
            "name": kind.name,
            "severity": kind.severity,
            "file": finding.file,
            "row": finding.row if finding.row >= 0 else None,
            "id": self.id,
            "pointer": finding.pointer,
            "offset": finding.offset,
            "message": finding.message,
            "mend": kind.fix,
        }
        try:
            return msgspec.json.encode(entry) + b"\n"
        except (msgspec.MsgspecError, UnicodeError):
            return json.dumps(entry).encode() + b"\n"  # lone surrogates


class FirstRecord(NamedTuple):
    """The first record with something: its ordinal, id and byte offset."""

    row: int
    id: str | None
    offset: int | None


class SliceResult(msgspec.Struct):
    """What the scan of a slice gives.

    Attributes:
        ids: fingerprint of the id, combined with that of the file, and place of each record that has an id.
        records: fingerprint and place of each record.
        rejected: places of records with an error.
        paths: hash of each local path referred to, once for each slice.
        references: medium, place of the record, and where in it (`column_place`).
        sizes: hash of the path of a picture or video, height × 2**32 + width that a record gives for it, place.
        ranges: hash of the path of a patch, first byte, byte after the last, place, 1 for the frames of a video.
        masks: medium, place, largest frame, height × 2**32 + width of the first mask.
        requested: medium, place, number of frames that the record asks for.
        large: place, bytes of all media of the record, where they are more than `LARGE`.
        media: hash → the distinct media, pickled; filled from depth ``headers`` on.
        types: key → type of its values → the first record where a value has this type.
    """

    counts: Counts
    ids: Columns
    records: Columns
    rejected: Columns
    paths: Columns
    references: Columns
    sizes: Columns
    ranges: Columns
    masks: Columns
    requested: Columns
    large: Columns
    spreads: dict[str, Spread]
    media: dict[int, tuple[str, bytes]]
    examples: dict[str, list[Entry]]
    types: dict[str, dict[str, FirstRecord]]
    stopped: bool = False

    def join(self, other: SliceResult) -> None:
        """Adds the result of the next slice, but for its media, which the caller stores."""
        self.counts.add(other.counts)
        for name in (
            "ids",
            "records",
            "rejected",
            "paths",
            "references",
            "sizes",
            "ranges",
            "masks",
            "requested",
            "large",
        ):
            getattr(self, name).extend(getattr(other, name))
        merged(self.spreads, other.spreads)
        for code, entries in other.examples.items():
            examples = self.examples.setdefault(code, [])
            examples += entries[: EXAMPLES - len(examples)]
        self.stopped = self.stopped or other.stopped


def empty_result() -> SliceResult:
    """A result of no slice."""
    return SliceResult(
        Counts(),
        ids=Columns("hash", "place"),
        records=Columns("hash", "place"),
        rejected=Columns("place"),
        paths=Columns("hash"),
        references=Columns("medium", "place", "at"),
        sizes=Columns("path", "size", "place"),
        ranges=Columns("path", "start", "stop", "place", "several"),
        masks=Columns("medium", "place", "frame", "size"),
        requested=Columns("medium", "place", "frames"),
        large=Columns("place", "bytes"),
        spreads={},
        media={},
        examples={},
        types={},
    )
