"""Annotation files as a collection: records are read in place, and a sample is its record read again.

The files are cut into small slices; an entry remembers its slice and its ordinal, and one slice is read to show it.  Rejected
records are shown with whatever of them could be read: their turns, and the media that are there.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

import msgspec

from ..annotations import Slice, Source, plan, read
from ..core.counts import Counts
from ..core.errors import DataError
from ..core.findings import Finding, rejects
from ..core.sample import Reference, Sample
from ..media.items import Item, Media, read_bytes
from ..paths import Rewriter
from ..pipeline.arrow_tables import extra_text
from ..pipeline.infer_rules import looked_up
from ..pipeline.inputs import splits
from ..pipeline.options import Options
from ..pipeline.resolve_media import mask_findings
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Reject, reading, rows
from .entries import Cell, Cells, Entry, Shown, Stored, entry
from .temp_media import Spill

SLICE_BYTES = 1 << 20
"""Read to show a sample that was not read before: some milliseconds."""

_RAW = 100_000


class Annotated:
    """The records of annotation files."""

    def __init__(self, data: str | Sequence[str], options: Options, *, seed: int = 42) -> None:
        """Finds the files.

        Raises:
            DataError: there is nothing to read, or no format recognises it.
        """
        found = splits(data, format=options.format, seed=seed)
        self._sources = [source for sources in found.values() for source in sources]
        given = [data] if isinstance(data, str) else list(data)
        name = os.path.basename(os.path.abspath(given[0])) or given[0]
        self.title = f"{name} and {len(given) - 1} more" if len(given) > 1 else name
        self._options = options
        self._scanning = Rewriters(options)  # of the thread that lists; a rewriter is for one thread
        self._showing = self._scanning
        self._one_at_a_time = Lock()
        self._pieces: list[Slice] = []
        self._file_findings: list[tuple[str, list[Finding]]] = []
        self._spill = Spill()

    def close(self) -> None:
        """Removes temporary copies."""
        self._spill.close()

    def entries(self) -> Iterator[Entry]:
        """All records, read once.

        Raises:
            OSError: a file cannot be read.
        """
        self._options = looked_up(self._options, self._sources)
        self._scanning, self._showing = Rewriters(self._options), Rewriters(self._options)
        for source in self._sources:
            next_row = 0
            try:
                for one in self._of(source, plan(source, slice_bytes=SLICE_BYTES), 0):
                    next_row = max(next_row, one.place[1] + 1) if one.place[0] >= 0 else next_row
                    yield one
            except DataError:  # a slice that was guessed to start between records does not
                yield from self._of(source, plan(source, slice_bytes=SLICE_BYTES, exact=True), next_row)

    def _of(self, source: Source, pieces: Sequence[Slice], start: int) -> Iterator[Entry]:
        """The entries of a file's slices from the ordinal `start` on."""
        row = 0
        for planned in pieces:
            piece = msgspec.structs.replace(planned, row=row)
            number = len(self._pieces)
            self._pieces.append(piece)
            counts = Counts()
            early: deque[Entry] = deque()  # what is no JSON is told before the records around it
            for one in rows(piece, self._options, counts, self._scanning.of(piece)):
                if one.row < 0:
                    if start == 0 or one.findings not in [known for _, known in self._file_findings]:
                        self._file_findings.append((source.file, one.findings))
                        at = (-1, len(self._file_findings) - 1)
                        message = one.findings[0].message
                        yield entry(at, source.file, "", "file", _codes(one.findings), source.file, -1, [], message)
                elif one.row < start:
                    continue
                elif isinstance(one, Reject):
                    early.append(self._rejected(one, piece, number))
                else:
                    while early and early[0].place[1] < one.row:
                        yield early.popleft()
                    sample = one.sample
                    yield entry((number, one.row), one.id, one.mix, "row", _codes(one.findings), one.file, one.row, sample.turns,
                                sample.system, sample.text_q)  # fmt: skip
            yield from early
            row += counts.read

    def _rejected(self, one: Reject, piece: Slice, number: int) -> Entry:
        sample = Sample()
        text = None
        if one.record is not None:
            _, sample = reading(self._options, piece)(one.record)
        elif one.raw is not None:
            text = one.raw[:_RAW].decode("utf-8", "backslashreplace")
        id_ = sample.id if sample.id is not None else _id(piece, one.row)
        mix = sample.mix if one.record is not None else ""
        return entry((number, one.row), id_, mix, "rejected", _codes(one.findings), one.file, one.row, sample.turns,
                     sample.system, sample.text_q, text)  # fmt: skip

    def shown(self, place: tuple[int, int]) -> Shown:
        """One record in full, its slice read again.

        Raises:
            LookupError: the file has changed, and the record is no longer there.
            DataError: likewise.
            OSError: the file cannot be read.
        """
        number, row = place
        if number < 0:
            file, findings = self._file_findings[row]
            return Shown(file, "", "file", file, -1, findings=findings)
        piece = self._pieces[number]
        for block in read(piece):
            findings = [one for one in block.findings if one.row == row]
            if row in block.raw:
                raw = (block.raw[row] or b"")[:_RAW].decode("utf-8", "backslashreplace")
                return Shown(_id(piece, row), "", "rejected", piece.file, row, findings=findings, raw=raw)
            if 0 <= row - block.row < len(block.records):
                with self._one_at_a_time:
                    return self._whole(block.records[row - block.row], piece, row, findings)
        raise LookupError(f"{piece.file}: there is no record {row} any more")

    def _whole(self, record: dict[str, Any], piece: Slice, row: int, told: list[Finding]) -> Shown:
        name, sample = reading(self._options, piece)(record)
        media = _media(sample, self._showing.of(piece))
        findings = [*told, *sample.findings, *dict.fromkeys(_misses(media))]
        if not rejects(findings) and self._options.verify_masks and sample.masks:
            findings += mask_findings(sample, Media(**media))  # type: ignore[arg-type]  # there are no findings in it
        extra = extra_text(sample.extra)
        return Shown(
            sample.id if sample.id is not None else _id(piece, row),
            sample.mix,
            "rejected" if rejects(findings) else "row",
            piece.file,
            row,
            name,
            sample.system,
            sample.turns,
            sample.text_q,
            sample.num_frames,
            media,
            sample.masks,
            findings,
            {"record": record, **({"extra": extra} if extra else {})},
        )

    def item(self, cell: Item | Stored) -> Item:
        """The item itself; what is packed or base64 is unpacked into a temporary file first.

        Raises:
            OSError: the bytes cannot be read.
            ValueError: it should be base64, but is not.
        """
        assert isinstance(cell, Item)
        if cell.direct:
            return cell
        return self._spill.item(cell, cell.name, lambda: read_bytes(cell))


def _codes(findings: Sequence[Finding]) -> list[str]:
    return [one.code for one in findings]


def _id(piece: Slice, row: int) -> str:
    return f"{piece.file.rpartition('/')[2].split('.')[0]}:{row}"


def _media(sample: Sample, rewriter: Rewriter) -> dict[str, Cells]:
    """The media of a sample one by one, a finding in the place of each that is not there."""

    def each(references: Sequence[Reference], kind: str, at: str) -> list[Cell]:
        many = len(references) > 1
        return [rewriter.item(one, kind, f"{at}/{i}" if many else at) for i, one in enumerate(references)]

    videos: list[Cell] = []
    frames: list[Cell | Sequence[Cell]] = []
    for i, video in enumerate(sample.videos):
        found = rewriter.video(video, f"/video/{i}" if len(sample.videos) > 1 else "/video")
        if isinstance(found, (Item, Finding)):
            videos.append(found)
        else:
            frames.append(list(found))
    return {
        "images": each(sample.images, "image", "/image"),
        "videos": videos,
        "frames": frames,
        "audios": each(sample.audios, "audio", "/audio"),
        "audio_q": each(sample.audio_q, "audio", "/audio_q"),
    }


def _misses(media: dict[str, Cells]) -> Iterator[Finding]:
    for cells in media.values():
        yield from (cell for cell in cells if isinstance(cell, Finding))
