"""Located: the media that plain records name, each looked up once, however many records and slices name it."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..core.sample import Reference
from ..media.items import Item
from ..paths import Rewriter

KEYS = {"image": "image", "video": "video", "audio": "audio", "audio_q": "audio"}
"""Keys under which media stand, and what these are."""
_MOST_PATHS = 50_000


class Found(msgspec.Struct, eq=False):
    """A medium that was looked up.

    Attributes:
        key: under which it stands.
        medium: ``image``, ``video`` or ``audio``.
        item: where it is.
        size: its bytes.
        number: for who takes it to note; None as long as no record of the slice with it was taken.
    """

    key: str
    medium: str
    item: Item
    size: int
    number: int | None = None


class PathCache:
    """Looks paths up, and keeps some tens of thousands.

    Args:
        rewriter: where media are looked up.

    Attributes:
        known: key → path → what it leads to; False where it cannot be had without a word.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.known: dict[str, dict[str, Found | Literal[False]]] = {key: {} for key in KEYS}

    def begin(self) -> None:
        """Begins a slice: none of the media was taken in it."""
        for known in self.known.values():
            for found in known.values():
                if found:
                    found.number = None

    def at(self, key: str, path: str) -> Found | Literal[False]:
        """What a path that stands under a key leads to; False where it cannot be had without a word."""
        known = self.known[key]
        found = known.get(path)
        if found is None:
            if len(known) >= _MOST_PATHS:
                known.clear()
            found = known[path] = self._looked_up(key, path)
        return found

    def _looked_up(self, key: str, path: str) -> Found | Literal[False]:
        if "\\" in path:
            return False
        reference, medium = Reference(path), KEYS[key]
        item = self.rewriter.video(reference, "") if medium == "video" else self.rewriter.item(reference, medium, "")
        return Found(key, medium, item, item.size) if isinstance(item, Item) else False
