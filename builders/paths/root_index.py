"""The index: what lies under a media root, kept between runs and refreshed where something changed.

A root is a folder (with the archives in it) or one archive.  Its index is one file in the user's cache: folders with their
modification times, entries, members of archives.  It is written under a temporary name and renamed, so that readers, of which
there may be many, see a whole one; writers do not wait for each other, the last one stays.

Refreshing asks each folder for its modification time and lists those anew where it has changed; an archive is listed anew where
its size, modification time or inode has.  A folder that changed within two seconds before it was listed is listed again: its
clock may give the next change the same time.  Sizes of files that are overwritten in place are therefore not up to date, and
nobody takes them from here: whoever opens a file asks the disk.

A member of an archive has two paths: where unpacking beside the archive would put it, and where unpacking into a folder of the
archive's own name would.  Only the first is kept; of a path that names an archive, the second is worked out::

    30s/shard-000001.tar holds 000000.mp4      30s/000000.mp4      as all archives in 30s that hold one
                                               30s/shard-000001/000000.mp4      this one alone
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..core.atomic_files import atomic_path
from ..core.cache_dir import cache_folder
from ..core.findings import Finding
from ..media import archives
from ..media.archives import Archive, Member
from ..media.archives.detect import stem_of
from ..media.items import Item, item_of_member
from . import scan_root
from .path_table import ON_DISK, VIRTUAL, Columns, Entries
from .scan_root import FOLDER

_FORM = 2
_UNSURE = 2_000_000_000  # ns
_ANEW = 0.2  # share of changed folders from which on the whole tree is listed
_VIRTUAL = -1  # "modification time" of a folder that only archives have
_MEMBERS_AT_ONCE = 65_536
_ARCHIVE_NAME = r"(?is)\.(tar|tgz|tzst|tar\.gz|tar\.zst|zip|parquet)([._-]?(part)?[._-]?([0-9]{1,6}|[a-z]{2,3}))?$"

_MAX_PROBLEMS = 20

Signature = list[tuple[int, int, int]]
Members = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]
"""Of each member: the number of its archive, and `start` and `packed` as `modalmix.builders.media.archives` has them."""
_Listed = tuple[list[str], list[bytes], list[int], list[int], list[int]]
"""Members as columns: folder, name, size, start, packed."""


class _IndexedArchive(msgspec.Struct):
    """What an index says of one archive.

    Attributes:
        archive: its files.
        signature: size, modification time in nanoseconds and inode of each.
        problems: what was refused or damaged in it, the first `_MAX_PROBLEMS` and the one that ended the reading.
        more: how many more there were.
    """

    archive: Archive
    signature: Signature
    problems: list[Finding]
    more: int = 0


class _ArchiveFolder(NamedTuple):
    """A folder of an archive's own name, or one in it.

    Attributes:
        archives: numbers of the archives of that name.
        inner: the number of the folder in which their members are kept; None where they have none there.
        beside: the number of the folder that is there anyway, whose files come first; None where there is none.
    """

    archives: frozenset[int]
    inner: int | None
    beside: int | None


class _Head(msgspec.Struct):
    form: int
    root: str
    listed: int
    archives: list[_IndexedArchive]


class Index:
    """What is under one root.

    Attributes:
        root: real path of the root.
        entries: what is there.
        modified: of each folder, in nanoseconds; -1 for one that only archives have.
        indexed: the archives under the root.
        members: what the entries' `member` points to.
        listed: when the listing began, in nanoseconds of the clock.
    """

    def __init__(
        self,
        root: str,
        entries: Entries,
        modified: npt.NDArray[np.int64],
        indexed: list[_IndexedArchive],
        members: Members,
        listed: int,
    ) -> None:
        """The parts; see `index`."""
        self.root = root
        self.entries = entries
        self.modified = modified
        self.indexed = indexed
        self.members = members
        self.listed = listed
        self._archives_of_place: dict[str, set[int]] = {}
        self._places_of_stem: dict[str, list[list[str]]] = {}
        for number, entry in enumerate(indexed):
            folder, name = os.path.split(os.path.relpath(entry.archive.paths[0], root) if os.path.isdir(root) else root)
            stem = stem_of(name)
            place = f"{folder}/{stem}" if folder and os.path.isdir(root) else stem
            if place not in self._archives_of_place:
                self._places_of_stem.setdefault(stem, []).append(place.split("/"))
            self._archives_of_place.setdefault(place, set()).add(number)
        self._archive_folders: list[_ArchiveFolder] = []
        self._numbers: dict[_ArchiveFolder, int] = {}

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def problems(self) -> list[str]:
        """What was refused in archives, as text."""
        texts = [f"{problem.kind.name}: {problem.message}" for archive in self.indexed for problem in archive.problems]
        return texts + [f"{archive.archive}: {archive.more:,} more" for archive in self.indexed if archive.more]

    @property
    def findings(self) -> list[Finding]:
        """What was refused or damaged in archives, of each the first; each with its archive's path under the root."""
        top = self.root if os.path.isdir(self.root) else os.path.dirname(self.root)
        return [
            problem.placed(os.path.relpath(archive.archive.paths[0], top), -1)
            for archive in self.indexed
            for problem in archive.problems
        ]

    @property
    def archives(self) -> list[Archive]:
        """The archives under the root."""
        return [entry.archive for entry in self.indexed]

    def watched(self) -> dict[str, int]:
        """Every folder and archive file this depends on, with its modification time in nanoseconds."""
        files = {
            path: signature[1]
            for entry in self.indexed
            for path, signature in zip(entry.archive.paths, entry.signature, strict=True)
        }
        folders = zip(self.entries.folders, self.modified.tolist(), strict=True)
        return {
            os.path.join(self.root, path) if path else self.root: modified
            for path, modified in folders
            if path is not None and modified != _VIRTUAL
        } | files

    def folder(self, path: str) -> int | None:
        """The number of a folder, of an archive's name too; None where there is none of that path."""
        return self._folder_in_archives(path.split("/")) if self.indexed else self.entries.number(path)

    def archive_folders(self, parts: Sequence[str]) -> Iterator[tuple[list[str], int]]:
        """The folders of archives that a written folder names, the innermost name alone.

        Args:
            parts: of the written folder.

        Yields:
            The path of the folder, taken apart, and its number; it may hold nothing.
        """
        for at in range(len(parts) - 1, -1, -1):
            if places := self._places_of_stem.get(parts[at]):
                inner = list(parts[at + 1 :])
                for place in places:
                    yield [*place, *inner], self._archive_folder(place, inner)
                return

    def is_of_archive(self, folder: int) -> bool:
        """Whether a number is that of a folder of an archive's name."""
        return folder < 0

    def find(self, folder: int, name: str) -> list[int]:
        """The entries of a name in a folder; a file on disk stands for the members it was unpacked from."""
        if folder < 0:
            archives_, inner, beside = self._archive_folders[-folder - 1]
            if beside is not None and (there := self.find(beside, name)):
                return there
            return [] if inner is None else [i for i in self.entries.find(inner, name) if self._is_in(i, archives_)]
        found = self.entries.find(folder, name)
        if len(found) > 1:
            on_disk = [entry for entry in found if self.entries.member[entry] == ON_DISK]
            return on_disk or found
        return found

    def inside(self, folder: int) -> list[int]:
        """The entries directly in a folder, in no order."""
        if folder < 0:
            archives_, inner, beside = self._archive_folders[-folder - 1]
            there = [] if beside is None else self.inside(beside)
            return there + (
                [] if inner is None else [i for i in self.entries.inside(inner) if self._is_in(i, archives_)]
            )
        return self.entries.inside(folder)

    def frames(self, entry: int, folder: int) -> list[int]:
        """The entries in a folder that was found in another one: of an archive's folder, those of the archive alone."""
        number = self.entries.number(self.entries.path(entry))
        found = [] if number is None else self.entries.inside(number)
        if folder < 0 and self.entries.folder[entry] == self._archive_folders[-folder - 1].inner:
            return [i for i in found if self._is_in(i, self._archive_folders[-folder - 1].archives)]
        return found

    def _folder_in_archives(self, parts: list[str]) -> int | None:
        for at in range(len(parts) - 1, -1, -1):
            if "/".join(parts[: at + 1]) in self._archives_of_place:
                number = self._archive_folder(parts[: at + 1], parts[at + 1 :])
                if self._archive_folders[-number - 1].inner is not None:
                    return number
        return self.entries.number("/".join(parts))

    def _archive_folder(self, place: Sequence[str], inner: Sequence[str]) -> int:
        """The number of a folder in one of an archive's name: below zero, and of this process alone."""
        folder = _ArchiveFolder(
            frozenset(self._archives_of_place["/".join(place)]),
            self.entries.number("/".join([*place[:-1], *inner])),
            self.entries.number("/".join([*place, *inner])),
        )
        if folder not in self._numbers:
            self._archive_folders.append(folder)
            self._numbers[folder] = -len(self._archive_folders)
        return self._numbers[folder]

    def _is_in(self, entry: int, numbers: frozenset[int]) -> bool:
        """Whether an entry is a member of one of some archives, or a folder that has one."""
        member = int(self.entries.member[entry])
        if member == ON_DISK:
            return False
        if member >= 0:
            return int(self.members[0][member]) in numbers
        number = self.entries.number(self.entries.path(entry))
        return number is not None and any(self._is_in(inner, numbers) for inner in self.entries.inside(number))

    def item(self, entry: int) -> Item:
        """The media item of an entry, a file or a member of an archive."""
        name, size = self.entries.name(entry), int(self.entries.size[entry])
        member = int(self.entries.member[entry])
        if member < 0:
            return Item(name, os.path.join(self.root, self.entries.path(entry)), 0, size)
        archive, start, packed = self.members
        found = Member(name, int(start[member]), size, int(packed[member]))
        return item_of_member(self.indexed[archive[member]].archive, found)

    def where(self, entry: int) -> str:
        """Where an entry is on this machine: its path, or the path of its archive and its name in it."""
        member = int(self.entries.member[entry])
        if member < 0:
            return os.path.join(self.root, self.entries.path(entry))
        return f"{self.indexed[self.members[0][member]].archive}: {self.entries.path(entry)}"

    def display_path(self, entry: int) -> str:
        """Where an entry is under its root, for messages: nothing in it is of this machine."""
        member = int(self.entries.member[entry])
        path = self.entries.path(entry)
        if member < 0:
            return path
        return f"{path} (in {os.path.basename(self.indexed[self.members[0][member]].archive.paths[0])})"


def index(root: str, cache: str | None = None) -> Index:
    """The index of a root, as it is now.

    Args:
        root: a folder, or an archive (any of its pieces).
        cache: folder to keep it in; by default modalmix's in the user's cache.  Where it cannot be written, nothing is kept.

    Raises:
        OSError: the root cannot be read.
    """
    root = os.path.realpath(root)
    os.stat(root)
    kept = os.path.join(cache_folder(cache), "paths", f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.index")
    old = _load(kept, root)
    new = _refreshed(root, old) if old else _made(root, None, None)
    if new is not None:
        with suppress(OSError):
            os.makedirs(os.path.dirname(kept), exist_ok=True)
            _save(kept, new)
        return new
    assert old
    return old


def _refreshed(root: str, old: Index) -> Index | None:
    """The index made again where something has changed; None where nothing has."""
    if not os.path.isdir(root):
        return None if _same(old.indexed) else _made(root, None, None)
    changed: list[int] = []
    folders = old.entries.folders
    for i, (path, modified) in enumerate(zip(folders, old.modified.tolist(), strict=True)):
        if path is None or modified == _VIRTUAL:
            continue
        try:
            now = os.stat(os.path.join(root, path)).st_mtime_ns
        except OSError:
            now = 0
        if now != modified or now > old.listed - _UNSURE:
            changed.append(i)
    if not changed:
        return None if _same(old.indexed) else _made(root, old, [])
    return _made(root, old, changed if len(changed) <= max(8, len(folders) * _ANEW) else None)


def _same(indexed: Sequence[_IndexedArchive]) -> bool:
    return all(_signature(entry.archive) == entry.signature for entry in indexed)


def _signature(archive: Archive) -> Signature | None:
    try:
        found = [os.stat(path) for path in archive.paths]
    except OSError:
        return None
    return [(status.st_size, status.st_mtime_ns, status.st_ino) for status in found]


def _made(root: str, old: Index | None, changed: list[int] | None) -> Index:
    """Lists a root: all of it, or the folders of `old` that have changed."""
    listed = time.time_ns()
    if os.path.isdir(root):
        columns, modified = _changed(root, old, changed) if old and changed is not None else _listed(root)
        paths = [os.path.join(root, path) for path in columns.like(_ARCHIVE_NAME)]
        found = archives.group(paths) if paths else []
    else:
        columns, modified = Columns(), {}
        beside = [entry.path for entry in os.scandir(os.path.dirname(root)) if entry.is_file()]
        found = [archive for archive in archives.group(beside) if root in archive.paths]
    columns.number("")
    indexed, members = _with_members(root, columns, found, old)
    times = np.full(len(columns.folders), _VIRTUAL, np.int64)
    for number, time_ in modified.items():
        times[number] = time_
    return Index(root, columns.sorted(), times, indexed, members, listed)


def _add(columns: Columns, modified: dict[int, int], batch: scan_root.Batch) -> None:
    numbers = np.array([columns.number(os.fsdecode(path)) for path in batch.paths], np.int32)
    columns.add(numbers[batch.folders] if batch.names else (), batch.names, batch.sizes)
    modified.update({columns.number(os.fsdecode(path)): time_ for path, time_ in batch.listed.items()})


def _listed(root: str) -> tuple[Columns, dict[int, int]]:
    """The files and folders on disk, and the folders' modification times by their numbers."""
    columns = Columns()
    modified: dict[int, int] = {}
    for batch in scan_root.tree(root):
        _add(columns, modified, batch)
    return columns, modified


def _changed(root: str, old: Index, changed: list[int]) -> tuple[Columns, dict[int, int]]:
    """As `_listed`, where only some folders have changed since `old`."""
    folders = old.entries.folders
    columns = Columns(list(folders))
    modified = {i: time_ for i, time_ in enumerate(old.modified.tolist()) if time_ != _VIRTUAL}
    dirty = np.zeros(len(folders), bool)
    dirty[changed] = True
    columns.keep(old.entries, ~dirty[old.entries.folder] & (old.entries.member == ON_DISK))
    for i in changed:
        path = folders[i]
        assert path is not None
        modified.pop(i, None)
        batch = scan_root.folder(root, os.fsencode(path))
        _add(columns, modified, batch)
        for name, size in zip(batch.names, batch.sizes, strict=True):
            inner = os.path.join(os.fsencode(path), name)
            if size == FOLDER and columns.number(os.fsdecode(inner)) not in modified:
                for deeper in scan_root.tree(root, inner):
                    _add(columns, modified, deeper)
    for i, path in enumerate(folders):
        if path and i not in modified:
            columns.forget(i)
    return columns, modified


def _with_members(
    root: str, columns: Columns, found: Sequence[Archive], old: Index | None
) -> tuple[list[_IndexedArchive], Members]:
    """Adds the members of archives where unpacking would put them, and the folders that only they have."""
    before = {entry.archive: (number, entry) for number, entry in enumerate(old.indexed)} if old else {}
    indexed: list[_IndexedArchive] = []
    parts: list[Members] = []
    count = 0
    virtual: set[str] = set()
    for archive in found:
        signature = _signature(archive)
        if signature is None:
            continue
        base = os.path.relpath(os.path.dirname(archive.paths[0]), root) if os.path.isdir(root) else "."
        base = "" if base == "." else f"{base}/"
        entry = _IndexedArchive(archive, signature, [])
        number, same = before.get(archive, (-1, None))
        if old and same and same.signature == signature:
            listed, entry = _kept_members(old, number), same
        else:
            listed = _list_members(entry, base)
        for folders, names, sizes, starts, packed in listed:
            for folder in dict.fromkeys(folders):
                while folder and folder not in virtual and not columns.knows(folder):
                    virtual.add(folder)
                    folder = folder.rpartition("/")[0]
            numbers = {folder: columns.number(folder) for folder in dict.fromkeys(folders)}
            columns.add([numbers[folder] for folder in folders], names, sizes, range(count, count + len(names)))
            parts.append(
                (
                    np.full(len(names), len(indexed), np.int32),
                    np.asarray(starts, np.int64),
                    np.asarray(packed, np.int64),
                )
            )
            count += len(names)
        indexed.append(entry)
    for folder in sorted(virtual):
        parent, _, name = folder.rpartition("/")
        columns.number(folder)
        columns.add([columns.number(parent)], [os.fsencode(name)], [FOLDER], range(VIRTUAL, VIRTUAL + 1))
    if not parts:
        return indexed, (np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int64))
    archive_, start, packed_ = zip(*parts, strict=True)
    return indexed, (np.concatenate(archive_), np.concatenate(start), np.concatenate(packed_))


def _list_members(entry: _IndexedArchive, base: str) -> Iterator[_Listed]:
    """The members of an archive by reading it; what is refused is added to `entry`."""
    members = archives.members(entry.archive)
    while batch := list(islice(members, _MEMBERS_AT_ONCE)):
        taken = [found for found in batch if isinstance(found, Member) and _is_clean(found.name)]
        for found in batch:
            if isinstance(found, Finding):
                if len(entry.problems) < _MAX_PROBLEMS or found.severity == "error":
                    entry.problems.append(found)
                else:
                    entry.more += 1
        split = [f"{base}{found.name}".rpartition("/") for found in taken]
        yield (
            [folder for folder, _, _ in split],
            [os.fsencode(name) for _, _, name in split],
            [found.size for found in taken],
            [found.start for found in taken],
            [found.packed for found in taken],
        )


def _is_clean(name: str) -> bool:
    """Whether a member's name is a path below its archive, as `archives` promises; nothing else gets into the index."""
    return bool(name) and not any(step in ("", ".", "..") for step in name.split("/")) and "\0" not in name


def _kept_members(old: Index, number: int) -> Iterator[_Listed]:
    """The members of an archive as an older index has them."""
    entries = old.entries
    archive, start, packed = old.members
    rows = np.flatnonzero(entries.member >= 0)
    rows = rows[archive[entries.member[rows]] == number]
    for first in range(0, len(rows), _MEMBERS_AT_ONCE):
        some = rows[first : first + _MEMBERS_AT_ONCE]
        at = entries.member[some]
        yield (
            [entries.folders[i] or "" for i in entries.folder[some].tolist()],
            entries.names.take(pa.array(some)).to_pylist(),
            entries.size[some].tolist(),
            start[at].tolist(),
            packed[at].tolist(),
        )


def _save(path: str, made: Index) -> None:
    """Writes an index under a temporary name and renames it."""
    head = msgspec.json.encode(_Head(_FORM, made.root, made.listed, made.indexed))
    entries = made.entries
    paths = [None if folder is None else os.fsencode(folder) for folder in entries.folders]
    folders = pa.table({"path": pa.array(paths, pa.binary()), "modified": made.modified})
    folders = folders.replace_schema_metadata({b"modalmix": head})
    columns = pa.table({"hash": entries.hashes, "folder": entries.folder, "name": entries.names, "size": entries.size,
                        "member": entries.member})  # fmt: skip
    members = pa.table(dict(zip(("archive", "start", "packed"), made.members, strict=True)))
    # A name of its own for each writer, threads too: a file that others have mapped must never be written to again.
    with atomic_path(path) as temporary, pa.OSFile(temporary, "wb") as file:
        for table in (folders, columns, members):
            with pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)


def _load(path: str, root: str) -> Index | None:
    """The index that was kept for a root; None where there is none, or one of another form or damaged."""
    try:
        with pa.memory_map(path) as file:
            folders, columns, members = (pa.ipc.open_stream(file).read_all() for _ in range(3))
        head = msgspec.json.decode(folders.schema.metadata[b"modalmix"], type=_Head)
        if head.form != _FORM or head.root != root:
            return None
        entries = Entries(
            [None if folder is None else os.fsdecode(folder) for folder in folders["path"].to_pylist()],
            _numbers(columns["hash"]),
            _numbers(columns["folder"]),
            columns["name"].chunk(0) if columns["name"].num_chunks else pa.array([], pa.binary()),
            _numbers(columns["size"]),
            _numbers(columns["member"]),
        )
        listed_members = (_numbers(members["archive"]), _numbers(members["start"]), _numbers(members["packed"]))
        return Index(root, entries, _numbers(folders["modified"]), head.archives, listed_members, head.listed)
    except (OSError, pa.ArrowException, msgspec.MsgspecError, KeyError, TypeError, IndexError):
        return None


def _numbers(column: pa.ChunkedArray) -> Any:
    return column.chunk(0).to_numpy() if column.num_chunks else column.to_numpy()
