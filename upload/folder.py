"""The folder of a download: which commit it is of, and which of its files are what the Hub says they are.

``DIR/.modalmix-download.json`` holds the commit of each repository, and the digest of each file that was read, with its size and
time of change as they were then: such a file is not read again.  It is replaced as a whole; one that cannot be read is as good as
none.
"""

from __future__ import annotations

import hashlib
import os

import msgspec

from ..builders.core.atomic_files import write_file
from ..builders.pipeline.hub_client import RemoteEntry

FILE = ".modalmix-download.json"
_CHUNK = 4 << 20


class _Read(msgspec.Struct, frozen=True):
    """A file as it was when it was read; the digest is a SHA-256, or git's for what the Hub keeps in git."""

    size: int
    mtime_ns: int
    digest: str


class _Contents(msgspec.Struct):
    commits: dict[str, str] = {}
    read: dict[str, _Read] = {}


class Folder:
    """A folder to download to; what is found out about it is on the disk when the call returns."""

    def __init__(self, path: str) -> None:
        """The folder; it need not be there."""
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
        """Writes down the commit of this download."""
        self._contents.commits[repository] = commit
        self._write()

    def place(self, path: str) -> str:
        """Where a file of a repository lies."""
        return os.path.join(self.path, path)

    def wrong(self, path: str, remote: RemoteEntry) -> str | None:
        """What keeps a file from being that of the Hub, in words; None where its content is the same.

        A file of the right size is read to its end, unless it was before and has not been touched since.
        """
        try:
            status = os.stat(self.place(path))
        except OSError:
            return "it is not there"
        if status.st_size != remote.size:
            return f"it has {status.st_size} bytes and not {remote.size}"
        wanted = remote.sha256 or remote.git_sha1
        known = self._contents.read.get(path)
        touched = known is None or (known.size, known.mtime_ns) != (status.st_size, status.st_mtime_ns)
        if known is None or touched or len(known.digest) != len(wanted):
            known = _Read(status.st_size, status.st_mtime_ns, self._digest(path, remote))
            self._contents.read[path] = known
            if os.access(self.path, os.W_OK):
                self._write()
        return None if known.digest == wanted else "its content is another one"

    def _digest(self, path: str, remote: RemoteEntry) -> str:
        digest = hashlib.sha256()
        if remote.sha256 is None:
            digest = hashlib.sha1(b"blob %d\0" % remote.size, usedforsecurity=False)
        with open(self.place(path), "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def _write(self) -> None:
        write_file(self._file, msgspec.json.encode(self._contents), temporary=f"{self._file}.tmp")
