"""Looking: one pass over a slice, through the same row pipeline as a build, that keeps what the rest of the check needs.

::

    slice ──Sieve──rows──► Row / Reject ──► findings   written to a spool at once, three examples of a code kept
              └────────────► Run ───────────► numbers    hashes, places and sizes in columns; spreads
                                        ──► media      each distinct one once per slice, and which record refers to which

A `Part` is of one slice; parts are joined in the order of the slices (`modalmix.builders.check.check`).  They travel between
processes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import add, attrgetter
from typing import BinaryIO

import msgspec
import numpy as np

from ..annotations import Block, Slice, read
from ..core.counts import Counts
from ..core.findings import Finding
from ..core.int_columns import place
from ..formats import formats
from ..formats.references import text_of_id
from ..pipeline.options import Options
from ..pipeline.rows import Reject, Row, rows
from ..pipeline.selection import EVERYTHING
from .diagnosis import EXAMPLES
from .fast_path import FastPath, Profile, Run
from .media_references import MediaReferences
from .path_cache import PathCache
from .record_checks import lookups, notes
from .record_hashes import fingerprint, of_id
from .slice_result import Depth, Entry, FirstRecord, SliceResult, empty_result
from .statistics import Spread

_NAMED, _MORE = attrgetter("named"), attrgetter("more")
_LOOKUP_CODES = frozenset({"MX101", "MX102", "MX103", "MX104", "MX105", "MX107", "MX109", "MX111"})


def scan_slice(
    slice_: Slice,
    file: int,
    options: Options,
    located: PathCache,
    spool: BinaryIO,
    *,
    depth: Depth,
    limit: int | None = None,
    plain: bool = True,
) -> SliceResult:
    """Reads a slice.

    Args:
        slice_: the slice.
        file: index of its annotation file, for places.
        options: how records become rows.
        located: where media are looked up; what it keeps is of use to the next slice.
        spool: where the findings go, a line each.
        depth: from ``headers`` on, the media are noted.
        limit: stop after so many rejected records.
        plain: let records that are plain (`modalmix.builders.check.fast_path`) take the short way.
    """
    part = empty_result()
    located.begin()
    scan = _SliceScan(part, slice_, file, located, spool, depth, options)
    met: dict[tuple[tuple[str, ...], tuple[type, ...]], bool] = {}
    blocks = scan.at_hand(read(slice_))
    everything = options.mixes is None and options.selection == EVERYTHING and slice_.take.strategy == "all"
    if plain and everything:
        blocks = scan.fast_path.blocks(blocks)
    stream = rows(slice_, options, part.counts, located.rewriter, blocks)
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
                    scan.types(row)
            if isinstance(row, Row):
                scan.row(row)
            else:
                scan.reject(row)
                errors += row.row >= 0
                if limit is not None and errors >= limit:
                    part.stopped = True
                    break
    finally:
        stream.close()  # type: ignore[attr-defined]  # a generator, which closes the annotation file
    scan.fast_path.forget()
    part.counts.add(scan.taken)
    scan.of_the_file()
    scan.finish()
    return part


class _SliceScan:
    """Takes rows one by one into a `Part`."""

    def __init__(
        self,
        part: SliceResult,
        slice_: Slice,
        file: int,
        located: PathCache,
        spool: BinaryIO,
        depth: Depth,
        options: Options,
    ) -> None:
        self.part, self.slice_, self.file, self.rewriter, self.spool = part, slice_, file, located.rewriter, spool
        self.ids = of_id(f"\0{file}")  # no id begins so: else that of "1" in file 0 would be that of "0" in file 1
        self.roles = options.roles
        self.numbers: defaultdict[str, list[int]] = defaultdict(list)
        self.media = MediaReferences(part, self.numbers, deep=depth != "quick")
        self.fast_path = FastPath(located, self.run, self.profiles)
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
        self.tell(found.placed(self.slice_.file, row), id_)

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
                    known[key][name] = FirstRecord(row.row, _id_of(row), self.offset(row.row))

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
            self.fast_path.sound(row)
        part.records.add(fingerprint(row.record), here)
        if sample.id is not None:
            part.ids.add(of_id(sample.id) ^ self.ids, here)
        self.media.row(row.media, sample, here)
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
        for shape in run.profiles:
            shape.rows += 1
        named = list(map(_NAMED, run.profiles))
        if all(named):
            part.ids.append(run.prints.ids ^ self.ids, places)
        elif any(named):
            part.ids.append(run.prints.ids[named] ^ self.ids, places[named])
        numbers["characters"] += map(add, run.characters, map(_MORE, run.profiles))
        self.media.run(run.media, here)
        self.taken.read += len(records)
        if len(numbers["characters"]) > 100_000:
            self.finish()

    def profiles(self, profiles: list[Profile]) -> None:
        """Takes what plain records have in common."""
        taken = self.taken
        for shape in profiles:
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
