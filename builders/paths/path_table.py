"""The path table: what lies under one root, as columns that are searched where they are.

::

    folders   ['', 'v', 'v/clips', …]                     position = number of the folder; None where it has gone
    entries   folder · name · size · member               sorted by the hash of (folder, name), so that a bucket is a range
    members   archive · start · packed                     where the entries are that lie in archives

A million entries take some 50 MB, which a saved index maps from its file; nothing becomes a Python object before it is needed.
  Members stand in the tree where unpacking their archive beside itself would put them.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .path_parts import fold

ON_DISK = -1
VIRTUAL = -2
"""In place of an entry's member: it is a file or folder on disk, or a folder that only archives have."""

_SPREAD = 0x9E3779B1
_MAX_BUCKETS = 20


class Entries:
    """The entries of a root; see the module.  Read-only, and safe for threads and after fork.

    Attributes:
        folders: paths relative to the root; None for one that has gone.
        size: of each entry, in bytes; `scan_root.FOLDER` for folders.
        member: position of each entry among the members of archives; `ON_DISK`, `VIRTUAL`.
    """

    def __init__(
        self,
        folders: list[str | None],
        hashes: npt.NDArray[np.uint32],
        folder: npt.NDArray[np.int32],
        names: pa.BinaryArray,
        size: npt.NDArray[np.int64],
        member: npt.NDArray[np.int32],
    ) -> None:
        """Columns as `Columns.sorted` gives them."""
        self.folders = folders
        self.hashes, self.folder, self.names, self.size, self.member = hashes, folder, names, size, member
        bits = min(max(len(hashes).bit_length(), 1), _MAX_BUCKETS)
        self._shift = 32 - bits
        bounds = (np.arange((1 << bits) + 1, dtype=np.uint64) << np.uint64(self._shift)).astype(np.uint64)
        self._starts = np.searchsorted(hashes, bounds).astype(np.uint32).data
        self._hash, self._of = hashes.data, folder.data
        _, offsets, data = names.buffers()
        self._offsets = memoryview(offsets).cast("i")[names.offset :] if offsets else memoryview(b"")
        self._data = memoryview(data).cast("B") if data is not None else memoryview(b"")
        self._numbers: dict[str, int] | None = None
        self._reversed_folders: dict[bool, tuple[list[str], list[int]]] = {}
        self._by_folder: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(self.hashes)

    def number(self, path: str) -> int | None:
        """The number of a folder; None where there is none of that path."""
        if self._numbers is None:
            self._numbers = {path: i for i, path in enumerate(self.folders) if path is not None}
        return self._numbers.get(path)

    def find(self, folder: int, name: str) -> list[int]:
        """The entries of that name in a folder: one, none, or several where archives hold the same name."""
        key = _encoded(name)
        if key is None:
            return []
        hashed = crc32(key, folder * _SPREAD & 0xFFFFFFFF)
        bucket = hashed >> self._shift
        found = []
        for i in range(self._starts[bucket], self._starts[bucket + 1]):
            if (
                self._hash[i] == hashed
                and self._of[i] == folder
                and self._data[self._offsets[i] : self._offsets[i + 1]] == key
            ):
                found.append(i)
        return found

    def name(self, entry: int) -> str:
        """The name of an entry."""
        return bytes(self._data[self._offsets[entry] : self._offsets[entry + 1]]).decode("utf-8", "surrogateescape")

    def path(self, entry: int) -> str:
        """The path of an entry relative to the root."""
        folder = self.folders[self._of[entry]]
        return f"{folder}/{self.name(entry)}" if folder else self.name(entry)

    def inside(self, folder: int) -> list[int]:
        """The entries directly in a folder, in no order."""
        if self._by_folder is None:
            order = np.argsort(self.folder, kind="stable")
            self._by_folder = order, np.searchsorted(self.folder[order], np.arange(len(self.folders) + 1))
        order, starts = self._by_folder
        return [int(i) for i in order[starts[folder] : starts[folder + 1]]]

    def named(self, names: Sequence[str]) -> dict[str, list[int]]:
        """The entries of some names, wherever they are, in one pass over all."""
        keys = pa.array([key for key in map(_encoded, names) if key is not None], pa.binary())
        rows = np.flatnonzero(pc.is_in(self.names, value_set=keys).to_numpy(zero_copy_only=False))
        found: dict[str, list[int]] = {}
        for row in rows:
            found.setdefault(self.name(int(row)), []).append(int(row))
        return found

    def find_many(self, folders: npt.NDArray[np.int64], names: list[bytes]) -> npt.NDArray[np.int64]:
        """As `find`, for many at once: the entry of each name in its folder; -1 where there is none, -2 for several."""
        seeds = (folders.astype(np.uint64) * np.uint64(_SPREAD) & np.uint64(0xFFFFFFFF)).tolist()
        hashed = np.fromiter(map(crc32, names, seeds), np.uint32, len(names))
        first = np.searchsorted(self.hashes, hashed)
        inside = first < len(self.hashes)
        first[~inside] = 0
        if not len(self.hashes):
            return np.full(len(names), -1, np.int64)
        same = inside & (self.hashes[first] == hashed)
        equal = pc.equal(self.names.take(pa.array(first)), pa.array(names, pa.binary())).to_numpy(zero_copy_only=False)
        follower = np.minimum(first + 1, len(self.hashes) - 1)
        alone = (follower == first) | (self.hashes[follower] != hashed)
        sure = same & alone & equal & (self.folder[first] == folders)
        found = np.where(sure, first, -1)
        for i in np.flatnonzero(same & ~alone):  # two entries with one hash, or the same name from two archives
            entries = self.find(int(folders[i]), os.fsdecode(names[i]))
            found[i] = -1 if not entries else entries[0] if len(entries) == 1 else -2
        return found

    def extensions(self) -> set[str]:
        """The extensions of up to five letters that names have here, with their dots."""
        found = pc.extract_regex(self.names, r"(?s)^.+(?P<extension>\.[A-Za-z0-9]{1,5})$").field("extension")
        return {extension.as_py().decode() for extension in pc.unique(found.drop_null())}

    def ending(self, parts: Sequence[str], limit: int, folded: bool = False) -> Iterator[tuple[int, list[int] | None]]:
        """The folders whose paths end like a written one: the longest common end first.

        Args:
            parts: of the written folder.
            limit: a level with more folders is given as None, and is the last.
            folded: case and normal form of the parts do not count.

        Yields:
            The number of parts in common, and the folders that have just so many (level 0: the root alone).
        """
        reversed_folders, numbers = self._reversed_folders.get(folded) or self._sorted_reversed(folded)
        low, high = 0, len(reversed_folders)
        ranges = []
        prefix = ""
        for part in reversed(parts):
            prefix = f"{prefix}{fold(part, True, True) if folded else part}/"
            low = bisect_left(reversed_folders, prefix, low, high)
            high = bisect_left(reversed_folders, f"{prefix[:-1]}0", low, high)  # "0" is what follows "/"
            if low == high:
                break
            ranges.append((low, high))
        inner = (0, 0)
        for common in range(len(ranges), 0, -1):
            low, high = ranges[common - 1]
            if high - low - (inner[1] - inner[0]) > limit:
                yield common, None
                return
            level = [numbers[i] for i in range(low, high) if not inner[0] <= i < inner[1]]
            if level:
                yield common, level
            inner = low, high
        root = self.number("")
        if root is not None:
            yield 0, [root]

    def _sorted_reversed(self, folded: bool) -> tuple[list[str], list[int]]:
        paths = ((fold(path, True, True) if folded else path, i) for i, path in enumerate(self.folders) if path)
        pairs = sorted(("/".join(reversed(path.split("/"))) + "/", i) for path, i in paths)
        self._reversed_folders[folded] = [reversed_path for reversed_path, _ in pairs], [i for _, i in pairs]
        return self._reversed_folders[folded]


class Columns:
    """Collects entries, and gives them sorted.

    Attributes:
        folders: paths of the folders so far.
    """

    def __init__(self, folders: list[str | None] | None = None) -> None:
        """Begins with the folders of an older state."""
        self.folders: list[str | None] = folders or []
        self._numbers = {path: i for i, path in enumerate(self.folders) if path is not None}
        self._parts: list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], pa.BinaryArray,
                                npt.NDArray[np.int64], npt.NDArray[np.int32]]] = []  # fmt: skip

    def number(self, path: str) -> int:
        """The number of a folder, a new one where it is new."""
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self.folders)
            self.folders.append(path)
        return number

    def knows(self, path: str) -> bool:
        """Whether a folder has a number."""
        return path in self._numbers

    def forget(self, number: int) -> None:
        """Takes out a folder that has gone; its number is not used again."""
        self._numbers.pop(self.folders[number] or "", None)
        self.folders[number] = None

    def like(self, pattern: str) -> list[str]:
        """The paths of the files whose names hold a regular expression of ours, sorted."""
        found: list[str] = []
        for _, folder, names, sizes, _ in self._parts:
            for i in np.flatnonzero(pc.match_substring_regex(names, pattern).to_numpy(zero_copy_only=False)):
                if sizes[i] >= 0:
                    path, name = self.folders[folder[i]], os.fsdecode(names[int(i)].as_py())
                    found.append(f"{path}/{name}" if path else name)
        return sorted(found)

    def add(
        self,
        folder: Sequence[int] | npt.NDArray[np.int32],
        names: list[bytes],
        sizes: Sequence[int],
        members: range | None = None,
    ) -> None:
        """Adds entries: the folders they are in, their names and sizes, and their positions among members."""
        if not names:
            return
        numbers = np.asarray(folder, np.int32)
        seeds = (numbers.astype(np.uint64) * np.uint64(_SPREAD) & np.uint64(0xFFFFFFFF)).tolist()
        hashes = np.fromiter(map(crc32, names, seeds), np.uint32, len(names))
        member = (
            np.full(len(names), ON_DISK, np.int32)
            if members is None
            else np.arange(members.start, members.stop, dtype=np.int32)
        )
        self._parts.append((hashes, numbers, pa.array(names, pa.binary()), np.asarray(sizes, np.int64), member))

    def keep(self, entries: Entries, rows: npt.NDArray[np.bool_]) -> None:
        """Adds entries of an older state whose folders keep their numbers."""
        self._parts.append((entries.hashes[rows], entries.folder[rows], entries.names.filter(pa.array(rows)),
                            entries.size[rows], entries.member[rows]))  # fmt: skip

    def sorted(self) -> Entries:
        """All that were added."""
        none = (np.empty(0, np.uint32), np.empty(0, np.int32), pa.array([], pa.binary()), np.empty(0, np.int64),
                np.empty(0, np.int32))  # fmt: skip
        hashes, folder, names, size, member = zip(*(self._parts or [none]), strict=True)
        joined = np.concatenate(hashes)
        order = np.argsort(joined, kind="stable")
        text = pa.concat_arrays(names).take(pa.array(order))
        return Entries(self.folders, joined[order], np.concatenate(folder)[order], text,
                       np.concatenate(size)[order], np.concatenate(member)[order])  # fmt: skip


def _encoded(name: str) -> bytes | None:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # lone surrogates: no name has them
        return None
