"""Engines: this machine or a Ray cluster, which run the tasks of a build.  What is built is the same with each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from ..core.errors import DataError
from ..core.file_digests import sha256
from ..core.storage import Folder, Output
from ..pipeline.options import Options
from . import build_plan as planning
from . import reorder_spill
from .build_plan import Plan, Settings, Task
from .local_engine import run_all
from .progress import TaskState, size_of
from .task import run as run_task

NAMES = ("local", "ray")

OnWorkerState = Callable[[TaskState, int], None]
"""Called with the state of a task and the number of its worker, from 0."""


class Engine(Protocol):
    """Runs tasks.  Only the engine reads data and media: they may be where only its workers see them."""

    def plan(self, data: str | Sequence[str], options: Options, settings: Settings) -> Plan:
        """The plan of a build; see `modalmix.builders.build.build_plan.make`."""

    def check(self, out: Output) -> None:
        """Makes sure that the workers see what this process writes to an output that is ready.

        Raises:
            DataError: they do not.
        """

    def run(self, out: Output, plan: Plan, tasks: Sequence[Task], on_state: OnWorkerState) -> None:
        """Runs tasks of a plan that is written in the output.

        Raises:
            DataError, RejectedRow, OSError: as `modalmix.builders.build.run_build.build` says.
        """

    def sizes(self, tasks: Sequence[Task]) -> list[int]:
        """The bytes of each task's work; see `modalmix.builders.build.progress.size_of`."""

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The SHA-256 of each annotation file."""


class Local:
    """This process, or several of this machine."""

    def __init__(self, workers: int = 1) -> None:
        """An engine of so many `local_engine` processes; with 1, this process runs the tasks."""
        self._workers = workers

    def plan(self, data: str | Sequence[str], options: Options, settings: Settings) -> Plan:
        """The plan of a build."""
        return planning.make(data, options, settings)

    def check(self, out: Output) -> None:
        """All processes of a machine see the same."""

    def run(self, out: Output, plan: Plan, tasks: Sequence[Task], on_state: OnWorkerState) -> None:
        """Runs tasks here, or in several processes."""
        if not isinstance(out, Folder):
            reorder_spill.make(out, plan)
        if self._workers > 1 and len(tasks) > 1:
            run_all(out.url, tasks, self._workers, on_state)
        else:
            for task in tasks:
                run_task(out, plan, task, lambda state: on_state(state, 0))

    def sizes(self, tasks: Sequence[Task]) -> list[int]:
        """The bytes of each task's work."""
        return [size_of(task) for task in tasks]

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The SHA-256 of each annotation file."""
        return [sha256(path) for path in paths]


@contextmanager
def engine(name: str, address: str | None, workers: int | None) -> Iterator[Engine]:
    """An engine, for as long as the context lasts.

    Args:
        name: one of `NAMES`.
        address: of a Ray cluster; None for ``$RAY_ADDRESS``, or for one on this machine that ends with the context.
        workers: tasks at a time; None for one here, or for as many as the cluster takes.

    Raises:
        DataError: there is no such engine, or the cluster cannot be reached.
    """
    if name not in NAMES:
        raise DataError(f"there is no engine {name!r}; it must be one of {', '.join(NAMES)}")
    if workers is not None and workers < 1:
        raise DataError(f"the number of workers is {workers}; it must be 1 or more")
    if name == "local":
        if address is not None:
            raise DataError(f"an address ({address!r}) needs the engine ray; pass --engine ray")
        yield Local(workers or 1)
        return
    from .ray_engine import connected

    with connected(address, workers) as ray:
        yield ray
