"""Workers: local processes that run the tasks of a plan.

A worker is a Python of its own (`main`): it reads task numbers from its standard input and answers with
lines of JSON.  (A process of its own, and not one of `multiprocessing`: nothing of the caller's main module is run again.)  A
worker that dies, of memory or by a signal, is replaced, and its task goes on where it stopped; a task that kills its worker
three times is given up.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import IO

import msgspec

from ..core.errors import DataError
from ..pipeline.rejects import RejectedRow
from . import task
from .build_plan import Plan, Task, read
from .progress import State, Told
from .storage import Output, at

_ATTEMPTS = 3


class Answer(msgspec.Struct, omit_defaults=True):
    """A line from a worker: how far it is, that a task is done, or why it could not be."""

    state: State | None = None
    done: bool = False
    error: str = ""
    kind: str = ""


class WorkerDied(OSError):  # noqa: N818  what has happened, as in BrokenPipeError
    """A task has killed its worker several times."""


def run_all(out: str, tasks: Sequence[Task], count: int, told: Callable[[State, int], None]) -> None:
    """Runs tasks in `count` processes.

    Args:
        out: path or URL of the output.
        tasks: of the plan that is written down there.
        count: how many workers.
        told: called with the state of a task and the number of its worker.

    Raises:
        RejectedRow: a record was rejected and the settings say so.
        OSError: of a worker; `WorkerDied` if a task has killed its worker several times.
    """
    waiting: SimpleQueue[tuple[Task, int]] = SimpleQueue()
    for each in tasks:
        waiting.put((each, 1))
    failures: SimpleQueue[BaseException] = SimpleQueue()
    stop = threading.Event()
    lock = threading.Lock()

    def attend(number: int) -> None:
        def tell(state: State) -> None:
            with lock:
                told(state, number)

        worker: subprocess.Popen[bytes] | None = None
        try:
            while not stop.is_set():
                try:
                    task, attempt = waiting.get_nowait()
                except Empty:
                    return
                worker = worker or _start(out)
                if not _hand(worker, task, tell):
                    code, worker = worker.wait(), None
                    if attempt >= _ATTEMPTS:
                        raise WorkerDied(f"task {task.number} has ended {_ATTEMPTS} workers (the last: {_ended(code)})")
                    waiting.put((task, attempt + 1))
        except BaseException as error:
            failures.put(error)
            stop.set()
        finally:
            if worker is not None:
                _end(worker, stop.is_set())

    threads = [threading.Thread(target=attend, args=(i,), daemon=True) for i in range(min(count, len(tasks)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except BaseException:
        stop.set()
        raise
    if not failures.empty():
        raise failures.get()


def _start(out: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"from {__name__} import main; main()", out]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _end(worker: subprocess.Popen[bytes], at_once: bool) -> None:
    if at_once:
        worker.kill()
    if worker.stdin:
        worker.stdin.close()
    worker.wait()
    if worker.stdout:
        worker.stdout.close()


def _hand(worker: subprocess.Popen[bytes], task: Task, tell: Told) -> bool:
    """Has a worker run a task; False if it died over it."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(b"%d\n" % task.number)
        worker.stdin.flush()
    except BrokenPipeError:
        return False
    for line in worker.stdout:
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.MsgspecError:
            return False  # cut off by a kill
        if answer.error:
            raise _ERRORS.get(answer.kind, OSError)(answer.error)
        if answer.done:
            return True
        if answer.state is not None:
            tell(answer.state)
    return False


_ERRORS: dict[str, type[Exception]] = {"DataError": DataError, "RejectedRow": RejectedRow, "OSError": OSError}


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def serve(out: str, asked: IO[bytes], answers: IO[bytes]) -> None:
    """The worker's side: runs the tasks whose numbers it reads until there are no more."""
    place = at(out)
    plan = _plan_of(place)

    def answer(what: Answer) -> None:
        answers.write(msgspec.json.encode(what) + b"\n")
        answers.flush()

    for line in asked:
        try:
            task.run(place, plan, plan.tasks[int(line)], lambda state: answer(Answer(state)))
        except (DataError, RejectedRow, OSError) as error:
            kind = type(error).__name__ if type(error).__name__ in _ERRORS else "OSError"
            answer(Answer(error=str(error), kind=kind))
            return
        answer(Answer(done=True))


def _plan_of(out: Output) -> Plan:
    plan = read(out)
    if plan is None:
        raise DataError(f"{out.url!r} holds no plan")
    return plan


def main() -> None:
    """Serves the process that started this one."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever a library prints must not come between the answers
        serve(sys.argv[1], sys.stdin.buffer, answers)
