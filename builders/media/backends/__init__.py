"""Backends of `open_video`: each gives pictures by index, on top of one index of the file that PyAV makes.

============  ==========================================================================================
``pyav``      right on every trait that was tried, and the fastest; what ``auto`` means
``decord``    what the upstream trainers decode with; refuses what it would hang on or count differently
``torchcodec``  where it is installed; refuses what it would show wrongly
``pictures``  a video that comes as a list of pictures (chosen by the cell, not by name)
============  ==========================================================================================

`frame_index` says which packet is which frame, `pyav` opens, scans and decodes, `decord_torchcodec` has decord and torchcodec,
`video_file` puts them together, `frame_folder` has the frame lists.
"""

from __future__ import annotations

import time

from ..errors import MediaError


class Deadline:
    """A moment after which work on a file ends: no file may make a reader hang."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self) -> None:
        """Raises MediaError once the moment has passed."""
        if time.monotonic() > self._end:
            raise MediaError(f"given up after {self.seconds:g} s (raise seconds= if the file is that long)")


MAX_BYTES = 4 << 30
"""Bytes of pictures that one read gives at most."""


def check_size(count: int, height: int, width: int) -> None:
    """Raises MediaError where so many pictures are more than `MAX_BYTES`."""
    if count * height * width * 3 > MAX_BYTES:
        raise MediaError(
            f"{count} frames of {height} × {width} pixels are over {MAX_BYTES >> 30} GiB: read them in parts"
        )
