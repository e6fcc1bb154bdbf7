"""Sound tracks: the sound of every video as a 16 kHz mono wav, in the folder tree of the videos.

It is what Ola's ``tools/convert_mp4_wav.py`` does through a shell, which names with spaces, quotes or ``&`` break::

    DATA or DIR ──videos──► (video, wav) ──processes──► Outcome: written | there | silent | failed

A wav appears whole or not at all; one that is there already, and not older than its video, is left alone: so a stopped run
continues where it was.  Each video is decoded in a process of its own that may die of it, or hang, without the others.
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

from ..annotations import plan, read
from ..core.errors import DataError
from ..core.findings import Finding
from ..core.locks import LockedError, acquire
from ..core.sample import Reference
from ..media.items import Item
from ..pipeline.infer_rules import looked_up
from ..pipeline.inputs import splits
from ..pipeline.options import DEFAULTS, Options
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import reading
from .wav_files import each_in_processes

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mkv", ".webm", ".mov", ".avi", ".flv", ".ts", ".mpg", ".mpeg", ".wmv", ".asf", ".3gp", ".ogv"}
)
"""Files of a folder that are taken for videos; in annotations every video is one, whatever its name."""

Status = Literal["written", "there", "silent", "failed"]


class Track(NamedTuple):
    """One video and where its sound goes.

    Attributes:
        name: of the video, relative to its root: what is told to people.
        video: where its bytes are.
        wav: path of the wav relative to the output folder.
        problem: why it cannot even be tried; empty if it can.
    """

    name: str
    video: Item | str
    wav: str
    problem: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one video.

    Attributes:
        video: its name relative to its root.
        status: ``written``, ``there`` (it was already), ``silent`` (no sound track) or ``failed``.
        wav: path relative to the output folder, if it is there now.
        seconds: length of the sound that was written.
        message: why it failed.
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
        data: a folder, all of whose videos are taken; or annotation files (see `modalmix.builders.pipeline.inputs`),
            whose records' are.
        out: folder of the wavs, made if need be; two runs at a time cannot share it.
        options: how annotations are read, and the roots under which their videos lie.
        workers: processes; None for one per core.
        seed: for ``random:N`` of a mixture.
        started: told the number of videos before the first is decoded.
        progress: told each outcome when it is known, in no order.

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
    """The videos of DATA with the wavs they become; each once, in the order of their names.

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

    ``a/b.mp4`` becomes ``a/b.wav``; where two videos would share one (``b.mp4`` and ``b.mkv``), each keeps its suffix:
    ``b.mp4.wav``.  Names of folders are kept as they are, whatever they hold.
    """
    names = sorted(names)
    plain = Counter(posixpath.splitext(name)[0] for name in names)
    taken: set[str] = {stem for stem, count in plain.items() if count == 1}
    wavs: list[str] = []
    for name in names:
        stem = posixpath.splitext(name)[0]
        if plain[stem] > 1:
            stem = name
            while stem in taken:  # b.mp4, b.mkv and, as if to annoy, b.mp4.mp4
                stem += "_"
            taken.add(stem)
        wavs.append(f"{stem}.wav")
    return wavs


_Found = tuple[str, Item | str, str]


def _in_folder(folder: str, out: str) -> Iterator[_Found]:
    """Name, path and problem of every video below a folder; the output folder is left out if it lies in it."""
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
    """Likewise of every video file that a record names; a record or video that cannot be read is a problem of its own.

    Only the videos are looked up: the sounds that records name beside them are often the very wavs that are to be made.
    """
    by_split = splits(list(data), format=options.format, seed=seed)
    options = looked_up(options, [source for sources in by_split.values() for source in sources])
    rewriters = Rewriters(options)
    met: set[object] = set()
    members: list[tuple[str, Item]] = []
    for sources in by_split.values():
        for source in sources:
            for piece in plan(source):
                read_as = reading(options, piece)
                rewriter = rewriters.of(piece)
                for block in read(piece):
                    for one in block.findings:
                        if one.severity == "error" and piece.take.selects(one.row):
                            yield f"{one.file}:{one.row}", "", str(one)
                    for row, record in enumerate(block.records, block.row):
                        if not piece.take.selects(row):
                            continue
                        _, sample = read_as(record)
                        if options.mixes is not None and sample.mix not in options.mixes:
                            continue
                        for i, video in enumerate(sample.videos):
                            at = f"/video/{i}" if len(sample.videos) > 1 else "/video"
                            item = rewriter.video(video, at)
                            if isinstance(item, Finding):
                                yield f"{piece.file}:{row}{at}", "", str(item.placed(piece.file, row))
                            elif isinstance(item, Item) and item not in met:
                                met.add(item)
                                if item.archive is not None and isinstance(video, Reference):
                                    members.append(("/" + video.path.replace("\\", "/").lstrip("/"), item))
                                else:
                                    yield _name(item, options, piece.path), item, ""
    # Where an archive was cut says nothing: members have the tree that is written, as the sounds beside them have.
    above = os.path.commonpath([os.path.dirname(written) for written, _ in members]) if members else ""
    for written, item in members:
        yield os.path.relpath(os.path.normpath(written), above), item, ""


def _name(item: Item, options: Options, annotations: str) -> str:
    """The name of a video relative to the media root it lies in; of a part of an archive, below the archive's name."""
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
    """The temporary name of a wav: always the same, so that what a killed run leaves is overwritten; never too long."""
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
