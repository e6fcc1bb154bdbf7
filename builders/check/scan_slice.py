"""The scan of a slice: one pass through the same row pipeline as a build, that keeps what the rest of the check needs.

::

    slice ──FastPath──rows──► Row / Reject ──► findings   written to a file at once, three examples of a code kept
                 └────────────► Run ───────────► numbers    hashes, places and sizes in columns; spreads
                                           ──► media      each distinct one once per slice, and which record refers to which

A `SliceResult` belongs to one slice; the results are joined in the order of the slices (`modalmix.builders.check.run_check`).
They travel between processes.
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
from ..pipeline.unread_keys import UnreadMedia
from .diagnosis import EXAMPLES
from .fast_path import FastPath, Profile, Run
from .media_references import MediaReferences
from .path_cache import PathCache
from .record_checks import lookups, notes
from .record_hashes import fingerprint, of_id
from .slice_result import Depth, Entry, FirstRecord, SliceResult, empty_result
from .statistics import Spread

_HAS_ID, _LONGER_BY = attrgetter("has_id"), attrgetter("longer_by")
_LOOKUP_CODES = frozenset({"MX101", "MX102", "MX103", "MX104", "MX105", "MX107", "MX109", "MX111"})


def scan_slice(
    slice_: Slice,
    file: int,
    options: Options,
    paths: PathCache,
    spool: BinaryIO,
    *,
    depth: Depth,
    limit: int | None = None,
    fast: bool = True,
) -> SliceResult:
    """Scans a slice.

    Args:
        slice_: the slice.
        file: index of its annotation file.
        options: how records become rows.
        paths: where media are looked up; it may be used again for the next slice.
        spool: file for the findings, one line each.
        depth: from ``headers`` on, every reference to a medium is kept.
        limit: number of rejected records after which the scan stops.
        fast: let sound records take the fast path (`modalmix.builders.check.fast_path`).
    """
    result = empty_result()
    paths.begin()
    scan = _SliceScan(result, slice_, file, paths, spool, depth, options)
    seen_shapes: dict[tuple[tuple[str, ...], tuple[type, ...]], bool] = {}
    blocks = scan.with_places(read(slice_))
    everything = options.mixes is None and options.selection == EVERYTHING and slice_.take.strategy == "all"
    if fast and everything:
        blocks = scan.fast_path.blocks(blocks)
    stream = rows(slice_, options, result.counts, paths.rewriter, blocks)
    errors = 0
    try:
        for row in stream:
            record = row.record
            if record is not None:
                signature = (tuple(record), tuple(map(type, record.values())))
                if signature not in seen_shapes:
                    if len(seen_shapes) > 10_000:
                        seen_shapes.clear()
                    seen_shapes[signature] = True
                    scan.types(row)
            if isinstance(row, Row):
                scan.row(row)
            else:
                scan.reject(row)
                errors += row.row >= 0
                if limit is not None and errors >= limit:
                    result.stopped = True
                    break
    finally:
        stream.close()  # type: ignore[attr-defined]  # a generator, which closes the annotation file
    scan.fast_path.forget()
    result.counts.add(scan.fast_counts)
    scan.write_file_findings()
    scan.finish()
    return result


class _SliceScan:
    """Collects the result of a slice, row by row."""

    def __init__(
        self,
        result: SliceResult,
        slice_: Slice,
        file: int,
        paths: PathCache,
        spool: BinaryIO,
        depth: Depth,
        options: Options,
    ) -> None:
        self.result, self.slice_, self.file, self.rewriter, self.spool = result, slice_, file, paths.rewriter, spool
        self.ids = of_id(f"\0{file}")  # no id begins so; else that of "1" in file 0 would be that of "0" in file 1
        self.roles = options.roles
        self.numbers: defaultdict[str, list[int]] = defaultdict(list)
        self.media = MediaReferences(result, self.numbers, deep=depth != "quick")
        unread_media = UnreadMedia(paths.rewriter, options.ignore_key)
        self.fast_path = FastPath(paths, self.run, self.profiles, unread_media)
        self.fast_counts = Counts()
        self.block: Block | None = None
        self.starts: list[int] | None = None
        self.file_findings: list[Finding] = []

    # ---- places

    def with_places(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks; `offset` knows the records of the block that is being worked on."""
        for block in blocks:
            self.block, self.starts = block, None
            self.file_findings += [
                finding for finding in block.findings if finding.row < 0 and finding.severity != "error"
            ]
            yield block
            self.block = None
            del block  # freed before the next one is decoded

    def offset(self, row: int) -> int | None:
        """The byte offset of a record of the current block; None for any other."""
        block = self.block
        if block is None or block.starts is None or not 0 <= row - block.row < len(block.records):
            return None
        if self.starts is None:
            self.starts = block.starts()
        return self.starts[row - block.row]

    # ---- findings

    def write(self, finding: Finding, id_: str | None) -> None:
        """Writes a finding that is counted already."""
        if finding.offset is None and finding.row >= 0:
            finding = msgspec.structs.replace(finding, offset=self.offset(finding.row))
        entry = Entry(finding, id_)
        self.spool.write(entry.line())
        examples = self.result.examples.setdefault(finding.code, [])
        if len(examples) < EXAMPLES:
            examples.append(entry)

    def add(self, found: Finding, row: int, id_: str | None) -> None:
        """Counts and writes a finding that the pipeline does not give."""
        self.result.counts.note([found])
        self.write(found.placed(self.slice_.file, row), id_)

    def write_file_findings(self) -> None:
        """Writes what the pipeline counts but gives with no row: notes about the file as a whole, such as a byte-order mark."""
        for finding in self.file_findings:
            self.write(finding, None)

    def types(self, row: Row | Reject) -> None:
        """Keeps the first record where a value of a key has a type."""
        of_keys = self.result.types
        for key, value in (row.record or {}).items():
            if value is not None and (key in of_keys or len(of_keys) < _MOST_KEYS):
                name = _TYPES.get(type(value), "number")
                if name not in of_keys.setdefault(key, {}):
                    of_keys[key][name] = FirstRecord(row.row, _id_of(row), self.offset(row.row))

    # ---- rows

    def row(self, row: Row) -> None:
        result, sample = self.result, row.sample
        for finding in row.findings:
            self.write(finding, row.id)
        here = place(self.file, row.row)
        found = notes(row.format, sample, row.record)
        for finding in found:
            self.add(finding, row.row, row.id)
        if not row.findings and not found:
            self.fast_path.remember(row)
        result.records.add(fingerprint(row.record), here)
        if sample.id is not None:
            result.ids.add(of_id(sample.id) ^ self.ids, here)
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
        """Adds consecutive sound records, as `row` does one by one."""
        result, numbers, records = self.result, self.numbers, run.records
        here = place(self.file, run.row)
        places = np.arange(here, here + len(records))
        result.records.append(run.prints.records, places)
        for profile in run.profiles:
            profile.rows += 1
        have_ids = list(map(_HAS_ID, run.profiles))
        if all(have_ids):
            result.ids.append(run.prints.ids ^ self.ids, places)
        elif any(have_ids):
            result.ids.append(run.prints.ids[have_ids] ^ self.ids, places[have_ids])
        numbers["characters"] += map(add, run.characters, map(_LONGER_BY, run.profiles))
        self.media.run(run.media, here)
        self.fast_counts.read += len(records)
        if len(numbers["characters"]) > 100_000:
            self.finish()

    def profiles(self, profiles: list[Profile]) -> None:
        """Adds what the records of the fast path have in common."""
        fast_counts = self.fast_counts
        for profile in profiles:
            fast_counts.written[profile.mix] = fast_counts.written.get(profile.mix, 0) + profile.rows
            if profile.format is not None:
                fast_counts.formats[profile.format] = fast_counts.formats.get(profile.format, 0) + profile.rows
            for name, number in profile.numbers.items():
                self.result.spreads.setdefault(name, Spread()).add(np.full(profile.rows, number))

    def reject(self, row: Reject) -> None:
        result = self.result
        id_ = _id_of(row)
        for finding in row.findings:
            self.write(finding if finding.file else finding.placed(row.file, row.row), id_)
        if row.row < 0:
            return
        here = place(self.file, row.row)
        result.rejected.add(here)
        if row.record is None:
            return
        result.records.add(fingerprint(row.record), here)
        if id_ is not None:
            result.ids.add(of_id(id_) ^ self.ids, here)
        errors = [finding for finding in row.findings if finding.severity == "error"]
        if row.format and len(errors) == 1 and errors[0].code in _LOOKUP_CODES:
            self._missed(row, errors[0], id_)

    def _missed(self, row: Reject, first: Finding, id_: str | None) -> None:
        """Adds the other media of the record that are missing, and those that exist under a similar name."""
        assert row.format is not None and row.record is not None
        sample = formats()[row.format].read(row.record, self.roles)
        is_reported = False
        for finding in lookups(sample, self.rewriter):
            if finding.code == first.code and finding.pointer == first.pointer and not is_reported:
                is_reported = True  # the pipeline gives this one
            else:
                self.add(finding, row.row, id_)

    def finish(self) -> None:
        """Moves the numbers held so far into the spreads."""
        for name, values in self.numbers.items():
            if values:
                self.result.spreads.setdefault(name, Spread()).add(values)
        self.numbers.clear()


_MOST_KEYS = 1000
_TYPES: dict[type, str] = {str: "text", list: "list", dict: "object", bool: "boolean", int: "number", float: "number"}
A_TYPE = {"text": "a text", "list": "a list", "object": "an object", "boolean": "true or false", "number": "a number"}


def _id_of(row: Row | Reject) -> str | None:
    if isinstance(row, Row):
        return row.id
    return text_of_id(row.record.get("id")) if row.record is not None else None
