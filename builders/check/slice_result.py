"""Parts: what each slice has told, in columns and examples; the parts of all slices are joined into one."""

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
"""Where in a row a medium stands; its index is noted with each reference."""
LARGE = 1 << 30
"""Bytes of media in a record from which on they are noted."""
_MANY = 1 << 20


def column_place(kind: int, position: int) -> int:
    """One number for where in a record a medium stands: the index of its kind in `COLUMN_KINDS`, and which of them it is."""
    return kind * _MANY + position


def column_placed(number: int) -> tuple[str, int]:
    """The inverse of `column_place`, with the name of the kind."""
    return COLUMN_KINDS[number // _MANY], number % _MANY


class Entry(NamedTuple):
    """A finding with what its record is called: one line of the findings file."""

    found: Finding
    id: str | None

    def example(self) -> Example:
        """The finding as it is shown."""
        one = self.found
        return Example(one.file, one.row, self.id, one.pointer, one.message)

    def line(self) -> bytes:
        """The line, newline included."""
        one, kind = self.found, self.found.kind
        entry = {
            "code": one.code,
            "name": kind.name,
            "severity": kind.severity,
            "file": one.file,
            "row": one.row if one.row >= 0 else None,
            "id": self.id,
            "pointer": one.pointer,
            "offset": one.offset,
            "message": one.message,
            "mend": kind.fix,
        }
        try:
            return msgspec.json.encode(entry) + b"\n"
        except (msgspec.MsgspecError, UnicodeError):
            return json.dumps(entry).encode() + b"\n"  # lone surrogates


class FirstRecord(NamedTuple):
    """The first record of a kind: its ordinal, id, and byte offset."""

    row: int
    id: str | None
    offset: int | None


class SliceResult(msgspec.Struct):
    """What a slice has told.

    Attributes:
        ids: fingerprint of the id, combined with that of the file, and place of each record that has an id.
        records: fingerprint and place of each record.
        rejected: places of records with an error.
        paths: hash of each local path referred to, once a slice.
        references: medium, place of the record, and where in it (`column_place`).
        sizes: hash of the path of a picture or video, height × 2**32 + width that a record says of it, place.
        ranges: hash of the path of a patch, first byte, byte after the last, place, 1 for the frames of a video.
        masks: medium, place, largest frame, height × 2**32 + width of the first mask.
        asked: medium, place, frames asked for.
        large: place, bytes of all media of the record; those of more than `LARGE`.
        media: hash → the distinct media, pickled; filled from depth ``headers`` on.
        types: key → type of its values → the first record where it is so.
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
    asked: Columns
    large: Columns
    spreads: dict[str, Spread]
    media: dict[int, tuple[str, bytes]]
    examples: dict[str, list[Entry]]
    types: dict[str, dict[str, FirstRecord]]
    stopped: bool = False

    def join(self, other: SliceResult) -> None:
        """Adds the next slice; its media are left to the caller."""
        self.counts.add(other.counts)
        for name in ("ids", "records", "rejected", "paths", "references", "sizes", "ranges", "masks", "asked", "large"):
            getattr(self, name).extend(getattr(other, name))
        merged(self.spreads, other.spreads)
        for code, entries in other.examples.items():
            known = self.examples.setdefault(code, [])
            known += entries[: EXAMPLES - len(known)]
        self.stopped = self.stopped or other.stopped


def empty_result() -> SliceResult:
    """The part of no slice."""
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
        asked=Columns("medium", "place", "frames"),
        large=Columns("place", "bytes"),
        spreads={},
        media={},
        examples={},
        types={},
    )
