"""Output: where a build writes, a folder of this machine (`Folder`) or a place in an object store (`Store`).

::

    at("OUT")               a folder, perhaps on a file system that several machines share
    at("s3://bucket/x")     anything fsspec has a file system for, with the credentials and settings that it finds for itself

Both keep the same promise: a file is there whole or not at all, and what has once been told as written stays.  Paths are
relative to the output and have ``/``.  Large files are written as a local *draft* first, and then published under their name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..report import STATE
from .local_folder import Folder

__all__ = ["STATE", "Folder", "Output", "at"]


class Output(Protocol):
    """Where a build writes.

    Attributes:
        url: names it for other processes too: an absolute path or a URL.
        name: its last part.
        fsync: whether a draft must be on the disk before it is published.
    """

    url: str
    name: str
    fsync: bool

    def begin(self) -> None:
        """Makes sure that it can be written to.

        Raises:
            DataError: it is something else.
        """

    def names(self) -> set[str]:
        """What it holds at its top."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The files anywhere under a folder: path → bytes."""

    def size(self, path: str) -> int | None:
        """The bytes of a file; None if it is not there."""

    def read(self, path: str) -> bytes | None:
        """A small file; None if it is not there."""

    def open(self, path: str) -> Any:
        """A file to read from, at any place; a context manager.

        Raises:
            FileNotFoundError: it is not there.
        """

    def write(self, path: str, data: bytes, *, safe: bool = True) -> None:
        """Writes a small file, or replaces it, whole.

        Args:
            path: of the file.
            data: its bytes.
            safe: it survives a power cut as soon as this returns.
        """

    def draft(self, path: str) -> str:
        """Where, on this machine, to write a file that is to be published; whatever another attempt left of it is gone."""

    def publish(self, path: str) -> str:
        """Puts a draft under its name.

        Returns:
            What the store says of its content, to know it by later (see `is_whole`); empty for a folder.
        """

    def discard(self, path: str) -> None:
        """Removes a draft or a copy, if there is one on this machine."""

    def fetch(self, path: str) -> str | None:
        """Where, on this machine, a file or a copy of it lies, until it is discarded; None if it is not there."""

    def alone(self, path: str) -> AbstractContextManager[object]:
        """Waits until nobody else is at work on a file, as far as there are locks: in an object store there are none."""

    def is_whole(self, path: str, size: int, checksum: str, stamp: str) -> bool:
        """Whether a file is what was published.

        Args:
            path: of the file.
            size: its bytes.
            checksum: of its bytes (XXH3, 128 bits, hexadecimal).
            stamp: what `publish` gave.
        """

    def remove(self, path: str, *, last: str = "") -> None:
        """Removes a file, or a folder and all in it.

        Args:
            path: of either.
            last: a file in it that goes after all the others.
        """

    def held(self, part: str, *, take_over: bool = False) -> AbstractContextManager[Callable[[], None]]:
        """Holds the output against other builds.

        Args:
            part: empty for all of it; else a name, and other parts may be held by others.
            take_over: hold it also where another build has left its lock, or still holds it, in an object store.  The lock of a
                folder ends with the process that holds it, so there is nothing to take over.

        Returns:
            A context that gives a function to call now and then: it raises a DataError if the hold was lost.

        Raises:
            DataError: another build holds it.
        """


def at(out: str) -> Output:
    """The output that a path or a URL names.

    Raises:
        DataError: there is no file system for the URL.
    """
    scheme, separator, rest = out.partition("://")
    if not separator:
        return Folder(out)
    if scheme in ("file", "local"):
        return Folder(rest)
    from .object_store import Store

    return Store(out)
