"""Locks between processes: each is held on an open file or folder, and ends with the process that holds it.

The exclusive lock is that of `filelock` (``flock`` on POSIX systems), so that a process that is killed holds nothing, whatever
killed it.  `filelock` has no shared lock of this kind (its `ReadWriteLock` is a SQLite database, and would need a file of its own
beside each of ours), so the shared one is taken here.

A lock belongs to one opening of the file.  Two openings in one process exclude each other, so threads wait for each other, too; a
forked process shares the openings of its parent, and with them the locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import lock_descriptor

_POLL_SECONDS = 0.005
_NOT_SUPPORTED = frozenset({errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""EBADF: network file systems that emulate these locks refuse them for a folder, which cannot be open for writing."""

_HELD = frozenset({errno.EACCES, errno.EAGAIN})  # some file systems say EACCES


class LockedError(OSError):
    """Another process holds the lock."""


def acquire(path: str, *, shared: bool = False, wait: bool = True, create: bool = True) -> int:
    """Takes the lock of a file or of a folder.

    Args:
        path: of either; it is not changed.
        shared: several processes may hold it shared at once, but none exclusively.
        wait: wait until it is free.
        create: make the file if there is none.

    Returns:
        A descriptor that is open for reading, and for a file for writing as well; `os.close` releases the lock.

    Raises:
        LockedError: another process holds it, and `wait` is false.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    flags = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | (os.O_CREAT if create else 0)
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        if not _lock(descriptor, shared=shared, wait=wait):
            raise LockedError(errno.EAGAIN, "another process holds the lock", path)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, OSError) and error.errno in _NOT_SUPPORTED:
            reason = f"the file system does not support locks ({os.strerror(error.errno)})"
            raise OSError(error.errno, reason, path) from error
        raise
    return descriptor


@contextmanager
def locked(path: str, *, shared: bool = False, wait: bool = True, create: bool = True) -> Iterator[int]:
    """Holds the lock of a file or of a folder for as long as the context lasts, and gives the open descriptor; see `acquire`."""
    descriptor = acquire(path, shared=shared, wait=wait, create=create)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool, wait: bool) -> bool:
    if not shared:
        return bool(lock_descriptor(descriptor, blocking=wait, poll_interval=_POLL_SECONDS))
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in _HELD:
                raise
        if not wait:
            return False
        time.sleep(_POLL_SECONDS)
