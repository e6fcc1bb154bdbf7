"""Wavs: the sound of one video written to a file, and those of many videos in worker processes."""

from __future__ import annotations

import os
import signal
import wave
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np

from ..core.atomic_files import atomic_file
from ..core.worker_processes import Send, run_in_workers
from ..media.audio import decoded
from ..media.errors import MediaError
from ..media.items import Item
from ..media.samples import NoSoundError, Samples

RATE = 16_000
"""Samples a second, as Whisper expects, and so Ola."""

MAX_SECONDS = 24 * 3600
"""Longest sound of a wav; a video with more is damaged."""

Job = tuple[Item | str, str, str]
"""A video, the path of its wav, and the temporary path it is written under."""

Result = tuple[Literal["written", "silent", "failed"], float, str]
"""The outcome, seconds of sound, and the reason of a failure."""


def write(video: Item | str, wav: str, part: str) -> Result:
    """Writes the sound of a video as 16 kHz mono wav of 16 bits; the wav appears whole or not at all."""
    try:
        os.makedirs(os.path.dirname(wav), exist_ok=True)
        with atomic_file(wav, temporary=part) as file:
            seconds = _encode(video, file)
        return "written", seconds, ""
    except NoSoundError:
        return "silent", 0.0, ""
    except (OSError, ValueError) as error:
        return "failed", 0.0, str(error)


def _encode(video: Item | str, file: object) -> float:
    import soxr

    written = 0
    stream = None
    with wave.open(file, "wb") as sound:  # type: ignore[call-overload]
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        for rate, block in decoded(video, mono=True):
            if rate != RATE:
                stream = stream or soxr.ResampleStream(rate, RATE, 1, dtype="float32")
                block = stream.resample_chunk(block)
            written += len(block)
            if written > MAX_SECONDS * RATE:
                raise MediaError(f"it has over {MAX_SECONDS // 3600} hours of sound")
            sound.writeframesraw(_pcm(block))
        if stream is not None:
            rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
            written += len(rest)
            sound.writeframesraw(_pcm(rest))
    return written / RATE


def _pcm(samples: Samples) -> bytes:
    scaled = samples * np.float32(32768)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32768, 32767, out=scaled)
    pcm: bytes = scaled.astype("<i2").tobytes()
    return pcm


def each_in_processes(jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Result]]:
    """Runs all jobs in worker processes.

    A decoder that crashes ends its worker.  Another worker runs the job again; if that one crashes too, the job has failed.

    Yields:
        The number of a job and its result, as they are ready.
    """
    return run_in_workers(_worker, _bounded, jobs, workers, attempts=2, on_death=_crashed)


def _worker(work: Callable[[Item | str, str, str], Result]) -> Callable[[Job, Send], Result]:
    return lambda job, send: work(*job)


def _crashed(job: Job, how: str) -> Result:
    return "failed", 0.0, f"the decoder crashed on it, or did not come to an end ({how})"


def _bounded(video: Item | str, wav: str, part: str) -> Result:
    """`write`, in a process that an alarm ends if it takes far longer than the slowest disk and decoder would."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_patience(video))
    try:
        return write(video, wav, part)
    finally:
        signal.alarm(0)


def _patience(video: Item | str) -> int:
    """Seconds: ten minutes, and one more second for each megabyte."""
    try:
        size = os.path.getsize(video) if isinstance(video, str) else video.size
    except OSError:
        size = 0
    return 600 + size // 1_000_000
