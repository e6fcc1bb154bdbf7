"""decord and torchcodec behind one function: pictures by the index they count with.

Both are opened beside PyAV's index, which says what they would get wrong; a file that they read wrongly is refused with
the reason.  What each does wrong, measured against ffmpeg's own frames: decord counts coded frames whatever the edit list
says, gives nothing of a truncated file, and hangs on MPEG-TS; torchcodec shows wrong frames of MPEG-TS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import MediaError

Read = Callable[[Sequence[int]], npt.NDArray[np.uint8]]
"""Indices in the library's own count → uint8 (N, H, W, 3)."""


def decord(source: str | bytes, coded_frames: int, threads: int) -> Read:
    """Pictures by decord; it counts coded frames.

    Raises:
        MediaError: it is not installed, cannot open the file, or counts other frames than the file has.
    """
    library = _imported("decord")
    try:
        reader = library.VideoReader(BytesIO(source) if isinstance(source, bytes) else source, num_threads=threads)
        found = len(reader)
    except Exception as error:  # DECORDError derives from Exception alone
        raise MediaError(f"decord cannot open it: {_first_line(error)}") from error
    if found != coded_frames:
        raise MediaError(f"decord counts {found} frames, the file has {coded_frames}")

    def read(indices: Sequence[int]) -> npt.NDArray[np.uint8]:
        try:
            pictures: npt.NDArray[np.uint8] = reader.get_batch(list(indices)).asnumpy()
        except Exception as error:
            raise MediaError(f"decord cannot decode it: {_first_line(error)}") from error
        return pictures

    return read


def torchcodec(source: str | bytes, frames: int, stream: int, threads: int) -> Read:
    """Pictures by torchcodec; it counts shown frames.

    Raises:
        MediaError: it is not installed, cannot open the file, or counts other frames than are shown.
    """
    library = _imported("torchcodec.decoders")
    try:
        decoder = library.VideoDecoder(source, stream_index=stream, dimension_order="NHWC", num_ffmpeg_threads=threads)
        found = len(decoder)
    except Exception as error:
        raise MediaError(f"torchcodec cannot open it: {_first_line(error)}") from error
    if found != frames:
        raise MediaError(f"torchcodec counts {found} frames, {frames} are shown")

    def read(indices: Sequence[int]) -> npt.NDArray[np.uint8]:
        try:
            pictures: npt.NDArray[np.uint8] = decoder.get_frames_at(list(indices)).data.numpy()
        except Exception as error:
            raise MediaError(f"torchcodec cannot decode it: {_first_line(error)}") from error
        return pictures

    return read


def _imported(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec raises RuntimeError without FFmpeg's libraries
        raise MediaError(f"{name.split('.')[0]} cannot be imported: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
