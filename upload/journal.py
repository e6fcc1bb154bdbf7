"""The journal of a push, by which the same command continues after a crash.

``DIR/.push.json`` holds the hashes of the shards: a file is read again only if its size or time of change differs.  For each
repository it holds the pull request and the commit that were made.  It does not say what the Hub has; a push asks the Hub.  The
file is replaced as a whole; if it cannot be read, it counts as empty.
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
    """A file when it was read: bytes, time of change in ns, and the digests by which the Hub names it."""

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
        cached = self._contents.hashes.get(path)
        if cached and (cached.size, cached.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return cached
        fresh = _hash(full, status)
        self._contents.hashes[path] = fresh
        with suppress(OSError):  # a read-only folder can still be compared
            self._write()
        return fresh

    def pushed(self, key: str) -> Pushed:
        """What was done under a key; `note` saves changes."""
        return self._contents.pushes.get(key, Pushed())

    def note(self, key: str, pushed: Pushed) -> None:
        """Saves what was done."""
        self._contents.pushes[key] = pushed
        self._write()

    def _write(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._contents), indent=1)
        write_file(self._path, text, temporary=f"{self._path}.tmp")


@contextmanager
def only_one(folder: str) -> Iterator[None]:
    """Prevents a second push of the folder at the same time: both would write one journal.

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
    sha256, git = hashlib.sha256(), _git_hasher(status.st_size)
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            if status.st_size <= _REGULAR:
                git.update(chunk)
    return Hashed(status.st_size, status.st_mtime_ns, sha256.hexdigest(), git.hexdigest())


_REGULAR = 64 << 20
"""Larger files are never stored in git itself, so their git digest is not needed."""


def _git(size: int, chunks: list[bytes]) -> str:
    digest = _git_hasher(size)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _git_hasher(size: int) -> hashlib._Hash:
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
