"""Media references: which media the records of a slice refer to, where these are, and how large they are."""

from __future__ import annotations

import pickle
from collections import defaultdict
from itertools import chain
from operator import attrgetter

from ..core.int_columns import digested
from ..core.sample import Sample
from ..media.items import Item, Media
from .path_cache import FoundMedium
from .slice_result import COLUMN_KINDS, LARGE, SliceResult, column_place

_NUMBER, _SIZE = attrgetter("number"), attrgetter("size")


class MediaReferences:
    """Adds the media of records to the result of a slice.

    Args:
        result: where the references go.
        numbers: unit → numbers for its spread; see `modalmix.builders.check.statistics.UNITS`.
        deep: each medium will be opened, so every reference to it is kept.
    """

    def __init__(self, result: SliceResult, numbers: defaultdict[str, list[int]], *, deep: bool) -> None:
        self.result, self.numbers, self.deep = result, numbers, deep
        self.paths: dict[str, int] = {}

    def run(self, media: list[tuple[FoundMedium, ...]], here: int) -> None:
        """Adds the media of consecutive records, the first of which is at the place `here`, as `row` does one by one."""
        all_media = list(chain.from_iterable(media))
        if None in map(_NUMBER, all_media):
            for found in all_media:
                if found.number is None:
                    self._path(found.item.path)
                    found.number = self._number(found.medium, [found.item]) if self.deep else 0
        one_each = set(map(len, media)) == {1}
        totals = list(map(_SIZE, all_media)) if one_each else [sum(map(_SIZE, of_record)) for of_record in media]
        self.numbers["row bytes"] += filter(None, totals)
        if max(totals) > LARGE:
            for i, total in enumerate(totals, here):
                if total > LARGE:
                    self.result.large.add(i, total)
        if self.deep:
            for i, of_record in enumerate(media, here):
                self._refer_all(of_record, i)

    def row(self, media: Media, sample: Sample, here: int) -> None:
        """Adds the media of a row at the place `here`."""
        total = 0
        first = 0
        whole = ""
        for kind, items in enumerate((media.images, media.videos, None, media.audios, media.audio_q)):
            if items is None:
                for position, frames in enumerate(map(list, media.frames)):
                    total += sum(item.size for item in frames)
                    self.numbers["frames given"].append(len(frames))
                    self._add_frames(frames, here)
                    if self.deep:
                        medium = self._refer("frames", frames, kind, position, here)
                        first = first or medium
                continue
            for position, item in enumerate(items):
                total += item.size
                self._add_item(item, here)
                if self.deep:
                    medium = self._refer(("image", "video", "", "audio", "audio")[kind], [item], kind, position, here)
                    first = first or medium
                whole = whole or item.path
        if total:
            self.numbers["row bytes"].append(total)
            if total > LARGE:
                self.result.large.add(here, total)
        if sample.masks:
            self._masks(sample, whole, first, here)
        if sample.num_frames and first and self.deep and len(media.videos) == 1:
            self.result.requested.add(first, here, min(sample.num_frames, 1 << 62))

    def _add_item(self, item: Item, here: int) -> None:
        path = self._path(item.path)
        if not item.whole and item.archive is None and item.size:
            self.result.ranges.add(path, item.start, item.start + item.size, here, 0)

    def _add_frames(self, frames: list[Item], here: int) -> None:
        for item in frames if frames[0].whole else frames[:1]:
            path = self._path(item.path)
        if not frames[0].whole and frames[0].archive is None:
            end = frames[-1].start + frames[-1].size
            self.result.ranges.add(path, frames[0].start, end, here, int(len(frames) > 1))

    def _path(self, path: str) -> int:
        number = self.paths.get(path)
        if number is None:
            if len(self.paths) >= 50_000:
                self.paths.clear()
            number = self.paths[path] = digested(path.encode("utf-8", "surrogateescape"))
            self.result.paths.add(number)
        return number

    def _refer(self, medium: str, items: list[Item], kind: int, position: int, here: int) -> int:
        number = self._number(medium, items)
        self.result.references.add(number, here, column_place(kind, position))
        return number

    def _refer_all(self, media: tuple[FoundMedium, ...], here: int) -> None:
        """Does what `_refer` does, for all media of a record."""
        position, before = 0, ""
        for found in media:
            position = position + 1 if found.key == before else 0
            before = found.key
            self.result.references.add(found.number or 0, here, column_place(COLUMN_KINDS.index(found.key), position))

    def _number(self, medium: str, items: list[Item]) -> int:
        key = pickle.dumps((medium, items), 5) if len(items) > 1 else repr((medium, items)).encode("utf-8", "replace")
        number = digested(key)
        if number not in self.result.media:
            self.result.media[number] = (medium, pickle.dumps(items, 5))
        return number

    def _masks(self, sample: Sample, whole: str, first: int, here: int) -> None:
        sized = next((mask for masks in sample.masks for mask in masks if mask.height and mask.width), None)
        size = (sized.height or 0) << 32 | (sized.width or 0) if sized else 0
        if whole and size:
            self.result.sizes.add(self._path(whole), size, here)
        if first:
            frame = max((mask.frame for masks in sample.masks for mask in masks), default=0)
            self.result.masks.add(first, here, frame, size)
