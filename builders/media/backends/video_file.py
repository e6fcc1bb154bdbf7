"""A video file: the frames it shows and the frames it holds, read by the chosen backend."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ...core.findings import Finding, finding
from ..container_length import missing_bytes
from ..errors import MediaError
from . import Deadline, check_size, decord_torchcodec
from .frame_index import has_leading
from .pyav import SEEKABLE, Pictures, Stream, display_matrix, turned

_LIBRARY_FORMATS = {"mov", "matroska", "gif"}
"""Containers that decord and torchcodec may open.  Both show wrong frames of AVI with B-frames; decord hangs on MPEG-TS, and
torchcodec shows wrong frames of it."""


class VideoFile:
    """An opened video file.

    Attributes:
        backend: ``pyav``, ``decord`` or ``torchcodec``.
        frames: number of frames shown.
        coded_frames: number of frames there are, edit list ignored.
        fps: frames per second on average, or None.
        duration: seconds from the first frame to the end of the last, or None.
    """

    def __init__(self, source: str | bytes, backend: str, deadline: Deadline, threads: int) -> None:
        if isinstance(source, str) and os.path.exists(source) and not os.path.isfile(source):
            raise MediaError("it is no plain file")  # a pipe would wait for a writer
        self.backend = backend
        self._shown = Stream(source, deadline, threads=threads)
        self._coded: Stream | None = None
        self._shape: tuple[int, int, tuple[int, int, int, int]] | None = None
        self._library: decord_torchcodec.Read | None = None
        try:
            self.frames = len(self._shown.times)
            if _may_hide(self._shown):
                self._coded = Stream(source, deadline, threads=threads, edits=False)
            self.coded_frames = len(self._coded.times) if self._coded else self.frames
            if not self.frames:
                raise MediaError("it has no frames that can be decoded")
            self.duration = _duration(self._shown)
            self.fps = _fps(self._shown, self.frames, self.duration)
            self._header_findings = self._findings_of_header(missing_bytes(source))
            if backend != "pyav":
                self._library = self._open_library(source, threads)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Frees decoders and file."""
        self._shown.close()
        if self._coded:
            self._coded.close()
        self._library = None

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the file, as far as it has been decoded."""
        damaged = self._shown.damaged + (self._coded.damaged if self._coded else 0)
        if damaged and not any(f.kind.name == "video-truncated" for f in self._header_findings):
            return [
                *self._header_findings,
                finding("video-damaged", "some of its packets do not decode, or not as a whole"),
            ]
        return list(self._header_findings)

    def shape(self, deadline: Deadline) -> tuple[int, int, int]:
        """Height and width of a shown frame, and the clockwise degrees it was turned by: 0, 90, 180 or 270."""
        if self._shape is None:
            for _, frame in self._shown.frames([0], deadline):
                self._read_shape(self._shown, frame)
        if self._shape is None:
            raise MediaError("its first frame cannot be decoded")
        height, width, (a, b, _, _) = self._shape
        return (width, height, 90 if b > 0 else 270) if b else (height, width, 0 if a > 0 else 180)

    def times(self, indices: Sequence[int]) -> list[float]:
        """Seconds of frames after the first shown one."""
        stamps, base = self._shown.times, self._shown.time_base
        first = stamps[0]
        found = [stamps[i] for i in indices]
        if first is None or any(stamp is None for stamp in found):
            if self.fps is None:
                raise MediaError("its frames have no times")
            return [i / self.fps for i in indices]
        return [float((stamp - first) * base) for stamp in found if stamp is not None]

    def read(self, indices: Sequence[int], coded: bool, deadline: Deadline) -> Pictures:
        """Frames by index in one of the two counts, uint8 (N, H, W, 3)."""
        check_size(len(indices), self._shown.height, self._shown.width)
        if self._library is not None:
            return self._library(self._library_indices(indices, coded))
        stream = self._coded if coded and self._coded else self._shown
        rows: dict[int, list[int]] = {}
        for row, index in enumerate(indices):
            rows.setdefault(index, []).append(row)
        pictures: Pictures | None = None
        for index, frame in stream.frames(rows, deadline):
            height, width, matrix = self._shape or self._read_shape(stream, frame)
            picture = turned(stream.convert(frame, height, width), matrix)
            if pictures is None:
                pictures = np.empty((len(indices), *picture.shape), np.uint8)
            for row in rows.pop(index):
                pictures[row] = picture
        if rows or pictures is None:
            total = self.coded_frames if coded else self.frames
            raise MediaError(f"frame {min(rows)} of {total} cannot be decoded")
        return pictures

    def _read_shape(self, stream: Stream, frame: Any) -> tuple[int, int, tuple[int, int, int, int]]:
        self._shape = (stream.height or frame.height, stream.width or frame.width, display_matrix(frame))
        return self._shape

    def _findings_of_header(self, missing: int) -> list[Finding]:
        findings = []
        present, header = self.coded_frames, self._shown.header_frames
        if missing or header > present:
            lacks = f"{missing:,} bytes are missing at its end; " if missing else ""
            of = f" of {header}" if header > present else ""
            findings.append(finding("video-truncated", f"{lacks}{present}{of} frames are there"))
        if self.coded_frames != self.frames:
            counts = f"{self.frames} frames are shown of {self.coded_frames} coded; masks of VideoRefer count the coded"
            findings.append(finding("video-edit-list", counts))
        if self._shown.other_choices:
            findings.append(finding("video-streams", self._shown.other_choices))
        return findings

    # ---- decord, torchcodec

    def _open_library(self, source: str | bytes, threads: int) -> decord_torchcodec.Read:
        if self._shown.format not in _LIBRARY_FORMATS:
            raise MediaError(
                f"{self.backend} does not open {self._shown.format} files here: it hangs or shows wrong frames"
            )
        if self.backend == "torchcodec":
            return decord_torchcodec.torchcodec(source, self.frames, self._shown.number, threads)
        if not self._shown.alone:
            raise MediaError("several video streams: decord ignores which is marked default")
        if self._coded is not None and self.coded_frames != self.frames:
            raise MediaError("an edit list: which frame decord gives depends on what it gave before")
        if self._shown.index is not None and has_leading(self._shown.index):
            raise MediaError("open groups of pictures: decord gives wrong frames after a seek")
        return decord_torchcodec.decord(source, self.coded_frames, threads)

    def _library_indices(self, indices: Sequence[int], coded: bool) -> Sequence[int]:
        """The indices as the library counts them: where the two counts differ, it is torchcodec, which counts the shown."""
        if not coded or self._coded is None:
            return indices
        shown, every = self._shown.index, self._coded.index
        if shown is None or every is None:
            raise MediaError(f"{self.backend} has no way from coded to shown frames here")
        ranks = {place: rank for rank, place in enumerate(shown.places())}
        places = every.places()
        for index in indices:
            if places[index] not in ranks:
                raise MediaError(f"coded frame {index} is not shown, and {self.backend} gives shown frames only")
        return [ranks[places[index]] for index in indices]


def _may_hide(shown: Stream) -> bool:
    """Whether the file may hold frames that are not shown: by an edit list (MP4), or as it begins without a keyframe."""
    if shown.index is None:
        return shown.format in SEEKABLE
    return shown.format == "mov" and not len(shown.index.pts) == len(shown.index.packets) == shown.header_frames


def _duration(stream: Stream) -> float | None:
    stamps = [stamp for stamp in stream.times if stamp is not None]
    if len(stamps) < len(stream.times) or not stamps:
        return None
    span = stamps[-1] - stamps[0]
    last = stream.index.last if stream.index else 0
    if not last and len(stamps) > 1:
        return float(span * stream.time_base) * len(stamps) / (len(stamps) - 1)
    if not last:
        return float(1 / stream.rate) if stream.rate else None
    return float((span + last) * stream.time_base)


def _fps(stream: Stream, frames: int, duration: float | None) -> float | None:
    """The header's rate where the time stamps agree with it, on average or as a rule (a truncated file has gaps); else theirs."""
    header_rate = float(stream.rate) if stream.rate else None
    if not duration or duration <= 0:
        return header_rate
    stamps = [stamp for stamp in stream.times if stamp is not None]
    usual = float(statistics.median(b - a for a, b in pairwise(stamps)) * stream.time_base) if len(stamps) > 1 else 0.0
    measured = frames / duration
    if header_rate and any(
        math.isclose(header_rate, rate, rel_tol=0.01) for rate in (measured, 1 / usual if usual > 0 else 0.0)
    ):
        return header_rate
    return measured
