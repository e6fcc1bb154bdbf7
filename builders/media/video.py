"""Video: exact frames by index, out of a path, bytes, an item, a cell of a dataset, or a list of pictures.

    with open_video(cell) as video:
        indices = sampling.uniform(video.frames, 32)
        pictures = video.read(indices)  # uint8 (32, height, width, 3)
        seconds = video.times(indices)

Frame `i` is the `i`-th frame a player shows, whatever the container: time stamps decide, not a rate times a number.  An MP4
with an edit list holds more frames than it shows; ``read(…, coded=True)`` counts those, as decord does, and as VideoRefer's
masks do.  Frames are turned as the file says.  No picture stands in for another: a frame that does not decode
is an error that names it.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..core.findings import Finding
from .backends import MAX_BYTES, Deadline
from .cells import Cell, data_of
from .errors import MediaError
from .items import Item

__all__ = ["BACKENDS", "MAX_BYTES", "MediaError", "VideoReader", "open_video"]

BACKENDS = ("auto", "pyav", "decord", "torchcodec")


class _Source(Protocol):
    backend: str
    frames: int
    coded_frames: int
    fps: float | None
    duration: float | None

    @property
    def findings(self) -> list[Finding]: ...
    def shape(self, deadline: Deadline) -> tuple[int, int, int]: ...
    def times(self, indices: Sequence[int]) -> list[float]: ...
    def read(self, indices: Sequence[int], coded: bool, deadline: Deadline) -> npt.NDArray[np.uint8]: ...
    def close(self) -> None: ...


class VideoReader:
    """An open video; `open_video` gives it.  Not for several threads at once: open it in each.

    Attributes:
        frames: number of frames shown.
        coded_frames: number of frames in the file; more than `frames` where an edit list hides some,
            or the first cannot be decoded.
        fps: frames per second on average; None where unknown.
        duration: seconds from the first frame shown to the end of the last; None where unknown.
        backend: what decodes: ``pyav``, ``decord``, ``torchcodec``, or ``pictures``.
    """

    def __init__(self, source: _Source, seconds: float) -> None:
        self._source = source
        self._seconds = seconds
        self.frames = source.frames
        self.coded_frames = source.coded_frames
        self.fps = source.fps
        self.duration = source.duration
        self.backend = source.backend

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees decoders and file."""
        self._source.close()

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with the file: truncated, damaged, an edit list.  Damage shows only in what has been decoded."""
        return self._source.findings

    @property
    def height(self) -> int:
        """Of a shown frame, in pixels, after it was turned."""
        return self._shape()[0]

    @property
    def width(self) -> int:
        """Of a shown frame, in pixels, after it was turned."""
        return self._shape()[1]

    @property
    def rotation(self) -> int:
        """Clockwise degrees that stored frames are turned by to be shown: 0, 90, 180 or 270.  `read` has done it."""
        return self._shape()[2]

    def read(self, indices: Sequence[int], *, coded: bool = False) -> npt.NDArray[np.uint8]:
        """Frames by index.

        Args:
            indices: 0-based, in any order, repeated or not.
            coded: count the coded frames instead of the shown ones.

        Returns:
            uint8 (N, height, width, 3), RGB.

        Raises:
            IndexError: an index outside of the video.
            MediaError: a frame that does not decode, more than `MAX_BYTES` of pictures, or more time than was given.
        """
        checked = _checked(indices, self.coded_frames if coded else self.frames)
        if not checked:
            return np.empty((0, self.height, self.width, 3), np.uint8)
        with _media_errors():
            return self._source.read(checked, coded, Deadline(self._seconds))

    def times(self, indices: Sequence[int]) -> list[float]:
        """When frames are shown, in seconds after the first one.

        Args:
            indices: 0-based, in the count of shown frames.

        Raises:
            IndexError: an index outside of the video.
            MediaError: the video has no times (a list of pictures).
        """
        return self._source.times(_checked(indices, self.frames))

    def _shape(self) -> tuple[int, int, int]:
        with _media_errors():
            return self._source.shape(Deadline(self._seconds))


def open_video(
    cell: Cell | Sequence[Cell], *, backend: str = "auto", seconds: float = 120.0, threads: int = 1
) -> VideoReader:
    """Opens a video.

    Args:
        cell: a file as a path, bytes, an item or a cell of a dataset; or a list of those, each a picture, one a frame.
        backend: ``auto`` is ``pyav``, which reads every file that the others read, and faster; or one of `BACKENDS` by
            name.  A list of pictures has no choice.
        seconds: time that opening, and then each `VideoReader.read`, may take; checked between packets.
        threads: of the decoder.  One is best where several videos are decoded at once, as in a data loader.

    Raises:
        MediaError: not a video, damaged so that no frame is left, over a bound, or refused by the chosen backend.
        ValueError: there is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is none of {', '.join(BACKENDS)}")
    if threads < 1:
        raise ValueError(f"threads={threads}: a decoder has at least one")
    with _media_errors():
        # an item is a tuple, a path and bytes are sequences too
        if isinstance(cell, Sequence) and not isinstance(cell, (Item, str, bytes)):
            from .backends.frame_folder import PictureList

            return VideoReader(PictureList(cell), seconds)
        from .backends.video_file import VideoFile

        chosen = "pyav" if backend == "auto" else backend
        return VideoReader(VideoFile(data_of(cell), chosen, Deadline(seconds), threads), seconds)


def _checked(indices: Sequence[int], frames: int) -> list[int]:
    found = [operator.index(index) for index in indices]
    for index in found:
        if not 0 <= index < frames:
            raise IndexError(f"frame {index} of a video of {frames} frames")
    return found


@contextmanager
def _media_errors() -> Iterator[None]:
    """Turns whatever a library raises about a file into a `MediaError` of one line."""
    import av

    try:
        yield
    except MediaError:
        raise
    except av.ExitError as error:  # PyAV's own clock, for reads that block
        raise MediaError("given up: the file did not come in time") from error
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        raise MediaError(" ".join(str(error).split())[:300] or type(error).__name__) from error
