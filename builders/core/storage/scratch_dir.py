"""The scratch folder of a process: local files that it is about to upload to a store.

It is in ``$TMPDIR`` (or where Python puts temporary files), and its name contains a hash of the output.  A process holds the
lock of its folder.  The next process that works for the same output on this machine removes the folders whose lock is free:
those of killed processes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import suppress

from ..locks import LockedError, acquire, locked


class Scratch:
    """A folder that exists while it contains files."""

    def __init__(self, url: str) -> None:
        self._prefix = f"modalmix-{hashlib.sha256(url.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}-"
        self._folder = ""
        self._lock = -1
        self._there: set[str] = set()

    def path(self, name: str) -> str:
        """The path for a name, which counts as a file of the folder from now on; creates the folder if necessary."""
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
            with suppress(LockedError, FileNotFoundError):  # another process is removing it, before it was locked
                lock = acquire(folder, wait=False)
                if os.path.isdir(folder):
                    self._folder, self._lock = folder, lock
                    return
                os.close(lock)

    def _sweep(self) -> None:
        """Removes the folders of processes that have ended; those of other users stay."""
        for entry in os.scandir(tempfile.gettempdir()):
            if not entry.name.startswith(self._prefix) or not entry.is_dir(follow_symlinks=False):
                continue
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            with suppress(OSError), locked(entry.path, wait=False, create=False):
                shutil.rmtree(entry.path, ignore_errors=True)
