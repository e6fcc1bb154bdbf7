"""Worker processes: tasks handed out to processes of this machine, and what comes back.

::

    tasks ──► thread ──stdin──► process: run(task, send) ──stdout──► messages, a result or an error ──► the caller
              (one thread a process)

A worker is a Python of its own that runs `main`.  (It is not one of `multiprocessing`: nothing of the caller's main module is run
again, and nothing is forked while threads run.)  Values go both ways pickled; only a worker and its parent write to the pipes.

- A worker that dies, of memory or by a signal, is replaced, and its task begins again; a task that ends several is given up.
- The first error of a task ends all workers and is raised.
- Workers do not outlive this process: its death closes their standard input, and a worker that is at work then stops at once.
- Ctrl-C is for this process, which ends its workers; they ignore it themselves.
- A crash in a library prints where it happened (`faulthandler`).
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import IO, Any, Literal, TypeVar

Setup = TypeVar("Setup")
Task = TypeVar("Task")
Result = TypeVar("Result")

Send = Callable[[Any], None]
"""Sends a message about the task under way to the caller."""

_Kind = Literal["ready", "message", "result", "error"]


class WorkerDied(OSError):  # noqa: N818  what has happened, as in BrokenPipeError
    """A task has ended several workers."""


class WorkerTraceback(Exception):  # noqa: N818  it is the cause of an error
    """The traceback of an error, in the worker that raised it."""


def run_in_workers(
    start: Callable[[Setup], Callable[[Task, Send], Result]],
    setup: Setup,
    tasks: Iterable[Task],
    count: int,
    *,
    attempts: int = 3,
    ordered: bool = False,
    on_message: Callable[[Any, int], None] | None = None,
    on_death: Callable[[Task, str], Result] | None = None,
    describe: Callable[[Task], str] = str,
) -> Iterator[tuple[int, Result]]:
    """Runs tasks in processes, which end with the iteration over the results.

    Args:
        start: a function of a module, called in each worker with `setup`; it gives the function that runs a task.
        setup: what all tasks need.
        tasks: any number; they are taken as they are handed out.
        count: number of workers, at most.
        attempts: number of times that a task is begun whose worker dies.
        ordered: yield the results in the order of the tasks; at most twice `count` tasks are under way or not yet yielded.
        on_message: called with what a task sends and the number of its worker, from 0, in the thread that takes the results.
        on_death: called with a task that has ended all its workers and with how the last one ended; gives its result.  None to
            raise.
        describe: names a task, for the error that is raised then.

    Yields:
        The position of a task and its result.

    Raises:
        WorkerDied: a task has ended `attempts` workers.
        OSError: workers do not start.
        Exception: of a task, as it was raised; its cause is a `WorkerTraceback`.
    """
    pool = _Pool(start, setup, count, attempts, on_death, describe)
    left = enumerate(tasks)
    under_way = following = 0
    ready: dict[int, Result] = {}
    try:
        while True:
            while under_way < 2 * count and (task := next(left, None)) is not None:
                pool.add(*task)
                under_way += 1
            if not under_way:
                break
            kind, worker, position, value = pool.events.get()
            if kind == "error":
                raise value
            if kind == "message":
                if on_message:
                    on_message(value, worker)
            elif not ordered:
                under_way -= 1
                yield position, value
            else:
                ready[position] = value
                while following in ready:
                    under_way -= 1
                    yield following, ready.pop(following)
                    following += 1
        pool.end(at_once=False)
    finally:
        pool.end(at_once=True)


class _Pool:
    """The threads that attend to the workers."""

    def __init__(
        self,
        start: Callable[[Any], Callable[[Any, Send], Any]],
        setup: object,
        count: int,
        attempts: int,
        on_death: Callable[[Any, str], Any] | None,
        describe: Callable[[Any], str],
    ) -> None:
        self.events: SimpleQueue[tuple[_Kind, int, int, Any]] = SimpleQueue()
        self._head = _framed(sys.path) + _framed((start, setup))
        self._command = [sys.executable, "-c", f"from {__name__} import main; main()", start.__module__]
        self._count, self._attempts, self._on_death, self._describe = count, attempts, on_death, describe
        self._tasks: SimpleQueue[tuple[int, Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def add(self, position: int, task: object) -> None:
        """Hands a task to the next worker that is free; starts one more while there are fewer than the count."""
        self._tasks.put((position, task))
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._attend, args=(len(self._threads),), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self, at_once: bool) -> None:
        """Ends the workers; at once also those at work."""
        if at_once:
            with self._lock:
                self._ended = True
                for process in self._processes:
                    process.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _attend(self, number: int) -> None:
        """Runs tasks in one worker, and in those that replace it."""
        worker: _Worker | None = None
        try:
            while (given := self._tasks.get()) is not None and not self._ended:
                position, task = given
                for attempt in range(1, self._attempts + 1):
                    if worker is None and (worker := self._started()) is None:
                        return
                    if self._answers(worker, number, position, task):
                        break
                    how, ready, worker = self._exit_of(worker), worker.ready, None
                    if self._ended:
                        return
                    if attempt < self._attempts:
                        continue
                    if not ready:
                        raise OSError(f"worker processes do not start ({how})")
                    if self._on_death is None:
                        what = f"{self._describe(task)} has ended {attempt} workers (the last: {how})"
                        raise WorkerDied(what)
                    self.events.put(("result", number, position, self._on_death(task, how)))
        except BaseException as error:
            self.events.put(("error", number, -1, error))
        finally:
            if worker is not None:
                self._exit_of(worker)

    def _started(self) -> _Worker | None:
        """A new worker; None once all are to end."""
        with self._lock:
            if self._ended:
                return None
            process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.add(process)
        _write(process, self._head)
        return _Worker(process)

    def _answers(self, worker: _Worker, number: int, position: int, task: object) -> bool:
        """Has a worker run a task; False if it has died."""
        assert worker.process.stdout is not None
        if not _write(worker.process, _framed(task)):
            return False
        while True:
            try:
                kind, value = _received(worker.process.stdout)
            except EOFError:
                return False
            if kind == "ready":
                worker.ready = True
                continue
            if kind == "error":
                error, text = value
                error.__cause__ = WorkerTraceback(f"\n{text}")
                value = error
            self.events.put((kind, number, position, value))
            if kind != "message":
                return True

    def _exit_of(self, worker: _Worker) -> str:
        """Waits for the end of a worker that is idle or has died, and says how it ended."""
        process = worker.process
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()
        code = process.wait()
        with self._lock:
            self._processes.discard(process)
        return f"signal {-code}" if code < 0 else f"exit code {code}"


@dataclass
class _Worker:
    """A process, and whether it has said that it is ready for tasks."""

    process: subprocess.Popen[bytes]
    ready: bool = False


def _framed(value: object) -> bytes:
    data = pickle.dumps(value, 5)
    return struct.pack("<Q", len(data)) + data


def _write(process: subprocess.Popen[bytes], data: bytes) -> bool:
    """Sends bytes to a worker; False if it has died."""
    assert process.stdin is not None
    try:
        process.stdin.write(data)
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return True


def _received(pipe: IO[bytes]) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def main() -> None:
    """The life of a worker."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # whatever a library prints must not come between the answers
    lock = threading.Lock()

    def answer(kind: _Kind, value: object = None) -> None:
        data = _framed((kind, value))
        with lock:
            answers.write(data)
            answers.flush()

    sys.path[:] = _received(asked)
    try:
        start, setup = _received(asked)
        run = start(setup)
    except Exception as error:
        answer("error", _portable(error))
        return
    answer("ready")
    given: SimpleQueue[Any] = SimpleQueue()
    done = 0

    def listen() -> None:
        received = 0
        try:
            while True:
                given.put((_received(asked),))
                received += 1
        except EOFError:
            if received > done:  # the parent process has ended
                os._exit(1)
            given.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (task := given.get()) is not None:
        kind: _Kind = "result"
        try:
            value = run(task[0], lambda message: answer("message", message))
        except MemoryError:
            raise  # another worker has a better chance
        except Exception as error:
            kind, value = "error", _portable(error)
        done += 1
        answer(kind, value)


def _portable(error: Exception) -> tuple[Exception, str]:
    """An error that can be sent, and its traceback, which pickling would lose."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    try:
        sent = pickle.loads(pickle.dumps(error))
        if type(sent) is not type(error) or str(sent) != str(error):
            raise TypeError
    except Exception:
        error = OSError(str(error) or type(error).__name__)
    return error, text
