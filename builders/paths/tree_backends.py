"""Trees: the disk and the index, as `suffix_lookup.Lookup` searches them."""

from __future__ import annotations

import filecmp
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from ..core.findings import Finding, finding
from .path_table import ON_DISK
from .root_index import Index, index
from .scan_root import FOLDER

_CACHED_FOLDERS = 100_000
_SMALL, _LARGE = 1 << 10, 64 << 20
_COMPARED = 1 << 30


class Place(NamedTuple):
    """An entry of an index: the position of its root and its own; of a folder, the number of the one it was found in."""

    root: int
    entry: int
    folder: int = 0


class Indexed:
    """The trees of several roots as their indexes have them; a folder is (root, number)."""

    def __init__(self, indexes: Sequence[Index]) -> None:
        """One index per root."""
        self.indexes = indexes
        self._compared = 0

    def folder(self, root: int, path: Sequence[str]) -> tuple[int, int] | None:
        """See `suffix_lookup.Tree`."""
        if root >= len(self.indexes):
            return None
        number = self.indexes[root].folder("/".join(path))
        return None if number is None else (root, number)

    def find(self, folder: tuple[int, int], name: str) -> list[Place]:
        """See `suffix_lookup.Tree`."""
        root, number = folder
        return [Place(root, entry) for entry in self.indexes[root].find(number, name)]

    def names(self, folder: tuple[int, int]) -> list[str]:
        """See `suffix_lookup.Tree`."""
        root, number = folder
        return [self.indexes[root].entries.name(entry) for entry in self.indexes[root].inside(number)]

    def same(self, places: Sequence[Place]) -> bool:
        """See `suffix_lookup.Tree`; after `_COMPARED` bytes it says no, as this only counts what the rewriter will decide."""
        items = {self.indexes[root].item(entry) for root, entry, _ in places}
        if len(items) == 1:
            return True  # one file, under two roots of which one is in the other
        if any(item.archive or not item.whole for item in items):
            return False
        self._compared += sum(item.size for item in items)
        return self._compared <= _COMPARED and same_bytes([item.path for item in items])


class LocalPath(str):
    """A place on this machine: a local path, or for a member of an archive that of the archive and its name.

    Attributes:
        size: of the file in bytes; `scan_root.FOLDER` for a folder.
        place: where the index has it; None for what lies on the disk itself.
    """

    size: int
    place: Place | None

    def __new__(cls, path: str, size: int, place: Place | None = None) -> LocalPath:
        """A path, its size, and its place in an index."""
        self = super().__new__(cls, path)
        self.size = size
        self.place = place
        return self


class Refused(Exception):  # noqa: N818  an answer, not an error
    """A file is there, but is not to be opened.

    Attributes:
        name: the finding's name.
    """

    def __init__(self, name: str, message: str) -> None:
        """The finding's name, and its message, which follows the quoted path."""
        super().__init__(message)
        self.name = name

    def as_finding(self, written: str, at: str) -> Finding:
        """The finding about a written path."""
        return finding(self.name, f"{written!r} {self}", at)


class Here(NamedTuple):
    """A folder: its real path on disk, and its number in the index of its root for what is in archives; None for neither."""

    path: str | None
    root: int
    number: int | None


class Disk:
    """The trees of several roots as they are on disk now, and in their archives as the index has them.

    Attributes:
        watched: every folder and archive that was searched → modification time in nanoseconds.
    """

    def __init__(self, roots: Sequence[str], cache: str | None, deep: bool) -> None:
        """The roots, real paths.

        Args:
            roots: folders or archives.
            cache: folder of the index.
            deep: search archives that lie under a root, too; where a root is an archive, that one always.
        """
        self.roots = tuple(roots)
        self.watched: dict[str, int] = {}
        self.inside = tuple(root if root.endswith("/") else f"{root}/" for root in self.roots)
        self._cache = cache
        self._deep = [deep or not os.path.isdir(root) for root in self.roots]
        self._indexes: list[Index | None] = [None] * len(self.roots)

    def folder(self, root: int, path: Sequence[str]) -> Here | None:
        """See `suffix_lookup.Tree`."""
        if root >= len(self.roots):
            return None
        top = self.roots[root]
        folder: str | None = top
        self.watch(top)
        for part in path:
            folder = f"{folder}/{part}"
            if not os.path.isdir(folder):
                folder = None
                break
            self.watch(folder)
        if folder is not None and path:
            folder = os.path.realpath(folder)
            if not f"{folder}/".startswith(self.inside):
                folder = None
        elif folder is not None and not os.path.isdir(folder):
            folder = None  # an archive
        number = None
        if self._deep[root] and (root_index := self.index(root)).archives:
            number = root_index.folder("/".join(path))
        if folder is None and number is None:
            return None
        return Here(folder, -1 if number is None else root, number)  # the same folder under two roots is one

    def find(self, folder: Here, name: str) -> Sequence[LocalPath]:
        """See `suffix_lookup.Tree`.

        Raises:
            Refused: it is there, but leads out, cannot be read, or is neither a file nor a folder.
        """
        if folder.path is not None:
            path = f"{folder.path}/{name}"
            try:
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode):
                    path = os.path.realpath(path)
                    if not f"{path}/".startswith(self.inside):
                        raise Refused("path-outside-root", f"is a link to {path!r}")
                    status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except (OSError, ValueError) as error:
                raise Refused("media-unreadable", f"cannot be read: {error}") from None
            else:
                if stat.S_ISREG(status.st_mode):
                    return (LocalPath(path, status.st_size),)
                if stat.S_ISDIR(status.st_mode):
                    return (LocalPath(path, FOLDER),)
                raise Refused("media-unreadable", "is neither a file nor a folder")
        if folder.number is None:
            return ()
        root_index = self.index(folder.root)
        return [
            LocalPath(
                root_index.where(entry),
                int(root_index.entries.size[entry]),
                Place(folder.root, entry, min(folder.number, 0)),
            )
            for entry in root_index.find(folder.number, name)
            if root_index.entries.member[entry] != ON_DISK
        ]

    def names(self, folder: Here) -> Iterable[str]:
        """See `suffix_lookup.Tree`."""
        found: set[str] = set()
        if folder.path is not None:
            with suppress(OSError):
                found.update(os.listdir(folder.path))
        if folder.number is not None:
            root_index = self.index(folder.root)
            found.update(root_index.entries.name(entry) for entry in root_index.inside(folder.number))
        return found

    def same(self, places: Sequence[LocalPath]) -> bool:
        """See `suffix_lookup.Tree`."""
        members = {self.index(place.place.root).item(place.place.entry) for place in places if place.place is not None}
        if members:
            return len(members) == 1 and all(place.place is not None for place in places)
        return same_bytes(places)

    def index(self, root: int) -> Index:
        """The index of a root, made when it is first needed."""
        found = self._indexes[root]
        if found is None:
            found = self._indexes[root] = index(self.roots[root], self._cache)
            for path, modified_ in found.watched().items():
                if len(self.watched) < _CACHED_FOLDERS:
                    self.watched[path] = modified_
        return found

    def watch(self, folder: str) -> None:
        """Notes a folder that decides something."""
        if folder not in self.watched and len(self.watched) < _CACHED_FOLDERS:
            self.watched[folder] = modified(folder)


def same_bytes(paths: Sequence[str]) -> bool:
    """Whether files are copies of each other, equal byte for byte.

    Small files may be equal and no copies (placeholders); of large ones it is not found out, as that takes too long.
    """
    if len({os.path.realpath(path) for path in paths}) == 1:
        return True
    try:
        if not _SMALL <= os.path.getsize(paths[0]) <= _LARGE or not all(os.path.isfile(path) for path in paths):
            return False
        return all(filecmp.cmp(paths[0], path, shallow=False) for path in paths[1:])
    except OSError:
        return False


def modified(path: str) -> int:
    """Modification time of a file or folder in nanoseconds; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
