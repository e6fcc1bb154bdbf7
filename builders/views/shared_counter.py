"""Tally: how many samples a view has given and rejected, over all the processes that read it.

A DataLoader's workers have copies of the view; what they count must be seen where the loader is.  So the numbers lie in a
small file that every copy opens, and each change takes the file's lock.
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


class Counts(NamedTuple):
    """What became of the samples: ``read == given + rejected``.

    Attributes:
        read: samples that were asked for and are done.
        given: samples the caller got.
        rejected: samples that could not be decoded.
    """

    read: int
    given: int
    rejected: int


class Tally:
    """Numbers in a file; its copies in other processes of the machine add to the same ones."""

    def __init__(self) -> None:
        """Makes the file; it is removed with this object, in the process that made it."""
        descriptor, self._path = tempfile.mkstemp(prefix="modalmix-", suffix=".tally")
        os.write(descriptor, _NUMBERS.pack(0, 0, 0))
        os.close(descriptor)
        weakref.finalize(self, _remove, self._path, os.getpid())

    def add(self, given: int, rejected: int) -> int:
        """Adds to the numbers.

        Returns:
            How many have been rejected by now.
        """
        try:
            file = open(self._path, "r+b", buffering=0)  # noqa: SIM115  closed below
        except FileNotFoundError:  # the maker is gone; nobody is left to look
            return rejected
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # each opening has a lock of its own, so threads wait for each other, too
            counts = Counts(*_NUMBERS.unpack(file.read(_NUMBERS.size)))
            file.seek(0)
            file.write(_NUMBERS.pack(counts.read + given + rejected, counts.given + given, counts.rejected + rejected))
            return counts.rejected + rejected

    def counts(self) -> Counts:
        """The numbers as they are now."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                return Counts(*_NUMBERS.unpack(file.read(_NUMBERS.size)))
        except FileNotFoundError:
            return Counts(0, 0, 0)

    def __getstate__(self) -> str:
        return self._path

    def __setstate__(self, path: str) -> None:
        self._path = path
        if not os.path.exists(path):  # unpickled where its maker is gone: it counts anew
            self.__init__()  # type: ignore[misc]


def _remove(path: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked worker has the object, too, but not the file
        with contextlib.suppress(OSError):
            os.unlink(path)
