"""Frame sampling: which frames of a video a model sees, as pure functions of their number and the frame rate.

Each takes the number of shown frames and returns 0-based indices in ascending order::

    4 of 12     0  1  2  3  4  5  6  7  8  9 10 11
    uniform     ^           ^        ^           ^   both ends, rounded           each frame at most once
    linspace    ^        ^           ^           ^   both ends, truncated         each frame at most once   LLaVA, Ola
    midpoint       ^        ^        ^        ^      middles of equal parts       a short video repeats     VideoRefer
    arange      ^        ^        ^        ^         starts of equal parts        a short video repeats     lmms-finetune
    starts      ^        ^        ^        ^         the same, in integers        a short video repeats
    aria        ^        ^        ^        ^         whole steps from the first   a short video repeats     Aria
    jitter            ^        ^     ^     ^         anywhere in equal parts      each frame at most once
    clip                             ^  ^  ^  ^      neighbours, random start     each frame at most once
    stride_fps  ^     ^     ^     ^     ^     ^      one per so many seconds, up to a maximum               LLaVA

All return ``[]`` for a video without frames.  `indices` calls a sampler by its name; `with_needed` adds required frames.

Do not use these indices for masks: an annotation names its own frame (see `modalmix.builders.media.video`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def uniform(frames: int, num_frames: int) -> list[int]:
    """Evenly spaced frames from the first to the last; one frame is the middle one.

    Args:
        frames: number of frames of the video.
        num_frames: number of frames to choose.

    Returns:
        `num_frames` indices; all frames, once each, if the video has no more than that.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if frames <= num_frames:
        return list(range(frames))
    if num_frames == 1:
        return [(frames - 1) // 2]
    # in integers, halves up: the result is the same on every machine
    return [(2 * i * (frames - 1) + num_frames - 1) // (2 * (num_frames - 1)) for i in range(num_frames)]


def linspace(frames: int, num_frames: int, repeat: bool = False) -> list[int]:
    """``np.linspace(0, frames - 1, num_frames)`` truncated to integers, if the video has more frames than that.

    LLaVA-NeXT (``llava/utils.py``) and Ola thin out a long video this way.  With Ola's default ``frames_upbound`` of 0, its
    code fails on an unbound variable.  One frame is the first.

    Args:
        frames: number of frames of the video.
        num_frames: number of frames to choose.
        repeat: repeat the frames of a shorter video, as LLaVA-NeXT does with ``force_sample``.

    Returns:
        `num_frames` indices; all frames, once each, if the video has no more than that and `repeat` is False.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if not frames or (frames <= num_frames and not repeat):
        return list(range(frames))
    found: list[int] = np.linspace(0, frames - 1, num_frames, dtype=int).tolist()
    return found


def midpoint(frames: int, num_frames: int) -> list[int]:
    """The middle of each of `num_frames` equal parts from the first frame to the last, rounded, halves up.

    VideoRefer's ``frame_sample`` (``mm_utils.py``).  It always returns `num_frames` indices, so the frames of a shorter
    video repeat.  It includes neither the first nor the last frame of a long video.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [((frames - 1) * (2 * i + 1) + num_frames) // (2 * num_frames) for i in range(num_frames)]


def stride_fps(frames: int, fps: float | None, rate: float = 1.0, maximum: int | None = None) -> list[int]:
    """One frame in every ``round(fps / rate)`` from the first on; if these are more than `maximum`, `linspace` of `maximum`.

    LLaVA-NeXT's ``video_fps`` and ``frames_upbound`` (``llava/utils.py``).  For a video slower than half of `rate`, upstream's
    step is 0 and its reader fails; here every frame is taken.  Upstream also gives the model the time ``i / step``, which is
    right only at one frame per second: use `VideoReader.times`.

    Args:
        frames: number of frames of the video.
        fps: frames per second of the video.
        rate: frames to choose per second.
        maximum: most frames to choose; None or 0 for no bound.

    Raises:
        ValueError: the video's frame rate is unknown, or a number is invalid.
    """
    _check(frames, 1 if maximum is None else maximum or 1)
    if fps is None:
        raise ValueError("the frame rate of the video is unknown (a list of pictures): sample by number, or pass fps")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps!r} is not a frame rate")
    if not 0 < rate < float("inf"):
        raise ValueError(f"rate={rate!r} is not a number of frames per second")
    found = list(range(0, frames, max(1, round(fps / rate))))
    return linspace(frames, maximum) if maximum and len(found) > maximum else found


def arange(frames: int, num_frames: int, repeat: bool = True) -> list[int]:
    """The first frame of each of `num_frames` equal parts, with a fractional step.

    lmms-finetune's ``np.arange(0, frames, frames / num_frames)`` (``datasets.py``), without two defects: rounding sometimes
    gives one index too many (14 for 13 of 15 frames), and the indices repeat the frames of a short video, but upstream's
    reader does not.  Upstream also takes the number of frames from the header, which is 0 in mkv and webm.

    Args:
        frames: number of frames of the video.
        num_frames: number of frames to choose.
        repeat: repeat the frames of a shorter video; False gives exactly the frames that upstream's reader returns.

    Returns:
        `num_frames` indices; those of a shorter video repeat, if `repeat` is True.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    if not repeat:
        found = np.arange(0, frames, frames / num_frames).astype(int).tolist()
        return sorted({index for index in found if index < frames})
    return [min(int(i * (frames / num_frames)), frames - 1) for i in range(num_frames)]


def starts(frames: int, num_frames: int) -> list[int]:
    """The first frame of each of `num_frames` equal parts, in integers.  The parts cover the whole video.

    Returns:
        `num_frames` indices; those of a shorter video repeat.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [i * frames // num_frames for i in range(num_frames)]


def aria(frames: int, num_frames: int) -> list[int]:
    """Every ``frames // num_frames``-th frame from the first on, exactly as Aria's ``load_video`` (``aria/load_video.py``).

    Unless the number of frames is a multiple of `num_frames`, Aria sees only the head of the video (half of it at worst: 150 of
    299 frames), and only the first frame of a video with fewer.  `starts` covers the whole video, and is the same otherwise.

    Returns:
        `num_frames` indices; a video with fewer frames gives its first frame `num_frames` times.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [frames // num_frames * i for i in range(num_frames)]


def jitter(frames: int, num_frames: int, seed: int = 0) -> list[int]:
    """A random frame of each of `num_frames` equal parts; equal seeds give equal frames, on every machine.

    Returns:
        `num_frames` indices; all frames, once each, if the video has no more than that.

    Raises:
        ValueError: a number of frames is invalid.
    """
    _check(frames, num_frames)
    if frames <= num_frames:
        return list(range(frames))
    generator = random.Random(seed)
    starts = [i * frames // num_frames for i in range(num_frames + 1)]
    # random() is the only method whose sequence Python guarantees
    return [starts[i] + int(generator.random() * (starts[i + 1] - starts[i])) for i in range(num_frames)]


def clip(frames: int, num_frames: int, seed: int = 0, stride: int = 1) -> list[int]:
    """`num_frames` frames, each `stride` after the one before, from a random start; equal seeds give equal clips.

    Returns:
        `num_frames` indices; fewer, from the first frame on, if the video is shorter than the clip.

    Raises:
        ValueError: a number of frames, or the stride, is invalid.
    """
    _check(frames, num_frames)
    if stride < 1:
        raise ValueError(f"stride={stride}: it must be 1 or more")
    room = frames - 1 - (num_frames - 1) * stride
    start = int(random.Random(seed).random() * (room + 1)) if room > 0 else 0
    return list(range(start, frames, stride))[:num_frames]


SAMPLERS: dict[str, Callable[..., list[int]]] = {
    "uniform": uniform,
    "midpoint": midpoint,
    "linspace": linspace,
    "stride_fps": stride_fps,
    "arange": arange,
    "starts": starts,
    "aria": aria,
    "jitter": jitter,
    "clip": clip,
}
"""Name → sampler."""

_OPTIONS = {
    "linspace": {"repeat"},
    "stride_fps": {"rate"},
    "arange": {"repeat"},
    "jitter": {"seed"},
    "clip": {"seed", "stride"},
}
"""Name of a sampler → its options; the others have none."""


def indices(name: str, frames: int, fps: float | None, num_frames: int, **options: Any) -> list[int]:
    """The frames that a sampler chooses.

    Args:
        name: a name in `SAMPLERS`.
        frames: number of shown frames.
        fps: frames per second; None if unknown.  Only ``stride_fps`` needs it.
        num_frames: frames to choose; for ``stride_fps`` the maximum.
        **options: of that sampler: ``rate``, ``repeat``, ``seed``, ``stride``.

    Raises:
        ValueError: there is no such sampler, it has no such option, or an argument is invalid.
    """
    sampler = SAMPLERS.get(name)
    if sampler is None:
        raise ValueError(f"sampling {name!r} is not one of {', '.join(SAMPLERS)}")
    if unknown := options.keys() - _OPTIONS.get(name, set()):
        raise ValueError(f"sampling {name!r} has no option {', '.join(sorted(unknown))}")
    if name == "stride_fps":
        return stride_fps(frames, fps, maximum=num_frames, **options)
    return sampler(frames, num_frames, **options)


def with_needed(indices: Iterable[int], needed: Iterable[int]) -> list[int]:
    """The frames of both, ascending, each once: with the annotated frames as `needed`, none of them is missed."""
    return sorted({*indices, *needed})


def _check(frames: int, num_frames: int) -> None:
    if frames < 0:
        raise ValueError(f"frames={frames}: it must be 0 or more")
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames}: it must be 1 or more")
