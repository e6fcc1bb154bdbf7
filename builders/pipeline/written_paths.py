"""Written paths: every path in the annotations, just as it is written, for learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..annotations import Slice, Source, plan, read
from ..core.sample import Reference, Sample
from ..paths.learning import Paths
from .options import Options
from .rows import reading


def written_paths(sources: Sequence[Source], options: Options) -> Paths:
    """All paths in annotation files.

    Args:
        sources: the files, with the records of each that are selected.
        options: how the records are read, and which mixes are selected.

    Returns:
        What `learn` takes: a function that gives kind and path of each medium, in the order of the records.
    """

    def paths() -> Iterator[tuple[str, str]]:
        for source in sources:
            for slice_ in plan(source):
                yield from paths_in(slice_, options)

    return paths


def paths_in(slice_: Slice, options: Options) -> Iterator[tuple[str, str]]:
    """Kind and path of each medium in a slice, in the order of the records."""
    read_as = reading(options, slice_)
    for block in read(slice_):
        for row, record in enumerate(block.records, block.row):
            if not slice_.take.selects(row):
                continue
            _, sample = read_as(record)
            if options.mixes is None or sample.mix in options.mixes:
                yield from _of(sample)


def _of(sample: Sample) -> Iterator[tuple[str, str]]:
    for image in sample.images:
        yield "image", image.path
    for sound in (*sample.audios, *sample.audio_q):
        yield "audio", sound.path
    for video in sample.videos:
        for frame in [video] if isinstance(video, Reference) else video:
            yield "video", frame.path
