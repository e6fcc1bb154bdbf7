r"""Shapes: what recognition sees of a record, and in which terms a format says how well it fits.

A shape holds the keys of a record, the kind of each value, and the few words of it that distinguish formats.  Records of one
file have few shapes, so that a decision is made once for each shape, not once for each record::

    {"id": 7, "video": "a.mp4", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, …]}
    Shape({"id": "number", "video": "text", "conversations": "turns"}, tags=("image",), path_words=())
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

NO, UNLIKELY, POSSIBLE, FITS, LIKELY, CERTAIN = 0.0, 0.05, 0.2, 0.4, 0.75, 0.95
"""How well a shape fits a format:

- `NO`: the format cannot read it;
- `UNLIKELY`: a key, a value or a tag speaks against the format;
- `POSSIBLE`: readable, but what records of the format usually have is not there;
- `FITS`: written as records of the format are, and as those of others may be;
- `LIKELY`: written as records of the format are, and as those of others hardly ever are;
- `CERTAIN`: only this format writes such records.
"""

_SCALARS = {str: "text", int: "number", float: "number", bool: "flag", type(None): "null"}

OBJECTS = frozenset({"object", "objects"})
"""Kinds: an object, and a list of objects without roles."""
LISTS = frozenset({"list", "texts", "objects", "turns", "messages", "parts"})
"""Kinds: every list."""
ANY = frozenset({*_SCALARS.values(), *OBJECTS, *LISTS})
"""Kinds: all."""


Kinds = Mapping[str, frozenset[str]]
"""Keys, and some kinds of value for each."""


class Shape(NamedTuple):
    """What recognition sees of a record.

    Attributes:
        kinds: key → `kind_of` its value.
        tags: the tags in the first turn that has any, without brackets, each once.
        path_words: the formats' ``PATH_WORDS`` that stand in the path of its video.
    """

    kinds: Mapping[str, str]
    tags: tuple[str, ...] = ()
    path_words: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """The first tag; empty where there is none."""
        return self.tags[0] if self.tags else ""

    def has(self, key: str) -> bool:
        """Whether the record has a value other than null under a key."""
        return self.kinds.get(key, "null") != "null"

    def keys_of(self, kinds: Kinds) -> list[str]:
        """The keys whose values are of the kinds that `kinds` names for them."""
        return [key for key, some in kinds.items() if self.kinds.get(key) in some]


def kind_of(value: Any) -> str:
    """The kind of a value.

    ``text``, ``number``, ``flag``, ``null``, ``object``; a list by its first item: ``texts``, ``objects``, ``turns`` (objects
    with ``from``), ``messages`` and ``parts`` (objects with ``role``, whose ``content`` is a list for ``parts``), ``list`` for
    every other.
    """
    kind = _SCALARS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, dict):
        return "object"
    if not isinstance(value, list):
        return "number"
    first = value[0] if value else None
    if isinstance(first, str):
        return "texts"
    if not isinstance(first, dict):
        return "list"
    if "from" in first:
        return "turns"
    if "content" in first:
        return "parts" if isinstance(first["content"], list) else "messages"
    return "objects"
