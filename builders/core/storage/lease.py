"""The lease: which build is at work in a place of an object store.

A store has no locks, so whoever builds keeps an object ``.build/lease.json`` (``lease-I-N.json`` for a part of a build) and
renews it every 15 seconds.  Whoever comes and finds one

- of a process of the same machine: knows at once whether that lives;
- of another machine: watches it for a minute.  Renewed, the newcomer is told and stops; else it takes over, and says so.  No
  clock of one machine is ever compared with that of another.

What it guarantees: where the store creates objects only if they are not there (S3 does), of several builds that begin at once
one goes on.  A build that was cut off from the store for more than a minute may find itself replaced; it stops when it next
looks.  In between both may write; that is harmless, because the plan in the same place admits only builds that write the same
bytes under the same names.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from ..errors import DataError
from ..report import STATE

if TYPE_CHECKING:
    from .object_store import Store

logger = logging.getLogger("modalmix")

RENEWED_SECONDS = 15.0
STALE_SECONDS = 60.0
_LOOK_SECONDS = 1.0


class Lease(msgspec.Struct):
    """Who builds here.

    Attributes:
        owner: random.
        host: for people.
        machine: tells machines, their boots and their process namespaces apart; empty where that cannot be told.
        pid: of the process.
        started: when that began, in the system's own count; with it, a number that was given out again is not taken for the same.
        renewed: how often.
    """

    owner: str
    host: str
    machine: str
    pid: int
    started: str
    renewed: int = 0


@contextmanager
def held(store: Store, part: str) -> Iterator[Callable[[], None]]:
    """Holds a store; see `modalmix.builders.core.storage.Output.held`."""
    path = f"{STATE}/lease{part}.json"
    own = Lease(uuid.uuid4().hex, socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()))
    for rival in _rivals(store, part):
        _wait_for_end(store, rival)
    if not store.create(path, msgspec.json.encode(own)):
        raise _told(store, _read(store, path))
    try:
        for rival in _rivals(store, part):
            if (other := _read(store, rival)) and other.owner != own.owner:
                raise _told(store, other)
        keeper = _Keeper(store, path, own)
        try:
            yield keeper.check
        finally:
            keeper.end()
    finally:
        with suppress(OSError):
            if (now := _read(store, path)) and now.owner == own.owner:
                store.remove(path)


class _Keeper:
    """Renews a lease in a thread of its own, and notices if somebody else has taken it."""

    def __init__(self, store: Store, path: str, own: Lease) -> None:
        self._store = store
        self._path = path
        self._own = own
        self._taken: Lease | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises a DataError if the lease was lost."""
        if self._taken is not None:
            raise _told(self._store, self._taken)

    def end(self) -> None:
        """Renews it no longer."""
        self._end.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._end.wait(RENEWED_SECONDS) and self._taken is None:
            with suppress(OSError):  # a store that is away for a moment; others wait longer than that
                now = _read(self._store, self._path)
                if now is not None and now.owner != self._own.owner:
                    self._taken = now
                elif now is not None or self._store.size(f"{STATE}/plan.json") is not None:
                    self._own.renewed += 1
                    self._store.write(self._path, msgspec.json.encode(self._own))


def _rivals(store: Store, part: str) -> list[str]:
    """The leases that keep this one from being taken: all of them, or for a part that of the whole and its own."""
    return sorted(
        path
        for path in store.sizes(STATE)
        if path.startswith(f"{STATE}/lease")
        and (not part or path in (f"{STATE}/lease.json", f"{STATE}/lease{part}.json"))
    )


def _wait_for_end(store: Store, path: str) -> None:
    """Returns when a lease is no longer kept, and is removed.

    Raises:
        DataError: it is kept.
    """
    first = _read(store, path)
    if first is None:
        return
    alive = _is_alive(first)
    if alive:
        raise _told(store, first)
    if alive is None:
        logger.warning("%s: waiting to see whether the build of %s is still at work", store.url, _who(first))
        until = time.monotonic() + STALE_SECONDS
        while time.monotonic() < until:
            time.sleep(min(_LOOK_SECONDS, STALE_SECONDS / 4))
            now = _read(store, path)
            if now is None:
                return
            if now != first:
                raise _told(store, now)
    logger.warning("%s: the build of %s has ended without a word; taking over", store.url, _who(first))
    if _read(store, path) == first:
        store.remove(path)


def _read(store: Store, path: str) -> Lease | None:
    text = store.read(path)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Lease)
    except msgspec.MsgspecError:
        return Lease("", "an unknown machine", "", 0, "")


def _told(store: Store, other: Lease | None) -> DataError:
    return DataError(f"another build is at work in {store.url!r}" + (f": {_who(other)}" if other else ""))


def _who(lease: Lease) -> str:
    return f"process {lease.pid} of {lease.host}"


def _is_alive(lease: Lease) -> bool | None:
    """Whether the owner lives; None if that cannot be seen from here."""
    if not lease.machine or lease.machine != _machine():
        return None
    return _started(lease.pid) == lease.started


def _machine() -> str:
    """This machine since it was started, and the namespace in which process numbers mean something."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began; empty if there is none that still runs."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
