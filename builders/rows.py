"""Rows: records become rows of a dataset, or entries of the rejects; each is accounted for.

::

    slice ──annotations.read──► records ──format.read──► samples ──rewriter──► media items ──► Row
                 │                          │                         │
                 └───────── findings ───────┴─────────────────────────┴──────────────────────► Reject
                                                          not of the wanted mix or selection ► counted only

``read = written + rejected + not selected`` holds for every slice (`Counts`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from .annotations import Block, DataError, Slice, Source, read
from .findings import Finding, finding, rejects
from .formats import formats
from .media.headers import Header, header_in_bytes, image_header, video_header
from .media.items import Held, Item, Media
from .media.masks import media_findings
from .paths import Rewriter, Rules
from .recognition import Recogniser
from .sample import Reference, Sample
from .selection import EVERYTHING, Selection, Selector
from .turns import Roles
from .where import Subject


class Options(msgspec.Struct, frozen=True):
    """What decides how records become rows; equal options and equal files give equal rows.

    Attributes:
        format: name of the format all records are in; None recognises each record.
        mixes: names of the mixes that are wanted; None for all.
        roles: the speakers' names in ``from``/``value`` turns.
        media_root: folders under which media are looked up; empty for the annotation file's own folder.
        image_folder: roots for images alone, before `media_root`.
        video_folder: roots for videos alone, before `media_root`.
        verify_masks: compare masks with the header of their video or picture (number of frames, size).
        rules: how written paths are rewritten, as a person has given it; None for learning where it is needed.
        learned: what was learned for the annotation files that share media roots; see `modalmix.builders.lookup`.
        selection: which records of those mixes are wanted.
    """

    format: str | None = None
    mixes: frozenset[str] | None = None
    roles: Roles = Roles()
    media_root: tuple[str, ...] = ()
    image_folder: tuple[str, ...] = ()
    video_folder: tuple[str, ...] = ()
    verify_masks: bool = True
    rules: Rules | None = None
    learned: dict[str, Rules] = {}
    selection: Selection = EVERYTHING


DEFAULTS = Options()


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


class Counts(msgspec.Struct):
    """What became of the records: ``read == sum(written) + rejected + not_selected``.

    Attributes:
        written: rows by mix.
        findings: findings of every severity by code (a record may have several).
        formats: records by format.
    """

    read: int = 0
    rejected: int = 0
    not_selected: int = 0
    written: dict[str, int] = {}
    findings: dict[str, int] = {}
    formats: dict[str, int] = {}

    def add(self, other: Counts) -> None:
        """Adds the counts of another slice."""
        self.read += other.read
        self.rejected += other.rejected
        self.not_selected += other.not_selected
        for name in ("written", "findings", "formats"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))

    def note(self, findings: Sequence[Finding]) -> None:
        """Counts findings by code."""
        for one in findings:
            self.findings[one.code] = self.findings.get(one.code, 0) + 1


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
                        findings = findings + mask_findings(sample, media)
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


def resolve(sample: Sample, rewriter: Rewriter) -> Media | Finding:
    """The media items of a sample, or the first finding that says why there are none."""
    images = _items(sample.images, "image", "/image", rewriter) if sample.images else []
    audios = _items(sample.audios, "audio", "/audio", rewriter) if sample.audios else []
    audio_q = _items(sample.audio_q, "audio", "/audio_q", rewriter) if sample.audio_q else []
    for found in (images, audios, audio_q):
        if isinstance(found, Finding):
            return found
    videos: list[Item] = []
    frames: list[list[Item]] = []
    for i, video in enumerate(sample.videos):
        resolved = rewriter.video(video, f"/video/{i}" if len(sample.videos) > 1 else "/video")
        if isinstance(resolved, Finding):
            return resolved
        if isinstance(resolved, Item):
            videos.append(resolved)
        else:
            frames.append(resolved)
    if videos and frames:
        return finding(
            "mixed-video-kinds", f"{len(videos)} video file(s) and {len(frames)} list(s) of frames", "/video"
        )
    return Media(images, videos, frames, audios, audio_q)  # type: ignore[arg-type]  # no findings, as was seen above


def _items(references: Sequence[Reference], kind: str, at: str, rewriter: Rewriter) -> list[Item] | Finding:
    items: list[Item] = []
    for i, reference in enumerate(references):
        found = rewriter.item(reference, kind, f"{at}/{i}" if len(references) > 1 else at)
        if isinstance(found, Finding):
            return found
        items.append(found)
    return items


def mask_findings(sample: Sample, media: Media) -> list[Finding]:
    """What is wrong between a sample's masks and the picture or video they belong to."""
    header: Header | str | None = None
    if media.images:
        header = _header(media.images[0], "image")
        if isinstance(header, Header):
            return media_findings(sample, frames=None, height=header.height, width=header.width)
    elif media.videos:
        header = _header(media.videos[0], "video")
    elif media.frames:
        header = _header(media.frames[0][0], "image")
        if isinstance(header, Header):
            header = header._replace(frames=len(media.frames[0]))
    if isinstance(header, str):
        return [finding("media-unreadable", header, "/image" if media.images else "/video")]
    if header is None:
        return []
    return media_findings(sample, frames=header.frames, height=header.height, width=header.width)


def _header(item: Item | Held, medium: Literal["image", "video"]) -> Header | str | None:
    """What a medium says of itself, where it is at hand or a file; None where it would have to be put together first."""
    if isinstance(item, Held):
        return header_in_bytes(item.data, medium)
    if not item.whole:
        return None
    return image_header(item.path) if medium == "image" else video_header(item.path)


def reading(options: Options, piece: Slice) -> Callable[[dict[str, Any]], tuple[str | None, Sample]]:
    """A function from a record of a slice to its format's name and its sample."""
    if options.format is None:
        return Recogniser(piece, options.roles)
    name, read_one, roles = options.format, formats()[options.format].read, options.roles
    return lambda record: (name, read_one(record, roles))


class Rewriters:
    """One rewriter per set of roots (`roots_of`)."""

    def __init__(self, options: Options) -> None:
        """Checks that the roots are there.

        Raises:
            DataError: a media root is neither a folder nor a file.
        """
        for root in (*options.media_root, *options.image_folder, *options.video_folder):
            if not os.path.exists(root):
                raise DataError(f"the media root {root!r} does not exist")
        self.options = options
        self._by_root: dict[tuple[str, ...], Rewriter] = {}

    def of(self, piece: Slice | Source) -> Rewriter:
        """The rewriter for the records of an annotation file."""
        options = self.options
        roots = roots_of(piece, options)
        rewriter = self._by_root.get(roots)
        if rewriter is None:
            rules = options.rules or options.learned.get(key_of(roots))
            by_kind = {"image": options.image_folder, "video": options.video_folder}
            rewriter = self._by_root[roots] = Rewriter(roots, by_kind, rules)
        return rewriter


def roots_of(piece: Slice | Source, options: Options) -> tuple[str, ...]:
    """The media roots for an annotation file.

    They are the options' media roots; without any, the file's own folder and the folder that was given as data (an annotation
    file in ``DIR/sub`` of the data ``DIR`` has the roots ``DIR/sub`` and ``DIR``).
    """
    if options.media_root:
        return options.media_root
    given = piece.path[: -len(piece.file)] if piece.path.endswith(f"/{piece.file}") else "/"
    return tuple(dict.fromkeys(folder for folder in (os.path.dirname(piece.path), given.rstrip("/")) if folder))


def key_of(roots: Sequence[str]) -> str:
    """The key of a set of roots in `Options.learned`."""
    return "\n".join(roots)
