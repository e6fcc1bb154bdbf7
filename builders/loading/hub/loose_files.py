"""Loose files: media files that lie in no archive, and patches, of which any part can be asked for at any time.

What lies in them is known from the listing, so a row never waits for them: it is given where its other media are read, or, if it
has none in an archive, by the pass of the file that leads it. Parts of a patch that follow each other closely come in one
request, over one connection::

    patch_000000   ▓▓▓▓▓▓▓░▓▓▓▓▓▓▓▓▓▓░░░░░░░░░░░░░░░░░░░░░▓▓▓▓▓▓▓
                   └── one request ─┘                    └ next ┘
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from ...core.findings import Finding, finding
from ...media.items import NO_BASE64, InMemoryItem, Item
from ...paths.rewriter import is_picture
from .remote_file import RemoteFile
from .requested_paths import RequestedPaths
from .stream_plan import ArchivePass

IN_MEMORY_BYTES = 256 << 20
"""Media that are held at a time, besides the row that is given."""

CELL_BYTES = 2**31 - 1
"""What the offsets of a column of bytes can tell."""

_GAP = 1 << 20
"""Bytes that are read and dropped rather than asked for anew behind them."""

Received = InMemoryItem | list[InMemoryItem]
"""A medium that was read: a file, or the frames of a video."""


class File(NamedTuple):
    """A media file on the Hub: where it is, its name under its media root, its bytes, and the number of its pass."""

    url: str
    name: str
    size: int
    by: int


class LooseFiles:
    """The loose files that records ask for.

    Attributes:
        files: the number of a path → its file.
        folders: the number of a path → the pictures in it, in order.
        others: further files that fit a path: its number, and the file.
    """

    def __init__(self, requested: RequestedPaths, passes: Iterable[ArchivePass]) -> None:
        """Looks up which files are wanted."""
        self.files: dict[int, File] = {}
        self.folders: dict[int, list[File]] = {}
        self.others: list[tuple[int, File]] = []
        by_folder: dict[str, list[File]] = {}
        for one in passes:
            for file in map(File, one.files, one.names, one.sizes, [one.number] * len(one.files)):
                for number in requested.fitting(file.name):
                    if self.files.setdefault(number, file) is not file:
                        self.others.append((number, file))
                if is_picture(file.name):
                    by_folder.setdefault(file.name.rpartition("/")[0], []).append(file)
        for folder, files in by_folder.items():
            for number in requested.fitting(folder) if folder else ():
                if number not in self.files:
                    self.folders.setdefault(number, sorted(files, key=lambda file: file.name))

    def __contains__(self, number: int) -> bool:
        return number in self.files or number in self.folders

    def led_by(self, pass_: ArchivePass) -> list[int]:
        """The paths whose file, or first frame, is of a pass, in the order of the files."""
        all_files = [*self.files.items(), *((number, files[0]) for number, files in self.folders.items())]
        return [number for number, _ in sorted(((n, f) for n, f in all_files if f.by == pass_.number), key=_by_file)]


class LooseFileReader:
    """The bytes of loose files, for one pass: the connection, and what was read last."""

    def __init__(self, loose: LooseFiles, token: str | None) -> None:
        """Asks for nothing yet."""
        self._loose, self._token = loose, token
        self._file: tuple[str, RemoteFile] | None = None
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._last: tuple[str, InMemoryItem] | None = None

    def expect(self, number: int, spans: Iterable[tuple[int, int]]) -> None:
        """Says which bytes of a patch will be asked for, so that neighbours come together.

        Args:
            number: of its path.
            spans: first byte and end of each, in ascending order.
        """
        self._open(self._loose.files[number])
        self._starts, self._ends = [], []
        for start, end in spans:
            if self._ends and start <= self._ends[-1] + _GAP:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def received(self, number: int, item: Item) -> Received | Finding:
        """The bytes of a medium, or why there are none.

        Args:
            number: of its path.
            item: as `requested.items_of_row` names it.

        Raises:
            DataError: the Hub does not give them.
        """
        frames = self._loose.folders.get(number)
        if frames is None:
            file = self._loose.files[number]
            if not item.size and file.size > CELL_BYTES:
                return finding(
                    "media-unreadable", f"{item.path!r} has {file.size:,} bytes, too many to hold; download it"
                )
            return self._part(file, item) if item.size else self._whole(file)
        if (size := sum(file.size for file in frames)) > IN_MEMORY_BYTES:
            message = f"the frames in {item.path!r} have {size:,} bytes, too many to hold; download them"
            return finding("media-unreadable", message)
        return [self._whole(file) for file in frames]

    def interrupt(self) -> None:
        """Makes whoever reads fail soon, from another thread."""
        if self._file is not None:
            self._file[1].interrupt()

    def close(self) -> None:
        """Lets go of the connection."""
        file, self._file, self._last = self._file, None, None
        if file is not None:
            file[1].close()

    def _open(self, file: File) -> RemoteFile:
        if self._file is None or self._file[0] != file.url:
            self.close()
            self._starts, self._ends = [], []
            self._file = file.url, RemoteFile([file.url], [file.size], self._token)
        return self._file[1]

    def _whole(self, file: File) -> InMemoryItem:
        if self._last is None or self._last[0] != file.url:
            data = self._open(file).pread(file.size, 0)
            self._last = file.url, InMemoryItem(file.name.rpartition("/")[2], len(data), data)
        return self._last[1]

    def _part(self, file: File, item: Item) -> InMemoryItem | Finding:
        stop = item.start + item.size
        if stop > file.size:
            return finding("patch-out-of-range", f"bytes {item.start}–{stop} of {item.path!r}, which has {file.size}")
        remote = self._open(file)
        run = bisect_right(self._starts, item.start) - 1
        remote.until = self._ends[run] if run >= 0 and stop <= self._ends[run] else stop
        data = remote.pread(item.size, item.start)
        if item.base64:
            try:
                data = base64.b64decode(data, validate=True)
            except binascii.Error as error:
                return finding("media-unreadable", f"bytes {item.start}–{stop} of {item.path!r} {NO_BASE64}: {error}")
        return InMemoryItem(f"{file.name.rpartition('/')[2]}.{item.start}", len(data), data)


def _by_file(one: tuple[int, File]) -> tuple[int, str, int]:
    return one[1].by, one[1].url, one[0]
