"""Rows: records become rows of a dataset, or entries of the rejects; each is accounted for.

::

    slice ──annotations.read──► records ──format.read──► samples ──rewriter──► media items ──► Row
                 │                          │                         │
                 └───────── findings ───────┴─────────────────────────┴──────────────────────► Reject
                                                          of no selected mix, or not selected ► counted only

``read = written + rejected + not selected`` holds for every slice (`Counts`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ..annotations import Block, Slice, read
from ..core.counts import Counts
from ..core.findings import Finding, rejects
from ..core.sample import Sample
from ..formats import formats
from ..media.items import Media
from ..paths import Rewriter
from .conditions import Subject
from .options import Options
from .recognise_files import RecognisingReader
from .resolve_media import mask_findings, resolve
from .selection import Selector
from .unread_keys import UnreadMedia


class Row(NamedTuple):
    """A record that has become a row.

    Attributes:
        id: the sample's, or ``<file stem>:<ordinal>``.
        format: the format it was read as.
        file: annotation file relative to its root.
        row: ordinal in that file.
        mix: name of its modality mix.
        record: the record it was read from.
        findings: warnings and notes; no error.
    """

    id: str
    format: str | None
    file: str
    row: int
    mix: str
    sample: Sample
    media: Media
    record: dict[str, Any]
    findings: list[Finding]


class Reject(NamedTuple):
    """A record that cannot become a row, with all that was found.

    Attributes:
        format: the format it was read as; None where it was no record.
        row: ordinal of the record; -1 for an error of the file as a whole, which counts as no record.
        record: the parsed record; None where it could not be parsed.
        raw: its bytes where it could not be parsed, if they were few enough to keep.
    """

    format: str | None
    file: str
    row: int
    findings: list[Finding]
    record: dict[str, Any] | None
    raw: bytes | None = None


def rows(
    slice_: Slice, options: Options, counts: Counts, rewriter: Rewriter, blocks: Iterable[Block] | None = None
) -> Iterator[Row | Reject]:
    """The rows and rejects of a slice, in the order of its records.

    Args:
        slice_: the part of an annotation file to read.
        options: how to read it.
        counts: filled while reading; complete when the iterator ends.
        rewriter: where media are looked up.
        blocks: records to take in place of those of the slice, some of them or others of its file; by default they are
            read here.
    """
    maker = _Rows(slice_, options, counts, rewriter)
    try:
        for block in read(slice_) if blocks is None else blocks:
            yield from maker.of(block)
            del block  # its memory is used again
    finally:
        counts.written = dict(maker.written)
        counts.formats = dict(maker.formats)


class _Rows:
    """Makes rows of the records of one slice.

    Attributes:
        written: rows by mix.
        formats: records by format.
    """

    def __init__(self, slice_: Slice, options: Options, counts: Counts, rewriter: Rewriter) -> None:
        self.written: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self._counts = counts
        self._file = slice_.file
        self._stem = slice_.file.rpartition("/")[2].split(".")[0]
        self._rewriter = rewriter
        self._read = reading(options, slice_)
        self._mixes = options.mixes
        self._verify_masks = options.verify_masks
        self._selector = Selector(options.selection, slice_)
        self._unread_media = UnreadMedia(rewriter, options.ignore_key)
        self._unread_keys = self._unread_media.keys

    def of(self, block: Block) -> Iterator[Row | Reject]:
        """The rows and rejects of a block."""
        counts, selector = self._counts, self._selector
        findings: dict[int, list[Finding]] = {}
        if block.findings or block.raw:
            for one in block.findings:
                findings.setdefault(one.row, []).append(one)
            yield from self._of_file(findings.get(-1, ()))
            yield from self._unparsed(block, findings)
        for row, record in enumerate(block.records, block.row):
            counts.read += 1
            made = None
            if selector.everything or selector.sampled(row):
                made = self._of_record(row, record, findings.get(row))
            if made is None:
                counts.not_selected += 1
            else:
                yield made

    def _of_file(self, findings: Iterable[Finding]) -> Iterator[Reject]:
        """What is wrong with the file as a whole: no record is lost with it, but somebody must know."""
        for one in findings:
            self._counts.note([one])
            if one.severity == "error":
                yield Reject(None, self._file, -1, [one], None)

    def _unparsed(self, block: Block, findings: dict[int, list[Finding]]) -> Iterator[Reject]:
        """The elements of a block that are no records."""
        for row in sorted(block.raw):
            self._counts.read += 1
            if self._selector.sampled(row):
                self._counts.rejected += 1
                self._counts.note(findings[row])
                yield Reject(None, self._file, row, findings[row], None, block.raw[row])
            else:
                self._counts.not_selected += 1

    def _of_record(
        self, row: int, record: dict[str, Any], reader_findings: list[Finding] | None
    ) -> Row | Reject | None:
        """What a record becomes; None where it is not selected."""
        format_, sample = self._read(record)
        findings = sample.findings if reader_findings is None else [*reader_findings, *sample.findings]
        keys = (format_, *record)
        if (unread := self._unread_keys[keys]) and not self._unread_media.are_silent(unread, record):
            findings = [*findings, *self._unread_media.findings(format_, record, sample)]
        if findings and rejects(findings):
            return self._reject(format_, row, record, findings)
        mix = sample.mix
        if self._mixes is not None and mix not in self._mixes:
            return None
        id_ = sample.id if sample.id is not None else f"{self._stem}:{row}"
        selector = self._selector
        if selector.prefilter or selector.postfilter:
            subject = Subject(id_, format_, self._file, row, sample)
            if not all(one.holds(subject) for one in selector.prefilter):
                return None
        media = resolve(sample, self._rewriter)
        if isinstance(media, Finding):
            return self._reject(format_, row, record, [*findings, media])
        if sample.masks and self._verify_masks and (wrong := mask_findings(format_, sample, media)):
            findings = findings + wrong
            if rejects(findings):
                return self._reject(format_, row, record, findings)
        if selector.postfilter:
            subject = subject._replace(media=media, findings=findings)
            if not all(one.holds(subject) for one in selector.postfilter):
                return None
        if findings:
            findings = self._noted(row, findings)
        if format_ is not None:
            self.formats[format_] += 1
        self.written[mix] += 1
        return Row(id_, format_, self._file, row, mix, sample, media, record, findings)

    def _reject(self, format_: str | None, row: int, record: dict[str, Any], findings: list[Finding]) -> Reject:
        if format_ is not None:
            self.formats[format_] += 1
        self._counts.rejected += 1
        return Reject(format_, self._file, row, self._noted(row, findings), record)

    def _noted(self, row: int, findings: list[Finding]) -> list[Finding]:
        """The findings with their place, counted."""
        placed = [one if one.file else one.placed(self._file, row) for one in findings]
        self._counts.note(placed)
        return placed


def reading(options: Options, slice_: Slice) -> Callable[[dict[str, Any]], tuple[str | None, Sample]]:
    """A function from a record of a slice to its format's name and its sample."""
    if options.format is None:
        return RecognisingReader(slice_, options.roles)
    name, read_one, roles = options.format, formats()[options.format].read, options.roles
    return lambda record: (name, read_one(record, roles))
