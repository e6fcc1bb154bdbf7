"""Scratch: the folder of a process, on a local disk, for what it is about to send to a store.

It lies in ``$TMPDIR`` (or where Python puts temporary files), under a name that tells the output.  What a killed process has
left there is removed by the next one that works for the same output on that machine: a folder is in use as long as its lock is
held.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress

from ..locks import LockedError, acquire, locked


class Scratch:
    """A folder that is there while files are in it."""

    def __init__(self, url: str) -> None:
        self._prefix = f"modalmix-{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}-"
        self._folder = ""
        self._lock = -1
        self._there: set[str] = set()

    def path(self, name: str) -> str:
        """The file for a name, which is in use from now on; the folder is made if need be."""
        if not self._folder:
            self._sweep()
            self._make()
        self._there.add(name)
        return self._full(name)

    def remove(self, name: str) -> None:
        """Removes the file, and with the last one the folder."""
        if name not in self._there:
            return
        with suppress(FileNotFoundError):
            os.remove(self._full(name))
        self._there.discard(name)
        if not self._there:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder, self._lock = "", -1

    def _full(self, name: str) -> str:
        return os.path.join(self._folder, name.replace("/", "-"))

    def _make(self) -> None:
        while True:
            folder = tempfile.mkdtemp(prefix=self._prefix)
            with suppress(LockedError, FileNotFoundError):  # another process took it for one that was left
                lock = acquire(folder, wait=False)
                if os.path.isdir(folder):
                    self._folder, self._lock = folder, lock
                    return
                os.close(lock)

    def _sweep(self) -> None:
        """Removes folders whose process has gone; other people's stay."""
        for entry in os.scandir(tempfile.gettempdir()):
            if not entry.name.startswith(self._prefix) or not entry.is_dir(follow_symlinks=False):
                continue
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            with suppress(OSError), locked(entry.path, wait=False, create=False):
                shutil.rmtree(entry.path, ignore_errors=True)
