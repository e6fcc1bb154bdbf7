"""Outputs: a build writes to a folder of this machine (`Folder`) or to a place in an object store (`Store`).

::

    at("OUT")               a folder, perhaps on a file system that several machines share
    at("s3://bucket/x")     anything for which fsspec has a file system, with the credentials and settings that fsspec finds

Both guarantee that a file exists whole or not at all, and that it stays once it is written.  Paths are relative to the output and
have ``/``.  A large file is first written as a local *draft*, and then published under its name.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..report import STATE
from .local_folder import Folder

__all__ = ["STATE", "Folder", "Output", "at"]


class Output(Protocol):
    """The folder, or the place in a store, to which a build writes.

    Attributes:
        url: an absolute path or a URL, valid in other processes too.
        name: its last part.
        fsync: whether a draft must be on the disk before it is published.
    """

    url: str
    name: str
    fsync: bool

    def begin(self) -> None:
        """Makes sure that files can be written below it.

        Raises:
            DataError: it is a file, for example.
        """

    def names(self) -> set[str]:
        """The names of the files and folders directly below it."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The files anywhere under a folder: path → bytes."""

    def size(self, path: str) -> int | None:
        """The bytes of a file; None if it does not exist."""

    def read(self, path: str) -> bytes | None:
        """The content of a small file; None if it does not exist."""

    def open(self, path: str) -> Any:
        """A seekable file to read from; a context manager.

        Raises:
            FileNotFoundError: it does not exist.
        """

    def write(self, path: str, data: bytes, *, safe: bool = True) -> None:
        """Writes a small file, or replaces it, whole.

        Args:
            path: of the file.
            data: its bytes.
            safe: the file survives a power cut once this returns.
        """

    def draft(self, path: str) -> str:
        """The path, on this machine, for a file that will be published; drafts of earlier attempts are removed."""

    def publish(self, path: str) -> str:
        """Makes a draft appear under its name.

        Returns:
            The store's identifier of its content, for `is_whole`; empty for a folder.
        """

    def discard(self, path: str) -> None:
        """Removes the draft or the copy of a file, if this machine has one."""

    def fetch(self, path: str) -> str | None:
        """The path, on this machine, of a file or of a copy, until it is discarded; None if the file does not exist."""

    def file_lock(self, path: str) -> AbstractContextManager[object]:
        """Holds the lock of a file; an object store has none, and nothing is held there."""

    def is_whole(self, path: str, size: int, checksum: str, stamp: str) -> bool:
        """Whether a file has the content that was published.

        Args:
            path: of the file.
            size: its bytes.
            checksum: of its bytes (XXH3, 128 bits, hexadecimal).
            stamp: the result of `publish`.
        """

    def remove(self, path: str, *, last: str = "") -> None:
        """Removes a file, or a folder and all in it.

        Args:
            path: of either.
            last: a file in the folder that is removed after all others.
        """

    def lock(self, part: str, *, take_over: bool = False) -> AbstractContextManager[Callable[[], None]]:
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
    """The output at a path or a URL.

    Raises:
        DataError: fsspec has no file system for the URL.
    """
    scheme, separator, rest = out.partition("://")
    if not separator:
        return Folder(out)
    if scheme in ("file", "local"):
        return Folder(rest)
    from .object_store import Store

    return Store(out)
