"""Rows: records become rows of a dataset, or entries of the rejects; each is accounted for.

::

    slice ──annotations.read──► records ──format.read──► samples ──rewriter──► media items ──► Row
                 │                          │                         │
                 └───────── findings ───────┴─────────────────────────┴──────────────────────► Reject
                                                          not of the wanted mix or selection ► counted only

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
    selector = Selector(options.selection, slice_)
    draws, (asks_before, asks_after) = selector.draws, selector.asks
    read_as = reading(options, slice_)
    stem = slice_.file.rpartition("/")[2].split(".")[0]
    wanted = options.mixes
    written: Counter[str] = Counter()
    met: Counter[str] = Counter()
    try:
        for block in read(slice_) if blocks is None else blocks:
            told: dict[int, list[Finding]] = {}
            for one in block.findings:
                told.setdefault(one.row, []).append(one)
            for one in told.get(-1, ()):  # of the file as a whole: no record is lost with it, but somebody must know
                counts.note([one])
                if one.severity == "error":
                    yield Reject(None, slice_.file, -1, [one], None)
            for row in sorted(block.raw):
                counts.read += 1
                if draws(row):
                    counts.rejected += 1
                    counts.note(told[row])
                    yield Reject(None, slice_.file, row, told[row], None, block.raw[row])
                else:
                    counts.not_selected += 1
            for row, record in enumerate(block.records, block.row):
                counts.read += 1
                if not draws(row):
                    counts.not_selected += 1
                    continue
                name, sample = read_as(record)
                findings = [*told.get(row, ()), *sample.findings] if row in told else sample.findings
                broken = bool(findings) and rejects(findings)
                mix = sample.mix
                if not broken:
                    if wanted is not None and mix not in wanted:
                        counts.not_selected += 1
                        continue
                    if asks_before or asks_after:
                        own = sample.id if sample.id is not None else f"{stem}:{row}"
                        subject = Subject(own, name, slice_.file, row, sample)
                        if not selector.wants(subject):
                            counts.not_selected += 1
                            continue
                    media = resolve(sample, rewriter)
                    if options.verify_masks and sample.masks and isinstance(media, Media):
                        findings = findings + mask_findings(name, sample, media)
                        broken = rejects(findings)
                    elif isinstance(media, Finding):
                        findings = [*findings, media]
                        broken = True
                if asks_after and not broken:
                    assert isinstance(media, Media)
                    if not selector.keeps(subject._replace(media=media, findings=findings)):
                        counts.not_selected += 1
                        continue
                if name is not None:
                    met[name] += 1
                if findings:
                    findings = [one if one.file else one.placed(slice_.file, row) for one in findings]
                    counts.note(findings)
                if broken:
                    counts.rejected += 1
                    yield Reject(name, slice_.file, row, findings, record)
                else:
                    assert isinstance(media, Media)
                    written[mix] += 1
                    yield Row(
                        sample.id if sample.id is not None else f"{stem}:{row}",
                        name,
                        slice_.file,
                        row,
                        mix,
                        sample,
                        media,
                        record,
                        findings,
                    )
    finally:
        counts.written = dict(written)
        counts.formats = dict(met)


def reading(options: Options, piece: Slice) -> Callable[[dict[str, Any]], tuple[str | None, Sample]]:
    """A function from a record of a slice to its format's name and its sample."""
    if options.format is None:
        return RecognisingReader(piece, options.roles)
    name, read_one, roles = options.format, formats()[options.format].read, options.roles
    return lambda record: (name, read_one(record, roles))
