"""Listings: the names of an archive's members, and the digests of those that were read, kept once a pass has met them all.

A file a listing, named by the digest of the archive's bytes, so that another revision, repository or process that has the same
archive knows it too; made anew where the cache was removed.
"""

from __future__ import annotations

import atexit
import gzip
import os
from weakref import WeakSet

from ...core.atomic_files import temporary_name
from ...core.cache_dir import cache_folder


def kept(digest: str) -> list[tuple[str, str]] | None:
    """The members of the archive with this digest, in its order; None where no pass has met them all.

    Of each its name, and the digest of its bytes, which is empty where nobody has read them.
    """
    try:
        with gzip.open(_path(digest), "rt", encoding="utf-8", newline="\n") as file:
            lines = [line.partition("\0") for line in file.read().split("\n")[:-1]]
            return [(name, of_bytes) for name, _, of_bytes in lines]
    except (OSError, EOFError, UnicodeDecodeError):
        return None


class Listing:
    """A listing that is being made; it appears whole or not at all."""

    def __init__(self, digest: str) -> None:
        """Begins one; where the cache cannot be written, it is only not kept."""
        self._digest = digest
        self._known = {name: of_bytes for name, of_bytes in kept(digest) or () if of_bytes}
        self._temporary = ""
        self._file: gzip.GzipFile | None = None
        _begun.add(self)
        try:
            os.makedirs(_folder(), exist_ok=True)
            self._temporary = temporary_name(_path(self._digest))
            self._file = gzip.GzipFile(self._temporary, "wb", compresslevel=1, mtime=0)
        except OSError:
            self.drop()

    def add(self, name: str, digest: str) -> None:
        """Adds a member; names of members hold no line breaks and no NUL.

        Args:
            name: its name.
            digest: of its bytes; empty where they were not read.
        """
        if self._file is not None:
            digest = digest or self._known.get(name, "")
            self._file.write(f"{name}\0{digest}\n".encode() if digest else f"{name}\n".encode())

    def keep(self) -> None:
        """Keeps it: the archive's end was met."""
        try:
            if self._file is not None:
                self._file.close()
                os.replace(self._temporary, _path(self._digest))
        except OSError:
            pass
        self.drop()

    def drop(self) -> None:
        """Lets go of what was not kept."""
        try:
            if self._file is not None:
                self._file.close()
            if self._temporary:
                os.remove(self._temporary)
        except OSError:
            pass
        self._file, self._temporary = None, ""


_begun: WeakSet[Listing] = WeakSet()


@atexit.register
def _drop_all() -> None:
    for one in list(_begun):
        one.drop()


def _folder() -> str:
    return os.path.join(cache_folder(), "members")


def _path(digest: str) -> str:
    return os.path.join(_folder(), f"{digest}.gz")
