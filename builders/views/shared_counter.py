"""Shared counter: how many samples a view has given and rejected, summed over all processes that read it.

A DataLoader's workers have copies of the view, and what they count must be visible where the loader is.  So the numbers lie in
a small file that every copy opens, and each change takes the file's lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import tempfile
import weakref
from typing import NamedTuple

_NUMBERS = struct.Struct("<3q")


class ViewCounts(NamedTuple):
    """What became of the samples: ``read == given + rejected``.

    Attributes:
        read: samples that were requested and are finished.
        given: samples that the caller got.
        rejected: samples that cannot be decoded.
    """

    read: int
    given: int
    rejected: int


class SharedCounter:
    """Numbers in a file; copies of this object in other processes of the machine add to the same numbers."""

    def __init__(self) -> None:
        """Creates the file.  It is removed with this object, in the process that created it."""
        descriptor, self._path = tempfile.mkstemp(prefix="modalmix-", suffix=".count")
        os.write(descriptor, _NUMBERS.pack(0, 0, 0))
        os.close(descriptor)
        weakref.finalize(self, _remove, self._path, os.getpid())

    def add(self, given: int, rejected: int) -> int:
        """Adds to the numbers.

        Returns:
            How many samples are rejected so far.
        """
        try:
            file = open(self._path, "r+b", buffering=0)  # noqa: SIM115  closed below
        except FileNotFoundError:  # the process that created the file has ended, so nobody reads the numbers
            return rejected
        with file:
            fcntl.flock(
                file, fcntl.LOCK_EX
            )  # each open file has a lock of its own, so threads wait for each other, too
            counts = ViewCounts(*_NUMBERS.unpack(file.read(_NUMBERS.size)))
            file.seek(0)
            file.write(_NUMBERS.pack(counts.read + given + rejected, counts.given + given, counts.rejected + rejected))
            return counts.rejected + rejected

    def counts(self) -> ViewCounts:
        """The numbers as they are now."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return ViewCounts(*_NUMBERS.unpack(file.read(_NUMBERS.size)))
        except FileNotFoundError:
            return ViewCounts(0, 0, 0)

    def __getstate__(self) -> str:
        return self._path

    def __setstate__(self, path: str) -> None:
        self._path = path
        if not os.path.exists(path):  # the process that created the file has ended: this copy counts from zero
            self.__init__()  # type: ignore[misc]


def _remove(path: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked worker has the object, but does not own the file
        with contextlib.suppress(OSError):
            os.unlink(path)
