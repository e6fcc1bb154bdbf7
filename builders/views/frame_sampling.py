"""Sampling: which frames of a video a model sees, as pure functions of how many there are and how fast they go.

Each takes the number of shown frames, and gives 0-based indices in ascending order::

    4 of 12     0  1  2  3  4  5  6  7  8  9 10 11
    uniform     ^           ^        ^           ^   both ends, rounded           each frame at most once
    linspace    ^        ^           ^           ^   both ends, cut off           each frame at most once   LLaVA, Ola
    midpoint       ^        ^        ^        ^      middles of equal parts       a short video repeats     VideoRefer
    arange      ^        ^        ^        ^         starts of equal parts        a short video repeats     lmms-finetune
    aria        ^        ^        ^        ^         the same, in whole numbers   a short video repeats     Aria
    jitter            ^        ^     ^     ^         anywhere in equal parts      each frame at most once
    clip                             ^  ^  ^  ^      neighbours, random start     each frame at most once
    stride_fps  ^     ^     ^     ^     ^     ^      one in so many seconds, thinned out to a maximum       LLaVA

All give ``[]`` for a video without frames.  `indices` calls them by name; `with_needed` adds frames that must not be missed.

Do not use these indices for masks: an annotation names the very frame it is about (see `modalmix.builders.media.video`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def uniform(frames: int, num_frames: int) -> list[int]:
    """The whole video, its first frame and its last, evenly; the frame in the middle where only one is asked for.

    Args:
        frames: number of frames there are.
        num_frames: number of frames asked for.

    Returns:
        `num_frames` indices; all there are, once each, where the video has no more than that.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if frames <= num_frames:
        return list(range(frames))
    if num_frames == 1:
        return [(frames - 1) // 2]
    # in whole numbers, halves up: no machine rounds it otherwise
    return [(2 * i * (frames - 1) + num_frames - 1) // (2 * (num_frames - 1)) for i in range(num_frames)]


def linspace(frames: int, num_frames: int) -> list[int]:
    """``np.linspace(0, frames - 1, num_frames)`` cut off to whole numbers, if the video has more frames than that.

    As LLaVA-NeXT (``llava/utils.py``) and Ola take them from a video that is too long.  Ola's ``frames_upbound`` of 0, its
    default, ends in an unbound variable there; LLaVA's ``force_sample`` repeats frames of a short video, which shows nothing more
    and is left out here.  One frame is the first.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if frames <= num_frames:
        return list(range(frames))
    found: list[int] = np.linspace(0, frames - 1, num_frames, dtype=int).tolist()
    return found


def midpoint(frames: int, num_frames: int) -> list[int]:
    """The middle of each of `num_frames` equal parts from the first frame to the last, rounded, halves up.

    As VideoRefer's ``frame_sample`` (``mm_utils.py``) has it; always `num_frames` indices, so frames of a shorter video repeat.
    Neither the first frame nor the last of a long video is among them.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [((frames - 1) * (2 * i + 1) + num_frames) // (2 * num_frames) for i in range(num_frames)]


def stride_fps(frames: int, fps: float | None, rate: float = 1.0, maximum: int | None = None) -> list[int]:
    """A frame every ``round(fps / rate)`` frames from the first on; `linspace` of `maximum` where those were too many.

    As LLaVA-NeXT's ``video_fps`` and ``frames_upbound`` (``llava/utils.py``).  Where less than half a frame would be stepped over
    (a video slower than half of `rate`), upstream's step is 0 and its reader fails; every frame is taken here.  Upstream also
    tells the model the time ``i / step``, which is right at one frame a second only: use `VideoReader.times`.

    Args:
        frames: number of frames there are.
        fps: of the video.
        rate: frames wanted for each second.
        maximum: most frames wanted; None or 0 for no bound.

    Raises:
        ValueError: the video's rate is unknown or nonsense, or so is a number asked for.
    """
    _check(frames, 1 if maximum is None else maximum or 1)
    if fps is None:
        raise ValueError("the video has no known frame rate (a list of pictures): sample it by number, or tell fps")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps!r} is no frame rate")
    if not 0 < rate < float("inf"):
        raise ValueError(f"rate={rate!r} is no number of frames a second")
    found = list(range(0, frames, max(1, round(fps / rate))))
    return linspace(frames, maximum) if maximum and len(found) > maximum else found


def arange(frames: int, num_frames: int) -> list[int]:
    """The first frame of each of `num_frames` equal parts, by a step that is a fraction.

    As lmms-finetune's ``np.arange(0, frames, frames / num_frames)``, with its three defects mended: rounding gives it one index
    too many at times (17 frames, 7 asked for), frames of a short video are repeated in the indices but not in what its reader
    returns, and it takes the number of frames from the header, which is 0 in mkv and webm.

    Returns:
        `num_frames` indices; those of a shorter video repeat.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [min(int(i * (frames / num_frames)), frames - 1) for i in range(num_frames)]


def aria(frames: int, num_frames: int) -> list[int]:
    """The first frame of each of `num_frames` equal parts, in whole numbers.

    Aria's ``int(frames / num_frames) * i`` (``aria/load_video.py``) is this where the parts come out even.  Where they do not, it
    sees the head of the video alone (half of it at worst: 150 of 299 frames), and only the first frame of a short one; here the
    parts cover the whole.

    Returns:
        `num_frames` indices; those of a shorter video repeat.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if not frames:
        return []
    return [i * frames // num_frames for i in range(num_frames)]


def jitter(frames: int, num_frames: int, seed: int = 0) -> list[int]:
    """A random frame of each of `num_frames` equal parts; the same seed gives the same frames, on every machine.

    Returns:
        `num_frames` indices; all there are, once each, where the video has no more than that.

    Raises:
        ValueError: a number of frames that can be none.
    """
    _check(frames, num_frames)
    if frames <= num_frames:
        return list(range(frames))
    chosen = random.Random(seed)
    starts = [i * frames // num_frames for i in range(num_frames + 1)]
    # random() is the one method whose sequence Python promises to keep
    return [starts[i] + int(chosen.random() * (starts[i + 1] - starts[i])) for i in range(num_frames)]


def clip(frames: int, num_frames: int, seed: int = 0, stride: int = 1) -> list[int]:
    """`num_frames` frames, each `stride` after the one before, from a random start; the same seed gives the same clip.

    Returns:
        `num_frames` indices; fewer, from the first frame on, where the video is shorter than such a clip.

    Raises:
        ValueError: a number of frames, or a stride, that can be none.
    """
    _check(frames, num_frames)
    if stride < 1:
        raise ValueError(f"stride={stride}: frames of a clip are at least 1 apart")
    room = frames - 1 - (num_frames - 1) * stride
    start = int(random.Random(seed).random() * (room + 1)) if room > 0 else 0
    return list(range(start, frames, stride))[:num_frames]


SAMPLERS: dict[str, Callable[..., list[int]]] = {
    "uniform": uniform,
    "midpoint": midpoint,
    "linspace": linspace,
    "stride_fps": stride_fps,
    "arange": arange,
    "aria": aria,
    "jitter": jitter,
    "clip": clip,
}
"""Name → sampler."""


def indices(name: str, frames: int, fps: float | None, num_frames: int, **options: Any) -> list[int]:
    """Frames by the name of a sampler.

    Args:
        name: of `SAMPLERS`.
        frames: number of shown frames.
        fps: of the video; None where unknown.  Only ``stride_fps`` asks for it.
        num_frames: frames asked for; the maximum, for ``stride_fps``.
        **options: of that sampler: ``rate``, ``seed``, ``stride``.

    Raises:
        ValueError: there is no such sampler, it has no such option, or its arguments are nonsense.
    """
    sampler = SAMPLERS.get(name)
    if sampler is None:
        raise ValueError(f"sampling {name!r} is none of {', '.join(SAMPLERS)}")
    known = {"stride_fps": {"rate"}, "jitter": {"seed"}, "clip": {"seed", "stride"}}.get(name, set())
    if unknown := options.keys() - known:
        raise ValueError(f"sampling {name!r} has no option {', '.join(sorted(unknown))}")
    if name == "stride_fps":
        return stride_fps(frames, fps, maximum=num_frames, **options)
    return sampler(frames, num_frames, **options)


def with_needed(indices: Iterable[int], needed: Iterable[int]) -> list[int]:
    """The frames of both, ascending, each once: what to decode so that no annotated frame is missed."""
    return sorted({*indices, *needed})


def _check(frames: int, num_frames: int) -> None:
    if frames < 0:
        raise ValueError(f"frames={frames}: a video has no negative number of frames")
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames}: at least 1 frame has to be asked for")
