"""The rows of one pass through an archive, with the bytes of their media.

A row is given when the last of its media was read. Those that were read before are held until then; what lies in
archives must all lie in one. A folder of frames is complete when a member of another folder comes by.

Which archive a path names is known before any is read (`requested_paths`). Of two copies that fit a path that names none, or
both, in one archive or in two, one counts (`stream_state`), and the other one is a finding. Where their bytes differ, the path is
ambiguous, and its rows are rejected. That is found out when both were read: in the first epoch such a row may have been given
already, when the second member comes. It is rejected then, and the reject says so; from then on it is never given by any process
that shares the cache.

What becomes of every record is said once, whichever process reads which archive: what is wrong with a record itself, and the rows
that need no archive, after the first pass; records whose leading medium is in no archive, by the pass after which all archives
are known. Where no cache is shared, as on several machines, no machine may ever know all of them: the last pass then says how
many records were not seen.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Generator, Iterable, Iterator

import msgspec

from ...core.counts import Counts
from ...core.findings import Finding, finding
from ...media.archives import Archive, Member, pass_through
from ...media.archives.detect import kind_by_head
from ...media.items import InMemoryItem, Item
from ...paths.rewriter import is_picture
from ...pipeline.rows import Reject, Row
from . import member_cache
from .assemble_row import Key, assembled, key_of, rejected
from .loose_files import IN_MEMORY_BYTES, LooseFileReader, Received
from .prefetch import prefetched
from .remote_file import RemoteFile
from .requested_paths import digest_of_frames
from .stream_plan import ArchivePass, StreamPlan
from .stream_state import RowMedia, StreamState, stream_state

logger = logging.getLogger("modalmix")

_HEAD = 512
_ROWS = 256


def rows_of(stream_plan: StreamPlan, pass_: ArchivePass, token: str | None = None) -> Iterator[Row | Reject]:
    """The rows of a pass, and the records it has to reject; order and accounts as the module says.

    Args:
        stream_plan: the split.
        pass_: a pass of it.
        token: instead of the one that is logged in.

    Raises:
        DataError: the Hub cannot be read. What is wrong with the data itself is told by rejects.
    """
    state = stream_state(msgspec.json.encode(stream_plan), token)
    is_last = pass_.number == 0 and not state.unread_archives()
    if pass_.archive is None:
        reading = LooseFileReader(state.loose, token)
        yield from prefetched(_of_files(state, pass_, reading), _row_bytes, reading.interrupt)
    elif state.gives(pass_):
        reader = _ArchiveReader(state, pass_, token)
        yield from reader.rows()
        is_last = is_last or reader.was_last
    if pass_.number == 0 or is_last:
        yield from _rows_without_archive(state, first=pass_.number == 0, last=is_last)
    if (
        pass_.number == len(stream_plan.passes) - 1
        and (unread_archives := state.unread_archives())
        and (unseen_rows := state.unseen_rows())
    ):
        logger.warning(
            "%s: the media of %s record(s) were not seen: they are in none of the %s archive(s) known on this machine; "
            "%s more are others' to read, or yet to come",
            pass_,
            f"{unseen_rows:,}",
            f"{len(state.archives) - unread_archives:,}",
            f"{unread_archives:,}",
        )


def _rows_without_archive(state: StreamState, first: bool, last: bool) -> Iterator[Row | Reject]:
    """What no pass gives: with `first` what needs none, with `last` what is in none."""
    found = state.all_found() if last else set()
    loose = sum(len(one.files) for one in state.stream_plan.passes)
    places = [f"{len(state.archives)} archive(s)"] if state.archives else []
    there = " and ".join([*places, f"{loose:,} media file(s)"] if loose or not places else places)
    damage = f", {len(state.damaged)} of which could not be read to the end" if state.damaged else ""
    for row in state.requested.all_rows(Counts()):
        if isinstance(row, Reject):
            if first:
                yield row
            continue
        row_media = state.row_media(row)
        if patch := _unreachable(state, row_media):
            if first:
                message = f"{patch.path!r} is a patch, and no file of its own on the Hub; download it"
                yield rejected(row, finding("media-unreadable", message))
        elif not row_media.items:
            if first:
                yield row
        elif last and not row_media.is_loose and row_media.lead not in found:
            lead = row_media.items[row_media.numbers.index(row_media.lead)].path
            yield rejected(row, finding("media-missing", f"{lead!r} is in none of {there} on the Hub{damage}"))


def _unreachable(state: StreamState, row_media: RowMedia) -> Item | None:
    """A part of a patch that does not lie loose: an archive would have to be held as a whole for it."""
    pairs = zip(row_media.items, row_media.numbers, strict=True)
    return next((item for item, number in pairs if item.size and number not in state.loose.files), None)


def _of_files(state: StreamState, pass_: ArchivePass, reading: LooseFileReader) -> Generator[Row | Reject, None, None]:
    """The rows that the loose files of a pass lead: in the order of the files, of the parts of a patch, and of the records."""
    try:
        for number, file in state.loose.others:
            if file.by == pass_.number:
                yield _file_reject(pass_, _second_file(state, number, state.loose.files[number].name, "", file.name))
        for number in state.loose.led_by(pass_):
            spans: list[tuple[int, int, tuple[int, int]]] = []
            for key, row in state.requested.rows_of(number):
                row_media = state.row_media(row)
                if row_media.is_loose and row_media.lead == number:
                    items = [
                        item for item, its in zip(row_media.items, row_media.numbers, strict=True) if its == number
                    ]
                    spans.append((min(i.start for i in items), max(i.start + i.size for i in items), key))
            spans.sort(key=lambda span: span[:2])
            if any(end for _, end, _ in spans):
                reading.expect(number, [span[:2] for span in spans])
            for i in range(0, len(spans), _ROWS):
                keys = [key for _, _, key in spans[i : i + _ROWS]]
                rows = dict(state.requested.rows_at(keys))
                for key in keys:
                    yield _with_loose_files(state, rows[key], state.row_media(rows[key]), {}, reading)
    finally:
        reading.close()


def _with_loose_files(
    state: StreamState, row: Row, row_media: RowMedia, received: dict[Key, Received], reading: LooseFileReader
) -> Row | Reject:
    """A row with the media that were read from an archive, and those that lie loose."""
    for item, number in zip(row_media.items, row_media.numbers, strict=True):
        if key_of(item) not in received:
            one = reading.received(number, item)
            if isinstance(one, Finding):
                return rejected(row, one)
            received[key_of(item)] = one
    return assembled(row, lambda item: received[key_of(item)], state.stream_plan.options.verify_masks)


class _PartialRow:
    """A row some of whose media were read."""

    def __init__(self, row: Row, row_media: RowMedia, state: StreamState) -> None:
        self.row, self.row_media = row, row_media
        pairs = zip(row_media.items, row_media.numbers, strict=True)
        self.missing = {number: item for item, number in pairs if number not in state.loose}
        self.received: dict[Key, Received] = {}
        self.dropped = False

    def in_memory(self) -> int:
        """The bytes it holds."""
        return sum(_size(one) for one in self.received.values())


class _ArchiveReader:
    """A pass through an archive on its way.

    Attributes:
        was_last: it has met the end of the last archive that was unknown.
    """

    def __init__(self, state: StreamState, pass_: ArchivePass, token: str | None) -> None:
        self.stream_state, self.pass_, self.token = state, pass_, token
        self.was_last = False
        self.found: dict[int, bool] = {}
        self.retracted: set[tuple[int, int]] = set()
        self.before = state.before(pass_)
        self.done: set[int] = set()
        self.came: dict[int, str] = {}
        self.waiting: dict[tuple[int, int], _PartialRow] = {}
        self.folder = ""
        self.frames: list[InMemoryItem] = []
        self.frame_digests: list[tuple[str, str]] = []
        self.frames_bytes = 0
        self.fitting: dict[str, list[int]] = {}
        self.file: RemoteFile | None = None
        self.reading = LooseFileReader(state.loose, token)

    def rows(self) -> Iterator[Row | Reject]:
        """The rows, in the order of the members."""
        assert self.pass_.archive is not None
        damaged = False
        listing = member_cache.Listing(self.pass_.digest)
        try:
            for one in prefetched(self._members(self.pass_.archive), _member_bytes, self._interrupt):
                if isinstance(one, Finding):
                    damaged = damaged or one.kind.name.startswith("archive-")
                    if one.severity == "error":
                        yield _file_reject(self.pass_, one)
                    continue
                member, data, digest = one
                listing.add(member.name, digest)
                folder = member.name.rpartition("/")[0]
                if folder != self.folder:
                    yield from self._frames_of_folder()
                    self.folder = folder
                numbers = self.stream_state.requested.fitting(member.name, self.pass_.place)
                for number in numbers:
                    self.found[number] = bool(digest) and self.found.get(number, True)
                    found = self._not_used(number, member)
                    if self.stream_state.add_digest(number, digest):
                        yield from self._retract([number], found)
                    elif found and number not in self.stream_state.ambiguous:
                        yield _file_reject(self.pass_, found)
                if data is None:
                    continue
                in_memory = InMemoryItem(member.name.rpartition("/")[2], len(data), data)
                if self._frame_of(member):
                    self.frames_bytes += in_memory.size
                    self.frame_digests.append((in_memory.name, digest))
                    if self.frames_bytes <= IN_MEMORY_BYTES:
                        self.frames.append(in_memory)
                yield from self._give(numbers, in_memory)
            yield from self._frames_of_folder()
            yield from self._incomplete_rows()
            with self.stream_state.alone():  # so that one process alone meets the end of the last one
                before = set(self.stream_state.ambiguous)
                unread_archives = self.stream_state.unread_archives()
                ambiguous = sorted(self.found.keys() & (self.stream_state.ambiguous - before))
                if not damaged:
                    listing.keep()
                self.stream_state.add_members(self.pass_, self.found, damaged)
                self.was_last = bool(unread_archives) and not self.stream_state.unread_archives()
            yield from self._retract(ambiguous, None)
        finally:
            listing.drop()
            self.reading.close()

    def _members(self, archive: Archive) -> Generator[tuple[Member, bytes | None, str] | Finding, None, None]:
        """The members of an archive, which is what its first bytes say."""
        with RemoteFile(archive.paths, self.pass_.sizes, self.token) as self.file:
            file = self.file
            kind = kind_by_head(file.pread(_HEAD, 0)) or archive.kind
            for one in pass_through(msgspec.structs.replace(archive, kind=kind), file, self._is_requested):
                if file.failure is not None:
                    raise file.failure
                if isinstance(one, Finding):
                    yield one
                else:
                    member, data = one
                    yield member, data, "" if data is None else hashlib.sha256(data).hexdigest()

    def _interrupt(self) -> None:
        if self.file is not None:
            self.file.interrupt()

    def _is_requested(self, member: Member) -> bool:
        """Whether a record asks for a member; a second one that fits a path is read, too: it is a copy or it is not."""
        numbers = self.stream_state.requested.fitting(member.name, self.pass_.place)
        return any(number not in self.stream_state.loose for number in numbers) or bool(self._frame_of(member))

    def _frame_of(self, member: Member) -> list[int]:
        """The paths a member is a frame of."""
        folder = member.name.rpartition("/")[0]
        if not folder or not is_picture(member.name):
            return []
        fitting = self.fitting  # of the thread ahead or of the consumer, whoever came last
        if folder not in fitting:
            numbers = self.stream_state.requested.fitting(folder, self.pass_.place)
            fitting = {folder: [one for one in numbers if one not in self.stream_state.loose]}
            self.fitting = fitting
        return fitting[folder]

    def _is_mine(self, number: int) -> bool:
        """Whether this pass gives the rows that a path leads."""
        if number in self.stream_state.loose:
            return False
        return (
            self.stream_state.owners.claim(number, None if number in self.before else self.pass_.number)
            == self.pass_.number
        )

    def _not_used(self, number: int, member: Member) -> Finding | None:
        """What is to say of a member that fits a path, and does not count."""
        first = self.came.setdefault(number, member.name)
        if first != member.name:
            return _second_file(self.stream_state, number, first, "", member.name)
        if self._is_mine(number):
            self.stream_state.came.setdefault(number, (self.pass_.number, member.name))
            return None
        if number in self.stream_state.loose:
            files = self.stream_state.loose.files.get(number)
            return _second_file(
                self.stream_state, number, files.name if files else "a folder of pictures", "", member.name
            )
        other, name = self.stream_state.came.get(number, (self.stream_state.owners.claim(number, None), None))
        if other is None:  # the first one that is known to hold it
            other = next(
                one.number for one in self.stream_state.archives if number in (self.stream_state.found(one) or ())
            )
        return _second_file(
            self.stream_state, number, name, f" in {self.stream_state.stream_plan.passes[other]}", member.name
        )

    def _frames_of_folder(self) -> Iterator[Row | Reject]:
        """The rows of the folder that was left."""
        frames, self.frames = sorted(self.frames), []
        digest, self.frame_digests = digest_of_frames(self.frame_digests), []
        size, self.frames_bytes = self.frames_bytes, 0
        if not size:
            return
        numbers = self.stream_state.requested.fitting(self.folder, self.pass_.place)
        for number in numbers:
            self.found[number] = bool(digest) and self.found.get(number, True)
            if self.stream_state.add_digest(number, digest):
                yield from self._retract([number], None)
        if size <= IN_MEMORY_BYTES:
            yield from self._give(numbers, frames)
            return
        self.done.update(numbers)
        for number in filter(self._is_mine, numbers):
            for _, row in self.stream_state.requested.rows_of(number):
                message = f"the frames in {self.folder!r} have {size:,} bytes, too many to hold; download them"
                yield rejected(row, finding("media-unreadable", message))

    def _retract(self, numbers: Iterable[int], second: Finding | None) -> Iterator[Reject]:
        """The rows of paths of which it has just come out that they are ambiguous; some of them may have been given."""
        for number in numbers:
            path = self.stream_state.requested.paths[number]
            where = second.message.rpartition(";")[0] if second else f"{path!r} fits files in several archives"
            message = f"{where}, whose bytes differ; a row that was given with one of them before does not count"
            for key, row in self.stream_state.requested.rows_of(number):
                if key not in self.retracted and number in self.stream_state.row_media(row).numbers:
                    self.retracted.add(key)
                    self.waiting.pop(key, None)
                    yield rejected(row, finding("media-ambiguous", message))

    def _give(self, numbers: list[int], received: Received) -> Iterator[Row | Reject]:
        """The rows for which this was the last one missing."""
        for number in numbers:
            if number in self.done or number in self.stream_state.loose:
                continue
            self.done.add(number)
            for key, row in self.stream_state.requested.rows_of(number):
                if key in self.retracted:
                    continue
                waiting = self.waiting.get(key)
                if waiting is None:
                    row_media = self.stream_state.row_media(row)
                    if number not in row_media.numbers or _unreachable(self.stream_state, row_media):
                        continue
                    waiting = _PartialRow(row, row_media, self.stream_state)
                item = waiting.missing.pop(number, None)
                if item is None:
                    continue
                waiting.received[key_of(item)] = received
                if waiting.dropped or waiting.missing:
                    self.waiting[key] = waiting
                    continue
                self.waiting.pop(key, None)
                if not self._is_mine(waiting.row_media.lead):
                    continue
                if ambiguous := self.stream_state.ambiguous.intersection(waiting.row_media.numbers):
                    path = self.stream_state.requested.paths[min(ambiguous)]
                    message = f"{path!r} fits several files in archives, whose bytes differ"
                    yield rejected(row, finding("media-ambiguous", message))
                else:
                    yield _with_loose_files(self.stream_state, row, waiting.row_media, waiting.received, self.reading)
        self._limit_memory()

    def _limit_memory(self) -> None:
        in_memory = sum(one.in_memory() for one in self.waiting.values()) if self.waiting else 0
        for one in list(self.waiting.values()):
            if in_memory <= IN_MEMORY_BYTES:
                return
            in_memory -= one.in_memory()
            one.received = {key: InMemoryItem("", 0, b"") for key in one.received}
            one.dropped = True

    def _incomplete_rows(self) -> Iterator[Reject]:
        """The rows whose media do not all lie in this archive; the one with the leading medium tells."""
        for one in self.waiting.values():
            if one.row_media.lead in one.missing or not self._is_mine(one.row_media.lead):
                continue
            lead = one.row_media.items[one.row_media.numbers.index(one.row_media.lead)].path
            if one.dropped:
                message = f"its media lie too far apart in {self.pass_}"
            else:
                message = f"{lead!r} is in {self.pass_}, and {next(iter(one.missing.values())).path!r} is not"
            yield rejected(one.row, finding("media-unreadable", f"{message}; download it to read them"))


def _second_file(state: StreamState, number: int, first: str | None, where: str, second: str) -> Finding:
    """What is to say of a second file that fits a path."""
    path, one = state.requested.paths[number], repr(first) if first else "a file"
    return finding("media-ambiguous", f"{path!r} fits {one}{where} and {second!r}; one of them counts")


def _file_reject(pass_: ArchivePass, found: Finding) -> Reject:
    """A finding about an archive, as an error of a file as a whole, which counts as no record."""
    file = str(pass_)
    return Reject(None, file, -1, [found.placed(file, -1)], None)


def _member_bytes(one: tuple[Member, bytes | None, str] | Finding) -> int:
    """What a member holds in memory, roughly."""
    return 256 + (0 if isinstance(one, Finding) else len(one[1] or b""))


def _row_bytes(row: Row | Reject) -> int:
    """What a row holds in memory, roughly."""
    if isinstance(row, Reject):
        return 1024
    media = row.media
    groups = (media.images, media.videos, *media.frames, media.audios, media.audio_q)
    return 1024 + sum(item.size for items in groups for item in items)


def _size(received: Received) -> int:
    return sum(one.size for one in received) if isinstance(received, list) else received.size
