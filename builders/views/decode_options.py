"""Decode options: how the media of a row become arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from . import frame_sampling

DEFAULT_NUM_FRAMES = 8
"""Frames of a video when neither the view nor the annotation names a number, as in VideoRefer, lmms-finetune and Aria."""


class DecodeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a row is decoded; equal options and equal rows give equal arrays.

    Attributes:
        num_frames: frames of each video; None takes the number each annotation names (8 if it names none).
        sampling: a name in `modalmix.builders.views.frame_sampling.SAMPLERS`.
        sampling_options: options of that sampler; each sample derives its own seed from ``seed``.
        size: height and width in pixels to which pictures, frames and masks are resized; None keeps their own size.
        sampling_rate: of all sounds, in Hz; channels are mixed to one.
        masks: draw the masks, and decode the pictures they belong to.
        needed: add the frames with masks to the sampled frames.
        tensors: ``"numpy"`` or ``"torch"``.
    """

    num_frames: int | None = None
    sampling: str = "uniform"
    sampling_options: Mapping[str, Any] = {}
    size: tuple[int, int] | None = None
    sampling_rate: int = 16_000
    masks: bool = True
    needed: bool = False
    tensors: Literal["numpy", "torch"] = "numpy"


def validate(options: DecodeOptions) -> None:
    """Raises `ValueError` for options that no row can be decoded with; the message names the option and its value."""
    for name in ("num_frames", "sampling_rate"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number!r}; it must be 1 or more")
    if options.size is not None and (len(options.size) != 2 or min(options.size) < 1):
        raise ValueError(f"size is {options.size!r}; it must be (height, width) in pixels")
    if options.tensors not in ("numpy", "torch"):
        raise ValueError(f'tensors is {options.tensors!r}; it must be "numpy" or "torch"')
    # a trial run: it raises for an unknown sampler and for an option that the sampler does not have
    frame_sampling.indices(options.sampling, 2, 1.0, 1, **options.sampling_options)
