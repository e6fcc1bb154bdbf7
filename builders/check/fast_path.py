r"""The fast path: records that differ from one without findings only in their words and paths.

What a format and the checks of a single record find depends on little: the keys, the types of the values, the speakers, the
number of media, and which tags are where in the turns.  This is the **signature** of a record.  The first record of a signature
goes through the row pipeline; if it has no findings, others with this signature need not:

::

    record ──signature──► had no findings? ── yes ─► its paths are looked up ── all exist ─► counted with its run
                                   └── no ──────────────────────┴── one does not ──────────► the row pipeline

So a record without findings costs little more than reading it, and findings are the same either way.  A signature therefore holds
everything that can make a finding or change a number.  Where that would be the contents themselves (masks, patches, parts of
messages), a record has no signature, and goes through the row pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from itertools import count
from operator import itemgetter
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
from ..pipeline.unread_keys import UnreadMedia
from .path_cache import KEYS, FoundMedium, PathCache
from .record_batches import Conversations, RecordBatch, record_batches, stretches
from .record_hashes import Fingerprints, fingerprints

_FRONTS = frozenset({"<image>\n", "<video>\n", "<audio>\n"})
"""The beginnings of nearly all conversations with a medium; of one length."""
_CONTENT_KEYS = frozenset(key for format_ in formats().values() for key in format_.CONTENT_KEYS)
_MAX_PROFILES = 10_000
_CONTAINERS = frozenset({list, dict})


class Profile(msgspec.Struct, eq=False):
    """What all records with a signature have in common.

    Attributes:
        format: the format they are read as.
        mix: their modality mix.
        has_id: whether they have an id.
        longer_by: how many more characters their canonical texts have than the written ones with separators.
        keys: the keys of their media.
        unread: the keys of texts that the format does not read.
        numbers: some of `modalmix.builders.check.statistics.UNITS` → their number.
        rows: how many such records the fast path took.
    """

    format: str | None
    mix: str
    has_id: bool
    longer_by: int
    keys: tuple[str, ...]
    unread: tuple[str, ...]
    numbers: dict[str, int]
    rows: int = 0


class Run(NamedTuple):
    """Consecutive records without findings.

    Attributes:
        row: ordinal of the first record.
        profiles: one for each record.
        characters: of the turns of each, as written, with separators.
        prints: fingerprints of the records, and of their ids.
        media: those of each, in the order of `COLUMN_KINDS`.
    """

    row: int
    records: list[dict[str, Any]]
    profiles: list[Profile]
    characters: list[int]
    prints: Fingerprints
    media: list[tuple[FoundMedium, ...]]


def signatures(batch: RecordBatch, conversations: Conversations) -> list[Hashable]:
    """The signatures of a batch of records, but for what the batch has in common; None for records without a signature."""
    lists, without = _media_lists(batch)
    tags: list[tuple[Hashable, ...]] = [()] * batch.size
    start = 0
    for i, whole in enumerate(conversations.wholes):
        if "<" in whole:
            front = _front(whole[:9])
            if front and whole.find("<", 1) < 0:
                tags[i] = front
            else:
                if "\\<" in whole:  # the length of an escaped tag depends on the backslashes before it
                    without.add(i)
                texts = conversations.texts[start : start + conversations.lengths[i]]
                tags[i] = tuple(
                    [(j, tags_of) for j, text in enumerate(texts) if "<" in text and (tags_of := layout(text))]
                )
        start += conversations.lengths[i]
    by_record: list[Hashable] = list(zip(conversations.lengths, tags, lists, strict=True))
    for i in without:
        by_record[i] = None
    return by_record


@lru_cache(maxsize=1000)
def _front(beginning: str) -> tuple[Hashable, ...]:
    """The tags of a conversation with this beginning and no other tag; empty where more of it must be read."""
    tag, letter = beginning[:8], beginning[8:]
    is_usual = tag in _FRONTS and " " < letter < "\x7f"
    return ((0, layout(beginning)),) if is_usual else ()


def _media_lists(batch: RecordBatch) -> tuple[list[Hashable], set[int]]:
    """The number of media in the lists of each record; and the indices of the records without a signature."""
    indices = range(batch.size)
    kinds = dict(zip(batch.keys, batch.kinds, strict=True))
    list_keys = [key for key, kind in kinds.items() if kind in _CONTAINERS and key != "conversations"]
    if not _CONTENT_KEYS.isdisjoint(batch.keys) or any(key not in KEYS or kinds[key] is dict for key in list_keys):
        return [None for _ in indices], set(indices)
    lists: list[Hashable] = [()] * batch.size
    without: set[int] = set()
    if list_keys:
        for i, values in enumerate(zip(*(batch.columns[key] for key in list_keys), strict=True)):
            lists[i] = tuple(map(len, values))
            if any(set(map(type, value)) != {str} for value in values):
                without.add(i)
    if kinds.get("video") is str:
        for i, video in enumerate(batch.columns["video"]):
            if words := path_words(video):
                lists[i] = (lists[i], words)
    return lists, without


def profile_of(row: Row, characters: int, unread: tuple[str, ...] = ()) -> Profile | None:
    """The profile of the records with the signature of this row; None where its media are not under their usual keys.

    Args:
        row: the row.
        characters: of its turns, as written, with separators.
        unread: its keys that its format does not read.
    """
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
        tuple(key for key in unread if isinstance(record[key], str)),
        {"turns": len(sample.turns), **{name: number for name, number in numbers.items() if number}},
    )


def _paths(value: object) -> list[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


class FastPath:
    """Takes records with a known profile out of blocks, and yields the others.

    Args:
        paths: where media are looked up.
        take: gets each run of records, before any record after it is yielded.
        done: gets the profiles before they are dropped.
        unread_media: what records have under keys that their formats do not read.
    """

    def __init__(
        self,
        paths: PathCache,
        take: Callable[[Run], None],
        done: Callable[[list[Profile]], None],
        unread_media: UnreadMedia,
    ) -> None:
        self.paths, self.take, self.done, self.unread_media = paths, take, done, unread_media
        self.profiles: dict[Hashable, Profile] = {}
        self._batch_numbers: dict[Hashable, int] = {}
        self._numbers = count()
        self._last: tuple[Hashable, int] | None = None

    def blocks(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks without the records that the fast path takes."""
        for block in blocks:
            if block.findings or block.raw:
                self._last = None
                yield block
            elif block.records:
                yield from self._rest(block)
            del block  # freed before the next one is decoded: its memory is used again

    def remember(self, row: Row) -> None:
        """Remembers that the record that was yielded last, now a row, has no findings."""
        keys = (row.format, *row.record)
        unread = self.unread_media.keys[keys]
        if self._last is not None and (profile := profile_of(row, self._last[1], unread)) is not None:
            if len(self.profiles) >= _MAX_PROFILES:
                self.forget()
            self.profiles[self._last[0]] = profile

    def forget(self) -> None:
        """Gives the profiles to `done`, and drops them."""
        self.done(list(self.profiles.values()))
        self.profiles.clear()

    def _rest(self, block: Block) -> Iterator[Block]:
        records = block.records
        by_record, characters, prints = self._signatures(records)
        of_records = list(map(self.profiles.get, by_record))
        if None not in of_records:
            media = self._column(records, of_records)  # type: ignore[arg-type]  # none is None
            if media is not None:
                self.take(Run(block.row, records, of_records, characters, prints, media))  # type: ignore[arg-type]
                return
        first = 0

        def taken(stop: int) -> None:
            hashes = Fingerprints(prints.records[first:stop], prints.ids[first:stop])
            self.take(Run(block.row + first, records[first:stop], profiles, characters[first:stop], hashes, found))

        profiles: list[Profile] = []
        found: list[tuple[FoundMedium, ...]] = []
        for i, record in enumerate(records):
            profile = self.profiles.get(by_record[i])
            of_record = self._media(record, profile) if profile is not None else None
            if profile is not None and of_record is not None:
                profiles.append(profile)
                found.append(of_record)
                continue
            if profiles:
                taken(i)
            first, profiles, found = i + 1, [], []
            self._last = (by_record[i], characters[i]) if profile is None and by_record[i] is not None else None
            yield Block(block.row + i, [record], [], {})
        if profiles:
            taken(len(records))

    def _signatures(self, records: list[dict[str, Any]]) -> tuple[list[Hashable], list[int], Fingerprints]:
        """The signature of each record, None where it has none; its characters, and its fingerprint."""
        by_record: list[Hashable] = [None] * len(records)
        characters = [0] * len(records)
        prints = Fingerprints(np.zeros(len(records), np.int64), np.zeros(len(records), np.int64))
        for indices, batch in record_batches(records):
            for first, rows, conversations in stretches(batch):
                number = self._number_of((batch.keys, batch.kinds, conversations.user, conversations.assistant))
                signed = [signature and (number, signature) for signature in signatures(rows, conversations)]
                hashes = fingerprints(rows, conversations)
                if rows.size == len(records):
                    return signed, list(map(len, conversations.wholes)), hashes
                where = indices[first : first + rows.size]
                for i, signature, whole in zip(where, signed, conversations.wholes, strict=True):
                    by_record[i], characters[i] = signature, len(whole)
                prints.records[where], prints.ids[where] = hashes
        return by_record, characters, prints

    def _number_of(self, group: Hashable) -> int:
        """A number for the keys, types and speakers of a batch: never that of another, whose profiles may still be kept."""
        number = self._batch_numbers.get(group)
        if number is None:
            if len(self._batch_numbers) > _MAX_PROFILES:
                self._batch_numbers.clear()
            number = self._batch_numbers[group] = next(self._numbers)
        return number

    def _column(self, records: list[dict[str, Any]], profiles: list[Profile]) -> list[tuple[FoundMedium, ...]] | None:
        """The media of records that have one under each of the same keys; None where they have not, or one is missing."""
        keys = profiles[0].keys
        kinds = set(profiles)
        if any(profile.keys != keys for profile in kinds):
            return None
        for key in {key for profile in kinds for key in profile.unread}:
            if not all(self._is_silent(key, record.get(key)) for record in records):
                return None
        columns: list[list[FoundMedium]] = []
        for key in keys:
            paths = list(map(itemgetter(key), records))
            if set(map(type, paths)) != {str}:
                return None
            column = list(map(self.paths.media[key].get, paths))
            if not all(column):
                column = [self.paths.at(key, path) for path in paths]
                if not all(column):
                    return None
            columns.append(column)  # type: ignore[arg-type]  # all were found
        return list(zip(*columns, strict=True)) if columns else [()] * len(records)

    def _is_silent(self, key: str, text: object) -> bool:
        """Whether a text under a key that the format does not read gives no finding."""
        return text is None or (isinstance(text, str) and self.unread_media.is_silent(key, text))

    def _media(self, record: Mapping[str, Any], profile: Profile) -> tuple[FoundMedium, ...] | None:
        """The media of a record; None where one gives a finding, or is a list of frames, or a medium is under an unread key."""
        if not all(self._is_silent(key, record[key]) for key in profile.unread):
            return None
        media: list[FoundMedium] = []
        for key in profile.keys:
            for path in _paths(record[key]):
                found = self.paths.at(key, path)
                if not found:
                    return None
                media.append(found)
        return tuple(media)
