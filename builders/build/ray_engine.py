"""The engine ray: the tasks of a plan as tasks of Ray, on one machine or many (``pip install modalmix[ray]``).

This process, the driver, reads the output alone.  Workers make the plan and the digests of annotation files, so data and media
may be where only the workers see them, at the same paths on each of them.  Ray hands out the tasks, and runs a task again whose
worker or node is lost; the task then continues from its journal (see `task`).

Each worker needs modalmix of this version, and on its node the settings of the object store (fsspec's settings, environment
variables), if the output is in one.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from typing import Any

import msgspec

from ..core.errors import DataError
from ..core.file_digests import sha256
from ..core.report import modalmix_version
from ..core.storage import STATE, Folder, Output, at
from ..core.worker_processes import WorkerDied
from ..pipeline.options import Options
from ..pipeline.rejects import RejectedRow
from . import build_plan as planning
from . import reorder_spill, task
from .build_plan import Plan, Settings, Task
from .progress import TaskState, size_of

logger = logging.getLogger("modalmix")

_RETRIES = 5
_MEMORY = 512 << 20
_OBJECT_STORE_BYTES = 256 << 20  # only plans go through it
_SECONDS_BETWEEN_STATES = 0.5
_SECONDS_TO_REACH = 10.0


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[Cluster]:
    """A cluster: the one that this process is connected to, the one at an address, or one on this machine for this build alone.

    A cluster that was not started here is not shut down.

    Args:
        address: ``host:port``, ``auto``, ``local``, ``ray://…``; None for ``$RAY_ADDRESS`` or else ``local``.
        workers: tasks at a time; None for as many as there are processors in the cluster.

    Raises:
        DataError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = _ray()
    connects = not ray.is_initialized()
    if connects:
        _connect(ray, address or os.environ.get("RAY_ADDRESS") or "local", workers)
    try:
        yield Cluster(ray, workers)
    finally:
        if connects:
            ray.shutdown()


class Cluster:
    """A Ray cluster as an engine; see `modalmix.builders.build.engines.Engine`."""

    def __init__(self, ray: Any, workers: int | None) -> None:
        self._ray = ray
        self._workers = workers

    def plan(self, data: str | Sequence[str], options: Options, settings: Settings) -> Plan:
        """The plan of a build, made by a worker."""
        given = [data] if isinstance(data, str) else data
        paths = [path if "://" in path else os.path.abspath(path) for path in given]
        encoded = msgspec.json.encode(planning.absolute(options))
        text, logged = self._call("planning", _plan, paths[0] if isinstance(data, str) else paths, encoded, settings)
        for level, message in logged:
            logger.log(level, "%s", message)
        plan = msgspec.json.decode(text, type=Plan)
        if plan.version != modalmix_version():
            raise DataError(
                f"the cluster has modalmix {plan.version}, and this is {modalmix_version()}; install the same version"
            )
        return plan

    def check(self, out: Output) -> None:
        """Has each node look for a file that is written here, if the output is a folder."""
        if not isinstance(out, Folder):
            return
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        errors = self._ray.exceptions
        gone = errors.TaskUnschedulableError, errors.NodeDiedError  # a node that has left runs no task either
        probe = f"{STATE}/probe-{uuid.uuid4().hex}"
        out.write(probe, b"")
        try:
            nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
            answers = []
            for node in nodes:
                on_node = strategy(node["NodeID"], soft=False)
                sees = self._ray.remote(num_cpus=0, scheduling_strategy=on_node)(_sees)
                answers.append((node["NodeManagerAddress"], sees.remote(out.url, probe)))
            for host, answer in answers:
                with _errors_of(self._ray, f"a look at {out.url!r}"), suppress(*gone):
                    if not self._ray.get(answer):
                        raise DataError(
                            f"the node {host} does not see {out.url!r}; name a folder that all nodes share, or an object store"
                        )
        finally:
            out.remove(probe)

    def run(self, out: Output, plan: Plan, tasks: Sequence[Task], on_state: Callable[[TaskState, int], None]) -> None:
        """Runs tasks on the cluster, and reports their states here."""
        ray = self._ray
        self._call("the reordered records", _make, out.url, plan.text())
        text = ray.put(plan.text())
        states = ray.remote(num_cpus=0, max_restarts=-1)(_States).remote()
        remote = ray.remote(num_cpus=1, memory=_MEMORY, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_run)
        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        numbers: dict[int, int] = {}  # task → number of its worker: the lowest that is free

        def report(state: TaskState) -> None:
            if state.task not in numbers:
                numbers[state.task] = next(number for number in count() if number not in numbers.values())
            on_state(state, numbers[state.task])
            if state.finished:
                del numbers[state.task]

        try:
            while True:
                while self._workers is None or len(running) < self._workers:
                    task = next(waiting, None)
                    if task is None:
                        break
                    running[remote.remote(out.url, text, task.number, states)] = task
                if not running:
                    break
                ready, _ = ray.wait(list(running), timeout=_SECONDS_BETWEEN_STATES)
                # the actor and its states are lost with its node; no row is
                with suppress(ray.exceptions.RayActorError):
                    under_way = {task.number for task in running.values()}
                    for state in ray.get(states.take.remote()):
                        if state.task in under_way:
                            report(state)
                for reference in ready:
                    with _errors_of(ray, f"task {running.pop(reference).number}"):
                        answer = ray.get(reference)
                    report(_unpacked(answer))
        finally:
            for reference in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(reference, force=True)
            if running:  # they may still be writing; no task of this build runs once it has ended
                ray.wait(list(running), num_returns=len(running), timeout=_SECONDS_TO_REACH)

    def sizes(self, tasks: Sequence[Task]) -> list[int]:
        """The bytes of each task's work, by a worker."""
        return list(self._call("the sizes of the tasks", _sizes, tasks))

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The SHA-256 of each annotation file, by workers."""
        digest = self._ray.remote(num_cpus=1, max_retries=_RETRIES)(_sha256)
        with _errors_of(self._ray, "a digest"):
            return [_unpacked(answer) for answer in self._ray.get([digest.remote(path) for path in paths])]

    def _call(self, what: str, function: Callable[..., Any], *given: Any) -> Any:
        """The result of a function, called by a worker."""
        with _errors_of(self._ray, what):
            return _unpacked(self._ray.get(self._ray.remote(num_cpus=1, max_retries=_RETRIES)(function).remote(*given)))


# What runs on workers.  Errors are returned as values: raised, they would arrive inside an error of Ray's, with a traceback.


def _plan(data: str | Sequence[str], options: bytes, settings: Settings) -> Any:
    """A plan as JSON, and the log messages of planning; or the error."""
    logged: list[tuple[int, str]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append((record.levelno, record.getMessage()))

    listener = Listener()
    logger.addHandler(listener)
    try:
        return planning.make(data, msgspec.json.decode(options, type=Options), settings).text(), logged
    except (DataError, OSError) as error:
        return _portable(error)
    finally:
        logger.removeHandler(listener)


def _make(url: str, text: bytes) -> Exception | None:
    """Writes the reordered records, which tasks need."""
    try:
        reorder_spill.make(at(url), _decoded(text))
    except (DataError, OSError) as error:
        return _portable(error)
    return None


def _run(url: str, text: bytes, number: int, states: Any) -> TaskState | Exception:
    """Runs a task; its last state, or the error that stopped it."""
    last: list[TaskState] = []

    def report(state: TaskState) -> None:
        if state.finished:
            last.append(state)
        else:
            states.put.remote(state)

    plan = _decoded(text)
    try:
        task.run(at(url), plan, plan.tasks[number], report)
    except (DataError, RejectedRow, OSError) as error:
        return _portable(error)
    return last[-1]


@lru_cache(maxsize=1)
def _decoded(text: bytes) -> Plan:
    return msgspec.json.decode(text, type=Plan)


def _sees(url: str, path: str) -> bool:
    return at(url).size(path) is not None


def _sizes(tasks: Sequence[Task]) -> Any:
    try:
        return [size_of(task) for task in tasks]
    except OSError as error:
        return _portable(error)


def _sha256(path: str) -> Any:
    try:
        return sha256(path)
    except OSError as error:
        return _portable(error)


class _States:
    """An actor: the states that workers report, until the driver takes them."""

    def __init__(self) -> None:
        self._states: dict[int, TaskState] = {}

    def put(self, state: TaskState) -> None:
        """Replaces the state of a task."""
        self._states[state.task] = state

    def take(self) -> list[TaskState]:
        """The states since the last time."""
        states, self._states = self._states, {}
        return list(states.values())


def _portable(error: Exception) -> Exception:
    """The error as the driver can read it, whatever libraries it has."""
    if isinstance(error, (DataError, RejectedRow)) or type(error).__module__ == "builtins":
        return error.with_traceback(None)
    return OSError(str(error))


def _unpacked(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextmanager
def _errors_of(ray: Any, what: str) -> Iterator[None]:
    """Turns Ray's errors into ours."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error, ModuleNotFoundError):
            raise DataError(
                f"a module is missing on the workers of the cluster: {getattr(error, 'cause', error)}; install modalmix there"
            ) from error
        raise
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        raise WorkerDied(f"{what} is given up after {_RETRIES + 1} lost workers or nodes: {lines[0]}") from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no usage reports
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise DataError(f"the engine ray needs Ray ({error}); pip install 'modalmix[ray]'") from error
    return ray


def _connect(ray: Any, address: str, workers: int | None) -> None:
    """Connects to a cluster, or starts one."""
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options.update(num_cpus=workers, include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES)
    else:
        _reach(address)
    try:
        ray.init(address, **options)
    except Exception as error:  # its type depends on the version of Ray and on the fault
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"no Ray cluster at {address!r}: {lines[0]}") from error


def _reach(address: str) -> None:
    """Makes sure that the address answers: Ray itself would wait for long, and end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_REACH).close()
    except OSError as error:
        raise DataError(f"no Ray cluster at {address!r}: {error}") from error
