"""A folder of this machine as output: bytes under a temporary name, fsync; rename; fsync of the folder."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

from ..atomic_files import sync_folder, write_file
from ..errors import DataError
from ..file_digests import checksum as checksum_of
from ..locks import LockedError, locked
from ..report import STATE


class Folder:
    """A folder; see `modalmix.builders.core.storage.Output`.

    Its lock is one of the operating system and ends with the process that holds it, also on file systems that several machines
    share.
    """

    fsync = True

    def __init__(self, path: str) -> None:
        self.url = os.path.abspath(path)
        self.name = os.path.basename(self.url)
        self._own = uuid.uuid4().hex[:8]

    def begin(self) -> None:
        """Makes the folder."""
        if os.path.exists(self.url) and not os.path.isdir(self.url):
            raise DataError(f"{self.url!r} is a file; --out must name a folder")
        os.makedirs(self.url, exist_ok=True)

    def names(self) -> set[str]:
        """The names directly below it."""
        try:
            return set(os.listdir(self.url))
        except FileNotFoundError:
            return set()

    def sizes(self, folder: str) -> dict[str, int]:
        """The files anywhere under a folder."""
        found = {}
        for here, _, names in os.walk(self._full(folder)):
            for name in names:
                path = os.path.join(here, name)
                found[os.path.relpath(path, self.url)] = os.lstat(path).st_size
        return found

    def size(self, path: str) -> int | None:
        """The bytes of a file."""
        try:
            return os.path.getsize(self._full(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str) -> bytes | None:
        """A small file."""
        try:
            with open(self._full(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, path: str) -> Any:
        """A file to read from."""
        import pyarrow

        return pyarrow.OSFile(self._full(path))

    def write(self, path: str, data: bytes, *, safe: bool = True) -> None:
        """Writes a small file whole."""
        full = self._full(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        write_file(full, data, temporary=f"{full}.tmp", fsync=safe)
        if safe:
            sync_folder(os.path.dirname(full))

    def draft(self, path: str) -> str:
        """A temporary name beside the final one.

        It belongs to this object alone.  A worker of a killed build that still writes the same file finds its draft removed and
        fails; it neither writes into this draft nor publishes it.
        """
        full = self._full(path)
        folder, name = os.path.split(full)
        os.makedirs(folder, exist_ok=True)
        for other in os.listdir(folder):
            if other.startswith(f"{name}.") and other.endswith(".tmp"):
                with suppress(FileNotFoundError):
                    os.remove(os.path.join(folder, other))
        return self._draft(path)

    def publish(self, path: str) -> str:
        """Renames the draft, whose bytes are on the disk, and waits until the new name is on the disk too."""
        os.replace(self._draft(path), self._full(path))
        sync_folder(os.path.dirname(self._full(path)))
        return ""

    def discard(self, path: str) -> None:
        """Removes a draft."""
        with suppress(FileNotFoundError):
            os.remove(self._draft(path))

    def fetch(self, path: str) -> str | None:
        """The file itself."""
        full = self._full(path)
        return full if os.path.exists(full) else None

    def file_lock(self, path: str) -> AbstractContextManager[object]:
        """Holds a lock file beside it."""
        return locked(f"{self._full(path)}.lock")

    def is_whole(self, path: str, size: int, checksum: str, stamp: str) -> bool:
        """Whether the file has these bytes; reads it."""
        return self.size(path) == size and checksum_of(self._full(path)) == checksum

    def remove(self, path: str, *, last: str = "") -> None:
        """Removes a file, or a folder and all in it."""
        full = self._full(path)
        if not os.path.isdir(full) or os.path.islink(full):
            with suppress(FileNotFoundError):
                os.remove(full)
            return
        for name in os.listdir(full):
            if name != last:
                inner = os.path.join(full, name)
                shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.remove(inner)
        shutil.rmtree(full)
        sync_folder(os.path.dirname(full))

    @contextmanager
    def lock(self, part: str, *, take_over: bool = False) -> Iterator[Callable[[], None]]:
        """Locks the folder for one build, or for the parts of one."""
        os.makedirs(self._full(STATE), exist_ok=True)
        with ExitStack() as locks:
            try:
                locks.enter_context(locked(self._full(f"{STATE}/lock"), shared=bool(part), wait=False))
                if part:
                    locks.enter_context(locked(self._full(f"{STATE}/lock{part}"), wait=False))
            except LockedError as error:
                raise DataError(f"another build is at work in {self.url!r}") from error
            yield lambda: None

    def _full(self, path: str) -> str:
        return os.path.join(self.url, path)

    def _draft(self, path: str) -> str:
        return f"{self._full(path)}.{self._own}.tmp"
