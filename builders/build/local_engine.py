"""The local engine's workers: processes of this machine that run the tasks of a plan.

A worker that dies is replaced, and its task continues where it stopped; see `modalmix.builders.core.worker_processes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core.errors import DataError
from ..core.storage import at
from ..core.worker_processes import Send, run_in_workers
from . import task
from .build_plan import Task, read
from .progress import TaskState


def run_all(out: str, tasks: Sequence[Task], count: int, on_state: Callable[[TaskState, int], None]) -> None:
    """Runs tasks in `count` processes.

    Args:
        out: path or URL of the output.
        tasks: of the plan that is written there.
        count: how many workers.
        on_state: called with the state of a task and the number of its worker.

    Raises:
        RejectedRow: a record was rejected, and the settings say to stop at the first.
        DataError, OSError: of a worker; `modalmix.builders.core.worker_processes.WorkerDied` if a task has ended several.
    """
    numbers = [task.number for task in tasks]
    for _ in run_in_workers(
        _worker, out, numbers, count, on_message=on_state, describe=lambda number: f"task {number}"
    ):
        pass


def _worker(out: str) -> Callable[[int, Send], None]:
    """Runs the task of a number in a worker, and sends its states."""
    place = at(out)
    plan = read(place)
    if plan is None:
        raise DataError(f"{out!r} holds no plan")

    def run(number: int, send: Send) -> None:
        task.run(place, plan, plan.tasks[number], send)

    return run
