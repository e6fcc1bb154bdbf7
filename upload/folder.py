"""The folder of a download: its commit, and which of its files are complete.

``DIR/.modalmix-download.json`` holds the commit of each repository, and the digest of each file that was read, with its size and
time of change: the file is read again only if these change.  The notes are replaced as a whole; if they cannot be read, they
count as empty.
"""

from __future__ import annotations

import hashlib
import os

import msgspec

from ..builders.core.atomic_files import write_file
from ..builders.core.file_digests import hexdigest
from ..builders.pipeline.hub_client import RemoteEntry

FILE = ".modalmix-download.json"


class _Read(msgspec.Struct, frozen=True):
    """A file when it was read; the digest is a SHA-256, or that of git for files that the Hub keeps in git."""

    size: int
    mtime_ns: int
    digest: str


class _Contents(msgspec.Struct):
    commits: dict[str, str] = {}
    read: dict[str, _Read] = {}


class Folder:
    """A folder to download to; every change of its notes is on the disk when the call returns."""

    def __init__(self, path: str) -> None:
        """The folder; it need not exist."""
        self.path = path
        self._file = os.path.join(path, FILE)
        try:
            with open(self._file, "rb") as file:
                self._contents = msgspec.json.decode(file.read(), type=_Contents)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            self._contents = _Contents()

    def pinned(self, repository: str) -> str | None:
        """The commit of the last download from a repository."""
        return self._contents.commits.get(repository)

    def pin(self, repository: str, commit: str) -> None:
        """Notes the commit of this download."""
        self._contents.commits[repository] = commit
        self._write()

    def place(self, path: str) -> str:
        """The local path of a file of the repository."""
        return os.path.join(self.path, path)

    def problem(self, path: str, remote: RemoteEntry) -> str | None:
        """How a file differs from that on the Hub, in words; None if its content is the same.

        A file of the right size is read to its end, unless it was read before and has not changed since.
        """
        try:
            status = os.stat(self.place(path))
        except OSError:
            return "it does not exist"
        if status.st_size != remote.size:
            return f"it has {status.st_size} bytes instead of {remote.size}"
        digest = remote.sha256 or remote.git_sha1
        cached = self._contents.read.get(path)
        changed = cached is None or (cached.size, cached.mtime_ns) != (status.st_size, status.st_mtime_ns)
        if cached is None or changed or len(cached.digest) != len(digest):
            cached = _Read(status.st_size, status.st_mtime_ns, self._digest(path, remote))
            self._contents.read[path] = cached
            if os.access(self.path, os.W_OK):
                self._write()
        return None if cached.digest == digest else "its content differs"

    def _digest(self, path: str, remote: RemoteEntry) -> str:
        digest = hashlib.sha256()
        if remote.sha256 is None:
            digest = hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False)
        return hexdigest(self.place(path), digest)

    def _write(self) -> None:
        write_file(self._file, msgspec.json.encode(self._contents), temporary=f"{self._file}.tmp")
