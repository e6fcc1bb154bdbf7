"""Sound tracks: the sound of every video as a 16 kHz mono wav, in the folder tree of the videos.

Ola's ``tools/convert_mp4_wav.py`` does this through a shell, and fails on names with spaces, quotes or ``&``::

    DATA or DIR ──videos──► (video, wav) ──processes──► Outcome: written | there | silent | failed

A wav appears whole or not at all.  One that exists and is not older than its video is not written again, so a stopped run
continues where it was.  Videos are decoded in worker processes: a decoder that crashes or hangs costs one video.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec

from ..annotations import Slice, plan, read
from ..core.errors import DataError
from ..core.findings import Finding
from ..core.locks import LockedError, acquire
from ..core.sample import Reference
from ..media.items import Item
from ..paths import Rewriter
from ..pipeline.infer_rules import looked_up
from ..pipeline.inputs import splits
from ..pipeline.options import DEFAULTS, Options
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import reading
from .wav_files import each_in_processes

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".flv", ".ts", ".mpg", ".mpeg", ".wmv", ".asf", ".3gp", ".ogv"}
)
"""Suffixes of videos in a folder; a video of an annotation may have any name."""

Status = Literal["written", "there", "silent", "failed"]


class Track(NamedTuple):
    """One video and the wav of its sound.

    Attributes:
        name: of the video, relative to its root, for messages.
        video: its path, or its item where it is part of a file.
        wav: path of the wav relative to the output folder.
        problem: the reason why it cannot be decoded; empty if it can be tried.
    """

    name: str
    video: Item | str
    wav: str
    problem: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """The outcome for one video.

    Attributes:
        video: its name relative to its root.
        status: ``written``, ``there`` (the wav existed), ``silent`` (no sound track) or ``failed``.
        wav: path relative to the output folder, if it exists now.
        seconds: length of the sound that was written.
        message: the reason of a failure.
    """

    video: str
    status: Status
    wav: str | None = None
    seconds: float = 0.0
    message: str = ""


def extract(
    data: str | Sequence[str],
    out: str,
    options: Options = DEFAULTS,
    *,
    workers: int | None = None,
    seed: int = 42,
    started: Callable[[int], None] | None = None,
    progress: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Writes the sound track of every video.

    Args:
        data: a folder, for all of its videos; or annotation files (see `modalmix.builders.pipeline.inputs`), for the videos of
            their records.
        out: folder of the wavs, created if necessary; two runs at a time cannot share it.
        options: how annotations are read, and the roots of their videos.
        workers: number of processes; None for one per core.
        seed: for ``random:N`` of a mixture.
        started: called with the number of videos before the first is decoded.
        progress: called with each outcome, in any order.

    Returns:
        One outcome per video, in the order of their names.

    Raises:
        DataError: there are no annotations to read, or `out` is in use by another run.
        OSError: the output folder cannot be written.
    """
    os.makedirs(out, exist_ok=True)
    tracks = videos(data, out, options, seed=seed)
    if started:
        started(len(tracks))
    outcomes: list[Outcome] = []

    def note(track: Track, status: Status, seconds: float = 0.0, message: str = "") -> None:
        wav = track.wav if status in ("written", "there") else None
        outcomes.append(Outcome(track.name, status, wav, seconds, message))
        if progress:
            progress(outcomes[-1])

    with _alone_in(out):
        todo: list[Track] = []
        for track in tracks:
            if track.problem:
                note(track, "failed", message=track.problem)
            elif _is_current(os.path.join(out, track.wav), track.video):
                note(track, "there")
            else:
                todo.append(track)
        jobs = [(track.video, os.path.join(out, track.wav), _part(out, track.wav)) for track in todo]
        for number, (status, seconds, message) in each_in_processes(jobs, workers or os.cpu_count() or 1):
            note(todo[number], status, seconds, message)
    return sorted(outcomes, key=lambda outcome: outcome.video)


def videos(data: str | Sequence[str], out: str, options: Options = DEFAULTS, *, seed: int = 42) -> list[Track]:
    """The videos of DATA with their wavs; each video once, in the order of their names.

    Raises:
        DataError: there are no annotations to read, or a folder holds no videos.
    """
    paths = [data] if isinstance(data, str) else list(data)
    if len(paths) == 1 and os.path.isdir(paths[0]):
        found = list(_in_folder(paths[0], out))
        if not found:
            raise DataError(f"there are no videos in {paths[0]!r}")
    else:
        found = list(_in_annotations(paths, options, seed))
    found.sort(key=lambda one: (one[0], one[1].start if isinstance(one[1], Item) else 0))
    usable = [(name, video) for name, video, problem in found if not problem]
    wavs = targets([name for name, _ in usable])
    tracks = [Track(name, video, wav) for (name, video), wav in zip(usable, wavs, strict=True)]
    return tracks + [Track(name, video, "", problem) for name, video, problem in found if problem]


def targets(names: Sequence[str]) -> list[str]:
    """The wav of each of the videos, in the order of their sorted names.

    ``a/b.mp4`` becomes ``a/b.wav``.  Where two videos would share a wav (``b.mp4`` and ``b.mkv``), each keeps its suffix:
    ``b.mp4.wav``.  Names of folders stay unchanged.
    """
    names = sorted(names)
    stems = Counter(posixpath.splitext(name)[0] for name in names)
    taken: set[str] = {stem for stem, count in stems.items() if count == 1}
    wavs: list[str] = []
    for name in names:
        stem = posixpath.splitext(name)[0]
        if stems[stem] > 1:
            stem = name
            while stem in taken:  # b.mp4, b.mkv and b.mp4.mp4
                stem += "_"
            taken.add(stem)
        wavs.append(f"{stem}.wav")
    return wavs


_Found = tuple[str, Item | str, str]


def _in_folder(folder: str, out: str) -> Iterator[_Found]:
    """Name, path and problem of every video below a folder, except in the output folder."""
    root, own = os.path.realpath(folder), os.path.realpath(out)
    for here, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if os.path.join(here, name) != own)
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() not in VIDEO_SUFFIXES:
                continue
            path = os.path.join(here, name)
            real = os.path.realpath(path)
            problem = "" if _relative(real, [root]) else f"it is a link to {real!r}, outside of the folder"
            yield os.path.relpath(path, root), path, problem


def _in_annotations(data: Sequence[str], options: Options, seed: int) -> Iterator[_Found]:
    """Name, item and problem of every video that a record names; a record or video that cannot be read is a problem too.

    Only the videos are looked up: the sounds beside them in a record are often the wavs that this run writes.
    """
    by_split = splits(list(data), format=options.format, seed=seed)
    options = looked_up(options, [source for sources in by_split.values() for source in sources])
    rewriters = Rewriters(options)
    found: set[Item] = set()
    members: list[tuple[str, Item]] = []
    for slice_ in (slice_ for sources in by_split.values() for source in sources for slice_ in plan(source)):
        for place, video, item in _in_slice(slice_, options, rewriters.of(slice_)):
            if isinstance(item, Finding):
                yield place, "", str(item)
            elif item not in found:
                found.add(item)
                if item.archive is not None and isinstance(video, Reference):
                    members.append(("/" + video.path.replace("\\", "/").lstrip("/"), item))
                else:
                    yield _name(item, options, slice_.path), item, ""
    # How a release is divided into archives is arbitrary: wavs of members have the folders of the written paths.
    above = os.path.commonpath([os.path.dirname(written) for written, _ in members]) if members else ""
    for written, item in members:
        yield os.path.relpath(os.path.normpath(written), above), item, ""


def _in_slice(
    slice_: Slice, options: Options, rewriter: Rewriter
) -> Iterator[tuple[str, Reference | list[Reference] | None, Item | Finding]]:
    """Place, reference and item of each video in the records of a slice, or the finding in place of the item."""
    read_as = reading(options, slice_)
    for block in read(slice_):
        for finding in block.findings:
            if finding.severity == "error" and slice_.take.selects(finding.row):
                yield f"{finding.file}:{finding.row}", None, finding
        for row, record in enumerate(block.records, block.row):
            if not slice_.take.selects(row):
                continue
            _, sample = read_as(record)
            if options.mixes is not None and sample.mix not in options.mixes:
                continue
            for i, video in enumerate(sample.videos):
                at = f"/video/{i}" if len(sample.videos) > 1 else "/video"
                item = rewriter.video(video, at)
                if isinstance(item, Finding):
                    yield f"{slice_.file}:{row}{at}", video, item.placed(slice_.file, row)
                elif isinstance(item, Item):
                    yield f"{slice_.file}:{row}{at}", video, item


def _name(item: Item, options: Options, annotations: str) -> str:
    """The name of a video relative to its media root; of a part of an archive, below the archive's name."""
    roots = [*options.video_folder, *options.media_root] or [os.path.dirname(annotations)]
    folders = [root if os.path.isdir(root) else os.path.dirname(os.path.abspath(root)) for root in roots]
    own = _relative(os.path.realpath(item.path), [os.path.realpath(folder) for folder in folders])
    name = own or os.path.realpath(item.path).lstrip("/")
    return name if item.whole else f"{name}/{os.path.basename(item.name)}"


def _relative(path: str, roots: Sequence[str]) -> str:
    """The path relative to the innermost of the roots that holds it; empty if none does."""
    inside = [root for root in roots if path.startswith(f"{root.rstrip('/')}/")]
    return os.path.relpath(path, max(inside, key=len)) if inside else ""


def _is_current(wav: str, video: Item | str) -> bool:
    path = video if isinstance(video, str) else video.path
    try:
        return os.stat(wav).st_mtime_ns >= os.stat(path).st_mtime_ns
    except OSError:
        return False


def _part(out: str, wav: str) -> str:
    """The temporary name of a wav: always the same, so that a later run overwrites what a killed one has left; never too long."""
    folder = os.path.dirname(os.path.join(out, wav))
    return os.path.join(folder, f".{hashlib.sha256(os.fsencode(wav)).hexdigest()[:20]}.part")


@contextmanager
def _alone_in(folder: str) -> Iterator[None]:
    """Holds the output folder against other runs for as long as this process lives."""
    try:
        descriptor = acquire(folder, wait=False)
    except LockedError:
        raise DataError(f"another run is writing to {folder!r}") from None
    try:
        yield
    finally:
        os.close(descriptor)
