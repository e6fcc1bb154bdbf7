"""The journal: what a push has found out and done so far, so that the same command goes on after a crash.

``DIR/.push.json`` holds the hashes of the shards (a file whose size and time of change are as they were is not read again) and,
for each repository, the pull request that was opened and the commit that was made.  What the Hub already has is not
in it: the Hub is asked.  The file is replaced as a whole; one that cannot be read is as good as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from ..builders.core.atomic_files import write_file
from ..builders.core.errors import HubError
from ..builders.core.locks import LockedError, acquire

FILE = ".push.json"
LOCK = ".push.lock"
_CHUNK = 4 << 20


class Hashed(msgspec.Struct, frozen=True):
    """A file as it was when it was read: bytes, time of change in ns, and the digests the Hub names it by."""

    size: int
    mtime_ns: int
    sha256: str
    git_sha1: str


class Pushed(msgspec.Struct):
    """What was done for one repository, revision and part."""

    pull_request: str | None = None
    commit: str | None = None


class _Contents(msgspec.Struct):
    hashes: dict[str, Hashed] = {}
    pushes: dict[str, Pushed] = {}


class Journal:
    """The journal of one folder; every change is on the disk when the call returns."""

    def __init__(self, folder: str) -> None:
        """Reads the journal of `folder`, if there is one."""
        self._folder = folder
        self._path = os.path.join(folder, FILE)
        try:
            with open(self._path, "rb") as file:
                self._contents = msgspec.json.decode(file.read(), type=_Contents)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._contents = _Contents()

    def hashed(self, path: str) -> Hashed:
        """The digests of a file.

        Args:
            path: relative to the folder.

        Raises:
            OSError: it cannot be read.
        """
        full = os.path.join(self._folder, path)
        status = os.stat(full)
        known = self._contents.hashes.get(path)
        if known and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return known
        fresh = _hash(full, status)
        self._contents.hashes[path] = fresh
        with suppress(OSError):  # a folder that cannot be written to can be compared all the same
            self._write()
        return fresh

    def pushed(self, key: str) -> Pushed:
        """What was done under a key; keep changes with `note`."""
        return self._contents.pushes.get(key, Pushed())

    def note(self, key: str, pushed: Pushed) -> None:
        """Writes down what was done."""
        self._contents.pushes[key] = pushed
        self._write()

    def _write(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._contents), indent=1)
        write_file(self._path, text, temporary=f"{self._path}.tmp")


@contextmanager
def only_one(folder: str) -> Iterator[None]:
    """Keeps two pushes of one folder apart: they would write one journal.

    Raises:
        HubError: another push of this folder is running.
    """
    try:
        descriptor = acquire(os.path.join(folder, LOCK), wait=False)
    except LockedError:
        raise HubError(f"another push of {folder!r} is running") from None
    try:
        yield
    finally:
        os.close(descriptor)


def hashed_bytes(data: bytes) -> Hashed:
    """The digests of bytes that are in no file."""
    return Hashed(len(data), 0, hashlib.sha256(data).hexdigest(), _git(len(data), [data]))


def _hash(path: str, status: os.stat_result) -> Hashed:
    sha256, git = hashlib.sha256(), _git_begun(status.st_size)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            if status.st_size <= _REGULAR:
                git.update(chunk)
    return Hashed(status.st_size, status.st_mtime_ns, sha256.hexdigest(), git.hexdigest())


_REGULAR = 64 << 20
"""Larger files are never stored in git itself, so nobody asks for their git digest."""


def _git(size: int, chunks: list[bytes]) -> str:
    digest = _git_begun(size)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _git_begun(size: int) -> hashlib._Hash:
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
