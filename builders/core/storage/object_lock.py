"""The lock of a build in an object store, which has no locks of its own: an object that is created only if it is not there.

It is ``.build/lock.json`` (``lock-I-N.json`` for a part of a build) and names its holder.  A build removes it at its end.  The
lock of a killed build of this host is removed by the next build on this host.  That of another host stays, because this host
cannot see whether its build still runs; ``--take-over`` removes it.

A build looks at its lock now and then, and stops once another build has taken it.  Until then both may write.  That does no harm:
the plan in the same place admits only builds that write the same bytes under the same names.

Of several builds that begin at once at most one goes on, where the store can create an object only if it is not there (S3 can).
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Protocol

import msgspec

from ..errors import DataError
from ..report import STATE

logger = logging.getLogger("modalmix")

_OWNERS: set[str] = set()
"""Of the locks that this process holds."""


class Objects(Protocol):
    """What a lock needs of the place that it locks; see `Output` for what these do."""

    url: str

    def read(self, path: str) -> bytes | None:
        """A small file; None if it is not there."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The files anywhere under a folder: path → bytes."""

    def create(self, path: str, data: bytes) -> bool:
        """Writes a file that is not there yet; whether it was not."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file."""


class Holder(msgspec.Struct, frozen=True):
    """The process that builds here.

    Attributes:
        owner: random; tells two locks of one process apart.
        host: its name; empty where the lock cannot be read.
        pid: of the process.
        since: when it took the lock.
    """

    owner: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} of {self.host}, since {self.since}" if self.host else "an unknown process"


@contextmanager
def locked(store: Objects, part: str, take_over: bool) -> Iterator[Callable[[], None]]:
    """Holds the lock of a store; see `modalmix.builders.core.storage.Output.lock`."""
    path = f"{STATE}/lock{part}.json"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    own = Holder(uuid.uuid4().hex, socket.gethostname(), os.getpid(), now)

    def check() -> None:
        try:
            holder = _read(store, path)
        except OSError:  # the store is out of reach for a moment
            return
        if holder is None or holder.owner != own.owner:
            raise _refusal(store, holder)

    for other in _others(store, part):
        holder = _read(store, other)
        if holder is None:
            continue
        if not take_over and not _has_died(holder):
            raise _refusal(store, holder)
        logger.warning("%s: taking over from %s", store.url, holder)
        store.remove(other)
    if not store.create(path, msgspec.json.encode(own)):
        raise _refusal(store, _read(store, path))
    _OWNERS.add(own.owner)
    try:
        for other in _others(store, part):
            holder = _read(store, other)
            if holder is not None and holder.owner != own.owner:
                raise _refusal(store, holder)
        yield check
    finally:
        _OWNERS.discard(own.owner)
        with suppress(OSError):
            if (holder := _read(store, path)) and holder.owner == own.owner:
                store.remove(path)


def _others(store: Objects, part: str) -> list[str]:
    """The locks that exclude this one: all of them, or for a part that of the whole and its own."""
    return sorted(
        path
        for path in store.sizes(STATE)
        if path.startswith(f"{STATE}/lock") and (not part or path in (f"{STATE}/lock.json", f"{STATE}/lock{part}.json"))
    )


def _read(store: Objects, path: str) -> Holder | None:
    text = store.read(path)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Holder)
    except msgspec.MsgspecError:
        return Holder("", "", 0, "")


def _refusal(store: Objects, holder: Holder | None) -> DataError:
    if holder is None:
        return DataError(f"another build has taken over {store.url!r}")
    return DataError(
        f"another build is at work in {store.url!r}: {holder}; if it has ended, pass --take-over to continue in its place"
    )


def _has_died(holder: Holder) -> bool:
    """Whether the holder was a process of this host that has ended; false where that cannot be seen."""
    if holder.host != socket.gethostname():
        return False
    if holder.pid == os.getpid():  # a container that was started again gives out the same numbers
        return holder.owner not in _OWNERS
    try:
        os.kill(holder.pid, 0)
        with open(f"/proc/{holder.pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except ProcessLookupError:
        return True
    except OSError:  # it belongs to somebody else, or this system has no /proc
        return False
