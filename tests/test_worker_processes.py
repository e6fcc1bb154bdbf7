"""Worker processes: each task is run once, whoever dies; the first error ends all; nobody outlives the caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modalmix.builders.core.errors import DataError
from modalmix.builders.core.worker_processes import Send, WorkerDied, WorkerTraceback, run_in_workers


def echoing(setup: str) -> Callable[[Any, Send], Any]:
    """Runs what a task says: wait, send, die, fail, or die where no other worker has yet."""
    if setup == "broken":
        raise DataError("there is no plan")
    if setup == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)

    def run(task: tuple[str, Any], send: Send) -> Any:
        what, value = task
        if what == "wait":
            time.sleep(value)
        elif what == "send":
            for number in range(value):
                send(number)
        elif what == "die":
            os.kill(os.getpid(), value)
        elif what == "die once" and not Path(value).exists():
            Path(value).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "fail":
            raise value
        elif what == "print":
            print("this is no answer", flush=True)
            os.write(1, b"nor this\n")
        return setup, what, os.getpid()

    return run


def test_results_are_in_the_order_of_the_tasks_on_request() -> None:
    tasks = [("wait", 0.3), ("print", None), *[("wait", 0.0)] * 20]
    found = list(run_in_workers(echoing, "x", tasks, 3, ordered=True))
    assert [position for position, _ in found] == list(range(22))
    assert [what for _, (_, what, _) in found] == [what for what, _ in tasks]
    assert 1 < len({pid for _, (_, _, pid) in found}) <= 3


def test_tasks_are_taken_as_they_are_handed_out() -> None:
    taken: list[int] = []

    def tasks() -> Any:
        for number in range(100):
            taken.append(number)
            yield "wait", 0.0

    results = run_in_workers(echoing, "x", tasks(), 2, ordered=True)
    next(results)
    assert len(taken) <= 6
    results.close()  # type: ignore[attr-defined]


def test_messages_come_before_the_result_of_their_task() -> None:
    sent: list[tuple[Any, int]] = []
    for _ in run_in_workers(
        echoing, "x", [("send", 5)], 1, on_message=lambda value, worker: sent.append((value, worker))
    ):
        assert sent == [(number, 0) for number in range(5)]


def test_the_task_of_a_worker_that_dies_is_begun_again(tmp_path: Path) -> None:
    tasks = [("die once", str(tmp_path / "mark")), ("wait", 0.0), ("wait", 0.0)]
    assert sorted(position for position, _ in run_in_workers(echoing, "x", tasks, 2)) == [0, 1, 2]


def test_a_task_that_ends_all_its_workers_is_given_up() -> None:
    tasks = [("wait", 0.0), ("die", signal.SIGKILL)]
    with pytest.raises(WorkerDied, match=r"task .*die.* has ended 2 workers \(the last: signal 9\)"):
        list(run_in_workers(echoing, "x", tasks, 1, attempts=2, describe=lambda task: f"task {task[0]}"))
    found = dict(run_in_workers(echoing, "x", tasks, 1, attempts=2, on_death=lambda task, how: (task[0], how)))
    assert found[1] == ("die", "signal 9") and found[0][1] == "wait"


def test_a_crash_says_where_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WorkerDied, match="signal 11"):
        list(run_in_workers(echoing, "x", [("die", signal.SIGSEGV)], 1, attempts=1))
    reported = capfd.readouterr().err
    assert "Segmentation fault" in reported and "test_worker_processes.py" in reported


class UnpicklableError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    "error, kind",
    [
        (DataError("no such file"), DataError),
        (FileNotFoundError(2, "gone", "x"), FileNotFoundError),
        (KeyError("k"), KeyError),
    ],
)
def test_an_error_arrives_as_it_was_raised_and_ends_all_workers(error: Exception, kind: type[Exception]) -> None:
    with pytest.raises(kind) as reported:
        list(run_in_workers(echoing, "x", [("wait", 600), ("fail", error), ("wait", 600)], 3))
    assert str(reported.value) == str(error)
    assert isinstance(reported.value.__cause__, WorkerTraceback) and "in run" in str(reported.value.__cause__)


def failing(setup: None) -> Callable[[Any, Send], Any]:
    def run(task: Any, send: Send) -> Any:
        raise UnpicklableError("this", "that")

    return run


def test_an_error_that_cannot_be_sent_arrives_in_words() -> None:
    with pytest.raises(OSError, match="this and that"):
        list(run_in_workers(failing, None, [1], 1))


def test_workers_that_cannot_start_are_an_error() -> None:
    with pytest.raises(DataError, match="there is no plan"):
        list(run_in_workers(echoing, "broken", [("wait", 0.0)], 1))
    with pytest.raises(OSError, match=r"worker processes do not start \(signal 9\)"):
        list(run_in_workers(echoing, "deadly", [("wait", 0.0)], 1, on_death=lambda task, how: how))


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
import test_worker_processes
from modalmix.builders.core.worker_processes import run_in_workers
for found in run_in_workers(test_worker_processes.echoing, "x", [("send", 1), ("wait", 600)], 1,
                            on_message=lambda *_: print("begun", flush=True)):
    print(found[1][2], flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_the_caller(how: signal.Signals) -> None:
    here = str(Path(__file__).parent)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, here],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert parent.stdout is not None and parent.stderr is not None
    assert parent.stdout.readline() == b"begun\n"
    worker = int(parent.stdout.readline())
    time.sleep(0.2)  # it waits for the second task's end
    if how == signal.SIGINT:  # a terminal sends it to the whole group
        os.killpg(parent.pid, how)
    else:
        parent.send_signal(how)
    _, errors = parent.communicate(timeout=60)
    assert errors.count(b"KeyboardInterrupt") == (how == signal.SIGINT), "the caller's own; workers print nothing"
    until = time.monotonic() + 60
    while is_running(worker) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_running(worker)


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
