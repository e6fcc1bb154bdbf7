"""Sound: a file, a cell or the sound track of a video as an array of samples.

::

    cell ──data_of──► path or bytes ──► libsndfile (wav flac mp3 ogg opus aiff …) ─┐
                                    └─► FFmpeg (m4a aac, sound tracks of videos) ──┴─► blocks ──mix──► soxr ──► Sound

libsndfile decodes the formats it has, for it is the fastest, where the file says truly how many samples it has: it stops at that
count, and at one of its own where the file says nothing (`sound_length`).  `audio_pyav` decodes the rest.

Both give blocks of bounded size, so that a header that lies about its length costs nothing and a small file that unpacks to days
of silence is refused.  The rate is changed by soxr: the resampler that FFmpeg, decord and torchcodec use by default lets
frequencies above the new limit through as tones that are not there, 15 dB down; soxr puts them 130 dB down.

A file that holds less than it says (a download that broke off) raises; no silence fills what is missing.  A sound without
samples raises too.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import audio_pyav
from .cells import Cell, data_of
from .container_length import missing_bytes
from .errors import MediaError
from .mp3_frames import Mp3, mp3_frames, reader_of
from .samples import MAX_RATE, MIN_RATE, EmptySoundError, Samples, check_rate, mixed
from .sound_length import sound_length

MAX_SAMPLES = 1 << 28
"""Samples that one sound may have in memory (1 GiB): 4.6 hours at 16 kHz mono."""

_BLOCK = 1 << 21
"""Samples decoded at a time: 8 MB, 2 minutes at 16 kHz mono."""

_SNIFFED = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "MP3", "OGG", "AIFF", "AU", "CAF"})
"""What libsndfile may decode: formats with a signature.  The others it takes some garbage for."""

_BEYOND = 1 << 12
"""Samples asked for behind the end, to see whether it is the end."""

_MP3_FRAME = 1152
_MP3_AT_ONCE = 1 << 25
"""Samples of an MP3 that are decoded in one go (128 MB, 6 minutes of stereo); longer ones are left to FFmpeg."""


class Sound(NamedTuple):
    """A decoded sound.

    Attributes:
        samples: float32 in [-1, 1] (a lossy codec may exceed it a little); shape (N,) if mono, else (channels, N).
        sampling_rate: samples a second.
    """

    samples: Samples
    sampling_rate: int


class Chunks(NamedTuple):
    """A sound in pieces of equal length, as speech encoders take it.

    Attributes:
        samples: shape (K, N) float32; the last piece is filled up with zeros.
        lengths: shape (K,) int64: samples of each piece that are sound; only the last may be below N.
        dropped: samples at the end that are in no piece, because `maximum` was reached.
        sampling_rate: samples a second.
    """

    samples: Samples
    lengths: NDArray[np.int64]
    dropped: int
    sampling_rate: int


def read_audio(
    cell: Cell,
    *,
    sampling_rate: int | None = 16_000,
    mono: bool = True,
    start: float | None = None,
    end: float | None = None,
) -> Sound:
    """Decodes a sound, or the sound track of a video (the one marked default, where there are several).

    Sample 0 is the first that a player plays: an encoder's padding is gone, and a sound track that starts later than its
    video is not filled up, as in a wav that ffmpeg makes of it.

    Args:
        cell: a path, bytes, an item or a cell of a dataset.
        sampling_rate: in Hz; None for the file's own.
        mono: mix the channels down: their mean, as librosa and Whisper do; a sound track with surround sound as ffmpeg does,
            the centre loudest, without the low-frequency channel.
        start: seconds from the start of the sound; None for its start.
        end: likewise; None, or past the end, for its end.

    Raises:
        NoSoundError: a video without sound.
        EmptySoundError: a sound without samples.
        MediaError: not a sound, damaged, shorter than it says, or over `MAX_SAMPLES`.
        OSError: it cannot be read.
        ValueError: `start`, `end` or `sampling_rate` make no sense.
    """
    if sampling_rate is not None and not MIN_RATE <= sampling_rate <= MAX_RATE:
        raise ValueError(f"sampling_rate is {sampling_rate!r}, not in {MIN_RATE}–{MAX_RATE} Hz")
    blocks: list[Samples] = []
    size = 0
    for rate, block in decoded(cell, mono=mono, start=start, end=end):
        size += block.size
        target = sampling_rate or rate
        if size * max(1.0, target / rate) > MAX_SAMPLES:
            raise MediaError(f"the sound has over {MAX_SAMPLES:,} samples; read it in parts with start and end")
        blocks.append(block)
    samples = blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=-1)
    if target != rate and samples.size:
        import soxr

        samples = soxr.resample(samples.T, rate, target).T
    return Sound(np.ascontiguousarray(samples), target)


def chunks(sound: Sound, seconds: float = 30.0, *, maximum: int | None = 25) -> Chunks:
    """A mono sound in pieces of `seconds`, the last one filled up with silence, as Ola feeds Whisper with it.

    Ola (``ola/train/train.py``, ``read_audio``) takes pieces of 480,000 samples at 16 kHz and at most 25 of them (750 s), and
    drops the rest without a word; here `Chunks.dropped` says how much that was.  A sound without samples is one silent piece.

    Args:
        sound: a mono sound.
        seconds: length of a piece; 30 for Whisper.
        maximum: most pieces to make; None for all.

    Raises:
        ValueError: the sound has channels, or a piece would have no sample.
    """
    samples, rate = sound
    if samples.ndim != 1:
        raise ValueError(f"the samples have the shape {samples.shape}; chunks are made of mono sounds")
    length = round(seconds * rate)
    if length < 1 or (maximum is not None and maximum < 1):
        raise ValueError(f"seconds is {seconds!r} and maximum {maximum!r}: a piece would have {length} samples")
    count = max(1, -(-len(samples) // length))
    kept = count if maximum is None else min(count, maximum)
    taken = min(len(samples), kept * length)
    chunks_ = np.zeros((kept, length), np.float32)
    chunks_.reshape(-1)[:taken] = samples[:taken]
    lengths = np.full(kept, length, np.int64)
    lengths[-1] = taken - (kept - 1) * length
    return Chunks(chunks_, lengths, len(samples) - taken, rate)


def decoded(
    cell: Cell, *, mono: bool = True, start: float | None = None, end: float | None = None
) -> Iterator[tuple[int, Samples]]:
    """The sound block by block at its own rate, in bounded memory: for sounds too long to hold.

    Yields:
        The sampling rate, the same each time, and samples of shape (n,) if `mono`, else (channels, n); at least once, with
        n = 0 where there is nothing between `start` and `end`.

    Raises:
        As `read_audio`.
    """
    first = 0.0 if start is None else start
    if not 0 <= first < float("inf") or (end is not None and not first <= end):
        raise ValueError(f"start is {start!r} and end {end!r}: they must be seconds, 0 ≤ start ≤ end")
    data = data_of(cell)
    with _open_regular(data) as file:
        missing = missing_bytes(file)
        if missing:
            raise MediaError(f"the sound breaks off: {missing:,} bytes are not there")
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        read = reader_of(file)
        length = sound_length(read, size)
        mp3 = length.mp3
        if length.exact:
            try:
                yield from _by_libsndfile(file, mono, first, end, mp3 is not None)
                return
            except _NotForLibsndfileError:
                mp3 = mp3 or mp3_frames(read, size)
        if mp3:
            _check_frames(mp3)
            frames = audio_pyav.FileParts(read, mp3.runs)
            yield from audio_pyav.decoded(frames, mono, first, end, "mp3", mp3.samples - 2 * _MP3_FRAME)
            return
    yield from audio_pyav.decoded(data, mono, first, end, None, length.samples)


def _check_frames(mp3: Mp3) -> None:
    """Raises where frames of an MP3 are not there, or damaged."""
    if mp3.gap >= 0:
        raise MediaError(f"the sound is damaged: at byte {mp3.gap:,} there is neither a frame nor a tag")
    if mp3.declared > mp3.frames and mp3.missing:
        raise MediaError(f"the sound breaks off after {mp3.frames:,} of {mp3.declared:,} frames")
    if mp3.missing:
        raise MediaError(f"the sound breaks off: its last frame lacks {mp3.missing:,} bytes")


class _NotForLibsndfileError(Exception):
    """Libsndfile does not read the format."""


def _open_regular(data: str | bytes) -> AbstractContextManager[Any]:
    """The file open for reading; only regular files, for a pipe or a terminal would wait for ever.

    It is opened here and not by libsndfile, which would believe the suffix of a name (``.raw``, ``.vox``).
    """
    if isinstance(data, bytes):
        return nullcontext(io.BytesIO(data))
    if not stat.S_ISREG(os.stat(data).st_mode):
        raise MediaError(f"{data!r} is not a file")
    return open(data, "rb", buffering=0)


def _by_libsndfile(
    raw: BinaryIO, mono: bool, start: float, end: float | None, counted: bool
) -> Iterator[tuple[int, Samples]]:
    import soundfile

    try:
        file = soundfile.SoundFile(raw if isinstance(raw, io.BytesIO) else raw.fileno(), closefd=False)
    except (soundfile.LibsndfileError, TypeError, ValueError, OverflowError) as error:
        raise _NotForLibsndfileError(str(error)) from None
    with file:
        if file.format not in _SNIFFED:
            raise _NotForLibsndfileError(f"it looks like {file.format}")
        if file.format == "MP3" and not counted:
            raise _NotForLibsndfileError("it is an MP3 whose frames are not counted")
        rate = check_rate(file.samplerate)
        if not file.frames:
            raise EmptySoundError("the sound has no samples")
        step = max(1, _BLOCK // file.channels)
        if file.format == "MP3":
            step = max(1, _MP3_AT_ONCE // file.channels)
        if file.format == "MP3" and (start or end is not None or file.frames > step):
            # soundfile seeks after each read, which in an MP3 costs libsndfile what the next frame is decoded from
            raise _NotForLibsndfileError("it is an MP3 that is not to be read at once")
        first = round(start * rate)
        left = None if end is None else round(end * rate) - first
        try:
            at = file.seek(min(first, file.frames)) if first else 0
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise MediaError(f"the sound cannot be decoded: {error}") from error
        whole = left is None
        checked = file.subtype in ("FLOAT", "DOUBLE")
        channels = file.channels
        read = 0
        while True:
            count = step if left is None else min(step, left - read)
            # the header's count only sizes the buffer: it may be wrong either way, and reading goes on to the end
            promised = file.frames - at - read
            buffer = np.empty((min(count, promised if promised > 0 else _BEYOND), channels), np.float32)
            try:
                block = file.read(out=buffer) if len(buffer) else buffer
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise MediaError(f"the sound breaks off after {at + read:,} samples: {error}") from error
            if len(block) or not read:
                yield rate, mixed(block.T, None, mono, check=checked)
            read += len(block)
            if len(block) < len(buffer) or read == left or not len(buffer):
                break
        tolerance = 2 * _MP3_FRAME if file.format == "MP3" else 0
        if whole and file.frames < (1 << 62) and at + read + tolerance < file.frames:
            raise MediaError(f"the sound breaks off after {at + read:,} of {file.frames:,} samples")
