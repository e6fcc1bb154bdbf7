"""Shared counter: how many samples a view has given and rejected, summed over all processes that read it.

A DataLoader's workers have copies of the view, and what they count must be visible where the loader is.  So the numbers lie in
a small file that every copy opens, and each change takes the file's lock.
"""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import weakref
from typing import NamedTuple

from ..core.locks import locked

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
            with locked(self._path, create=False) as file:
                read, given_before, rejected_before = _NUMBERS.unpack(os.pread(file, _NUMBERS.size, 0))
                numbers = _NUMBERS.pack(read + given + rejected, given_before + given, rejected_before + rejected)
                os.pwrite(file, numbers, 0)
                return int(rejected_before) + rejected
        except FileNotFoundError:  # the process that created the file has ended, so nothing reads the numbers
            return rejected

    def counts(self) -> ViewCounts:
        """The numbers as they are now."""
        try:
            with locked(self._path, shared=True, create=False) as file:
                return ViewCounts(*_NUMBERS.unpack(os.pread(file, _NUMBERS.size, 0)))
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
