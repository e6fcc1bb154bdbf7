"""Overlaps: parts of a patch that share bytes without being the same part.

::

    a  |─────────|                  a, b  overlap: b begins inside a
    b       |─────────|
    c  |──────────────|             c     holds both
    d  |────|─────|──|              d     a video of three frames; a picture that is one of these is the same part

Equal parts are legitimate: two records about one picture.  The frames of a video are kept as one range, from the first to the
last; where such a range overlaps another, both records are read again, and their frames compared one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..annotations import Slice, read
from ..core.int_columns import Columns, Numbers, place
from ..media.items import Media
from ..pipeline.options import Options
from ..pipeline.resolve_media import resolve
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import reading

Booleans = NDArray[np.bool_]
ScannedSlices = Sequence[tuple[int, Slice, int]]
"""Slices: the index of the annotation file, the slice, the ordinal of its first record."""

Parts = dict[str, list[tuple[int, int]]]
"""File → the parts of it, as first byte and the byte after the last, ascending."""

_AT_ONCE = 20_000


def overlaps(ranges: Columns, confirmed: Callable[[Numbers, Numbers], Booleans]) -> tuple[Numbers, Numbers]:
    """Records with a part that overlaps another part.

    Args:
        ranges: ``path``, ``start``, ``stop``, ``place``, and ``several``: 1 for the frames of a video.
        confirmed: says of pairs of records, given by their places, whether their parts do overlap.

    Returns:
        Places, each once, and for each the place of a record that it overlaps.  Of two parts, the one that begins later is
        reported; but a part that holds several others, or begins where the one it holds begins, is reported itself: its size
        must be wrong.
    """
    if not len(ranges):
        none = np.empty(0, np.int64)
        return none, none
    order = np.lexsort((ranges["place"], ranges["stop"], ranges["start"], ranges["path"]))
    paths, starts, stops, places, several = (ranges[name][order] for name in ranges.names)
    new = np.ones(len(order), bool)
    new[1:] = (paths[1:] != paths[:-1]) | (starts[1:] != starts[:-1]) | (stops[1:] != stops[:-1])
    group = np.cumsum(new) - 1  # of equal parts
    first = np.flatnonzero(new)
    videos = np.maximum.reduceat(several, first) > 0
    reported, others = _pairs(paths[first], starts[first], stops[first], videos)
    if not len(reported):
        return reported, reported
    unsure = videos[reported] | videos[others]
    wrong = ~unsure
    wrong[unsure] = confirmed(places[first[reported[unsure]]], places[first[others[unsure]]])
    reported, at = np.unique(reported[wrong], return_index=True)
    others = others[wrong][at]
    # all records with a reported part
    where = np.searchsorted(reported, group)
    mine = np.flatnonzero(reported[np.minimum(where, len(reported) - 1)] == group) if len(reported) else where[:0]
    found, at = np.unique(places[mine], return_index=True)
    return found, places[first[others[where[mine[at]]]]]


def _pairs(paths: Numbers, starts: Numbers, stops: Numbers, videos: Booleans) -> tuple[Numbers, Numbers]:
    """Of distinct parts, sorted: those that overlap another, and that other."""
    reported: list[Numbers] = []
    others: list[Numbers] = []
    bounds = np.flatnonzero(np.concatenate(([True], paths[1:] != paths[:-1], [True])))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if high - low < 2:
            continue
        begin, end = starts[low:high], stops[low:high]
        reach = np.maximum.accumulate(end)
        holder = np.maximum.accumulate(np.where(np.concatenate(([True], end[1:] > reach[:-1])), np.arange(len(end)), 0))
        later = np.flatnonzero(begin[1:] < reach[:-1]) + 1
        furthest = holder[later - 1]
        inside = end[later] <= reach[later - 1]
        held = np.bincount(furthest[inside], minlength=len(end))
        large = inside & ~videos[low:high][furthest] & ((held[furthest] > 1) | (begin[later] == begin[furthest]))
        reported.append(low + np.where(large, furthest, later))
        others.append(low + np.where(large, later, furthest))
    if not reported:
        none = np.empty(0, np.int64)
        return none, none
    return np.concatenate(reported), np.concatenate(others)


def confirmed(
    places: Numbers, others: Numbers, slices: ScannedSlices, options: Options, rewriters: Rewriters
) -> Booleans:
    """Whether parts of two records overlap, frame by frame; both are read again.

    Args:
        places: of the first record of each pair.
        others: of the second.
        slices: all slices that were read.
        options: how records become rows.
        rewriters: where media are looked up.
    """
    found = np.zeros(len(places), bool)
    for low in range(0, len(places), _AT_ONCE):
        some = slice(low, low + _AT_ONCE)
        of_records = np.unique(np.concatenate((places[some], others[some])))
        parts = dict(_parts_of(of_records, slices, options, rewriters))
        for i, (a, b) in enumerate(zip(places[some].tolist(), others[some].tolist(), strict=True), low):
            found[i] = a in parts and b in parts and crossing(parts[a], parts[b])
    return found


def crossing(first: Parts, second: Parts) -> bool:
    """Whether a part of the first shares bytes with a part of the second, and is not that part."""
    for path, parts in first.items():
        candidates = second.get(path, [])
        for start, stop in parts:
            # parts of one record follow each other, so that only those around the start can reach into it
            at = bisect_left(candidates, (start, start))
            for begin, end in candidates[max(0, at - 1) :]:
                if begin >= stop:
                    break
                if end > start and (begin, end) != (start, stop):
                    return True
    return False


def _parts_of(
    of_records: Numbers, slices: ScannedSlices, options: Options, rewriters: Rewriters
) -> Iterator[tuple[int, Parts]]:
    for i, (file, slice_, row) in enumerate(slices):
        following = slices[i + 1] if i + 1 < len(slices) else None
        end = place(file, following[2]) if following is not None and following[0] == file else place(file + 1, 0)
        low, high = np.searchsorted(of_records, [place(file, row), end]).tolist()
        if low == high:
            continue
        left = set(of_records[low:high].tolist())
        read_as, rewriter = reading(options, slice_), rewriters.of(slice_)
        for block in read(slice_):
            for number, record in enumerate(block.records, block.row):
                if (here := place(file, number)) in left:
                    left.remove(here)
                    media = resolve(read_as(record)[1], rewriter)
                    if isinstance(media, Media):
                        yield here, _parts(media)
            if not left:
                break


def _parts(media: Media) -> Parts:
    parts: Parts = {}
    for items in (media.images, media.videos, media.audios, media.audio_q, *media.frames):
        for item in items:
            if not item.whole and item.archive is None:
                parts.setdefault(item.path, []).append((item.start, item.start + item.size))
    return {path: sorted(set(ranges)) for path, ranges in parts.items()}
