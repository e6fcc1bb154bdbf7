"""A video that comes as pictures: a folder of frames, a patch; sampled upstream, at a rate that is not written down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.findings import Finding
from ..cells import Cell
from ..errors import MediaError
from . import Deadline, check_size
from .pyav import Pictures


class PictureList:
    """Pictures as the frames of a video; the same interface as `video_file.VideoFile`, with no times.

    Attributes:
        backend: ``pictures``.
        frames: number of pictures.
        coded_frames: the same.
        fps: None.
        duration: None.
        findings: none.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        if not cells:
            raise MediaError("it has no frames")
        self._cells = cells
        self.backend = "pictures"
        self.frames = self.coded_frames = len(cells)
        self.fps: float | None = None
        self.duration: float | None = None
        self.findings: list[Finding] = []
        self._shape: tuple[int, int] | None = None

    def close(self) -> None:
        """Nothing is kept open."""

    def shape(self, deadline: Deadline) -> tuple[int, int, int]:
        """Height and width of the first picture, and 0."""
        if self._shape is None:
            height, width, _ = self._picture(0).shape
            self._shape = height, width
        return (*self._shape, 0)

    def times(self, indices: Sequence[int]) -> list[float]:
        """Never: the rate is unknown.

        Raises:
            MediaError: always.
        """
        raise MediaError("a list of pictures has no times")

    def read(self, indices: Sequence[int], coded: bool, deadline: Deadline) -> Pictures:
        """Pictures by index, uint8 (N, H, W, 3), each decoded once."""
        height, width, _ = self.shape(deadline)
        check_size(len(indices), height, width)
        pictures: Pictures = np.empty((len(indices), height, width, 3), np.uint8)
        first: dict[int, int] = {}
        for row, index in enumerate(indices):
            if index in first:
                pictures[row] = pictures[first[index]]
                continue
            deadline.check()
            picture = self._picture(index)
            if picture.shape != pictures.shape[1:]:
                raise MediaError(
                    f"frame {index} has {picture.shape[0]} × {picture.shape[1]} pixels, the first {height} × {width}"
                )
            pictures[row], first[index] = picture, row
        return pictures

    def _picture(self, index: int) -> Pictures:
        from ..images import read_image

        try:
            picture: Pictures = read_image(self._cells[index])
        except MediaError as error:
            raise MediaError(f"frame {index}: {error}") from error
        return picture
