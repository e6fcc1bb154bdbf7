"""Grouping: one row for all rows with the same media.

Rows that share their lead medium follow each other (`reorder_plan`).  Those of them whose media are all the same, in kind,
order and place, are a `Group`; a row without media is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..media.items import Item, Media
from ..pipeline.grouped_rows import SAMPLES
from ..pipeline.rows import Row
from .lead_media import items_by_weight
from .row_groups import Group, Key, key_of


class _MediaKeys(NamedTuple):
    """Keys of the media of a row, by column and in order; equal for rows of one group."""

    images: tuple[Key, ...]
    videos: tuple[Key, ...]
    frames: tuple[tuple[Key, ...], ...]
    audios: tuple[Key, ...]
    audio_q: tuple[Key, ...]


class Grouper:
    """Groups rows in the order in which they come."""

    def __init__(self) -> None:
        self._lead: Key | None = None
        self._waiting: dict[_MediaKeys, list[Row]] = {}

    def add(self, row: Row) -> list[Group]:
        """Takes a row.

        Returns:
            The groups that this row completes.
        """
        lead = _lead(row.media)
        complete: list[Group] = []
        if lead is None or lead != self._lead:
            complete = self.flush()
            self._lead = lead
        if lead is None:
            return [*complete, Group([row])]
        rows = self._waiting.setdefault(_media_keys(row.media), [])
        rows.append(row)
        if len(rows) == SAMPLES:
            complete.append(Group(self._waiting.pop(_media_keys(row.media))))
        return complete

    def flush(self) -> list[Group]:
        """The groups that are not complete yet, in the order of their first rows."""
        waiting, self._waiting = self._waiting, {}
        return [Group(rows) for rows in waiting.values()]


def _lead(media: Media) -> Key | None:
    """The key of the medium by which rows come together: a member of the archive under way, else the lead medium."""
    items = list(items_by_weight(media))
    member = next((item for item in items if not isinstance(item, Item)), None)
    return key_of(member or items[0]) if items else None


def _media_keys(media: Media) -> _MediaKeys:
    def keys(items: Sequence[Item]) -> tuple[Key, ...]:
        return tuple(map(key_of, items))

    return _MediaKeys(
        keys(media.images), keys(media.videos), tuple(map(keys, media.frames)), keys(media.audios), keys(media.audio_q)
    )
