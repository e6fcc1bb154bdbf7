r"""Plain records: those that are like one that was found sound, but for their words and paths.

What a format, and the checks of a record by itself, make of a record hangs on few things: its keys, the types of its values, who
speaks, how many media there are, and where in the turns which tags stand: its **likeness**.  The first record of a likeness
goes the whole way; if nothing is found in it, those like it need not go it again:

::

    record ──likeness──► known to be sound? ── yes ─► its paths are looked up ── all there ─► counted with its run
                                  └── no ──────────────────────┴── one is not ──────────────► the row pipeline

so that a record without findings costs little more than reading it, and one with any is told of exactly as ever.  A likeness
must therefore hold everything that can make a finding, or change a number; where that would be the contents themselves (masks,
patches, parts of messages) there is none, and the record goes the whole way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ..annotations.slice_reader import Block
from ..core.sample import Reference
from ..formats import formats
from ..formats.recognition import path_words
from ..formats.references import text_of_id
from ..formats.turns import layout
from ..pipeline.rows import Row
from .path_cache import KEYS, Found, PathCache
from .record_batches import Conversations, RecordBatch, record_batches, stretches
from .record_hashes import Fingerprints, fingerprints

_FRONTS = frozenset({"<image>\n", "<video>\n", "<audio>\n"})
"""How nearly all conversations with a medium begin; of one length."""
_CONTENT_KEYS = frozenset(key for format_ in formats().values() for key in format_.CONTENT_KEYS)
_MOST_SHAPES = 10_000
_KEYS_OF = attrgetter("keys")
_CONTAINERS = frozenset({list, dict})


class Profile(msgspec.Struct, eq=False):
    """What all records of a likeness have in common.

    Attributes:
        format: they are read as.
        mix: their modality mix.
        named: they have an id.
        more: characters that their canonical texts have more than the written ones with what is put between them.
        keys: under which they have media.
        numbers: what they have of each of some of `modalmix.builders.check.statistics.UNITS`.
        rows: how many records of it were taken.
    """

    format: str | None
    mix: str
    named: bool
    more: int
    keys: tuple[str, ...]
    numbers: dict[str, int]
    rows: int = 0


class Run(NamedTuple):
    """Plain records with consecutive ordinals, all of them sound.

    Attributes:
        row: ordinal of the first.
        shapes: one for each record.
        characters: of the turns of each, as written, with what is put between them.
        prints: of each, and of its id.
        media: those of each, in the order of `COLUMN_KINDS`.
    """

    row: int
    records: list[dict[str, Any]]
    profiles: list[Profile]
    characters: list[int]
    prints: Fingerprints
    media: list[tuple[Found, ...]]


def signatures(table: RecordBatch, said: Conversations) -> list[Hashable]:
    """What records of one frame and their conversations are like besides; None for those that go the whole way."""
    more, unlike = _more(table)
    tags: list[tuple[Hashable, ...]] = [()] * table.size
    start = 0
    for i, whole in enumerate(said.wholes):
        if "<" in whole:
            front = _front(whole[:9])
            if front and whole.find("<", 1) < 0:
                tags[i] = front
            else:
                if "\\<" in whole:  # how many characters an escaped tag has hangs on the backslashes before it
                    unlike.add(i)
                texts = said.texts[start : start + said.lengths[i]]
                tags[i] = tuple([(j, laid) for j, one in enumerate(texts) if "<" in one and (laid := layout(one))])
        start += said.lengths[i]
    likes: list[Hashable] = list(zip(said.lengths, tags, more, strict=True))
    for i in unlike:
        likes[i] = None
    return likes


@lru_cache(maxsize=1000)
def _front(beginning: str) -> tuple[Hashable, ...]:
    """The tags of a conversation that begins so, if it has no other one; empty where more must be seen of it."""
    tag, letter = beginning[:8], beginning[8:]
    plain = tag in _FRONTS and " " < letter < "\x7f"
    return ((0, layout(beginning)),) if plain else ()


def _more(table: RecordBatch) -> tuple[list[Hashable], set[int]]:
    """How many media stand in the lists of records of one frame; and the indices of those that are like no others."""
    every = range(table.size)
    if not _CONTENT_KEYS.isdisjoint(table.keys):
        return [None for _ in every], set(every)
    kinds = dict(zip(table.keys, table.kinds, strict=True))
    lists = [key for key, kind in kinds.items() if kind in _CONTAINERS and key != "conversations"]
    if any(key not in KEYS or kinds[key] is dict for key in lists):
        return [None for _ in every], set(every)
    more: list[Hashable] = [()] * table.size
    unlike: set[int] = set()
    if lists:
        for i, values in enumerate(zip(*(table.columns[key] for key in lists), strict=True)):
            more[i] = tuple(map(len, values))
            if any(set(map(type, value)) != {str} for value in values):
                unlike.add(i)
    if kinds.get("video") is str:
        for i, video in enumerate(table.columns["video"]):
            if words := path_words(video):
                more[i] = (more[i], words)
    return more, unlike


def shape(row: Row, characters: int) -> Profile | None:
    """The shape of all records that are like one that is sound; None where its media are not where they usually are."""
    sample, record = row.sample, row.record
    if sample.masks or sample.num_frames is not None or row.media.frames or sample.id != text_of_id(record.get("id")):
        return None
    groups = dict(zip(KEYS, (sample.images, sample.videos, sample.audios, sample.audio_q), strict=True))
    for key, group in groups.items():
        if group != [Reference(path) for path in _paths(record.get(key))]:
            return None
    sounds = len(sample.audios) + len(sample.audio_q)
    numbers = {"images": len(sample.images), "videos": len(sample.videos), "sounds": sounds}
    canonical = sum(len(turn.value) for turn in sample.turns)
    return Profile(
        row.format,
        row.mix,
        sample.id is not None,
        canonical - characters,
        tuple(key for key, group in groups.items() if group),
        {"turns": len(sample.turns), **{name: number for name, number in numbers.items() if number}},
    )


def _paths(value: object) -> list[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


class FastPath:
    """Takes plain records out of blocks; the others are given on.

    Args:
        located: where media are looked up.
        take: takes each run of plain records, before any record after it is given on.
        done: takes the shapes there are, when they are to be forgotten.
    """

    def __init__(self, located: PathCache, take: Callable[[Run], None], done: Callable[[list[Profile]], None]) -> None:
        self.located, self.take, self.done = located, take, done
        self.profiles: dict[Hashable, Profile] = {}
        self._frames: dict[Hashable, int] = {}
        self._numbers = count()
        self._like: tuple[Hashable, int] | None = None

    def blocks(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks without their plain records."""
        for block in blocks:
            if block.findings or block.raw:
                self._like = None
                yield block
            elif block.records:
                yield from self._rest(block)
            del block  # freed before the next one is decoded: its memory is used again

    def sound(self, row: Row) -> None:
        """Takes note that nothing was found in the record that was given on last."""
        if self._like is not None and (known := shape(row, self._like[1])) is not None:
            if len(self.profiles) >= _MOST_SHAPES:
                self.forget()
            self.profiles[self._like[0]] = known

    def forget(self) -> None:
        """Gives the shapes away, and begins anew."""
        self.done(list(self.profiles.values()))
        self.profiles.clear()

    def _rest(self, block: Block) -> Iterator[Block]:
        records = block.records
        likes, characters, prints = self._likes(records)
        known = list(map(self.profiles.get, likes))
        if None not in known:
            media = self._column(records, known)  # type: ignore[arg-type]  # there is no None
            if media is not None:
                self.take(Run(block.row, records, known, characters, prints, media))  # type: ignore[arg-type]
                return
        first = 0

        def taken(stop: int) -> None:
            some = Fingerprints(prints.records[first:stop], prints.ids[first:stop])
            self.take(Run(block.row + first, records[first:stop], profiles, characters[first:stop], some, found))

        profiles: list[Profile] = []
        found: list[tuple[Found, ...]] = []
        for i, record in enumerate(records):
            shape = self.profiles.get(likes[i])
            one = self._media(record, shape) if shape is not None else None
            if shape is not None and one is not None:
                profiles.append(shape)
                found.append(one)
                continue
            if profiles:
                taken(i)
            first, profiles, found = i + 1, [], []
            self._like = (likes[i], characters[i]) if shape is None and likes[i] is not None else None
            yield Block(block.row + i, [record], [], {})
        if profiles:
            taken(len(records))

    def _likes(self, records: list[dict[str, Any]]) -> tuple[list[Hashable], list[int], Fingerprints]:
        """The likeness of each record, None where it must be looked at as a whole; its characters, and its fingerprint."""
        likes: list[Hashable] = [None] * len(records)
        characters = [0] * len(records)
        prints = Fingerprints(np.zeros(len(records), np.int64), np.zeros(len(records), np.int64))
        for indices, table in record_batches(records):
            for first, some, said in stretches(table):
                number = self._frame((table.keys, table.kinds, said.user, said.assistant))
                told = [like and (number, like) for like in signatures(some, said)]
                theirs = fingerprints(some, said)
                if some.size == len(records):
                    return told, list(map(len, said.wholes)), theirs
                where = indices[first : first + some.size]
                for i, like, whole in zip(where, told, said.wholes, strict=True):
                    likes[i], characters[i] = like, len(whole)
                prints.records[where], prints.ids[where] = theirs
        return likes, characters, prints

    def _frame(self, frame: Hashable) -> int:
        """A number for a frame: never one that was given before for another, as shapes may still be known by it."""
        number = self._frames.get(frame)
        if number is None:
            if len(self._frames) > _MOST_SHAPES:
                self._frames.clear()
            number = self._frames[frame] = next(self._numbers)
        return number

    def _column(self, records: list[dict[str, Any]], known: list[Profile]) -> list[tuple[Found, ...]] | None:
        """The media of records all of which have theirs under the same keys, one under each; None where this is not so."""
        keys = known[0].keys
        if set(map(_KEYS_OF, known)) != {keys}:
            return None
        columns: list[list[Found]] = []
        for key in keys:
            paths = list(map(itemgetter(key), records))
            if set(map(type, paths)) != {str}:
                return None
            column = list(map(self.located.known[key].get, paths))
            if not all(column):
                column = [self.located.at(key, path) for path in paths]
                if not all(column):
                    return None
            columns.append(column)  # type: ignore[arg-type]  # all were found
        return list(zip(*columns, strict=True)) if columns else [()] * len(records)

    def _media(self, record: Mapping[str, Any], known: Profile) -> tuple[Found, ...] | None:
        """The media of a record; None where one of them is not to be had without a word."""
        media: list[Found] = []
        for key in known.keys:
            for path in _paths(record[key]):
                found = self.located.at(key, path)
                if not found:
                    return None
                media.append(found)
        return tuple(media)
