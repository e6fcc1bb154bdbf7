"""Looking: one pass over a slice, through the same row pipeline as a build, that keeps what the rest of the check needs.

::

    slice ──Sieve──rows──► Row / Reject ──► findings   written to a spool at once, three examples of a code kept
              └────────────► Run ───────────► numbers    hashes, places and sizes in columns; spreads
                                        ──► media      each distinct one once per slice, and which record refers to which

A `Part` is of one slice; parts are joined in the order of the slices (`modalmix.builders.checks.doctor`).  They travel between
processes.
"""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import add, attrgetter
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec
import numpy as np

from ..annotations import Block, Slice, read
from ..columns import Columns, digested, place
from ..findings import Finding
from ..formats import formats
from ..media.items import Item, Media
from ..references import text_of_id
from ..rows import Counts, Options, Reject, Row, rows
from ..sample import Sample
from ..selection import EVERYTHING
from .diagnosis import EXAMPLES, Example
from .fingerprints import fingerprint, of_id
from .located import Found, Located
from .plain import Run, Shape, Sieve
from .records import lookups, notes
from .statistics import Spread, merged

Depth = Literal["quick", "headers", "full"]
DEPTHS: tuple[Depth, ...] = ("quick", "headers", "full")

COLUMN_KINDS = ("image", "video", "frames", "audio", "audio_q")
"""Where in a row a medium stands; its index is noted with each reference."""
_MANY = 1 << 20
_LARGE = 1 << 30
_NAMED, _MORE, _NUMBER, _SIZE = map(attrgetter, ("named", "more", "number", "size"))
_LOOKUP_CODES = frozenset({"MX101", "MX102", "MX103", "MX104", "MX105", "MX107", "MX109", "MX111"})


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
            "mend": kind.mend,
        }
        try:
            return msgspec.json.encode(entry) + b"\n"
        except (msgspec.MsgspecError, UnicodeError):
            return json.dumps(entry).encode() + b"\n"  # lone surrogates


class First(NamedTuple):
    """The first record of a kind: its ordinal, id, and byte offset."""

    row: int
    id: str | None
    offset: int | None


class Part(msgspec.Struct):
    """What a slice has told.

    Attributes:
        ids: fingerprint of the id, combined with that of the file, and place of each record that has an id.
        records: fingerprint and place of each record.
        rejected: places of records with an error.
        paths: hash of each local path referred to, once a slice.
        references: medium, place of the record, and where in it (index of `COLUMN_KINDS` × 2**20 + position).
        sizes: hash of the path of a picture or video, height × 2**32 + width that a record says of it, place.
        ranges: hash of the path of a patch, first byte, byte after the last, place, 1 for the frames of a video.
        masks: medium, place, largest frame, height × 2**32 + width of the first mask.
        asked: medium, place, frames asked for.
        large: place, bytes of all media of the record; those of more than `_LARGE`.
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
    types: dict[str, dict[str, First]]
    stopped: bool = False

    def join(self, other: Part) -> None:
        """Adds the next slice; its media are left to the caller."""
        self.counts.add(other.counts)
        for name in ("ids", "records", "rejected", "paths", "references", "sizes", "ranges", "masks", "asked", "large"):
            getattr(self, name).extend(getattr(other, name))
        merged(self.spreads, other.spreads)
        for code, entries in other.examples.items():
            known = self.examples.setdefault(code, [])
            known += entries[: EXAMPLES - len(known)]
        self.stopped = self.stopped or other.stopped


def nothing() -> Part:
    """The part of no slice."""
    return Part(
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


def look(
    piece: Slice,
    file: int,
    options: Options,
    located: Located,
    spool: BinaryIO,
    *,
    depth: Depth,
    limit: int | None = None,
    plain: bool = True,
) -> Part:
    """Reads a slice.

    Args:
        piece: the slice.
        file: index of its annotation file, for places.
        options: how records become rows.
        located: where media are looked up; what it keeps is of use to the next slice.
        spool: where the findings go, a line each.
        depth: from ``headers`` on, the media are noted.
        limit: stop after so many rejected records.
        plain: let records that are plain (`modalmix.builders.checks.plain`) take the short way.
    """
    part = nothing()
    located.begin()
    looker = _Looker(part, piece, file, located, spool, depth, options)
    met: dict[tuple[tuple[str, ...], tuple[type, ...]], bool] = {}
    blocks = looker.at_hand(read(piece))
    everything = options.mixes is None and options.selection == EVERYTHING and piece.take.strategy == "all"
    if plain and everything:
        blocks = looker.sieve.blocks(blocks)
    stream = rows(piece, options, part.counts, located.rewriter, blocks)
    errors = 0
    try:
        for row in stream:
            record = row.record
            if record is not None:
                signature = (tuple(record), tuple(map(type, record.values())))
                if signature not in met:
                    if len(met) > 10_000:
                        met.clear()
                    met[signature] = True
                    looker.types(row)
            if isinstance(row, Row):
                looker.row(row)
            else:
                looker.reject(row)
                errors += row.row >= 0
                if limit is not None and errors >= limit:
                    part.stopped = True
                    break
    finally:
        stream.close()  # type: ignore[attr-defined]  # a generator, which closes the annotation file
    looker.sieve.forget()
    part.counts.add(looker.taken)
    looker.of_the_file()
    looker.finish()
    return part


class _Looker:
    """Takes rows one by one into a `Part`."""

    def __init__(
        self,
        part: Part,
        piece: Slice,
        file: int,
        located: Located,
        spool: BinaryIO,
        depth: Depth,
        options: Options,
    ) -> None:
        self.part, self.piece, self.file, self.rewriter, self.spool = part, piece, file, located.rewriter, spool
        self.deep = depth != "quick"
        self.ids = of_id(f"\0{file}")  # no id begins so: else that of "1" in file 0 would be that of "0" in file 1
        self.roles = options.roles
        self.numbers: defaultdict[str, list[int]] = defaultdict(list)
        self.seen_paths: dict[str, int] = {}
        self.sieve = Sieve(located, self.run, self.shapes)
        self.taken = Counts()
        self.block: Block | None = None
        self.starts: list[int] | None = None
        self.about_file: list[Finding] = []

    # ---- places

    def at_hand(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks; while one is worked on, the offsets of its records can be told."""
        for block in blocks:
            self.block, self.starts = block, None
            self.about_file += [one for one in block.findings if one.row < 0 and one.severity != "error"]
            yield block
            self.block = None
            del block  # freed before the next one is decoded

    def offset(self, row: int) -> int | None:
        """The byte offset of a record of the block in hand."""
        block = self.block
        if block is None or block.starts is None or not 0 <= row - block.row < len(block.records):
            return None
        if self.starts is None:
            self.starts = block.starts()
        return self.starts[row - block.row]

    # ---- findings

    def tell(self, one: Finding, id_: str | None) -> None:
        if one.offset is None and one.row >= 0:
            one = msgspec.structs.replace(one, offset=self.offset(one.row))
        entry = Entry(one, id_)
        self.spool.write(entry.line())
        known = self.part.examples.setdefault(one.code, [])
        if len(known) < EXAMPLES:
            known.append(entry)

    def add(self, found: Finding, row: int, id_: str | None) -> None:
        """Tells a finding that the pipeline has not counted."""
        self.part.counts.note([found])
        self.tell(found.placed(self.piece.file, row), id_)

    def of_the_file(self) -> None:
        """Tells what the pipeline has counted but given with no row: notes about the file as a whole, such as a mark."""
        for one in self.about_file:
            self.tell(one, None)

    def types(self, row: Row | Reject) -> None:
        """Notes where a value of a key is of a type for the first time."""
        known = self.part.types
        for key, value in (row.record or {}).items():
            if value is not None and (key in known or len(known) < _MOST_KEYS):
                name = _TYPES.get(type(value), "number")
                if name not in known.setdefault(key, {}):
                    known[key][name] = First(row.row, _id_of(row), self.offset(row.row))

    # ---- rows

    def row(self, row: Row) -> None:
        part, sample = self.part, row.sample
        for one in row.findings:
            self.tell(one, row.id)
        here = place(self.file, row.row)
        noted = notes(row.format, sample, row.record)
        for one in noted:
            self.add(one, row.row, row.id)
        if not row.findings and not noted:
            self.sieve.sound(row)
        part.records.add(fingerprint(row.record), here)
        if sample.id is not None:
            part.ids.add(of_id(sample.id) ^ self.ids, here)
        self._media(row.media, sample, here)
        numbers = self.numbers
        numbers["turns"].append(len(sample.turns))
        numbers["characters"].append(sum(len(turn.value) for turn in sample.turns))
        if sample.images:
            numbers["images"].append(len(sample.images))
        if sample.videos:
            numbers["videos"].append(len(sample.videos))
        if sample.audios or sample.audio_q:
            numbers["sounds"].append(len(sample.audios) + len(sample.audio_q))
        if sample.masks:
            numbers["objects"].append(len(sample.masks))
            numbers["masks"].append(sum(map(len, sample.masks)))
            frames: defaultdict[int, int] = defaultdict(int)
            for masks in sample.masks:
                for mask in masks:
                    frames[mask.frame] += 1
            numbers["masks of a frame"] += frames.values()
        if len(numbers["characters"]) > 100_000:
            self.finish()

    def run(self, run: Run) -> None:
        """Takes plain records: does what `row` does, with all of them at once."""
        part, numbers, records = self.part, self.numbers, run.records
        here = place(self.file, run.row)
        places = np.arange(here, here + len(records))
        part.records.append(run.prints.records, places)
        for shape in run.shapes:
            shape.rows += 1
        named = list(map(_NAMED, run.shapes))
        if all(named):
            part.ids.append(run.prints.ids ^ self.ids, places)
        elif any(named):
            part.ids.append(run.prints.ids[named] ^ self.ids, places[named])
        numbers["characters"] += map(add, run.characters, map(_MORE, run.shapes))
        every = list(chain.from_iterable(run.media))
        if None in map(_NUMBER, every):
            for found in every:
                if found.number is None:
                    self._path(found.item.path)
                    found.number = self._number(found.medium, [found.item]) if self.deep else 0
        one_each = set(map(len, run.media)) == {1}
        totals = list(map(_SIZE, every)) if one_each else [sum(map(_SIZE, media)) for media in run.media]
        numbers["row bytes"] += filter(None, totals)
        if max(totals) > _LARGE:
            for i, total in enumerate(totals, here):
                if total > _LARGE:
                    part.large.add(i, total)
        if self.deep:
            for i, media in enumerate(run.media, here):
                self._refer_all(media, i)
        self.taken.read += len(records)
        if len(numbers["characters"]) > 100_000:
            self.finish()

    def shapes(self, shapes: list[Shape]) -> None:
        """Takes what plain records have in common."""
        taken = self.taken
        for shape in shapes:
            taken.written[shape.mix] = taken.written.get(shape.mix, 0) + shape.rows
            if shape.format is not None:
                taken.formats[shape.format] = taken.formats.get(shape.format, 0) + shape.rows
            for name, number in shape.numbers.items():
                self.part.spreads.setdefault(name, Spread()).add(np.full(shape.rows, number))

    def reject(self, row: Reject) -> None:
        part = self.part
        id_ = _id_of(row)
        for one in row.findings:
            self.tell(one if one.file else one.placed(row.file, row.row), id_)
        if row.row < 0:
            return
        here = place(self.file, row.row)
        part.rejected.add(here)
        if row.record is None:
            return
        part.records.add(fingerprint(row.record), here)
        if id_ is not None:
            part.ids.add(of_id(id_) ^ self.ids, here)
        errors = [one for one in row.findings if one.severity == "error"]
        if row.format and len(errors) == 1 and errors[0].code in _LOOKUP_CODES:
            self._missed(row, errors[0], id_)

    def _missed(self, row: Reject, first: Finding, id_: str | None) -> None:
        """The other media of the record that are missing, and how the missing are called here."""
        assert row.format is not None and row.record is not None
        sample = formats()[row.format].read(row.record, self.roles)
        told = False
        for one in lookups(sample, self.rewriter):
            if one.code == first.code and one.pointer == first.pointer and not told:
                told = True  # the pipeline has told this one
            else:
                self.add(one, row.row, id_)

    # ---- media

    def _media(self, media: Media, sample: Sample, here: int) -> None:
        total = 0
        first = 0
        whole = ""
        for kind, items in enumerate((media.images, media.videos, None, media.audios, media.audio_q)):
            if items is None:
                for position, frames in enumerate(media.frames):
                    total += sum(item.size for item in frames)
                    self.numbers["frames given"].append(len(frames))
                    self._frames_seen(frames, here)
                    if self.deep:
                        medium = self._refer("frames", frames, kind, position, here)
                        first = first or medium
                continue
            for position, item in enumerate(items):
                total += item.size
                self._seen(item, here)
                if self.deep:
                    medium = self._refer(("image", "video", "", "audio", "audio")[kind], [item], kind, position, here)
                    first = first or medium
                whole = whole or item.path
        if total:
            self.numbers["row bytes"].append(total)
            if total > _LARGE:
                self.part.large.add(here, total)
        if sample.masks:
            self._masks(sample, whole, first, here)
        if sample.num_frames and first and self.deep and len(media.videos) == 1:
            self.part.asked.add(first, here, min(sample.num_frames, 1 << 62))

    def _seen(self, item: Item, here: int) -> None:
        path = self._path(item.path)
        if not item.whole and item.archive is None and item.size:
            self.part.ranges.add(path, item.start, item.start + item.size, here, 0)

    def _frames_seen(self, frames: list[Item], here: int) -> None:
        for item in frames if frames[0].whole else frames[:1]:
            path = self._path(item.path)
        if not frames[0].whole and frames[0].archive is None:
            end = frames[-1].start + frames[-1].size
            self.part.ranges.add(path, frames[0].start, end, here, int(len(frames) > 1))

    def _path(self, path: str) -> int:
        known = self.seen_paths.get(path)
        if known is None:
            if len(self.seen_paths) >= 50_000:
                self.seen_paths.clear()
            known = self.seen_paths[path] = digested(path.encode("utf-8", "surrogateescape"))
            self.part.paths.add(known)
        return known

    def _refer(self, medium: str, items: list[Item], kind: int, position: int, here: int) -> int:
        number = self._number(medium, items)
        self.part.references.add(number, here, kind * _MANY + position)
        return number

    def _refer_all(self, media: tuple[Found, ...], here: int) -> None:
        """What `_refer` does, for all media of a plain record."""
        position, before = 0, ""
        for found in media:
            position = position + 1 if found.key == before else 0
            before = found.key
            self.part.references.add(found.number or 0, here, COLUMN_KINDS.index(found.key) * _MANY + position)

    def _number(self, medium: str, items: list[Item]) -> int:
        key = pickle.dumps((medium, items), 5) if len(items) > 1 else repr((medium, items)).encode("utf-8", "replace")
        number = digested(key)
        if number not in self.part.media:
            self.part.media[number] = (medium, pickle.dumps(items, 5))
        return number

    def _masks(self, sample: Sample, whole: str, first: int, here: int) -> None:
        sized = next((mask for masks in sample.masks for mask in masks if mask.height and mask.width), None)
        size = (sized.height or 0) << 32 | (sized.width or 0) if sized else 0
        if whole and size:
            self.part.sizes.add(self._path(whole), size, here)
        if first:
            frame = max((mask.frame for masks in sample.masks for mask in masks), default=0)
            self.part.masks.add(first, here, frame, size)

    def finish(self) -> None:
        """Takes the numbers held so far into the spreads."""
        for name, values in self.numbers.items():
            if values:
                self.part.spreads.setdefault(name, Spread()).add(values)
        self.numbers.clear()


_MOST_KEYS = 1000
_TYPES: dict[type, str] = {str: "text", list: "list", dict: "object", bool: "boolean", int: "number", float: "number"}
A_TYPE = {"text": "a text", "list": "a list", "object": "an object", "boolean": "true or false", "number": "a number"}


def _id_of(row: Row | Reject) -> str | None:
    if isinstance(row, Row):
        return row.id
    return text_of_id(row.record.get("id")) if row.record is not None else None


def entries(path: str) -> Iterator[dict[str, Any]]:
    """The findings of a file of them, one at a time."""
    with open(path, "rb") as file:
        for line in file:
            yield json.loads(line)
