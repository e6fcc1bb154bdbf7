"""Passing: the rows of one pass, with the bytes of their media as these come by.

A row is given when its last medium has come. Where it has several, those that came first are held until then; they must all lie
in one archive. A folder of frames is complete when a member of another folder comes by. Of two files that fit a path, in one
archive or in two, the first one counts, and the second one is told.

What becomes of every record is told once, whoever goes through which archive: what is wrong with a record itself, and the rows
that need no archive, after the first pass; records whose leading medium is in no archive, by the pass after which all archives
are known. Where no cache is shared, as on several machines, the latter waits until one of them knows all.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import lru_cache

import msgspec

from ..annotations import Source
from ..findings import Finding, finding
from ..media.archives import Archive, Member, pass_through
from ..media.archives.recognition import kind_by_head
from ..media.items import Held, Item, Media
from ..paths.rewriter import is_picture
from ..rows import Counts, Reject, Row
from . import listings
from .ahead import ahead
from .plan import Feed, Pass
from .repository import fetched, is_remote, place_of
from .transfer import RemoteFile
from .wanted import Wanted, awaited

HELD_BYTES = 256 << 20
"""Media that wait for others of their row; beyond, those of the row that has waited longest are let go."""

_HEAD = 512
_Come = Held | list[Held]


class Known:
    """What is known of a split in this process.

    Attributes:
        feed: the split.
        wanted: the paths its records wrote.
        damaged: archives that could not be read to their ends.
        came: the number of a path → the pass and the name of the first member that fitted it.
    """

    def __init__(self, feed: Feed, token: str | None) -> None:
        """Reads the annotation files, by way of the client's cache where they are on the Hub."""
        self.feed = feed
        self.wanted = Wanted([local(source, token) for source in feed.sources], feed.options)
        self.damaged: set[int] = set()
        self.came: dict[int, tuple[int, str]] = {}
        self._found: dict[int, set[int]] = {}

    def found(self, one: Pass) -> set[int] | None:
        """The numbers of the paths that an archive holds; None where no pass has met its end yet."""
        if one.number not in self._found:
            names = listings.kept(one.digest) if one.archive else one.names
            if names is not None:
                self._found[one.number] = self.wanted.found_in(names)
        return self._found.get(one.number)

    def met(self, one: Pass, found: set[int], damaged: bool) -> None:
        """Keeps what a pass has found."""
        self._found[one.number] = found
        (self.damaged.add if damaged else self.damaged.discard)(one.number)

    def is_complete(self) -> bool:
        """Whether all archives are known."""
        return all(self.found(one) is not None for one in self.feed.passes)

    def before(self, one: Pass) -> set[int]:
        """The paths that earlier archives hold, as far as they are known."""
        return set().union(*(self.found(other) or () for other in self.feed.passes[: one.number]))


@lru_cache(maxsize=2)
def _known(feed: bytes, token: str | None) -> Known:
    return Known(msgspec.json.decode(feed, type=Feed), token)


def local(source: Source, token: str | None = None) -> Source:
    """A source whose file is on this disk."""
    if not is_remote(source.path):
        return source
    return msgspec.structs.replace(source, path=fetched(place_of(source.path), token))


def rows_of(feed: Feed, one: Pass, token: str | None = None) -> Iterator[Row | Reject]:
    """The rows of a pass, and the records it has to reject; order and accounts as the module says.

    Args:
        feed: the split.
        one: a pass of it.
        token: instead of the one that is logged in.

    Raises:
        DataError: the Hub cannot be read. What is wrong with the data itself is told by rejects.
    """
    known = _known(msgspec.json.encode(feed), token)
    was_complete = known.is_complete()
    found = known.found(one)
    if found is None or found - known.before(one):
        yield from _Through(known, one).rows(token)
    tells = one.number == 0 if was_complete else known.is_complete()
    if one.number == 0 or tells:
        yield from _rest(known, first=one.number == 0, last=tells)


def _rest(known: Known, first: bool, last: bool) -> Iterator[Row | Reject]:
    """What no archive gives: with `first` what needs none, with `last` what is in none."""
    passes = known.feed.passes
    found = set().union(*(known.found(one) or () for one in passes)) if last else set()
    numbers = known.wanted.numbers() if last else {}
    archives = sum(one.archive is not None for one in passes)
    there = f"{archives} archive(s)" if archives else f"{sum(len(one.files) for one in passes):,} media file(s)"
    damage = f", {len(known.damaged)} of which could not be read to the end" if known.damaged else ""
    for row in known.wanted.every(Counts()):
        if isinstance(row, Reject) or not (items := awaited(row)):
            if first:
                yield row
        elif last and numbers.get(items[0].path) not in found:
            yield _rejected(
                row, finding("media-missing", f"{items[0].path!r} is in none of {there} on the Hub{damage}")
            )


class _Waiting:
    """A row some of whose media have come."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.paths = dict.fromkeys(item.path for item in awaited(row))
        self.come: dict[str, _Come] = {}
        self.let_go = False

    def is_complete(self) -> bool:
        """Whether all are there."""
        return len(self.come) == len(self.paths)

    def held(self) -> int:
        """The bytes it holds."""
        return sum(_size(one) for one in self.come.values())


class _Through:
    """A pass on its way."""

    def __init__(self, known: Known, one: Pass) -> None:
        self.known, self.one = known, one
        self.found: set[int] = set()
        self.done = known.before(one)
        self.waiting: dict[tuple[int, int], _Waiting] = {}
        self.folder = ""
        self.frames: list[Held] = []
        self.frames_bytes = 0
        self.fitting: dict[str, list[int]] = {}
        self.file: RemoteFile | None = None

    def rows(self, token: str | None) -> Iterator[Row | Reject]:
        """The rows, in the order of the members."""
        wanted, damaged = self.known.wanted, False
        listing = listings.Listing(self.one.digest) if self.one.archive else None
        try:
            members = self._of_archive(self.one.archive, token) if self.one.archive else self._of_files(token)
            for one in ahead(members, _size_of, self._interrupt):
                if isinstance(one, Finding):
                    damaged = damaged or one.kind.name.startswith("archive-")
                    if one.severity == "error":
                        yield self._told(one)
                    continue
                member, data = one
                if listing:
                    listing.add(member.name)
                folder = member.name.rpartition("/")[0]
                if folder != self.folder:
                    yield from self._left()
                    self.folder = folder
                numbers = wanted.fitting(member.name)
                self.found.update(numbers)
                for number in numbers:
                    first = self.known.came.setdefault(number, (self.one.number, member.name))
                    if first != (self.one.number, member.name):
                        yield self._told(self._second(number, first, member))
                if data is None:
                    continue
                held = Held(member.name.rpartition("/")[2], len(data), data)
                if self._frame_of(member):
                    self.frames_bytes += held.size
                    if self.frames_bytes <= HELD_BYTES:
                        self.frames.append(held)
                yield from self._come(numbers, held)
            yield from self._left()
            yield from self._apart()
            if listing and not damaged:
                listing.keep()
            self.known.met(self.one, self.found, damaged)
        finally:
            if listing:
                listing.drop()

    def _of_archive(
        self, archive: Archive, token: str | None
    ) -> Generator[tuple[Member, bytes | None] | Finding, None, None]:
        """The members of an archive, which is what its first bytes say."""
        with RemoteFile(archive.paths, self.one.sizes, token) as self.file:
            file = self.file
            kind = kind_by_head(file.pread(_HEAD, 0)) or archive.kind
            for one in pass_through(msgspec.structs.replace(archive, kind=kind), file, self.wants):
                if file.failure is not None:
                    raise file.failure
                yield one

    def _of_files(self, token: str | None) -> Generator[tuple[Member, bytes | None] | Finding, None, None]:
        """Files as if they were members."""
        files = zip(self.one.files, self.one.names, self.one.sizes, strict=True)
        for number, (url, name, size) in enumerate(files):
            member = Member(name, number, size)
            data = None
            if self.wants(member):
                with RemoteFile([url], [size], token) as self.file:
                    data = self.file.pread(size, 0)
            yield member, data

    def _interrupt(self) -> None:
        if self.file is not None:
            self.file.interrupt()

    def wants(self, member: Member) -> bool:
        """Whether a record asks for a member that has not come yet."""
        return any(number not in self.done for number in self.known.wanted.fitting(member.name)) or bool(
            self._frame_of(member)
        )

    def _frame_of(self, member: Member) -> list[int]:
        """The paths a member is a frame of."""
        folder = member.name.rpartition("/")[0]
        if not folder or not is_picture(member.name):
            return []
        fitting = self.fitting  # of the thread ahead or of the consumer, whoever came last
        if folder not in fitting:
            fitting = {folder: [one for one in self.known.wanted.fitting(folder) if one not in self.done]}
            self.fitting = fitting
        return fitting[folder]

    def _left(self) -> Iterator[Row | Reject]:
        """The rows of the folder that was left."""
        frames, self.frames = sorted(self.frames), []
        size, self.frames_bytes = self.frames_bytes, 0
        if not size:
            return
        numbers = self.known.wanted.fitting(self.folder)
        self.found.update(numbers)
        if size <= HELD_BYTES:
            yield from self._come(numbers, frames)
            return
        self.done.update(numbers)
        for number in numbers:
            for _, row in self.known.wanted.rows_of(number):
                said = f"the frames in {self.folder!r} have {size:,} bytes, too many to hold; download them"
                yield _rejected(row, finding("media-unreadable", said))

    def _come(self, numbers: list[int], come: _Come) -> Iterator[Row | Reject]:
        """The rows for which this was the last one missing."""
        for number in numbers:
            if number in self.done:
                continue
            self.done.add(number)
            path = self.known.wanted.paths[number]
            for key, row in self.known.wanted.rows_of(number):
                waiting = self.waiting.get(key) or _Waiting(row)
                if path not in waiting.paths:
                    continue
                waiting.come[path] = come
                if waiting.let_go or not waiting.is_complete():
                    self.waiting[key] = waiting
                    continue
                self.waiting.pop(key, None)
                yield _completed(row, waiting.come)
        self._bound()

    def _bound(self) -> None:
        held = sum(one.held() for one in self.waiting.values()) if self.waiting else 0
        for one in list(self.waiting.values()):
            if held <= HELD_BYTES:
                return
            held -= one.held()
            one.come = {path: Held("", 0, b"") for path in one.come}
            one.let_go = True

    def _apart(self) -> Iterator[Reject]:
        """The rows whose media do not all lie in this archive; the one with the leading medium tells."""
        for one in self.waiting.values():
            lead = next(iter(one.paths))
            if lead in one.come:
                other = next((path for path in one.paths if path not in one.come), lead)
                said = (
                    f"its media lie too far apart in {self.one}"
                    if one.let_go
                    else f"{lead!r} is in {self.one}, and {other!r} is not"
                )
                yield _rejected(one.row, finding("media-unreadable", f"{said}; download it to read them"))

    def _second(self, number: int, first: tuple[int, str], member: Member) -> Finding:
        """What is to say of a second member that fits a path."""
        path, other = self.known.wanted.paths[number], self.known.feed.passes[first[0]]
        where = f" in {other}" if other != self.one else ""
        return finding("media-ambiguous", f"{path!r} fits {first[1]!r}{where} and {member.name!r}; one of them counts")

    def _told(self, one: Finding) -> Reject:
        """A finding about the archive, as an error of a file as a whole, which counts as no record."""
        file = str(self.one)
        return Reject(None, file, -1, [one.placed(file, -1)], None)


def _completed(row: Row, come: dict[str, _Come]) -> Row | Reject:
    """A row with its media at hand."""
    videos: list[Item] = []
    folders: list[list[Item]] = []

    def held(items: list[Item]) -> list[Item]:
        return [come[item.path] for item in items]  # type: ignore[misc]  # Held, as is seen below

    media = row.media
    for item in media.videos:
        one = come[item.path]
        if isinstance(one, list):
            folders.append(one)  # type: ignore[arg-type]  # Held stands where Item does
        else:
            videos.append(one)  # type: ignore[arg-type]
    frames = [*folders, *map(held, media.frames)]
    if videos and frames:
        said = f"{len(videos)} video file(s) and {len(frames)} list(s) of frames"
        return _rejected(row, finding("mixed-video-kinds", said, "/video"))
    done = Media(held(media.images), videos, frames, held(media.audios), held(media.audio_q))
    for items in (done.images, *done.frames, done.audios, done.audio_q):
        if any(isinstance(item, list) for item in items):
            return _rejected(row, finding("media-kind", "a folder stands where a picture or a sound should be"))
    empty = next((path for path, one in come.items() if not _size(one)), None)
    if empty is not None:
        return _rejected(row, finding("media-empty", f"{empty!r} has no bytes"))
    return row._replace(media=done)


def _size_of(one: tuple[Member, bytes | None] | Finding) -> int:
    """What a member holds in memory, roughly."""
    return 256 + (0 if isinstance(one, Finding) else len(one[1] or b""))


def _size(come: _Come) -> int:
    return sum(one.size for one in come) if isinstance(come, list) else come.size


def _rejected(row: Row, one: Finding) -> Reject:
    return Reject(row.format, row.file, row.row, [*row.findings, one.placed(row.file, row.row)], row.record)
