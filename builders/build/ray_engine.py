"""Cluster: the tasks of a plan as tasks of Ray, on one machine or many (``pip install modalmix[ray]``).

This process, the driver, needs to see the output, and nothing else: the plan is made, and annotation files are digested, by
workers, so that data and media may lie where only they see them (at the same paths on each of them).  Ray itself deals out the
tasks, and runs one again whose worker or node was lost; begun again, it goes on from its journal (see `task`).

Each worker needs modalmix of this version, and for an object store what it takes to reach that (fsspec's settings, the store's
environment variables) as its node has it.
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
from .progress import State, size_of

logger = logging.getLogger("modalmix")

_RETRIES = 5
_MEMORY = 512 << 20
_OBJECT_STORE_BYTES = 256 << 20  # plans are all that goes through it
_SECONDS_BETWEEN_NEWS = 0.5
_SECONDS_TO_REACH = 10.0


@contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[Cluster]:
    """A cluster: the one this process is connected to, that at an address, or one on this machine for the time being.

    A cluster that was not started here is left alone.

    Args:
        address: ``host:port``, ``auto``, ``local``, ``ray://…``; None for ``$RAY_ADDRESS`` or else ``local``.
        workers: tasks at a time; None for as many as there are processors in the cluster.

    Raises:
        DataError: Ray is not installed, or the cluster cannot be reached.
    """
    ray = _ray()
    began = not ray.is_initialized()
    if began:
        _connect(ray, address or os.environ.get("RAY_ADDRESS") or "local", workers)
    try:
        yield Cluster(ray, workers)
    finally:
        if began:
            ray.shutdown()


class Cluster:
    """A Ray cluster as an engine; see `modalmix.builders.build.engines.Engine`."""

    def __init__(self, ray: Any, workers: int | None) -> None:
        self._ray = ray
        self._workers = workers

    def plan(self, data: str | Sequence[str], options: Options, settings: Settings) -> Plan:
        """The plan of a build, made by a worker."""
        given = [data] if isinstance(data, str) else data
        where = [one if "://" in one else os.path.abspath(one) for one in given]
        encoded = msgspec.json.encode(planning.absolute(options))
        text, said = self._have("planning", _plan, where[0] if isinstance(data, str) else where, encoded, settings)
        for level, message in said:
            logger.log(level, "%s", message)
        plan = msgspec.json.decode(text, type=Plan)
        if plan.version != modalmix_version():
            raise DataError(
                f"the cluster has modalmix {plan.version}, and this is {modalmix_version()}; install the same"
            )
        return plan

    def check(self, out: Output) -> None:
        """Has each node look for a file that is written here, if the output is a folder."""
        if not isinstance(out, Folder):
            return
        strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        errors = self._ray.exceptions
        gone = errors.TaskUnschedulableError, errors.NodeDiedError  # a node that has left does not work for us either
        probe = f"{STATE}/probe-{uuid.uuid4().hex}"
        out.write(probe, b"")
        try:
            nodes = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
            looks = []
            for node in nodes:
                there = strategy(node["NodeID"], soft=False)
                look = self._ray.remote(num_cpus=0, scheduling_strategy=there)(_sees)
                looks.append((node["NodeManagerAddress"], look.remote(out.url, probe)))
            for host, look in looks:
                with _told_of(self._ray, f"a look at {out.url!r}"), suppress(*gone):
                    if not self._ray.get(look):
                        raise DataError(
                            f"the node {host} does not see {out.url!r}; name a folder that all nodes share, or an object store"
                        )
        finally:
            out.remove(probe)

    def run(self, out: Output, plan: Plan, tasks: Sequence[Task], told: Callable[[State, int], None]) -> None:
        """Runs tasks on the cluster, and tells of them here."""
        ray = self._ray
        self._have("the records that move", _make, out.url, plan.text())
        text = ray.put(plan.text())
        news = ray.remote(num_cpus=0, max_restarts=-1)(_News).remote()
        remote = ray.remote(num_cpus=1, memory=_MEMORY, max_retries=_RETRIES, scheduling_strategy="SPREAD")(_run)
        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        seats: dict[int, int] = {}  # task → what is told as the number of its worker: the lowest that is free

        def tell(state: State) -> None:
            if state.task not in seats:
                seats[state.task] = next(seat for seat in count() if seat not in seats.values())
            told(state, seats[state.task])
            if state.finished:
                del seats[state.task]

        try:
            while True:
                while self._workers is None or len(running) < self._workers:
                    task = next(waiting, None)
                    if task is None:
                        break
                    running[remote.remote(out.url, text, task.number, news)] = task
                if not running:
                    break
                ready, _ = ray.wait(list(running), timeout=_SECONDS_BETWEEN_NEWS)
                with suppress(
                    ray.exceptions.RayActorError
                ):  # it went with its node, and what it knew; no row went with it
                    under_way = {task.number for task in running.values()}
                    for state in ray.get(news.take.remote()):
                        if state.task in under_way:
                            tell(state)
                for one in ready:
                    with _told_of(ray, f"task {running.pop(one).number}"):
                        answer = ray.get(one)
                    tell(_unpacked(answer))
        finally:
            for one in running:
                with suppress(ray.exceptions.RayError):
                    ray.cancel(one, force=True)
            if running:  # they may be writing still; nothing of this build is under way when it has ended
                ray.wait(list(running), num_returns=len(running), timeout=_SECONDS_TO_REACH)

    def sizes(self, tasks: Sequence[Task]) -> list[int]:
        """The bytes of each task's work, by a worker."""
        return list(self._have("the sizes of the tasks", _sizes, tasks))

    def digests(self, paths: Sequence[str]) -> list[str]:
        """The SHA-256 of each annotation file, by workers."""
        digest = self._ray.remote(num_cpus=1, max_retries=_RETRIES)(_sha256)
        with _told_of(self._ray, "a digest"):
            return [_unpacked(one) for one in self._ray.get([digest.remote(path) for path in paths])]

    def _have(self, what: str, function: Callable[..., Any], *given: Any) -> Any:
        """What a function gives, called by a worker."""
        with _told_of(self._ray, what):
            return _unpacked(self._ray.get(self._ray.remote(num_cpus=1, max_retries=_RETRIES)(function).remote(*given)))


# What runs on workers.  Errors are handed back as values: raised, they would come wrapped in one of Ray's, with a traceback.


def _plan(data: str | Sequence[str], options: bytes, settings: Settings) -> Any:
    """A plan as JSON, and what was logged over it; or the error."""
    said: list[tuple[int, str]] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((record.levelno, record.getMessage()))

    listener = Listener()
    logger.addHandler(listener)
    try:
        return planning.make(data, msgspec.json.decode(options, type=Options), settings).text(), said
    except (DataError, OSError) as error:
        return _portable(error)
    finally:
        logger.removeHandler(listener)


def _make(url: str, text: bytes) -> Exception | None:
    """Makes what tasks wait for."""
    try:
        reorder_spill.make(at(url), _decoded(text))
    except (DataError, OSError) as error:
        return _portable(error)
    return None


def _run(url: str, text: bytes, number: int, news: Any) -> State | Exception:
    """Runs a task; its last state, or the error if it could not be done."""
    states: list[State] = []

    def told(state: State) -> None:
        if state.finished:
            states.append(state)
        else:
            news.tell.remote(state)

    plan = _decoded(text)
    try:
        task.run(at(url), plan, plan.tasks[number], told)
    except (DataError, RejectedRow, OSError) as error:
        return _portable(error)
    return states[-1]


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


class _News:
    """An actor: what workers tell, until the driver takes it."""

    def __init__(self) -> None:
        self._states: dict[int, State] = {}

    def tell(self, state: State) -> None:
        """Keeps the state of a task in place of the one before."""
        self._states[state.task] = state

    def take(self) -> list[State]:
        """What has been told since the last time."""
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
def _told_of(ray: Any, what: str) -> Iterator[None]:
    """Has Ray's own errors come as ours."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error, ModuleNotFoundError):
            raise DataError(
                f"the workers of the cluster lack a module: {getattr(error, 'cause', error)}; install modalmix there"
            ) from error
        raise
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines()
        raise WorkerDied(f"{what} has been given up, {_RETRIES + 1} workers or nodes were lost: {lines[0]}") from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
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
    except Exception as error:  # of many kinds, by version and by what is wrong
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(f"no Ray cluster at {address!r}: {lines[0]}") from error


def _reach(address: str) -> None:
    """Makes sure that somebody listens: Ray itself would wait for long, and end the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_REACH).close()
    except OSError as error:
        raise DataError(f"no Ray cluster at {address!r}: {error}") from error
