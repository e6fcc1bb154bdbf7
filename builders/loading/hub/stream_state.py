"""Known: what a process knows of a split that it streams: what its records ask for, what lies where, and who gives which rows.

A row belongs to one pass, whoever goes through which: that of the archive which gives its *lead*, the first of its media that
lies in no loose file, or else that of its first loose file. Of several archives that hold the lead, the one with a claim on it
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
from .loose_files import Loose
from .path_owners import Claims
from .requested_paths import Wanted, awaited
from .stream_plan import Feed, Pass


class Asked(NamedTuple):
    """The media of a row.

    Attributes:
        items: as `wanted.awaited` names them.
        numbers: of their paths, one each; -1 of a path that cannot be looked for.
        lead: the number of the path that decides which pass gives the row.
        is_loose: none of them lies in an archive.
    """

    items: list[Item]
    numbers: list[int]
    lead: int
    is_loose: bool


class Known:
    """What is known of a split in this process.

    Attributes:
        feed: the split.
        wanted: the paths its records wrote.
        loose: the files among them that lie in no archive.
        claims: which archive gives the rows of a path.
        damaged: archives that could not be read to their ends.
        came: the number of a path → the archive, and the name of the first member that fitted it, in this process.
    """

    def __init__(self, feed: Feed, token: str | None) -> None:
        """Reads the annotation files, by way of the client's cache where they are on the Hub."""
        self.feed = feed
        self.wanted = Wanted([local(source, token) for source in feed.sources], feed.options)
        self.archives = [one for one in feed.passes if one.archive]
        self.loose = Loose(self.wanted, feed.passes)
        key = hashlib.sha256()
        for text in (*self.wanted.paths, "", *(one.digest for one in self.archives)):
            key.update(text.encode("utf-8", "surrogatepass") + b"\n")
        self.claims = Claims(key.hexdigest())
        self.damaged: set[int] = set()
        self.came: dict[int, tuple[int, str]] = {}
        self._found: dict[int, set[int]] = {}

    def found(self, one: Pass) -> set[int] | None:
        """The numbers of the paths that an archive holds; None where no pass has met its end yet."""
        if one.number not in self._found:
            names = member_cache.kept(one.digest)
            if names is not None:
                self._found[one.number] = self.wanted.found_in(names)
        return self._found.get(one.number)

    def met(self, one: Pass, found: set[int], damaged: bool) -> None:
        """Keeps what a pass has found."""
        self._found[one.number] = found
        (self.damaged.add if damaged else self.damaged.discard)(one.number)

    def unknown(self) -> int:
        """How many archives no pass has met the end of."""
        return sum(self.found(one) is None for one in self.archives)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process that shares the cache is here meanwhile, if that can be."""
        lock = self.claims.locked()
        there = False
        with suppress(OSError):
            lock.__enter__()
            there = True
        try:
            yield
        finally:
            if there:
                lock.__exit__(None, None, None)

    def before(self, one: Pass) -> set[int]:
        """The paths that earlier archives hold, as far as they are known, and no later one has claimed."""
        claims = self.claims.all()
        held: set[int] = set().union(*(self.found(other) or () for other in self.archives if other.number < one.number))
        return {number for number in held if number not in claims}

    def gives(self, one: Pass) -> bool:
        """Whether a row may be given by an archive, as far as is known."""
        found = self.found(one)
        if found is None:
            return True
        claims, before = self.claims.all(), self.before(one)
        return any(
            claims.get(number, one.number) == one.number and number not in before and number not in self.loose
            for number in found
        )

    def asked(self, row: Row) -> Asked:
        """The media of a row, looked up."""
        items = awaited(row)
        numbers = [self.wanted.number(item.path) for item in items]
        away = [number for number in numbers if number not in self.loose]
        return Asked(items, numbers, (away or numbers or [-1])[0], not away)

    def unseen(self) -> int:
        """How many rows wait for media that no archive holds which this process knows of."""
        found = self.all_found()
        rows = (self.asked(row) for row in self.wanted.every(Counts()) if not isinstance(row, Reject))
        return sum(bool(one.items) and not one.is_loose and one.lead not in found for one in rows)

    def all_found(self) -> set[int]:
        """The paths that any archive holds which this process knows of."""
        return set().union(*(self.found(one) or () for one in self.archives))


@lru_cache(maxsize=2)
def known(feed: bytes, token: str | None) -> Known:
    """What this process knows of a split, which is given as JSON."""
    return Known(msgspec.json.decode(feed, type=Feed), token)


def local(source: Source, token: str | None = None) -> Source:
    """A source whose file is on this disk."""
    if not is_remote(source.path):
        return source
    return msgspec.structs.replace(source, path=fetched(place_of(source.path), token))
