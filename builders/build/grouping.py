"""Grouping: the rows of one set of media as one row.

Rows that share their lead come one after the other (`reorder_plan`).  Among those, the ones whose media are all the same, in
kind, order and place, are a `Group`; a row without media is one by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..media.items import Item, Media
from ..pipeline.grouped_rows import SAMPLES
from ..pipeline.rows import Row
from .lead_media import items_by_weight
from .row_groups import Group, Key, key_of


class _Set(NamedTuple):
    """What is equal for the same media in the same columns and order."""

    images: tuple[Key, ...]
    videos: tuple[Key, ...]
    frames: tuple[tuple[Key, ...], ...]
    audios: tuple[Key, ...]
    audio_q: tuple[Key, ...]


class Grouper:
    """Makes groups of rows as they come."""

    def __init__(self) -> None:
        self._lead: Key | None = None
        self._waiting: dict[_Set, list[Row]] = {}

    def add(self, row: Row) -> list[Group]:
        """Takes a row.

        Returns:
            The groups that are complete by it.
        """
        lead = _lead(row.media)
        complete: list[Group] = []
        if lead is None or lead != self._lead:
            complete = self.rest()
            self._lead = lead
        if lead is None:
            return [*complete, Group([row])]
        rows = self._waiting.setdefault(_set_of(row.media), [])
        rows.append(row)
        if len(rows) == SAMPLES:
            complete.append(Group(self._waiting.pop(_set_of(row.media))))
        return complete

    def rest(self) -> list[Group]:
        """The groups of the rows that are waiting, in the order of their first rows."""
        waiting, self._waiting = self._waiting, {}
        return [Group(rows) for rows in waiting.values()]


def _lead(media: Media) -> Key | None:
    """What is equal for rows that come together: their member of the archive that is gone through, or else their lead."""
    items = list(items_by_weight(media))
    held = next((item for item in items if not isinstance(item, Item)), None)
    return key_of(held or items[0]) if items else None


def _set_of(media: Media) -> _Set:
    def keys(items: Sequence[Item]) -> tuple[Key, ...]:
        return tuple(map(key_of, items))

    return _Set(
        keys(media.images), keys(media.videos), tuple(map(keys, media.frames)), keys(media.audios), keys(media.audio_q)
    )
