"""Owners of paths: which archive gives the rows about a path that several archives hold.

Nobody knows beforehand what an archive holds, so the first one in which a path comes by gives its rows, for ever: the claim is
written down in the cache, where all workers and later epochs of a machine (and other machines that share the cache) see it.
Machines that share nothing may each give such a row; so may this one once its cache was removed.

A file for each set of paths and archives: four bytes a path, the number of the archive plus one, or zero.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, suppress

import numpy as np

from ...core.cache_dir import cache_folder
from ...core.locks import locked

_SIZE = 4


class PathOwners:
    """Which archive owns which path. Where the cache cannot be written, the owners in this process count."""

    def __init__(self, key: str) -> None:
        """Names them; nothing is opened for long, so processes may fork and threads share the object.

        Args:
            key: of the paths and the archives.
        """
        self._path = os.path.join(cache_folder(), "claims", f"{key}.bin")
        self._owners: dict[int, int] = {}

    def all(self) -> dict[int, int]:
        """The claims so far: path → archive."""
        with suppress(OSError):
            stored = np.fromfile(self._path, "<i4")
            self._owners |= {int(path): int(stored[path]) - 1 for path in np.flatnonzero(stored)}
        return self._owners

    def claim(self, path: int, archive: int | None) -> int | None:
        """The archive that has claimed a path: this one, if none had; None where there is none to claim it."""
        if path in self._owners:  # a claim never changes
            return self._owners[path]
        owner = archive
        with suppress(OSError), self.locked() as file:
            if stored := int.from_bytes(os.pread(file, _SIZE, path * _SIZE), "little"):
                owner = stored - 1
            elif archive is not None:
                os.pwrite(file, (archive + 1).to_bytes(_SIZE, "little"), path * _SIZE)
        if owner is not None:
            self._owners[path] = owner
        return owner

    def locked(self) -> AbstractContextManager[int]:
        """Nobody else is here meanwhile; gives the open file.

        Raises:
            OSError: the cache cannot be written.
        """
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        return locked(self._path)  # opened each time: forked processes would share the lock of an open file
