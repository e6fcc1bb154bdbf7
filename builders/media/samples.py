"""Samples of sound: their type, the rates they may have, and mixing channels down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import MediaError

Samples = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sampling rates in Hz that are believed; others are damaged headers, and would make resampling explode."""


class NoSoundError(MediaError):
    """The file is a video or container without a sound track."""


class EmptySoundError(MediaError):
    """The sound has no samples."""


def check_rate(rate: int) -> int:
    """The rate of a file, if it can be one.

    Raises:
        MediaError: it cannot.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(f"the sound has a sampling rate of {rate} Hz")
    return rate


def mixed(block: Samples, weights: Samples | None, mono: bool, *, check: bool) -> Samples:
    """One channel of several, or all of them.

    Args:
        block: shape (channels, n).
        weights: shape (channels,), of sum 1; None for the mean.
        mono: mix down.
        check: the samples come as floating-point numbers and may be none.

    Raises:
        MediaError: NaN or infinite samples, which resampling would spread over the whole sound.
    """
    mixed_block = block if not mono or len(block) > 1 else block[0]
    if mono and weights is not None:
        mixed_block = weights @ block
    elif mono and len(block) == 2:  # much faster than mean() over an axis of two, and the same
        mixed_block = block[0] + block[1]
        mixed_block *= np.float32(0.5)
    elif mono and len(block) > 2:
        mixed_block = block.mean(axis=0, dtype=np.float32)
    if check and not np.isfinite(mixed_block).all():
        raise MediaError("the sound has samples that are no numbers")
    return mixed_block
