"""Media decoder: the media of one row, or of rows that have the same media, each decoded once."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ..core.findings import Finding
from ..core.sample import NOTES
from ..media.audio import read_audio
from ..media.cells import Cell
from ..media.images import read_image, scaled
from ..media.video import open_video
from . import frame_sampling
from .decode_errors import CannotDecodeError, Row, check_mask_frames, errors_at, placed
from .decode_options import DEFAULT_NUM_FRAMES, DecodeOptions

Pictures = npt.NDArray[np.uint8]


class Video(NamedTuple):
    """One decoded video.

    Attributes:
        frames: the sampled frames: N × height × width × 3, RGB, resized.
        indices: of these frames, among the frames that the video shows.
        times: of these frames in seconds; NaN for a list of pictures.
        duration: in seconds; NaN for a list of pictures.
        mask_pictures: the frames that have masks, at their own size.
        findings: warnings about the file.
    """

    frames: Pictures
    indices: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    duration: float
    mask_pictures: Pictures
    findings: list[Finding]


class MediaDecoder:
    """Decodes media and keeps the results, and the errors, for the other rows that have the same media.

    Attributes:
        options: how media are decoded.
        seed_row: the row that names a random sampler's seed; None: each row names its own.
        mask_frames: the frames that any of the rows has masks in, ascending.
    """

    def __init__(self, options: DecodeOptions, seed_row: Row | None = None, mask_frames: Sequence[int] = ()) -> None:
        """See the attributes."""
        self.options = options
        self.seed_row = seed_row
        self.mask_frames = tuple(mask_frames)
        self._results: dict[tuple[Any, ...], Any] = {}

    def image(self, cell: Cell, row: Row, pointer: str, *, as_stored: bool) -> Pictures:
        """A picture, upright and resized; or exactly `as_stored`, which is what masks are drawn for."""
        size = None if as_stored else self.options.size

        def decode() -> Pictures:
            with errors_at(row, pointer):
                return read_image(cell, size=size, upright=not as_stored)

        picture: Pictures = self._once(row, (pointer, as_stored), decode)
        return picture

    def sound(self, cell: Cell, row: Row, pointer: str) -> npt.NDArray[np.float32]:
        """A sound: one channel at the sampling rate."""

        def decode() -> npt.NDArray[np.float32]:
            with errors_at(row, pointer):
                return read_audio(cell, sampling_rate=self.options.sampling_rate).samples

        samples: npt.NDArray[np.float32] = self._once(row, (pointer,), decode)
        return samples

    def video(self, cell: Cell | list[Cell], row: Row, pointer: str, mask_frames: Sequence[int] | None) -> Video:
        """A video, with the pictures of the frames that the row has masks in; None if its masks are drawn elsewhere.

        The frames of all rows' masks are read in one pass.  Only if one of them does not exist is the video decoded again
        for this row's frames alone.
        """
        if mask_frames is None:
            return self._video(cell, row, pointer, ())
        if not set(mask_frames) < set(self.mask_frames):
            return self._video(cell, row, pointer, tuple(mask_frames))
        try:
            video = self._video(cell, row, pointer, self.mask_frames)
        except CannotDecodeError:
            return self._video(cell, row, pointer, tuple(mask_frames))
        positions = [self.mask_frames.index(frame) for frame in mask_frames]
        return video._replace(mask_pictures=video.mask_pictures[positions])

    def _video(self, cell: Cell | list[Cell], row: Row, pointer: str, mask_frames: tuple[int, ...]) -> Video:
        number = self.options.num_frames or row.get("num_frames") or DEFAULT_NUM_FRAMES
        swap = isinstance(cell, list) and _channel_order(row) == "BGR"

        def decode() -> Video:
            with errors_at(row, pointer):
                return _decode_video(cell, pointer, number, mask_frames, self.options, self._sampler_options(row), swap)

        video: Video = self._once(row, (pointer, number, swap, mask_frames), decode)
        return video._replace(findings=[placed(found, row) for found in video.findings])

    def _once(self, row: Row, key: tuple[Any, ...], decode: Callable[[], Any]) -> Any:
        """The result of `decode` for all rows; or its error, with the place of each row."""
        if key not in self._results:
            try:
                self._results[key] = decode()
            except CannotDecodeError as error:
                self._results[key] = error
                raise
        result = self._results[key]
        if isinstance(result, CannotDecodeError):
            raise CannotDecodeError(placed(result.finding, row)) from result
        return result

    def _sampler_options(self, row: Row) -> Mapping[str, Any]:
        """The sampler's options; the seed comes from the option and the row's name, wherever the row is."""
        options = self.options.sampling_options
        if self.options.sampling not in ("jitter", "clip"):
            return options
        named = row if self.seed_row is None else self.seed_row
        name = f"{options.get('seed', 0)} {(named.get('source') or {}).get('row')} {named.get('id')}"
        return {**options, "seed": zlib.crc32(name.encode("utf-8", "surrogatepass"))}


def _decode_video(
    cell: Cell | list[Cell],
    pointer: str,
    number: int,
    mask_frames: Sequence[int],
    options: DecodeOptions,
    sampler_options: Mapping[str, Any],
    swap_channels: bool,
) -> Video:
    """One video: `number` sampled frames, and the coded frames `mask_frames`."""
    with open_video(cell) as video:
        check_mask_frames(mask_frames, video.coded_frames)
        sampled = frame_sampling.indices(options.sampling, video.frames, video.fps, number, **sampler_options)
        indices = np.array(sampled, np.int64)
        if not mask_frames:
            frames = video.read(sampled)
            mask_pictures = frames[:0]
        elif video.frames == video.coded_frames:  # the video shows every coded frame, so one pass reads both
            if options.needed:
                indices = np.array(frame_sampling.with_needed(sampled, mask_frames), np.int64)
            both, positions = np.unique(
                np.concatenate([indices, np.asarray(mask_frames, np.int64)]), return_inverse=True
            )
            pictures = video.read(both.tolist())
            frames = pictures[positions[: len(indices)]]
            mask_pictures = pictures[positions[len(indices) :]]
        else:
            frames = video.read(indices.tolist())
            mask_pictures = video.read(mask_frames, coded=True)
        if swap_channels:
            frames, mask_pictures = (np.ascontiguousarray(array[..., ::-1]) for array in (frames, mask_pictures))
        # nothing says when the pictures of a list were taken
        seconds = [np.nan] * len(indices) if isinstance(cell, list) else video.times(indices.tolist())
        duration = np.nan if video.duration is None else video.duration
        warnings = [msgspec.structs.replace(one, pointer=pointer) for one in video.findings if one.severity != "info"]
        return Video(
            scaled(frames, options.size), indices, np.array(seconds, np.float64), duration, mask_pictures, warnings
        )


def _channel_order(row: Row) -> str:
    """The channel order in which the upstream trainer sees the row's frames; see `modalmix.builders.formats.ola`."""
    extra = row.get("extra")
    if not extra or '"BGR"' not in extra:
        return "RGB"
    notes = json.loads(extra).get(NOTES)
    return "BGR" if isinstance(notes, dict) and notes.get("channel_order") == "BGR" else "RGB"
