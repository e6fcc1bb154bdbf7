"""Model inputs: samples through a processor of transformers, with the times of their frames.

::

    samples ──messages──► chat ─────────────┐
       └──────video_metadata──► times ──────┴──► processor.apply_chat_template ──► input_ids, pixel_values_videos, …

A processor that gets frames without metadata takes them for a whole video of 24 frames per second.  Of 32 frames of a video of
13 seconds, Qwen3-VL keeps 4 and says that the last ones are at 1.1 s; for Qwen2.5-VL, two frames take 0.083 s instead of 0.81 s.
So the metadata go with the frames in the same call, and the processor samples nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .chat import messages

_OWN_OPTIONS = frozenset({"video_metadata", "do_sample_frames", "fps", "num_frames"})
"""Options of a processor about the choice and the times of frames: the samples decide these."""

_RATE = 24.0
"""Frames per second to count a single frame in, which has no neighbour to measure by."""


def model_inputs(
    processor: Any,
    samples: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    frame_rate: float | None = None,
    audio_q: Literal["upstream", "speech"] = "upstream",
    region: str = "<region>",
    keep_newlines: bool = False,
    time_instruction: bool = False,
    processor_kwargs: Mapping[str, Any] | None = None,
    **template: Any,
) -> Any:
    """What a model of transformers takes of samples: tokens, pixels, sound, and the times of the frames.

    It is ``processor.apply_chat_template`` of their `messages`, with media.  The frames are those of the samples, all of them,
    and the processor gets the times at which they are shown.

    >>> inputs = views.model_inputs(processor, samples, processor_kwargs={"padding": True})

    Args:
        processor: of transformers, with a chat template.
        samples: of `training`, with numpy arrays: one, or a batch.
        frame_rate: frames per second of videos that are lists of pictures, whose times are unknown.
        audio_q: see `messages`.
        region: see `messages`.
        keep_newlines: see `messages`.
        time_instruction: see `messages`.
        processor_kwargs: other options of the processor; ``return_tensors`` is ``"pt"`` if they do not say.
        **template: options of ``apply_chat_template``, such as ``add_generation_prompt``.

    Returns:
        What the processor gives for a batch: a ``BatchFeature``.

    Raises:
        ValueError: the times of a list of pictures are unknown and `frame_rate` is None; `processor_kwargs` has an option that
            the samples decide; or see `messages`.
    """
    batch = [samples] if isinstance(samples, Mapping) else list(samples)
    options = {"return_tensors": "pt", **(processor_kwargs or {})}
    if given := sorted(_OWN_OPTIONS & options.keys()):
        raise ValueError(f"processor_kwargs has {', '.join(given)}: the samples decide that")
    metadata = [each for sample in batch for each in video_metadata(sample, frame_rate=frame_rate)]
    if metadata:
        options |= {"video_metadata": metadata, "do_sample_frames": False}
    chats = [
        messages(
            sample,
            media=True,
            audio_q=audio_q,
            region=region,
            keep_newlines=keep_newlines,
            time_instruction=time_instruction,
        )
        for sample in batch
    ]
    inputs = processor.apply_chat_template(chats, tokenize=True, return_dict=True, processor_kwargs=options, **template)
    if metadata and "video_second_per_grid" in inputs:
        # Qwen-Omni takes one rate for all videos, and 2 frames per second where it gets none
        seconds = [_seconds_per_grid(each, processor.video_processor.temporal_patch_size) for each in metadata]
        given_seconds = inputs["video_second_per_grid"]
        inputs["video_second_per_grid"] = (
            given_seconds.new_tensor(seconds) if hasattr(given_seconds, "new_tensor") else type(given_seconds)(seconds)
        )
    return inputs


def video_metadata(sample: Mapping[str, Any], *, frame_rate: float | None = None) -> list[dict[str, Any]]:
    """The metadata of a sample's videos, as the processors of transformers take them (``VideoMetadata``).

    For calls of a processor other than `model_inputs`: pass them as ``video_metadata``, with ``do_sample_frames=False``.

    Args:
        sample: of `training`.
        frame_rate: frames per second of videos that are lists of pictures, whose times are unknown.

    Returns:
        For each video ``fps``, ``total_num_frames``, ``duration`` in seconds, ``height``, ``width``, and ``frames_indices`` such
        that frame `i` is shown at ``frames_indices[i] / fps`` seconds.  These are whole numbers where the frames come at equal
        intervals.

    Raises:
        ValueError: the times of a list of pictures are unknown and `frame_rate` is None.
    """
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise ValueError(f"frame_rate is {frame_rate!r}; it must be a number of frames per second")
    videos = sample.get("videos") or ()
    return [_metadata(sample, number, frame_rate) for number in range(len(videos))]


def _metadata(sample: Mapping[str, Any], number: int, frame_rate: float | None) -> dict[str, Any]:
    frames = sample["videos"][number]
    indices = np.asarray(sample["frame_indices"][number], np.float64)
    times = np.asarray(sample["frame_times"][number], np.float64)
    duration = float(sample["durations"][number])
    if np.isnan(times).any():
        if frame_rate is None:
            raise ValueError(
                f"the times of video {number} are unknown: it is a list of pictures; pass frame_rate, its frames per second"
            )
        rate, times = frame_rate, indices / frame_rate
    else:
        rate = _rate(indices, times)
    if np.isnan(
        duration
    ):  # of a list whose length the sample does not say: as long as its frames, each for an interval
        span = len(times) * (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0
        duration = float(span) or 1 / rate
    return {
        "total_num_frames": max(1, round(duration * rate)),
        "fps": rate,
        "duration": duration,
        "height": int(frames.shape[1]),
        "width": int(frames.shape[2]),
        "frames_indices": _whole(times * rate),
    }


def _rate(indices: npt.NDArray[np.float64], times: npt.NDArray[np.float64]) -> float:
    """Frames per second between the first and the last frame."""
    if len(times) > 1 and times[-1] > times[0]:
        return float((indices[-1] - indices[0]) / (times[-1] - times[0]))
    return _RATE


def _whole(positions: npt.NDArray[np.float64]) -> list[int] | list[float]:
    """The positions as whole numbers, if they are that but for rounding of the times."""
    nearest = np.round(positions)
    if np.abs(positions - nearest).max(initial=0.0) < 0.01:
        whole: list[int] = nearest.astype(np.int64).tolist()
        return whole
    fractions: list[float] = positions.tolist()
    return fractions


def _seconds_per_grid(metadata: Mapping[str, Any], frames: int) -> float:
    """Seconds between the steps of a model that takes so many frames in one step."""
    rate = len(metadata["frames_indices"]) / metadata["total_num_frames"] * metadata["fps"]
    return float(frames / rate)
