"""Temporary media: files for media bytes that are part of no plain file, so that a player can seek in them."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from ..media.items import Item

_LIMIT = 4 << 30


class TempMedia:
    """A temporary folder that keeps the files used last, up to a number of bytes."""

    def __init__(self, limit: int = _LIMIT) -> None:
        """Creates the folder; `limit` is in bytes."""
        self._folder = tempfile.TemporaryDirectory(
            prefix="modalmix-preview-", dir=os.path.realpath(tempfile.gettempdir())
        )
        self._limit = limit
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Item] = OrderedDict()
        self._bytes = 0
        self._written = 0

    def item(self, key: Hashable, name: str, data: Callable[[], bytes]) -> Item:
        """The file with the bytes of `key`; if there is none, `data` gives the bytes."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
            content = data()
            path = os.path.join(self._folder.name, str(self._written))
            self._written += 1
            with open(path, "wb") as file:
                file.write(content)
            item = Item(name, path, 0, len(content))
            self._kept[key] = item
            self._bytes += item.size
            while self._bytes > self._limit and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size
                os.remove(oldest.path)  # a reader that has it open can go on reading
            return item

    def close(self) -> None:
        """Removes the folder."""
        self._folder.cleanup()
