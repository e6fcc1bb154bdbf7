"""Progress: how far each task is, and with them the whole build.

A task tells its `State`, whole and not what was added to it, so that a task that is begun anew by another worker takes the
place of what it had told before.  The `Standing` of a build is the sum of its tasks' states.

What is done is measured in bytes of annotations for tasks that read records, and in bytes of archives for those that go through
archives; the time left follows from it.
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
from .build_plan import Task, is_unwanted, slice_size

_SECONDS = 0.5
"""A task tells no more often."""


class State(msgspec.Struct, omit_defaults=True):
    """How far a task is.

    Attributes:
        task: its number.
        done: bytes of its work that are done; see `size_of`.
        rows: that were handed over to be packed.
        packed: bytes of their media and texts.
        counts: what became of its records so far; ``written`` is complete at the end.
        seconds: it has taken so far, in all runs that ended it.
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


Told = Callable[[State], None]
"""Called with the state of a task, now and then and at its end."""


def size_of(task: Task) -> int:
    """The bytes of a task's work: of its annotations, or of the archives it goes through."""
    if task.archives:
        return sum(os.path.getsize(path) for archive in task.archives for path in archive.paths)
    return sum(map(_work_in, task.slices))


def _work_in(piece: Slice) -> int:
    """The bytes of a slice, unless they are read to be counted only: that takes next to no time."""
    return 0 if is_unwanted(piece) else slice_size(piece)


class Pace:
    """Follows a task, and tells its state twice a second at most.

    Attributes:
        total: what became of the records of the slices that were read.
        state: as it would be told now.
    """

    def __init__(self, task: Task, told: Told | None) -> None:
        """Begins now."""
        self.total = Counts()
        self.state = State(task.number)
        self._told = told
        self._size = size_of(task)
        self._began = self._last = time.monotonic()
        self._piece: Slice | None = None
        self._live = Counts()
        self._done = 0
        self._block = (0, 0, 0, 0)
        self._expected = 0
        if told:
            told(self.state)

    def begins(self, piece: Slice, live: Counts) -> None:
        """A slice is read from here on; `live` is filled while it is."""
        self._piece, self._live = piece, live
        self._block = (0, 1, piece.start, piece.start)

    def follows(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks of that slice, followed."""
        for block in blocks:
            self._block = (self._live.read, len(block.records) + len(block.raw), self._block[3], block.stop)
            self._tell()
            yield block

    def ends(self, piece: Slice) -> None:
        """A slice has been read."""
        self.total.add(self._live)
        self._piece, self._live = None, Counts()
        self._done += _work_in(piece)

    def expects(self, rows: int) -> None:
        """So many rows will come in the order of their archives."""
        self._expected = rows

    def row(self, size: int) -> None:
        """A row was packed, of that many bytes."""
        self.state.rows += 1
        self.state.packed += size
        self._tell()

    def _tell(self) -> None:
        if self._told and time.monotonic() - self._last > _SECONDS:
            self._last = time.monotonic()
            self._told(self.now())

    def now(self) -> State:
        """The state."""
        counts = Counts()
        counts.add(self.total)
        if self._piece:
            counts.add(self._live)
        self.state.counts, self.state.seconds = counts, time.monotonic() - self._began
        if self._expected:
            self.state.done = self._size * self.state.rows // self._expected
        else:
            self.state.done = min(self._done + self._within(), self._size)
        return self.state

    def end(self) -> State:
        """The last state, told."""
        state = self.now()
        state.done, state.finished = self._size, True
        if self._told:
            self._told(state)
        return state

    def _within(self) -> int:
        """Bytes read of the slice in hand, between the ends of its block by the records read of it."""
        if self._piece is None or compressed(self._piece.path) or is_unwanted(self._piece):
            return 0
        before, records, start, stop = self._block
        share = min((self._live.read - before) / max(records, 1), 1)
        return max(0, int(start + (stop - start) * share) - self._piece.start)


class Standing:
    """How far a build is: what its tasks have told.

    Attributes:
        size: bytes of work, of all tasks.
        tasks: how many there are.
        finished: how many of them are.
        done: bytes of work that are done.
        earlier: bytes of work, and bytes packed, that earlier runs had done.
        rows: packed so far.
        packed: bytes of them.
        counts: what became of the records so far.
        at_work: worker, from 0, → the state of the task it is at.
        ended: the states of all finished tasks, without their counts.
    """

    def __init__(self, tasks: Sequence[Task], sizes: Sequence[int]) -> None:
        """Before the work begins on tasks of these sizes (`size_of`)."""
        self._tasks = {task.number: task for task in tasks}
        self._sizes = {task.number: size for task, size in zip(tasks, sizes, strict=True)}
        self.size, self.tasks = sum(self._sizes.values()), len(self._tasks)
        self.at_work: dict[int, State] = {}
        self.ended: list[State] = []
        self.earlier = (0, 0)
        self._counts = Counts()

    def tell(self, state: State, worker: int = 0) -> None:
        """Takes the state of the task a worker is at."""
        if not state.finished:
            self.at_work[worker] = state
            return
        self.at_work.pop(worker, None)
        self._counts.add(state.counts)
        self.ended.append(msgspec.structs.replace(state, counts=Counts()))
        if state.earlier:
            self.earlier = (self.earlier[0] + state.done, self.earlier[1] + state.packed)

    @property
    def finished(self) -> int:
        """How many tasks are."""
        return len(self.ended)

    @property
    def done(self) -> int:
        """Bytes of work that are."""
        return self._sum("done")

    @property
    def rows(self) -> int:
        """That were packed."""
        return self._sum("rows")

    @property
    def packed(self) -> int:
        """Bytes of those rows."""
        return self._sum("packed")

    @property
    def counts(self) -> Counts:
        """What became of the records so far."""
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

    def share(self, state: State) -> float:
        """How much of its task a state has done, 0 to 1."""
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

    def slowest(self, most: int = 5) -> list[State]:
        """The finished tasks that have taken longest."""
        return sorted(self.ended, key=lambda state: (-state.seconds, state.task))[:most]

    def _sum(self, name: str) -> int:
        return sum(getattr(state, name) for state in (*self.ended, *self.at_work.values()))
