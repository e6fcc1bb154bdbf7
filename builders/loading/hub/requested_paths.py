"""Requested paths: which records ask for a file, by the path they wrote, while archives are read.

Only paths, and where their records lie, are held: a record is read again when its medium was read. A path fits a member of an
archive if one is the end of the other, by whole steps::

    written  academic_source/Charades/Q04US.mp4      member  academic_source/Charades/Q04US.mp4
    written  /mnt/x/finevideo_videos/a.mp4           member  finevideo_videos/a.mp4
    written  Charades/Q04US.mp4                      member  videos/Charades/Q04US.mp4

Nothing else fits, no other spelling or extension; who needs rules downloads the archives.

A path that names an archive is that archive's. It names one by a folder in it that is the archive's own name, or the folder that
the archive lies in; the innermost such folder counts, and of several archives those that agree with most of the path, or with
all of it from the media root on. This is known from the listing of the repository, so the outcome does not depend on which
archive is read first::

    archives  30s/shard-000000.tar  30s/shard-000001.tar     each with a member 000000.mp4
    written   /mnt/30s/shard-000001/000000.mp4               the second one's; if it holds none: missing
    written   30s/000000.mp4                                 names the folder of both, and fits both (`archive_rows`)
    written   000000.mp4                                     names none, and fits both

A member of another archive fits such a path only if its own path has the name in it, too: ``LibriSpeech/b.wav`` is what it says
in any archive, even beside a LibriSpeech.tar.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ...annotations import Source, Take, plan, read
from ...core.counts import Counts
from ...core.errors import DataError
from ...core.findings import Finding, finding
from ...core.sample import Reference
from ...media.items import Item
from ...paths.path_parts import common_end, split_path
from ...paths.rewriter import is_picture
from ...pipeline.options import Options
from ...pipeline.rows import Reject, Row, rows
from ...pipeline.selection import check

_UNKNOWN = -2
_SLICES = 1 << 15
_LEAST, _MOST = 2 << 10, 32 << 10
"""What is read again for a record: the less the better, but slices take memory."""

_TEXTS = frozenset(
    {"id", "conversations", "messages", "system_prompt", "text_q", "data_source"}  # and of VideoRefer:
    | {"annotation", "masks", "caption", "Question", "options", "Answer"}
)
"""Keys of records, in all formats, under which no paths stand."""


class Only(Take, frozen=True, kw_only=True):
    """Some ordinals, one by one.

    Attributes:
        rows: those.
    """

    rows: frozenset[int] = frozenset()

    def selects(self, row: int) -> bool:
        """Whether it is one of them."""
        return row in self.rows


class PendingRewriter:
    """Stands where a `Rewriter` stands: each path is the name of a medium that was not read yet."""

    roots: tuple[str, ...] = ()

    def item(self, reference: Reference, kind: str, at: str) -> Item | Finding:
        """An item whose `path` is the path as it is looked for; it has a size only if it is a part of a patch."""
        path = split_path(reference.path)
        if path is None:
            return finding("path-invalid", f"the path is {reference.path!r}", at)
        if ".." in path:
            return finding("path-outside-root", f"{reference.path!r} leads above its own start", at)
        if reference.sizes is None:
            return Item(path[-1], "/".join(path), 0, 0, whole=False)
        parts = self._parts(reference, path, at)
        return parts if isinstance(parts, Finding) else parts[0]

    def video(self, reference: Reference | list[Reference], at: str) -> Item | list[Item] | Finding:
        """The item of a file, or of a folder of frames, which only the archive can tell; or those of single frames."""
        if not isinstance(reference, list):
            item = self.item(reference, "video", at)
            if isinstance(item, Finding) or reference.sizes is None:
                return item
            return self._parts(reference, item.path.split("/"), at)
        items: list[Item] = []
        for i, one in enumerate(reference):
            item = self.item(one, "video", f"{at}/{i}")
            if isinstance(item, Finding):
                return item
            items.append(item)
        return items

    @staticmethod
    def _parts(reference: Reference, path: Sequence[str], at: str) -> list[Item] | Finding:
        items: list[Item] = []
        start, written = reference.start, "/".join(path)
        for size in reference.sizes or ():
            if size <= 0:
                return finding("media-empty", f"the part of {reference.path!r} at byte {start} has {size} bytes", at)
            items.append(Item(f"{path[-1]}.{start}", written, start, size, whole=False, base64=reference.base64))
            start += size
        if reference.start < 0 or not items:
            return finding("patch-out-of-range", f"bytes {reference.start}–{start} of {reference.path!r}", at)
        return items


PENDING_REWRITER: Any = PendingRewriter()


def check_streamable(options: Options) -> None:
    """Refuses what cannot be done before the media are read.

    Raises:
        DataError: rules, folders for one kind of media, or conditions on the media themselves.
    """
    if options.rules is not None:
        raise DataError("rules are for folders on this disk; from the Hub, paths are taken as they are written")
    if options.image_folder or options.video_folder:
        raise DataError(
            "image_folder and video_folder are for folders on this disk; name the place on the Hub as media_root"
        )
    if on_media := [one.text for one in check(options.selection) if one.needs_media]:
        raise DataError(f"{on_media[0]!r} asks for what is known only of media on this disk, and these are on the Hub")


class RequestedPaths:
    """The paths that the records of some annotation files wrote, each once, and the records of each.

    Attributes:
        paths: as they are looked for: steps joined by ``/``.
    """

    def __init__(self, sources: Sequence[Source], options: Options, places: Iterable[str] = ()) -> None:
        """Reads the annotation files once.

        Args:
            sources: local files.
            options: how records become rows.
            places: of all archives, as `ArchivePass.place` has them.

        Raises:
            DataError: a file cannot be read.
        """
        self._options = options
        size = min(max(sum(os.path.getsize(source.path) for source in sources) // _SLICES, _LEAST), _MOST)
        self._slices = [slice_ for source in sources for slice_ in plan(source, slice_bytes=size, exact=True)]
        numbers: dict[str, int] = {}
        of, slice_numbers, ordinals = array("i"), array("i"), array("q")
        for number, slice_ in enumerate(self._slices):
            for block in read(slice_):
                for row, record in enumerate(block.records, block.row):
                    if not slice_.take.selects(row):
                        continue
                    for path in _paths(record):
                        of.append(numbers.setdefault(path, len(numbers)))
                        slice_numbers.append(number)
                        ordinals.append(row)
        self.paths = list(numbers)
        paths = np.frombuffer(of, np.int32) if of else np.empty(0, np.int32)
        order = np.argsort(paths, kind="stable")
        self._starts = np.searchsorted(paths[order], np.arange(len(self.paths) + 1))
        self._slice_numbers = np.frombuffer(slice_numbers, np.int32)[order] if slice_numbers else np.empty(0, np.int32)
        self._ordinals = np.frombuffer(ordinals, np.int64)[order] if ordinals else np.empty(0, np.int64)
        self._names = _Hashes(path.rpartition("/")[2] for path in self.paths)
        self._ends = _Hashes(_end(path) for path in self.paths)
        self._folders_by_name: dict[str, set[tuple[str, ...]]] = {}
        for place in places:
            for folder in (place.split("/"), place.split("/")[:-1]):
                if folder:
                    self._folders_by_name.setdefault(folder[-1], set()).add(tuple(folder))
        self._named_from = np.full(len(self.paths), _UNKNOWN, np.int16)

    def fitting(self, member: str, place: str = "") -> list[int]:
        """The numbers of the paths that fit a member of an archive, or a loose file.

        Args:
            member: its path in the archive, or under the media root.
            place: of the archive, as `ArchivePass.place` has it.
        """
        near = self._ends.at(_end(member)) if "/" in member else self._names.at(member)
        if "/" in member:
            near = [*near, *self._ends.at(member.rpartition("/")[2])]
        return sorted(
            number
            for number in near
            if ((path := self.paths[number]) == member or path.endswith(f"/{member}") or member.endswith(f"/{path}"))
            and (not self._folders_by_name or self._is_meant(number, member, place))
        )

    def _is_meant(self, number: int, member: str, place: str) -> bool:
        """Whether no other archive is named by a path that fits a member."""
        path = self.paths[number].split("/")
        named_from = int(self._named_from[number])
        if named_from == _UNKNOWN:
            named_from = self._named_from[number] = self._first_part_of_name(path)
        return named_from == len(path) or _first_part(path, member, place) <= named_from

    def _first_part_of_name(self, path: Sequence[str]) -> int:
        """From which part on a path names an archive, as `_first_part` counts; its length if it names none."""
        for at in range(len(path) - 2, -1, -1):
            if folders := self._folders_by_name.get(path[at]):
                return min(_first_common(path[: at + 1], folder) for folder in folders)
        return len(path)

    def found_in(self, members: Iterable[tuple[str, str]], place: str) -> Iterator[tuple[int, str]]:
        """The paths that fit some member of an archive, as a file or as a folder of frames.

        Args:
            members: name, and the digest of the bytes if they were read.
            place: of the archive, as `ArchivePass.place` has it.

        Yields:
            The number of a path, and the digest of what fits it, which is empty where it is not known.
        """
        folders: dict[str, list[tuple[str, str]]] = {}
        for member, digest in members:
            for number in self.fitting(member, place):
                yield number, digest
            folder, _, name = member.rpartition("/")
            frames = folders.setdefault(folder, [])
            if is_picture(name):
                frames.append((name, digest))
        for folder, frames in folders.items():
            for number in self.fitting(folder, place) if folder else ():
                yield number, digest_of_frames(frames)

    def rows_of(self, number: int) -> Iterator[tuple[tuple[int, int], Row]]:
        """The rows that wrote a path, in the order of the records, each with its key: its slice and its ordinal."""
        low, high = self._starts[number], self._starts[number + 1]
        return self.rows_at((int(self._slice_numbers[i]), int(self._ordinals[i])) for i in range(low, high))

    def rows_at(self, keys: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], Row]]:
        """The rows of some keys, in the order of the records."""
        by_slice: dict[int, set[int]] = {}
        for slice_, ordinal in keys:
            by_slice.setdefault(slice_, set()).add(ordinal)
        for slice_, some in by_slice.items():
            only = msgspec.structs.replace(self._slices[slice_], take=Only(rows=frozenset(some)))
            for row in rows(only, self._options, Counts(), PENDING_REWRITER):
                if isinstance(row, Row):
                    yield (slice_, row.row), row

    def all_rows(self, total: Counts) -> Iterator[Row | Reject]:
        """All rows and rejects, in the order of the records, no media at hand.

        Args:
            total: counts what becomes of the records if all media are found.
        """
        for slice_ in self._slices:
            counts = Counts()
            yield from rows(slice_, self._options, counts, PENDING_REWRITER)
            total.add(counts)

    def number(self, path: str) -> int:
        """The number of a path; -1 of one that no record wrote."""
        return next((number for number in self._ends.at(_end(path)) if self.paths[number] == path), -1)


class _Hashes:
    """Where texts stand in a list, by their hash: 12 bytes a text."""

    def __init__(self, texts: Iterable[str]) -> None:
        hashes = np.fromiter((hash(text) for text in texts), np.int64)
        self._order = np.argsort(hashes, kind="stable").astype(np.int32)
        # looked up by Python's bisect: numpy's gives up the interpreter each time, and the thread ahead takes it for long
        self._sorted = hashes[self._order].data

    def at(self, text: str) -> list[int]:
        """The places of a text, and hardly ever of another one."""
        low = bisect_left(self._sorted, hash(text))
        high = bisect_right(self._sorted, hash(text), low)
        return [int(place) for place in self._order[low:high]]


def digest_of_frames(frames: Iterable[tuple[str, str]]) -> str:
    """The digest of a folder of frames, by their names and digests; empty where one of those is not known."""
    every = sorted(frames)
    if not every or not all(digest for _, digest in every):
        return ""
    return hashlib.sha256("\n".join(f"{name}\0{digest}" for name, digest in every).encode()).hexdigest()


def _first_part(path: Sequence[str], member: str, place: str) -> int:
    """The part of a path from which on a member is it, unpacked beside its archive or into a folder of the archive's name."""
    folder = place.rpartition("/")[0]
    steps = member.split("/")
    first = _first_common(path, [*folder.split("/"), *steps] if folder else steps)
    return min(first, _first_common(path, [*place.split("/"), *steps])) if place else first


def _first_common(path: Sequence[str], other: Sequence[str]) -> int:
    """The part from which on a path ends as another one does; one less if they are equal: that goes before all."""
    common = common_end(path, other)
    return -1 if common == len(path) == len(other) else len(path) - common


def _end(path: str) -> str:
    """The last two steps of a path."""
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if folder else name


def _paths(record: Mapping[str, Any]) -> Iterator[str]:
    """Whatever may be the path of a medium in a record of any format: it only has to be among them."""
    stack = [value for key, value in record.items() if key not in _TEXTS]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            if 0 < len(value) < 4096 and (path := split_path(value)) is not None:
                yield "/".join(path)
        elif isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list) and value and isinstance(value[0], (str, dict, list)):
            stack += value


def items_of_row(row: Row) -> list[Item]:
    """The media of a row; what leads it comes first, as in builds."""
    media = row.media
    groups = (media.images, media.videos, *media.frames, media.audios, media.audio_q)
    return [item for group in groups for item in group]
