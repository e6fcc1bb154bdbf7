"""Recognition: which format a record is in.

Each format gives facts: keys that only it has (``OWN``), keys that it cannot read (``NEVER``), and how well a record fits apart
from these (``fit``).  No format names the keys of another: a key that one alone has speaks against all others.  Many records fit
several formats (an image, a question, an answer are written alike in most); then the file decides
(`modalmix.builders.pipeline.recognise_files`), the same for every slice of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.sample import Recognition
from .base import Format
from .registry import formats
from .shape import ANY, CERTAIN, NO, POSSIBLE, UNLIKELY, Shape, kind_of
from .turns import first_tags

_PATH_WORDS = tuple(word for format_ in formats().values() for word in format_.PATH_WORDS)
_MOST_SHAPES = 10_000
_KINDS: dict[type, str] = {str: "text", dict: "object"}
_PHRASES = {
    "text": "a text",
    "object": "an object",
    "objects": "a list of objects",
    "parts": "a list of messages of parts",
}


def path_words(path: object) -> tuple[str, ...]:
    """The formats' ``PATH_WORDS`` that stand in a path."""
    if not isinstance(path, str):
        return ()
    return tuple([word for word in _PATH_WORDS if word in path])


def shape_of(record: Mapping[str, Any]) -> Shape:
    """The shape of a record."""
    kinds = {key: kind_of(value) for key, value in record.items()}
    return Shape(kinds, first_tags(record.get("conversations")), path_words(record.get("video")))


def recognise(record: Mapping[str, Any]) -> dict[str, Recognition]:
    """How well a record fits each format, and why; the best first, and of those that fit equally well the plainest."""
    return recognise_shape(shape_of(record))


def recognise_shape(shape: Shape) -> dict[str, Recognition]:
    """How well a shape fits each format, and why; in the order of `recognise`."""
    own = {name: shape.keys_of(format_.OWN) for name, format_ in formats().items()}
    by_itself = {name: _by_itself(format_, shape, own[name]) for name, format_ in formats().items()}
    readers = [name for name, found in by_itself.items() if found.confidence > NO]
    found = {
        name: _among_others(name, by_itself[name], shape, own, readers) if name in readers else by_itself[name]
        for name in by_itself
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].confidence))


def _by_itself(format_: Format, shape: Shape, own: Iterable[str]) -> Recognition:
    """How well a shape fits a format by the format's facts alone."""
    never = shape.keys_of(format_.NEVER)
    if never and not own:
        return Recognition(NO, [f"cannot read {_phrase(shape, never[0])}"])
    return format_.fit(shape)


def _among_others(
    name: str, found: Recognition, shape: Shape, own: Mapping[str, Iterable[str]], readers: Iterable[str]
) -> Recognition:
    """How well a shape fits a format that can read it, given the keys that only one of the formats has.

    Args:
        name: of the format.
        found: how well the shape fits it by itself.
        shape: of the record.
        own: format → the keys of the record that only this format has.
        readers: the formats that can read the record.
    """
    title = formats()[name].TITLE
    foreign = next((key for other in readers if other != name for key in own[other] if key not in own[name]), None)
    mine = next(iter(own[name]), None)
    if mine is not None and foreign is not None:
        return Recognition(POSSIBLE, [f"has {mine}, which only {title} has, but {foreign} too, which it does not have"])
    if foreign is not None:
        return Recognition(UNLIKELY, [f"has {foreign}, which {title} does not have"])
    if mine is not None:
        what = mine if formats()[name].OWN[mine] == ANY else _phrase(shape, mine)
        return Recognition(CERTAIN, [f"has {what}, which only {title} has"])
    return found


def _phrase(shape: Shape, key: str) -> str:
    """A key and what it holds, in words."""
    return f"{key}, {_PHRASES.get(shape.kinds[key], 'a list')}"


def best_of(found: Iterable[Mapping[str, Recognition]]) -> str | None:
    """The format that several records are in together; None where no format recognises any of them.

    Records that one format is certain of decide; where there are none, the sum of the confidences.
    """
    certain = dict.fromkeys(formats(), 0)
    sums: dict[str, list[float]] = {name: [] for name in formats()}
    for of_record in found:
        name, best = next(iter(of_record.items()))
        if best.confidence >= CERTAIN:
            certain[name] += 1
        for name, recognition in of_record.items():
            sums[name].append(recognition.confidence)
    if any(certain.values()):
        return max(certain, key=lambda name: certain[name])
    totals = {name: math.fsum(confidences) for name, confidences in sums.items()}
    name = max(totals, key=lambda name: totals[name])
    return name if totals[name] > 0 else None


class RecordFormat:
    """Says which format each record of a file is in.

    Args:
        main: the format of the file as a whole, which its records are in where they are certainly in no other.
    """

    def __init__(self, main: str | None) -> None:
        self._main = main
        self._by_shape: dict[object, str | None] = {}

    def __call__(self, record: Mapping[str, Any]) -> str | None:
        """The format of a record; None where no format recognises it."""
        values = record.values()
        key = (
            tuple(record),
            tuple([_KINDS.get(type(value)) or kind_of(value) for value in values]),
            first_tags(record.get("conversations")),
            path_words(record.get("video")),
        )
        try:
            return self._by_shape[key]
        except KeyError:
            if len(self._by_shape) >= _MOST_SHAPES:
                self._by_shape.clear()
            name = self._by_shape[key] = self._decide(Shape(dict(zip(*key[:2], strict=True)), *key[2:]))
            return name

    def _decide(self, shape: Shape) -> str | None:
        found = recognise_shape(shape)
        name, best = next(iter(found.items()))
        if best.confidence <= NO:
            return None
        if best.confidence < CERTAIN and self._main is not None and found[self._main].confidence > NO:
            return self._main
        return name


def reasons(found: Mapping[str, Recognition]) -> str:
    """Why each format fits, or does not, on one line."""
    return "; ".join(f"{name}: {', '.join(recognition.reasons)}" for name, recognition in found.items())
