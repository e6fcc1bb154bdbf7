"""The reorder plan: the records that a build writes in another order than that of the annotations.

Records that share their lead medium (`lead_media`) are often far apart: a video is described in one annotation file, asked
about in another, and has multiple choices in a third.  They are written together, at the place of the first of them.  A record
whose lead medium is a member of a compressed archive is written by the task that reads that archive.

::

    records   a b c | b a d | a c          a letter: the lead medium;  |: the next task
    written   a a a b b c c | d |          a task writes all records of the media that it is the first to read

Of each record only its place and 64 bits of its lead medium are held: 32 bytes, so 3.2 GB for 100 million records.  First the
file names as written stand for the lead media, which is cheap; the media are looked up only where names repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..annotations import Slice, Take, read
from ..core.findings import Finding, rejects
from ..core.int_columns import Columns, Numbers, place, repeats
from ..media.archives import Archive
from ..pipeline.resolve_media import resolve
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import reading
from ..pipeline.selection import Selection, Selector
from .build_plan import Plan, Task
from .lead_media import key_of, lead, written_key

_Key = Callable[[dict[str, Any]], tuple[int, int]]
"""Of a record: the key of its lead medium, 0 for none; and the number of the task that reads its archive, -1 for none."""


class ReorderPlan(NamedTuple):
    """The reordered records, by their places (`modalmix.builders.core.int_columns.place`) ascending.

    Attributes:
        places: of the records.
        anchors: the place of the record after which each is written; for a record that an archive's task writes, its own place.
        tasks: the number of the task that writes it.
    """

    places: Numbers
    anchors: Numbers
    tasks: Numbers


class AnnotationFiles:
    """The annotation files of a plan by number, in the order in which they are read."""

    def __init__(self, plan: Plan) -> None:
        """Numbers the files."""
        first: dict[tuple[str, str, Take], Slice] = {}
        for task in plan.tasks:
            for slice_ in task.slices:
                first.setdefault((slice_.path, slice_.file, slice_.take), slice_)
        self._numbers = {key: number for number, key in enumerate(first)}
        self._first = list(first.values())

    def number(self, slice_: Slice) -> int:
        """The number of the file of a slice."""
        return self._numbers[slice_.path, slice_.file, slice_.take]

    def first_slice(self, number: int) -> Slice:
        """The first slice of a file."""
        return self._first[number]


def reorder_plan(plan: Plan, files: AnnotationFiles) -> ReorderPlan:
    """The reordered records of a build.

    Raises:
        DataError: a media root no longer exists.
        OSError: an annotation file cannot be read.
    """
    found = [ReorderPlan(*(np.zeros(0, np.int64) for _ in range(3)))]
    if plan.settings.order == "media":
        for split in dict.fromkeys(task.split for task in plan.tasks):
            found.append(_of_split(plan, files, [task for task in plan.tasks if task.split == split]))
    return ReorderPlan(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def reordered(records: Columns) -> ReorderPlan:
    """The reordered records of a split, by the lead medium of each.

    A record is reordered if an earlier record has the same lead medium, unless only records of that medium are between them; or
    if it belongs to the task of an archive.

    Args:
        records: a row for each record, in the order in which they are read: its ``place``; the ``key`` of its lead medium, 0 for
            none; the number of the ``task`` that reads it; the number of the ``archive``'s task that writes it, -1 for none.
    """
    places, keys, tasks, archives = (records[name] for name in records.names)
    index = np.arange(len(places))
    first_of = index.copy()  # of each record: the first with its lead medium
    again, first = repeats(keys)
    has_lead = keys[again] != 0
    first_of[again[has_lead]] = first[has_lead]
    begins = np.ones(len(index), bool)  # a run: consecutive records of one lead medium and task
    begins[1:] = (first_of[1:] != first_of[:-1]) | (tasks[1:] != tasks[:-1])
    run_of = np.maximum.accumulate(np.where(begins, index, 0))
    starts = np.flatnonzero(begins)
    stops = np.append(starts[1:], len(index)) - 1
    last = stops[np.searchsorted(starts, first_of)]  # of the run that begins with the first record of the lead medium
    at = np.flatnonzero(((first_of != index) & (run_of != first_of)) | (archives >= 0))
    to_archive = archives[at] >= 0
    return ReorderPlan(
        places[at],
        np.where(to_archive, places[at], places[last[at]]),
        np.where(to_archive, archives[at], tasks[first_of[at]]),
    )


def _of_split(plan: Plan, files: AnnotationFiles, tasks: Sequence[Task]) -> ReorderPlan:
    """The reordered records of a split."""
    task_of = {archive: task.number for task in tasks for archive in task.archives}
    by_place = _keys(plan, task_of)
    # one medium may be written in several ways, or its place decides the task
    if task_of or plan.options.rules or plan.options.learned or plan.settings.group_by:
        return reordered(_leads(files, tasks, plan.options.selection, by_place))
    written = _leads(files, tasks, plan.options.selection, lambda slice_: lambda record: (written_key(record), -1))
    found = reordered(written)
    if not len(found.places):
        return found
    again, first = repeats(written["key"])
    repeated = np.unique(np.concatenate([again, first]))
    repeated = repeated[written["key"][repeated] != 0]
    return reordered(_leads(files, tasks, plan.options.selection, by_place, written["place"][repeated]))


def _leads(
    files: AnnotationFiles,
    tasks: Sequence[Task],
    selection: Selection,
    key_in: Callable[[Slice], _Key],
    places: Numbers | None = None,
) -> Columns:
    """The argument of `reordered`, of the records at some places (ascending), or of all that the sample has."""
    leads = Columns("place", "key", "task", "archive")
    for task in tasks:
        for slice_ in task.slices:
            key, selects = key_in(slice_), Selector(selection, slice_).sampled
            base = place(files.number(slice_), 0)
            for block in read(slice_):
                rows = range(block.row, block.row + len(block.records))
                if places is None:
                    chosen = [row for row in rows if selects(row)]
                else:
                    low, high = np.searchsorted(places, (base + rows.start, base + rows.stop))
                    chosen = (places[low:high] - base).tolist()
                if chosen:
                    keys = np.array([key(block.records[row - rows.start]) for row in chosen], np.int64)
                    task_numbers = np.full(len(chosen), task.number)
                    leads.append(base + np.array(chosen, np.int64), keys[:, 0], task_numbers, keys[:, 1])
    return leads


def _keys(plan: Plan, task_of: Mapping[Archive, int]) -> Callable[[Slice], _Key]:
    """Keys by the place of the lead medium; 0 for a record that cannot become a row."""
    rewriters, passes = Rewriters(plan.options), frozenset(task_of)

    def key_in(slice_: Slice) -> _Key:
        read_as, rewriter = reading(plan.options, slice_), rewriters.of(slice_)

        def key(record: dict[str, Any]) -> tuple[int, int]:
            _, sample = read_as(record)
            media = None if rejects(sample.findings) else resolve(sample, rewriter)
            item = None if media is None or isinstance(media, Finding) else lead(media, passes)
            if item is None:
                return 0, -1
            if item.archive in passes:
                return 0, task_of[item.archive]
            return key_of(item), -1

        return key

    return key_in
