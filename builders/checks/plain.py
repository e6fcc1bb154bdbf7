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
from typing import Any, NamedTuple

import msgspec

from ..annotations.reading import Block
from ..findings import Finding
from ..llava_video import TELLING
from ..media.items import Item
from ..paths import Rewriter
from ..references import text_of_id
from ..rows import Row
from ..sample import Reference
from ..turns import layout

_KEYS = {"image": "image", "video": "video", "audio": "audio", "audio_q": "audio"}
"""Keys under which media stand, and what these are."""
_MOST_SHAPES = 10_000
_MOST_PATHS = 50_000
_CONTAINERS = frozenset({list, dict})


class Shape(msgspec.Struct):
    """What all records of a likeness have in common.

    Attributes:
        format: they are read as.
        mix: their modality mix.
        named: they have an id.
        more: characters that their canonical texts have more than the written ones.
        keys: under which they have media.
        numbers: what they have of each of some of `modalmix.builders.checks.statistics.UNITS`.
        rows: how many records of it were taken.
    """

    format: str | None
    mix: str
    named: bool
    more: int
    keys: tuple[str, ...]
    numbers: dict[str, int]
    rows: int = 0


class Found(msgspec.Struct):
    """A medium that was looked up.

    Attributes:
        key: under which it stands.
        medium: ``image``, ``video`` or ``audio``.
        item: where it is.
        size: its bytes.
        number: for who takes it to note; None as long as no record with it was taken.
    """

    key: str
    medium: str
    item: Item
    size: int
    number: int | None = None


class Run(NamedTuple):
    """Plain records with consecutive ordinals, all of them sound.

    Attributes:
        row: ordinal of the first.
        shapes: one for each record.
        characters: of the turns of each, as written.
        media: those of each, in the order of `COLUMN_KINDS`.
    """

    row: int
    records: list[dict[str, Any]]
    shapes: list[Shape]
    characters: list[int]
    media: list[list[Found]]


def likeness(record: Mapping[str, Any]) -> tuple[Hashable, int] | None:
    """What a record is like, and the characters of its turns; None where it must be looked at as a whole."""
    try:
        turns = record["conversations"]
        texts = [turn["value"] for turn in turns]
        text = "\n".join(texts)
        speakers = tuple([turn["from"] for turn in turns])
    except (KeyError, TypeError):
        return None
    if not all(texts) or any(map(str.isspace, texts)) or "stream" in record or "messages" in record:
        return None
    tags: tuple[tuple[str, ...], ...] = ()
    if "<" in text and any(tags := tuple([layout(one) if "<" in one else () for one in texts])) and "\\<" in text:
        return None  # how many characters an escaped tag has hangs on the backslashes before it
    types = tuple(map(type, record.values()))
    several: tuple[tuple[str, int], ...] = ()
    if types.count(list) > 1 or dict in types:
        for key, value in record.items():
            if type(value) in _CONTAINERS and key != "conversations":
                if key not in _KEYS or type(value) is dict or not value or set(map(type, value)) != {str}:
                    return None
                several += ((key, len(value)),)
    video = record.get("video")
    telling = type(video) is str and TELLING in video
    return (tuple(record), types, speakers, tags, several, telling), len(text) - len(texts) + 1


def shape(row: Row, characters: int) -> Shape | None:
    """The shape of all records that are like one that is sound; None where its media are not where they usually are."""
    sample, record = row.sample, row.record
    if sample.masks or sample.num_frames is not None or row.media.frames or sample.id != text_of_id(record.get("id")):
        return None
    groups = dict(zip(_KEYS, (sample.images, sample.videos, sample.audios, sample.audio_q), strict=True))
    for key, group in groups.items():
        if group != [Reference(path) for path in _paths(record.get(key))]:
            return None
    sounds = len(sample.audios) + len(sample.audio_q)
    numbers = {"images": len(sample.images), "videos": len(sample.videos), "sounds": sounds}
    canonical = sum(len(turn.value) for turn in sample.turns)
    return Shape(
        row.format,
        row.mix,
        sample.id is not None,
        canonical - characters,
        tuple(key for key, group in groups.items() if group),
        {"turns": len(sample.turns), **{name: number for name, number in numbers.items() if number}},
    )


def _paths(value: object) -> list[str]:
    return [value] if isinstance(value, str) else value if isinstance(value, list) else []


class Sieve:
    """Takes plain records out of blocks; the others are given on.

    Args:
        rewriter: where media are looked up.
        take: takes each run of plain records, before any record after it is given on.
        done: takes the shapes there are, when they are to be forgotten.
    """

    def __init__(self, rewriter: Rewriter, take: Callable[[Run], None], done: Callable[[list[Shape]], None]) -> None:
        self.rewriter, self.take, self.done = rewriter, take, done
        self.shapes: dict[Hashable, Shape] = {}
        self.found: dict[tuple[str, str], Found | None] = {}
        self._like: tuple[Hashable, int] | None = None

    def blocks(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The blocks without their plain records."""
        for block in blocks:
            if block.findings or block.raw:
                self._like = None
                yield block
            else:
                yield from self._rest(block)

    def sound(self, row: Row) -> None:
        """Takes note that nothing was found in the record that was given on last."""
        if self._like is not None and (known := shape(row, self._like[1])) is not None:
            if len(self.shapes) >= _MOST_SHAPES:
                self.forget()
            self.shapes[self._like[0]] = known

    def forget(self) -> None:
        """Gives the shapes away, and begins anew."""
        self.done(list(self.shapes.values()))
        self.shapes.clear()

    def _rest(self, block: Block) -> Iterator[Block]:
        records, shapes = block.records, self.shapes
        first = 0
        run = Run(block.row, [], [], [], [])
        for i, record in enumerate(records):
            like = likeness(record)
            known: Shape | None = None
            if like is not None:
                try:
                    known = shapes.get(like[0])
                except TypeError:  # a role that is no text
                    like = None
            media = self._media(record, known) if known is not None else None
            if like is not None and known is not None and media is not None:
                run.shapes.append(known)
                run.characters.append(like[1])
                run.media.append(media)
                continue
            if run.shapes:
                self.take(run._replace(records=records[first:i]))
            first = i + 1
            run = Run(block.row + first, [], [], [], [])
            self._like = like if known is None else None
            yield Block(block.row + i, [record], [], {})
        if run.shapes:
            self.take(run._replace(records=records[first:] if first else records))

    def _media(self, record: Mapping[str, Any], known: Shape) -> list[Found] | None:
        """The media of a record; None where one of them is not to be had without a word."""
        media: list[Found] = []
        for key in known.keys:
            value = record[key]
            for path in (value,) if type(value) is str else value:
                try:
                    found = self.found[key, path]
                except KeyError:
                    if len(self.found) >= _MOST_PATHS:
                        self.found.clear()
                    found = self.found[key, path] = self._look_up(key, path)
                if found is None:
                    return None
                media.append(found)
        return media

    def _look_up(self, key: str, path: str) -> Found | None:
        if "\\" in path:
            return None
        reference, medium = Reference(path), _KEYS[key]
        item = self.rewriter.video(reference, "") if medium == "video" else self.rewriter.item(reference, medium, "")
        return None if isinstance(item, (Finding, list)) else Found(key, medium, item, item.size)
