"""Arranging: which records a build writes elsewhere than where they stand.

Records that share their leading medium (`lead_media`) often lie far apart: a video is described in one annotation file,
asked about in another, and has multiple choices in a third.  They are brought together, at the place of the first of them;
and those that a member of a compressed archive leads go to the task that goes through that archive.

::

    records   a b c | b a d | a c          the letter: the medium;  |: the next task
    written   a a a b b c c | d |          a task writes what is led by the media that it is the first to meet

Nothing is held of a record but its place and 64 bits of its lead: 32 bytes, so 3.2 GB for 100 million.  What leads a record is
told by the file name as it is written, which costs little; only where names repeat are the media looked up.
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
"""From a record: the key of its lead, 0 for none; and the number of the task that goes through its archive, -1 for none."""


class Arrangement(NamedTuple):
    """The records that are moved, by their places (`modalmix.builders.core.int_columns.place`) ascending.

    Attributes:
        places: of the records.
        behind: the place behind whose record each is written; of those that an archive's task writes, their own.
        tasks: the number of the task that writes it.
    """

    places: Numbers
    behind: Numbers
    tasks: Numbers


class Files:
    """The annotation files of a plan by number, in the order they are read in."""

    def __init__(self, plan: Plan) -> None:
        """Numbers the files."""
        first: dict[tuple[str, str, Take], Slice] = {}
        for task in plan.tasks:
            for piece in task.slices:
                first.setdefault((piece.path, piece.file, piece.take), piece)
        self._numbers = {key: number for number, key in enumerate(first)}
        self._first = list(first.values())

    def number(self, piece: Slice) -> int:
        """The number of the file of a slice."""
        return self._numbers[piece.path, piece.file, piece.take]

    def first_slice(self, number: int) -> Slice:
        """The first slice of a file."""
        return self._first[number]


def arrangement(plan: Plan, files: Files) -> Arrangement:
    """What is moved in a build.

    Raises:
        DataError: a media root is not there any more.
        OSError: an annotation file cannot be read.
    """
    found = [Arrangement(*(np.zeros(0, np.int64) for _ in range(3)))]
    if plan.settings.order == "media":
        for split in dict.fromkeys(task.split for task in plan.tasks):
            found.append(_of_split(plan, files, [task for task in plan.tasks if task.split == split]))
    return Arrangement(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def moved(survey: Columns) -> Arrangement:
    """What is moved, by what leads each record of a split.

    A record is moved if another one before it has the same lead, unless only records of that lead stand between them, or if
    it belongs to the task of an archive.

    Args:
        survey: a row for each record, in the order they are read: ``place``; ``key`` of the lead, 0 for none; number of the
            ``task`` that reads it; number of the ``archive``'s task that is to write it, -1 for none.
    """
    places, keys, tasks, archives = (survey[name] for name in survey.names)
    index = np.arange(len(places))
    home = index.copy()
    again, first = repeats(keys)
    known = keys[again] != 0
    home[again[known]] = first[known]
    begins = np.ones(len(index), bool)
    begins[1:] = (home[1:] != home[:-1]) | (tasks[1:] != tasks[:-1])
    begin = np.maximum.accumulate(np.where(begins, index, 0))
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(index)) - 1
    last = ends[np.searchsorted(starts, home)]  # of the records that stand together with the first of their lead
    at = np.flatnonzero(((home != index) & (begin != home)) | (archives >= 0))
    to_archive = archives[at] >= 0
    return Arrangement(
        places[at],
        np.where(to_archive, places[at], places[last[at]]),
        np.where(to_archive, archives[at], tasks[home[at]]),
    )


def _of_split(plan: Plan, files: Files, tasks: Sequence[Task]) -> Arrangement:
    """What is moved within a split."""
    task_of = {archive: task.number for task in tasks for archive in task.archives}
    looked_up = _keys(plan, task_of)
    if task_of or plan.options.rules or plan.options.learned or plan.settings.group_by:  # written in several ways
        return moved(_survey(files, tasks, plan.options.selection, looked_up))
    survey = _survey(files, tasks, plan.options.selection, lambda piece: lambda record: (written_key(record), -1))
    found = moved(survey)
    if not len(found.places):
        return found
    again, first = repeats(survey["key"])
    repeated = np.unique(np.concatenate([again, first]))
    repeated = repeated[survey["key"][repeated] != 0]
    return moved(_survey(files, tasks, plan.options.selection, looked_up, survey["place"][repeated]))


def _survey(
    files: Files,
    tasks: Sequence[Task],
    selection: Selection,
    key_in: Callable[[Slice], _Key],
    wanted: Numbers | None = None,
) -> Columns:
    """What `moved` takes, of the records at the places wanted (ascending), or of all that are drawn."""
    survey = Columns("place", "key", "task", "archive")
    for task in tasks:
        for piece in task.slices:
            key, selects = key_in(piece), Selector(selection, piece).sampled
            base = place(files.number(piece), 0)
            for block in read(piece):
                rows = range(block.row, block.row + len(block.records))
                if wanted is None:
                    chosen = [row for row in rows if selects(row)]
                else:
                    low, high = np.searchsorted(wanted, (base + rows.start, base + rows.stop))
                    chosen = (wanted[low:high] - base).tolist()
                if chosen:
                    made = np.array([key(block.records[row - rows.start]) for row in chosen], np.int64)
                    task_numbers = np.full(len(chosen), task.number)
                    survey.append(base + np.array(chosen, np.int64), made[:, 0], task_numbers, made[:, 1])
    return survey


def _keys(plan: Plan, task_of: Mapping[Archive, int]) -> Callable[[Slice], _Key]:
    """Keys by the place of the medium that leads a record; none for a record that cannot become a row."""
    rewriters, passes = Rewriters(plan.options), frozenset(task_of)

    def key_in(piece: Slice) -> _Key:
        read_as, rewriter = reading(plan.options, piece), rewriters.of(piece)

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
