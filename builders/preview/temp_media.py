"""Spill: temporary files for media bytes that no file holds as they are, so that a player can seek in them."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from ..media.items import Item

_BYTES = 4 << 30


class Spill:
    """A temporary folder that keeps what was used last, up to a number of bytes."""

    def __init__(self, limit: int = _BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="modalmix-preview-", dir=os.path.realpath(tempfile.gettempdir())
        )
        self._limit = limit
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Item] = OrderedDict()
        self._bytes = 0
        self._made = 0

    def item(self, key: Hashable, name: str, data: Callable[[], bytes]) -> Item:
        """The file with the bytes of `key`; `data` is called if it is not there (any more)."""
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
            found = data()
            path = os.path.join(self._folder.name, str(self._made))
            self._made += 1
            with open(path, "wb") as file:
                file.write(found)
            item = Item(name, path, 0, len(found))
            self._kept[key] = item
            self._bytes += item.size
            while self._bytes > self._limit and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._bytes -= old.size
                os.remove(old.path)  # a reader that has it open goes on reading
            return item

    def close(self) -> None:
        """Removes the folder."""
        self._folder.cleanup()
