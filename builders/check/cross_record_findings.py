"""Findings across records: what only all records together, or their media, show, for each record it concerns.

It is known only after all records are read.  So it is kept by the places of the records; then the slices that hold any of these
are read once more, to name the records by their ids and the values in them by pointers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..annotations import Slice, Source, read
from ..core.findings import CODE, Finding, finding
from ..core.int_columns import Columns, Numbers, place, placed
from ..core.sample import Sample
from ..formats import formats_with_masks
from ..media.mask_findings import media_findings
from ..pipeline.options import Options
from ..pipeline.rows import reading
from .media_store import MediaStore
from .patch_overlaps import ScannedSlices
from .slice_result import column_placed

_NAMES = list(CODE)
_MESSAGES = {
    "id-duplicate": "the same id as",
    "record-duplicate": "the same record as",
    "patch-overlap": "its part of the patch overlaps one of",
    "media-contradiction": "its picture or video has another size in",
}


class AffectedRecord(NamedTuple):
    """A record that is read once more: its ordinal, id, mix and byte offset, and the findings about it."""

    row: int
    id: str
    mix: str
    offset: int | None
    findings: list[Finding]


class CrossRecordFindings:
    """The findings across records, and the records they concern.

    Args:
        options: how records become rows.
        sources: all annotation files.
        store: the media, with the findings about each.

    Attributes:
        columns: of each finding: the place of its record, its code, what it is about, and where in the record.
        misfits: medium → its frames (-1 for a picture), and its height × 2**32 + width, where masks do not fit.
    """

    def __init__(self, options: Options, sources: Sequence[Source], store: MediaStore) -> None:
        self.options, self.sources, self.store = options, sources, store
        self.columns = Columns("place", "code", "about", "at")
        self.mask_mismatches: dict[int, tuple[int, int]] = {}

    def add(self, name: str, places: Numbers, about: Numbers, at: Numbers | None = None) -> None:
        """Adds findings of one kind: the places of their records, and what each is about."""
        zeros = np.zeros(len(places), np.int64)
        code = zeros + (_NAMES.index(name) if name else -1)
        self.columns.append(places, code, about, zeros if at is None else at)

    def records(self, slices: ScannedSlices) -> Iterator[tuple[int, Slice, AffectedRecord]]:
        """The records that findings concern, read again.

        Args:
            slices: all slices that were read.

        Yields:
            Index of the annotation file, slice and record.
        """
        if not len(self.columns):
            return
        places, codes, about, at = (self.columns[name] for name in self.columns.names)
        order = np.argsort(places, kind="stable")
        places, codes, about, at = places[order], codes[order], about[order], at[order]
        for i, (file, slice_, row) in enumerate(slices):
            following = slices[i + 1] if i + 1 < len(slices) else None
            stop = place(file, following[2]) if following is not None and following[0] == file else place(file + 1, 0)
            low, high = np.searchsorted(places, [place(file, row), stop]).tolist()
            if low == high:
                continue
            affected: dict[int, list[tuple[int, int, int]]] = {}
            for j in range(low, high):
                affected.setdefault(placed(int(places[j]))[1], []).append((int(codes[j]), int(about[j]), int(at[j])))
            for record in self._read_again(slice_, affected):
                yield file, slice_, record

    def _read_again(self, slice_: Slice, affected: dict[int, list[tuple[int, int, int]]]) -> Iterator[AffectedRecord]:
        read_as = reading(self.options, slice_)
        stem = slice_.file.rpartition("/")[2].split(".")[0]
        left = len(affected)
        for block in read(slice_):
            starts = None
            for number, record in enumerate(block.records, block.row):
                if number not in affected:
                    continue
                left -= 1
                format_, sample = read_as(record)
                found: list[Finding] = []
                for code, about, at in affected[number]:
                    found += self._finding(code, about, at, format_, sample)
                id_ = sample.id if sample.id is not None else f"{stem}:{number}"
                starts = starts or (block.starts() if block.starts is not None else None)
                offset = starts[number - block.row] if starts is not None else None
                yield AffectedRecord(number, id_, sample.mix, offset, found)
            if not left:
                return

    def _finding(self, code: int, about: int, at: int, format_: str | None, sample: Sample) -> list[Finding]:
        if code < 0:  # a medium: the findings about it, at the place of the reference
            key, position = column_placed(at)
            several = {"image": len(sample.images), "video": len(sample.videos), "frames": len(sample.videos)}.get(
                key, 1
            )
            pointer = f"/{'video' if key == 'frames' else key}" + (f"/{position}" if several > 1 else "")
            return [Finding(finding_.code, finding_.message, pointer) for finding_ in self.store.findings(about)]
        name = _NAMES[code]
        if name == "mask-size-differs" and format_ is not None:
            frames, size = self.mask_mismatches[about]
            height, width = (size >> 32, size & 0xFFFFFFFF) if size else (None, None)
            return media_findings(
                sample,
                frames=frames if frames >= 0 else None,
                height=height,
                width=width,
                pointer_of=formats_with_masks()[format_].mask_pointer,
            )
        if name == "num-frames-too-many":
            return [finding(name, f"{at} frames of a video of {about}", "/num_frames")]
        if name == "media-too-large":
            return [finding(name, f"{about:,} bytes of media in one row")]
        file, row = placed(about)
        return [finding(name, f"{_MESSAGES[name]} {self.sources[file].file}:{row}")]
