"""The path cache: the media of records on the fast path, each looked up once, however many records and slices name it."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..core.sample import Reference
from ..media.items import Item
from ..paths import Rewriter

KEYS = {"image": "image", "video": "video", "audio": "audio", "audio_q": "audio"}
"""The keys of media, and the medium under each."""
_MAX_PATHS = 50_000


class FoundMedium(msgspec.Struct, eq=False):
    """A medium that is there.

    Attributes:
        key: of the record that names it.
        medium: ``image``, ``video`` or ``audio``.
        item: where it is.
        size: in bytes.
        number: its hash; None before the first record of the slice that names it.
    """

    key: str
    medium: str
    item: Item
    size: int
    number: int | None = None


class PathCache:
    """Looks paths up, and keeps the last tens of thousands.

    Args:
        rewriter: where media are looked up.

    Attributes:
        media: key → path → the medium; False where looking it up gives a finding, or a list of frames.
    """

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.media: dict[str, dict[str, FoundMedium | Literal[False]]] = {key: {} for key in KEYS}

    def begin(self) -> None:
        """Begins a slice: no record of it is added yet."""
        for of_key in self.media.values():
            for found in of_key.values():
                if found:
                    found.number = None

    def at(self, key: str, path: str) -> FoundMedium | Literal[False]:
        """The medium of a path under a key; False where looking it up gives a finding, or a list of frames."""
        of_key = self.media[key]
        found = of_key.get(path)
        if found is None:
            if len(of_key) >= _MAX_PATHS:
                of_key.clear()
            found = of_key[path] = self._look_up(key, path)
        return found

    def _look_up(self, key: str, path: str) -> FoundMedium | Literal[False]:
        if "\\" in path:
            return False
        reference, medium = Reference(path), KEYS[key]
        item = self.rewriter.video(reference, "") if medium == "video" else self.rewriter.item(reference, medium, "")
        return FoundMedium(key, medium, item, item.size) if isinstance(item, Item) else False
