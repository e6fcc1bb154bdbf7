"""What a process knows of a split that it streams: what its records ask for, what lies where, and which pass gives which rows.

A row belongs to one pass, whoever goes through which: that of the archive which gives its *lead*, the first of its media that
lies in no loose file, or else that of its first loose file. Of several archives that hold the lead, the one that owns it
gives the row (`path_owners`); where none has one, the first of those that are known to hold it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ...annotations import Source
from ...core.counts import Counts
from ...media.items import Item
from ...pipeline.hub_client import fetched
from ...pipeline.hub_urls import is_remote, place_of
from ...pipeline.rows import Reject, Row
from . import member_cache
from .loose_files import LooseFiles
from .path_owners import PathOwners
from .requested_paths import RequestedPaths, items_of_row
from .stream_plan import ArchivePass, StreamPlan


class RowMedia(NamedTuple):
    """The media of a row.

    Attributes:
        items: as `requested.items_of_row` names them.
        numbers: of their paths, one each; -1 of a path that cannot be looked for.
        lead: the number of the path that decides which pass gives the row.
        is_loose: none of them lies in an archive.
    """

    items: list[Item]
    numbers: list[int]
    lead: int
    is_loose: bool


class StreamState:
    """What is known of a split in this process.

    Attributes:
        feed: the split.
        wanted: the paths its records wrote.
        loose: the files among them that lie in no archive.
        claims: which archive gives the rows of a path.
        damaged: archives that could not be read to their ends.
        came: the number of a path → the archive, and the name of the first member that fitted it, in this process.
        ambiguous: the numbers of paths that fit several members, whose bytes differ.
    """

    def __init__(self, stream_plan: StreamPlan, token: str | None) -> None:
        """Reads the annotation files, by way of the client's cache where they are on the Hub."""
        self.stream_plan = stream_plan
        self.archives = [one for one in stream_plan.passes if one.archive]
        sources = [local(source, token) for source in stream_plan.sources]
        self.requested = RequestedPaths(sources, stream_plan.options, [one.place for one in self.archives])
        self.loose = LooseFiles(self.requested, stream_plan.passes)
        key = hashlib.sha256()
        for text in (*self.requested.paths, "", *(f"{one.digest} {one.place}" for one in self.archives)):
            key.update(text.encode("utf-8", "surrogatepass") + b"\n")
        self.owners = PathOwners(key.hexdigest())
        self.damaged: set[int] = set()
        self.came: dict[int, tuple[int, str]] = {}
        self.ambiguous: set[int] = set()
        self._digests: dict[int, int] = {}
        self._found: dict[int, dict[int, bool]] = {}

    def found(self, pass_: ArchivePass) -> dict[int, bool] | None:
        """The numbers of the paths that an archive holds, and whether the bytes of all that fits each have been read.

        None where no pass has met its end yet.
        """
        if pass_.number not in self._found:
            members = member_cache.kept(pass_.digest)
            if members is not None:
                found = self._found[pass_.number] = {}
                for number, digest in self.requested.found_in(members, pass_.place):
                    found[number] = bool(digest) and found.get(number, True)
                    self.add_digest(number, digest)
        return self._found.get(pass_.number)

    def add_digest(self, number: int, digest: str) -> bool:
        """Keeps the digest of what fits a path; whether it is the first that differs from another one."""
        if not digest or number in self.loose:
            return False
        short = int(digest[:16], 16)  # there may be millions
        if self._digests.setdefault(number, short) == short or number in self.ambiguous:
            return False
        self.ambiguous.add(number)
        return True

    def add_members(self, pass_: ArchivePass, found: dict[int, bool], damaged: bool) -> None:
        """Keeps what a pass has found."""
        self._found[pass_.number] = found
        (self.damaged.add if damaged else self.damaged.discard)(pass_.number)

    def unread_archives(self) -> int:
        """How many archives no pass has met the end of."""
        return sum(self.found(one) is None for one in self.archives)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process that shares the cache is here meanwhile, if that can be."""
        lock = self.owners.locked()
        there = False
        with suppress(OSError):
            lock.__enter__()
            there = True
        try:
            yield
        finally:
            if there:
                lock.__exit__(None, None, None)

    def before(self, pass_: ArchivePass) -> set[int]:
        """The paths that earlier archives hold, as far as they are known, and no later one has claimed."""
        owners = self.owners.all()
        paths: set[int] = set().union(
            *(self.found(other) or () for other in self.archives if other.number < pass_.number)
        )
        return {number for number in paths if number not in owners}

    def gives(self, pass_: ArchivePass) -> bool:
        """Whether a row may be given by an archive, as far as is known."""
        found = self.found(pass_)
        if found is None:
            return True
        owners, before = self.owners.all(), self.before(pass_)
        others = [self.found(one) or {} for one in self.archives if one.number != pass_.number]
        unread = {number for number, was_read in found.items() if not was_read and number not in self.loose}
        if any(not unread.isdisjoint(other) for other in others):
            return True  # whether they are copies is not known
        return any(
            owners.get(number, pass_.number) == pass_.number and number not in before and number not in self.loose
            for number in found
        )

    def row_media(self, row: Row) -> RowMedia:
        """The media of a row, looked up."""
        items = items_of_row(row)
        numbers = [self.requested.number(item.path) for item in items]
        in_archives = [number for number in numbers if number not in self.loose]
        return RowMedia(items, numbers, (in_archives or numbers or [-1])[0], not in_archives)

    def unseen_rows(self) -> int:
        """How many rows wait for media that no archive holds which this process knows of."""
        found = self.all_found()
        rows = (self.row_media(row) for row in self.requested.all_rows(Counts()) if not isinstance(row, Reject))
        return sum(bool(one.items) and not one.is_loose and one.lead not in found for one in rows)

    def all_found(self) -> set[int]:
        """The paths that any archive holds which this process knows of."""
        return set().union(*(self.found(one) or () for one in self.archives))


_STREAM_PLAN = msgspec.json.Decoder(StreamPlan)
"""Made at import: a shuffled stream begins in several threads, and msgspec crashes when two of them look up a type first."""


@lru_cache(maxsize=2)
def stream_state(stream_plan: bytes, token: str | None) -> StreamState:
    """What this process knows of a split, which is given as JSON."""
    return StreamState(_STREAM_PLAN.decode(stream_plan), token)


def local(source: Source, token: str | None = None) -> Source:
    """A source whose file is on this disk."""
    if not is_remote(source.path):
        return source
    return msgspec.structs.replace(source, path=fetched(place_of(source.path), token))
