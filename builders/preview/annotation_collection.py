"""Annotation files as a collection: records are read in place, and to show a sample its record is read again.

Files are divided into small slices.  An entry remembers its slice and its ordinal, and showing it reads that one slice.  For a
rejected record, the page shows what can be read of it: its turns, and the media that exist.
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
from ..pipeline.unread_keys import UnreadMedia
from .entries import Cell, Cells, Entry, SampleDetails, StoredCell, entry
from .temp_media import TempMedia

SLICE_BYTES = 1 << 20
"""Bytes that are read to show a sample: some milliseconds."""

_RAW = 100_000
"""Bytes of an invalid record that the page shows at most."""


class AnnotationCollection:
    """The records of annotation files."""

    def __init__(self, data: str | Sequence[str], options: Options, *, seed: int = 42) -> None:
        """Finds the files.

        Raises:
            DataError: there is nothing to read, or no format recognises the records.
        """
        found = splits(data, format=options.format, seed=seed)
        self._sources = [source for sources in found.values() for source in sources]
        given = [data] if isinstance(data, str) else list(data)
        name = os.path.basename(os.path.abspath(given[0])) or given[0]
        self.title = f"{name} and {len(given) - 1} more" if len(given) > 1 else name
        self._options = options
        # a rewriter is for one thread: one set for the thread that lists, one for the threads that show, which take turns
        self._list_rewriters = Rewriters(options)
        self._show_rewriters = self._list_rewriters
        self._show_lock = Lock()
        self._slices: list[Slice] = []
        self._file_findings: list[tuple[str, list[Finding]]] = []
        self._temp_media = TempMedia()

    def close(self) -> None:
        """Removes temporary copies."""
        self._temp_media.close()

    def entries(self) -> Iterator[Entry]:
        """All records, read once.

        Raises:
            OSError: a file cannot be read.
        """
        self._options = looked_up(self._options, self._sources)
        self._list_rewriters, self._show_rewriters = Rewriters(self._options), Rewriters(self._options)
        for source in self._sources:
            next_row = 0
            try:
                for listed in self._entries_of(source, plan(source, slice_bytes=SLICE_BYTES), 0):
                    next_row = max(next_row, listed.place[1] + 1) if listed.place[0] >= 0 else next_row
                    yield listed
            except DataError:  # the guess that a slice starts between records was wrong
                yield from self._entries_of(source, plan(source, slice_bytes=SLICE_BYTES, exact=True), next_row)

    def _entries_of(self, source: Source, slices: Sequence[Slice], start: int) -> Iterator[Entry]:
        """The entries of a file's slices, from the ordinal `start` on."""
        row = 0
        for planned in slices:
            slice_ = msgspec.structs.replace(planned, row=row)
            number = len(self._slices)
            self._slices.append(slice_)
            counts = Counts()
            rejected: deque[Entry] = deque()  # invalid JSON is reported before the records around it
            for result in rows(slice_, self._options, counts, self._list_rewriters.of(slice_)):
                if result.row < 0:
                    if start == 0 or result.findings not in [known for _, known in self._file_findings]:
                        yield self._file_entry(source.file, result.findings)
                elif result.row < start:
                    continue
                elif isinstance(result, Reject):
                    rejected.append(self._rejected_entry(result, slice_, number))
                else:
                    while rejected and rejected[0].place[1] < result.row:
                        yield rejected.popleft()
                    sample = result.sample
                    yield entry((number, result.row), result.id, result.mix, "row", _codes(result.findings), result.file,
                                result.row, sample.turns, sample.system, sample.text_q)  # fmt: skip
            yield from rejected
            row += counts.read

    def _file_entry(self, file: str, findings: list[Finding]) -> Entry:
        self._file_findings.append((file, findings))
        place = (-1, len(self._file_findings) - 1)
        return entry(place, file, "", "file", _codes(findings), file, -1, [], findings[0].message)

    def _rejected_entry(self, reject: Reject, slice_: Slice, number: int) -> Entry:
        sample = Sample()
        text = None
        if reject.record is not None:
            _, sample = reading(self._options, slice_)(reject.record)
        elif reject.raw is not None:
            text = reject.raw[:_RAW].decode("utf-8", "backslashreplace")
        id_ = sample.id if sample.id is not None else _id(slice_, reject.row)
        mix = sample.mix if reject.record is not None else ""
        return entry((number, reject.row), id_, mix, "rejected", _codes(reject.findings), reject.file, reject.row,
                     sample.turns, sample.system, sample.text_q, text)  # fmt: skip

    def details(self, place: tuple[int, int]) -> SampleDetails:
        """One record in full; its slice is read again.

        Raises:
            LookupError: the file has changed, and the record no longer exists.
            DataError: the file has changed, and cannot be read.
            OSError: the file cannot be read.
        """
        number, row = place
        if number < 0:
            file, findings = self._file_findings[row]
            return SampleDetails(file, "", "file", file, -1, findings=findings)
        slice_ = self._slices[number]
        for block in read(slice_):
            findings = [found for found in block.findings if found.row == row]
            if row in block.raw:
                raw = (block.raw[row] or b"")[:_RAW].decode("utf-8", "backslashreplace")
                return SampleDetails(_id(slice_, row), "", "rejected", slice_.file, row, findings=findings, raw=raw)
            if 0 <= row - block.row < len(block.records):
                with self._show_lock:
                    return self._record_details(block.records[row - block.row], slice_, row, findings)
        raise LookupError(f"{slice_.file}: record {row} no longer exists")

    def _record_details(
        self, record: dict[str, Any], slice_: Slice, row: int, reader_findings: list[Finding]
    ) -> SampleDetails:
        name, sample = reading(self._options, slice_)(record)
        rewriter = self._show_rewriters.of(slice_)
        media = _media(sample, rewriter)
        unread = UnreadMedia(rewriter, self._options.ignore_key).findings(name, record, sample)
        findings = [*reader_findings, *sample.findings, *unread, *dict.fromkeys(_missing(media))]
        if not rejects(findings) and self._options.verify_masks and sample.masks:
            findings += mask_findings(name, sample, Media(**media))  # type: ignore[arg-type]  # no medium is missing
        extra = extra_text(sample.extra)
        return SampleDetails(
            sample.id if sample.id is not None else _id(slice_, row),
            sample.mix,
            "rejected" if rejects(findings) else "row",
            slice_.file,
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

    def item(self, cell: Item | StoredCell) -> Item:
        """The item itself; compressed or base64 bytes are unpacked into a temporary file first.

        Raises:
            OSError: the bytes cannot be read.
            ValueError: the bytes are not base64, as they should be.
        """
        assert isinstance(cell, Item)
        if cell.direct:
            return cell
        return self._temp_media.item(cell, cell.name, lambda: read_bytes(cell))


def _codes(findings: Sequence[Finding]) -> list[str]:
    return [found.code for found in findings]


def _id(slice_: Slice, row: int) -> str:
    return f"{slice_.file.rpartition('/')[2].split('.')[0]}:{row}"


def _media(sample: Sample, rewriter: Rewriter) -> dict[str, Cells]:
    """The media of a sample one by one; a finding takes the place of a medium that does not exist."""

    def each(references: Sequence[Reference], kind: str, at: str) -> list[Cell]:
        many = len(references) > 1
        return [rewriter.item(reference, kind, f"{at}/{i}" if many else at) for i, reference in enumerate(references)]

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


def _missing(media: dict[str, Cells]) -> Iterator[Finding]:
    for cells in media.values():
        yield from (cell for cell in cells if isinstance(cell, Finding))
