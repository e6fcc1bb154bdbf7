"""Passing: the rows of one pass, with the bytes of their media as these come by.

A row is given when its last medium has come. Where it has several, those that came first are held until then; what lies in
archives must all lie in one. A folder of frames is complete when a member of another folder comes by. Of two files that fit a
path, in one archive or in two, one counts (`stream_state`), and the other one is told.

What becomes of every record is told once, whoever goes through which archive: what is wrong with a record itself, and the rows
that need no archive, after the first pass; records whose leading medium is in no archive, by the pass after which all archives
are known. Where no cache is shared, as on several machines, no machine may ever know all of them: the last pass then says how
many records were not seen.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator

import msgspec

from ...core.counts import Counts
from ...core.findings import Finding, finding
from ...media.archives import Archive, Member, pass_through
from ...media.archives.detect import kind_by_head
from ...media.items import InMemoryItem, Item
from ...paths.rewriter import is_picture
from ...pipeline.rows import Reject, Row
from . import member_cache
from .assemble_row import Key, completed, key_of, rejected
from .loose_files import HELD_BYTES, Come, Reading
from .prefetch import ahead
from .remote_file import RemoteFile
from .stream_plan import Feed, Pass
from .stream_state import Asked, Known, known

logger = logging.getLogger("modalmix")

_HEAD = 512
_ROWS = 256


def rows_of(feed: Feed, one: Pass, token: str | None = None) -> Iterator[Row | Reject]:
    """The rows of a pass, and the records it has to reject; order and accounts as the module says.

    Args:
        feed: the split.
        one: a pass of it.
        token: instead of the one that is logged in.

    Raises:
        DataError: the Hub cannot be read. What is wrong with the data itself is told by rejects.
    """
    split = known(msgspec.json.encode(feed), token)
    tells = one.number == 0 and not split.unknown()
    if one.archive is None:
        reading = Reading(split.loose, token)
        yield from ahead(_of_files(split, one, reading), _bytes_of, reading.interrupt)
    elif split.gives(one):
        through = _Through(split, one, token)
        yield from through.rows()
        tells = tells or through.was_last
    if one.number == 0 or tells:
        yield from _rest(split, first=one.number == 0, last=tells)
    if one.number == len(feed.passes) - 1 and (unknown := split.unknown()) and (unseen := split.unseen()):
        logger.warning(
            "%s: the media of %s record(s) were not seen: they are in none of the %s archive(s) known on this machine; "
            "%s more are others' to read, or yet to come",
            one,
            f"{unseen:,}",
            f"{len(split.archives) - unknown:,}",
            f"{unknown:,}",
        )


def _rest(split: Known, first: bool, last: bool) -> Iterator[Row | Reject]:
    """What no pass gives: with `first` what needs none, with `last` what is in none."""
    found = split.all_found() if last else set()
    loose = sum(len(one.files) for one in split.feed.passes)
    places = [f"{len(split.archives)} archive(s)"] if split.archives else []
    there = " and ".join([*places, f"{loose:,} media file(s)"] if loose or not places else places)
    damage = f", {len(split.damaged)} of which could not be read to the end" if split.damaged else ""
    for row in split.wanted.every(Counts()):
        if isinstance(row, Reject):
            if first:
                yield row
            continue
        asked = split.asked(row)
        if patch := _unreachable(split, asked):
            if first:
                said = f"{patch.path!r} is a patch, and no file of its own on the Hub; download it"
                yield rejected(row, finding("media-unreadable", said))
        elif not asked.items:
            if first:
                yield row
        elif last and not asked.is_loose and asked.lead not in found:
            lead = asked.items[asked.numbers.index(asked.lead)].path
            yield rejected(row, finding("media-missing", f"{lead!r} is in none of {there} on the Hub{damage}"))


def _unreachable(split: Known, asked: Asked) -> Item | None:
    """A part of a patch that does not lie loose: an archive would have to be held as a whole for it."""
    pairs = zip(asked.items, asked.numbers, strict=True)
    return next((item for item, number in pairs if item.size and number not in split.loose.files), None)


def _of_files(split: Known, one: Pass, reading: Reading) -> Generator[Row | Reject, None, None]:
    """The rows that the loose files of a pass lead: in the order of the files, of the parts of a patch, and of the records."""
    try:
        for number, file in split.loose.others:
            if file.by == one.number:
                yield _told(one, _second(split, number, split.loose.files[number].name, "", file.name))
        for number in split.loose.led_by(one):
            spans: list[tuple[int, int, tuple[int, int]]] = []
            for key, row in split.wanted.rows_of(number):
                asked = split.asked(row)
                if asked.is_loose and asked.lead == number:
                    items = [item for item, its in zip(asked.items, asked.numbers, strict=True) if its == number]
                    spans.append((min(i.start for i in items), max(i.start + i.size for i in items), key))
            spans.sort(key=lambda span: span[:2])
            if any(end for _, end, _ in spans):
                reading.expect(number, [span[:2] for span in spans])
            for i in range(0, len(spans), _ROWS):
                keys = [key for _, _, key in spans[i : i + _ROWS]]
                rows = dict(split.wanted.rows_at(keys))
                for key in keys:
                    yield _with_loose(split, rows[key], split.asked(rows[key]), {}, reading)
    finally:
        reading.close()


def _with_loose(split: Known, row: Row, asked: Asked, come: dict[Key, Come], reading: Reading) -> Row | Reject:
    """A row with what has come, and what is loose."""
    for item, number in zip(asked.items, asked.numbers, strict=True):
        if key_of(item) not in come:
            one = reading.come(number, item)
            if isinstance(one, Finding):
                return rejected(row, one)
            come[key_of(item)] = one
    return completed(row, lambda item: come[key_of(item)], split.feed.options.verify_masks)


class _Waiting:
    """A row some of whose media have come."""

    def __init__(self, row: Row, asked: Asked, split: Known) -> None:
        self.row, self.asked = row, asked
        pairs = zip(asked.items, asked.numbers, strict=True)
        self.missing = {number: item for item, number in pairs if number not in split.loose}
        self.come: dict[Key, Come] = {}
        self.let_go = False

    def held(self) -> int:
        """The bytes it holds."""
        return sum(_size(one) for one in self.come.values())


class _Through:
    """A pass through an archive on its way.

    Attributes:
        was_last: it has met the end of the last archive that was unknown.
    """

    def __init__(self, split: Known, one: Pass, token: str | None) -> None:
        self.known, self.one, self.token = split, one, token
        self.was_last = False
        self.found: set[int] = set()
        self.before = split.before(one)
        self.done: set[int] = set()
        self.came: dict[int, str] = {}
        self.waiting: dict[tuple[int, int], _Waiting] = {}
        self.folder = ""
        self.frames: list[InMemoryItem] = []
        self.frames_bytes = 0
        self.fitting: dict[str, list[int]] = {}
        self.file: RemoteFile | None = None
        self.reading = Reading(split.loose, token)

    def rows(self) -> Iterator[Row | Reject]:
        """The rows, in the order of the members."""
        assert self.one.archive is not None
        damaged = False
        listing = member_cache.Listing(self.one.digest)
        try:
            for one in ahead(self._members(self.one.archive), _held_by, self._interrupt):
                if isinstance(one, Finding):
                    damaged = damaged or one.kind.name.startswith("archive-")
                    if one.severity == "error":
                        yield _told(self.one, one)
                    continue
                member, data = one
                listing.add(member.name)
                folder = member.name.rpartition("/")[0]
                if folder != self.folder:
                    yield from self._left()
                    self.folder = folder
                numbers = self.known.wanted.fitting(member.name)
                self.found.update(numbers)
                for number in numbers:
                    if told := self._counts_not(number, member):
                        yield _told(self.one, told)
                if data is None:
                    continue
                held = InMemoryItem(member.name.rpartition("/")[2], len(data), data)
                if self._frame_of(member):
                    self.frames_bytes += held.size
                    if self.frames_bytes <= HELD_BYTES:
                        self.frames.append(held)
                yield from self._come(numbers, held)
            yield from self._left()
            yield from self._apart()
            with self.known.alone():  # so that one process alone meets the end of the last one
                unknown = self.known.unknown()
                if not damaged:
                    listing.keep()
                self.known.met(self.one, self.found, damaged)
                self.was_last = bool(unknown) and not self.known.unknown()
        finally:
            listing.drop()
            self.reading.close()

    def _members(self, archive: Archive) -> Generator[tuple[Member, bytes | None] | Finding, None, None]:
        """The members of an archive, which is what its first bytes say."""
        with RemoteFile(archive.paths, self.one.sizes, self.token) as self.file:
            file = self.file
            kind = kind_by_head(file.pread(_HEAD, 0)) or archive.kind
            for one in pass_through(msgspec.structs.replace(archive, kind=kind), file, self._wants):
                if file.failure is not None:
                    raise file.failure
                yield one

    def _interrupt(self) -> None:
        if self.file is not None:
            self.file.interrupt()

    def _wants(self, member: Member) -> bool:
        """Whether a record asks for a member that has not come yet."""
        numbers = self.known.wanted.fitting(member.name)
        away = any(number not in self.done and number not in self.known.loose for number in numbers)
        return away or bool(self._frame_of(member))

    def _frame_of(self, member: Member) -> list[int]:
        """The paths a member is a frame of."""
        folder = member.name.rpartition("/")[0]
        if not folder or not is_picture(member.name):
            return []
        fitting = self.fitting  # of the thread ahead or of the consumer, whoever came last
        if folder not in fitting:
            numbers = self.known.wanted.fitting(folder)
            fitting = {folder: [one for one in numbers if one not in self.done and one not in self.known.loose]}
            self.fitting = fitting
        return fitting[folder]

    def _is_mine(self, number: int) -> bool:
        """Whether this pass gives the rows that a path leads."""
        if number in self.known.loose:
            return False
        return self.known.claims.claim(number, None if number in self.before else self.one.number) == self.one.number

    def _counts_not(self, number: int, member: Member) -> Finding | None:
        """What is to say of a member that fits a path, and does not count."""
        first = self.came.setdefault(number, member.name)
        if first != member.name:
            return _second(self.known, number, first, "", member.name)
        if self._is_mine(number):
            self.known.came.setdefault(number, (self.one.number, member.name))
            return None
        if number in self.known.loose:
            files = self.known.loose.files.get(number)
            return _second(self.known, number, files.name if files else "a folder of pictures", "", member.name)
        other, name = self.known.came.get(number, (self.known.claims.claim(number, None), None))
        if other is None:  # the first one that is known to hold it
            other = next(one.number for one in self.known.archives if number in (self.known.found(one) or ()))
        return _second(self.known, number, name, f" in {self.known.feed.passes[other]}", member.name)

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
        for number in filter(self._is_mine, numbers):
            for _, row in self.known.wanted.rows_of(number):
                said = f"the frames in {self.folder!r} have {size:,} bytes, too many to hold; download them"
                yield rejected(row, finding("media-unreadable", said))

    def _come(self, numbers: list[int], come: Come) -> Iterator[Row | Reject]:
        """The rows for which this was the last one missing."""
        for number in numbers:
            if number in self.done or number in self.known.loose:
                continue
            self.done.add(number)
            for key, row in self.known.wanted.rows_of(number):
                waiting = self.waiting.get(key)
                if waiting is None:
                    asked = self.known.asked(row)
                    if number not in asked.numbers or _unreachable(self.known, asked):
                        continue
                    waiting = _Waiting(row, asked, self.known)
                item = waiting.missing.pop(number, None)
                if item is None:
                    continue
                waiting.come[key_of(item)] = come
                if waiting.let_go or waiting.missing:
                    self.waiting[key] = waiting
                    continue
                self.waiting.pop(key, None)
                if self._is_mine(waiting.asked.lead):
                    yield _with_loose(self.known, row, waiting.asked, waiting.come, self.reading)
        self._bound()

    def _bound(self) -> None:
        held = sum(one.held() for one in self.waiting.values()) if self.waiting else 0
        for one in list(self.waiting.values()):
            if held <= HELD_BYTES:
                return
            held -= one.held()
            one.come = {key: InMemoryItem("", 0, b"") for key in one.come}
            one.let_go = True

    def _apart(self) -> Iterator[Reject]:
        """The rows whose media do not all lie in this archive; the one with the leading medium tells."""
        for one in self.waiting.values():
            if one.asked.lead in one.missing or not self._is_mine(one.asked.lead):
                continue
            lead = one.asked.items[one.asked.numbers.index(one.asked.lead)].path
            if one.let_go:
                said = f"its media lie too far apart in {self.one}"
            else:
                said = f"{lead!r} is in {self.one}, and {next(iter(one.missing.values())).path!r} is not"
            yield rejected(one.row, finding("media-unreadable", f"{said}; download it to read them"))


def _second(split: Known, number: int, first: str | None, where: str, second: str) -> Finding:
    """What is to say of a second file that fits a path."""
    path, one = split.wanted.paths[number], repr(first) if first else "a file"
    return finding("media-ambiguous", f"{path!r} fits {one}{where} and {second!r}; one of them counts")


def _told(one: Pass, told: Finding) -> Reject:
    """A finding about an archive, as an error of a file as a whole, which counts as no record."""
    file = str(one)
    return Reject(None, file, -1, [told.placed(file, -1)], None)


def _held_by(one: tuple[Member, bytes | None] | Finding) -> int:
    """What a member holds in memory, roughly."""
    return 256 + (0 if isinstance(one, Finding) else len(one[1] or b""))


def _bytes_of(row: Row | Reject) -> int:
    """What a row holds in memory, roughly."""
    if isinstance(row, Reject):
        return 1024
    media = row.media
    groups = (media.images, media.videos, *media.frames, media.audios, media.audio_q)
    return 1024 + sum(item.size for items in groups for item in items)


def _size(come: Come) -> int:
    return sum(one.size for one in come) if isinstance(come, list) else come.size
