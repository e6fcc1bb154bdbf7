"""Duplicate keys: found in blocks of records at a small part of the cost of decoding them.

JSON decoders keep the last of several equal keys without a word, and masks keyed by frame number are lost that way.
Two numbers bracket the truth about a run of records:

* `most_keys(text)`: keys as they are written, counted as colons that may follow a key; never too few;
* `DictPlaces.least_keys(records)`: keys in the decoded dicts at the places where earlier records have dicts; never too many.

    least_keys ≤ keys that survived ≤ keys as written ≤ most_keys

so when the outer two are equal no key was lost.  When they differ nothing is proven yet, and the records are checked
one by one: first with `repeats_suspected`, then with Python's own parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain, repeat
from typing import Any

import numpy as np

_QUOTE, _COLON, _BACKSLASH, _SPACE = 34, 58, 92, 32
_KEY_END = re.compile(rb'(?<!\\)(?:\\\\)*"\s*:')
_WIDE = 16
"""A dict with more keys than this that lead to containers is taken as a mapping: all its values are checked."""


def most_keys(text: memoryview) -> int:
    r"""An upper bound of the number of keys in valid JSON text.

    A key's colon follows a quote or white space.  A colon after ``\"`` stands inside of a string, unless that
    backslash is itself escaped; a colon after one blank after a letter does so too.
    """
    data = np.frombuffer(text, dtype=np.uint8)
    colons = np.flatnonzero(data == _COLON)
    colons = colons[colons > 2]  # the shortest text before a key's colon is {"" with a byte in front, or [{""
    before = data[colons - 1]
    quoted = colons[before == _QUOTE]
    escaped = quoted[data[quoted - 2] == _BACKSLASH]
    count = len(quoted) - len(escaped) + int(np.count_nonzero(data[escaped - 3] == _BACKSLASH))
    blank = colons[before <= _SPACE]
    if len(blank):
        earlier = data[blank - 2]
        count += int(np.count_nonzero((earlier == _QUOTE) | (earlier <= _SPACE)))
    return count


class DictPlaces:
    """Where dicts lie below a value, learned from records: which keys, and whether inside of lists.

    Attributes:
        dicts: there are dicts here.
        fields: below which of their keys containers with dicts are.
        values: those below any key, once there are too many keys to keep.
        items: what lists here hold.
    """

    __slots__ = ("dicts", "fields", "items", "values")

    def __init__(self) -> None:
        self.dicts = False
        self.fields: dict[str, DictPlaces] = {}
        self.values: DictPlaces | None = None
        self.items: DictPlaces | None = None

    def add(self, value: Any) -> bool:
        """Adds the places of dicts below a value; False if there are none. Values nested too deeply are left out."""
        kind = type(value)
        if kind is list:
            found = False
            for item in value:
                if type(item) is dict or type(item) is list:
                    below = self.items or DictPlaces()
                    if below.add(item):
                        self.items, found = below, True
            return found
        if kind is not dict:
            return False
        self.dicts = True
        for key, item in value.items():
            if type(item) is dict or type(item) is list:
                below = self.values or self.fields.get(key) or DictPlaces()
                if below.add(item) and self.values is None:
                    self.fields[key] = below
        if len(self.fields) > _WIDE:
            self.values, self.fields = DictPlaces(), {}
            for item in value.values():
                self.values.add(item)
        return True

    def least_keys(self, values: Iterable[Any]) -> int:
        """A lower bound of the number of keys in and below the values; exact where all dicts lie at learned places."""
        found = values if type(values) is list else list(values)
        kinds = set(map(type, found))
        count = 0
        if self.dicts and dict in kinds:
            dicts = found if len(kinds) == 1 else [value for value in found if type(value) is dict]
            count += sum(map(len, dicts))
            for key, below in self.fields.items():
                count += below.least_keys(map(dict.get, dicts, repeat(key)))
            if self.values is not None:
                count += self.values.least_keys(chain.from_iterable(map(dict.values, dicts)))
        if self.items is not None and list in kinds:
            lists = found if len(kinds) == 1 else [value for value in found if type(value) is list]
            count += self.items.least_keys(chain.from_iterable(lists))
        return count


def _keys(value: Any) -> int:
    """The number of keys in and below a value."""
    count, stack = 0, [value]
    while stack:
        value = stack.pop()
        if type(value) is dict:
            count += len(value)
            stack.extend(value.values())
        elif type(value) is list:
            stack.extend(value)
    return count


def repeats_suspected(text: bytes | memoryview, value: Any) -> bool:
    """Whether valid JSON text may hold a key twice in one object; never False when it does.

    Counts unescaped quotes before a colon: besides keys only a string that starts with a colon is such a place.
    """
    return sum(1 for _ in _KEY_END.finditer(text)) != _keys(value)
