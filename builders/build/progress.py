"""Progress: how far each task is, and from that how far the whole build is.

A task reports its `TaskState` as a whole, and not what was added to it.  So the state of a task that another worker begins again
replaces the state that the first worker reported.  `BuildProgress` is the sum over all tasks.

The work of a task that reads records is measured in bytes of annotations, that of a task that reads archives in bytes of
archives.  The time left follows from it.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ..annotations import Block, Slice
from ..annotations.file_head import compressed
from ..core.counts import Counts
from .build_plan import Task, is_behind_limit, slice_size

_SECONDS = 0.5
"""Between two reports of a task, at least."""


class TaskState(msgspec.Struct, omit_defaults=True):
    """How far a task is.

    Attributes:
        task: its number.
        done: bytes of its work that are done; see `size_of`.
        rows: rows that the packer has taken.
        packed: bytes of their media and texts.
        counts: outcomes of its records so far; ``written`` is complete at the end.
        seconds: time it has taken in this run, or in the run that finished it.
        finished: whether it is.
        earlier: whether an earlier run has finished it.
    """

    task: int
    done: int = 0
    rows: int = 0
    packed: int = 0
    counts: Counts = msgspec.field(default_factory=Counts)
    seconds: float = 0.0
    finished: bool = False
    earlier: bool = False


OnState = Callable[[TaskState], None]
"""Called with the state of a task, now and then and at its end."""


def size_of(task: Task) -> int:
    """The bytes of a task's work: of its annotations, or of the archives it reads."""
    if task.archives:
        return sum(os.path.getsize(path) for archive in task.archives for path in archive.paths)
    return sum(map(_work_in, task.slices))


def _work_in(slice_: Slice) -> int:
    """The bytes of a slice; 0 if its records are only counted, which takes next to no time."""
    return 0 if is_behind_limit(slice_) else slice_size(slice_)


class TaskProgress:
    """Follows a task, and reports its state twice a second at most.

    Attributes:
        total: outcomes of the records of the slices that were read.
        state: the state, as of the last report.
    """

    def __init__(self, task: Task, on_state: OnState | None) -> None:
        """Begins now."""
        self.total = Counts()
        self.state = TaskState(task.number)
        self._on_state = on_state
        self._size = size_of(task)
        self._began = self._last = time.monotonic()
        self._slice: Slice | None = None
        self._live = Counts()
        self._done = 0
        self._block = (0, 0, 0, 0)
        self._expected = 0
        if on_state:
            on_state(self.state)

    def begin_slice(self, slice_: Slice, live: Counts) -> None:
        """A slice is read from here on; `live` is filled while it is."""
        self._slice, self._live = slice_, live
        self._block = (0, 1, slice_.start, slice_.start)

    def follow(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks of that slice, followed."""
        for block in blocks:
            self._block = (self._live.read, len(block.records) + len(block.raw), self._block[3], block.stop)
            self._report()
            yield block

    def end_slice(self, slice_: Slice) -> None:
        """A slice has been read."""
        self.total.add(self._live)
        self._slice, self._live = None, Counts()
        self._done += _work_in(slice_)

    def expect_rows(self, rows: int) -> None:
        """So many rows will come in the order of their archives."""
        self._expected = rows

    def add_row(self, size: int) -> None:
        """A row was packed, of that many bytes."""
        self.state.rows += 1
        self.state.packed += size
        self._report()

    def _report(self) -> None:
        if self._on_state and time.monotonic() - self._last > _SECONDS:
            self._last = time.monotonic()
            self._on_state(self.current())

    def current(self) -> TaskState:
        """The state now."""
        counts = Counts()
        counts.add(self.total)
        if self._slice:
            counts.add(self._live)
        self.state.counts, self.state.seconds = counts, time.monotonic() - self._began
        if self._expected:
            self.state.done = self._size * self.state.rows // self._expected
        else:
            self.state.done = min(self._done + self._done_in_slice(), self._size)
        return self.state

    def finish(self) -> TaskState:
        """The last state, reported."""
        state = self.current()
        state.done, state.finished = self._size, True
        if self._on_state:
            self._on_state(state)
        return state

    def _done_in_slice(self) -> int:
        """Bytes read of the slice under way; within a block, by the share of its records that were read."""
        if self._slice is None or compressed(self._slice.path) or is_behind_limit(self._slice):
            return 0
        before, records, start, stop = self._block
        share = min((self._live.read - before) / max(records, 1), 1)
        return max(0, int(start + (stop - start) * share) - self._slice.start)


class BuildProgress:
    """How far a build is: the sum of what its tasks report.

    Attributes:
        size: bytes of work, of all tasks.
        tasks: how many there are.
        earlier: bytes of work, and bytes packed, that earlier runs had done.
        at_work: number of a worker, from 0, → the state of its task.
        finished_tasks: the states of all finished tasks, without their counts.
    """

    def __init__(self, tasks: Sequence[Task], sizes: Sequence[int]) -> None:
        """Before the work begins on tasks of these sizes (`size_of`)."""
        self._tasks = {task.number: task for task in tasks}
        self._sizes = {task.number: size for task, size in zip(tasks, sizes, strict=True)}
        self.size, self.tasks = sum(self._sizes.values()), len(self._tasks)
        self.at_work: dict[int, TaskState] = {}
        self.finished_tasks: list[TaskState] = []
        self.earlier = (0, 0)
        self._counts = Counts()

    def update(self, state: TaskState, worker: int = 0) -> None:
        """Takes the state of a worker's task."""
        if not state.finished:
            self.at_work[worker] = state
            return
        self.at_work.pop(worker, None)
        self._counts.add(state.counts)
        self.finished_tasks.append(msgspec.structs.replace(state, counts=Counts()))
        if state.earlier:
            self.earlier = (self.earlier[0] + state.done, self.earlier[1] + state.packed)

    @property
    def finished(self) -> int:
        """How many tasks are finished."""
        return len(self.finished_tasks)

    @property
    def done(self) -> int:
        """Bytes of work that are done."""
        return self._sum("done")

    @property
    def rows(self) -> int:
        """Rows that are packed."""
        return self._sum("rows")

    @property
    def packed(self) -> int:
        """Bytes of those rows."""
        return self._sum("packed")

    @property
    def counts(self) -> Counts:
        """Outcomes of the records so far."""
        counts = Counts()
        counts.add(self._counts)
        for state in self.at_work.values():
            counts.add(state.counts)
        return counts

    def severities(self) -> dict[str, int]:
        """How many findings of each severity there are so far."""
        from ..core.findings import CATALOGUE

        found: Counter[str] = Counter()
        for code, count in self.counts.findings.items():
            found[CATALOGUE[code].severity] += count
        return dict(found)

    def share(self, state: TaskState) -> float:
        """The share of a task's work that is done, 0 to 1."""
        return state.done / max(self._sizes[state.task], 1)

    def work_of(self, number: int) -> str:
        """What a task reads, in words."""
        task = self._tasks[number]
        if task.archives:
            more = f" and {len(task.archives) - 1} more" if len(task.archives) > 1 else ""
            return f"{os.path.basename(task.archives[0].paths[0])}{more}"
        first = task.slices[0]
        more = f" and {len(task.slices) - 1} more" if len(task.slices) > 1 else ""
        return f"{first.file} from byte {first.start:,}{more}"

    def slowest(self, most: int = 5) -> list[TaskState]:
        """The finished tasks that have taken longest."""
        return sorted(self.finished_tasks, key=lambda state: (-state.seconds, state.task))[:most]

    def _sum(self, name: str) -> int:
        return sum(getattr(state, name) for state in (*self.finished_tasks, *self.at_work.values()))
