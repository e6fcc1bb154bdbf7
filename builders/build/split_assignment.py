"""Split assignment: the split of a row, where the annotation files do not decide it.

A hash of the row's lead medium (`lead_media`) decides: its first video, else its first sound, else its first picture.  So all
rows about one video are in one split, from whichever annotation file they come, and stay there when other rows are added.  For
a row without media, and with ``split_by="id"`` for every row, a hash of the id decides.

::

    hash / 2**64    0 ───────────────────────────── 0.98 ── 1
                              train                    test
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import xxhash

from ..core.errors import DataError
from ..media.items import Item
from ..pipeline.rewriters import roots_of
from ..pipeline.rows import Row
from .build_plan import Plan
from .lead_media import lead

_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_TOLERANCE = 1e-9


class Splitter:
    """Assigns splits.  The same rows get the same splits on every machine: only paths below the media roots count."""

    def __init__(self, plan: Plan) -> None:
        """A splitter for the rows of a plan."""
        options, settings = plan.options, plan.settings
        by_path = {slice_.path: slice_ for task in plan.tasks for slice_ in task.slices}
        roots = {root for slice_ in by_path.values() for root in roots_of(slice_, options)}
        roots.update((*options.image_folder, *options.video_folder))
        folders = {root if os.path.isdir(root) else os.path.dirname(root) for root in roots}
        self._roots = sorted((f"{root.rstrip('/')}/" for root in folders), key=len, reverse=True)
        self._splits, self._by_id, self._seed = settings.splits, settings.split_by == "id", settings.seed

    def split_of(self, row: Row, default: str) -> str:
        """The split of a row; `default` if the settings have no splits."""
        if not self._splits:
            return default
        item = None if self._by_id else lead(row.media)
        key = f"id {row.id}" if item is None else self._key(item)
        text = f"split\0{self._seed}\0{key}".encode("utf-8", "surrogateescape")
        place, edge = xxhash.xxh3_64_intdigest(text) / 2**64, 0.0
        for name, fraction in self._splits:
            edge += fraction
            if place < edge:
                return name
        return self._splits[-1][0]

    def _key(self, item: Item) -> str:
        """A medium's place below its root."""
        path = next((item.path[len(root) :] for root in self._roots if item.path.startswith(root)), item.path)
        return f"media {path}" if item.whole else f"media {path}\0{item.start}"


def check(splits: Sequence[tuple[str, float]]) -> None:
    """Makes sure that splits are valid.

    Raises:
        DataError: `datasets` does not allow a name, a name comes twice, or the fractions do not add up to 1.
    """
    names = [name for name, _ in splits]
    for name, fraction in splits:
        if not _NAME.fullmatch(name) or name == "all":
            raise DataError(f"{name!r} is not a name for a split; use letters, digits and _, but not 'all'")
        if names.count(name) > 1:
            raise DataError(f"the split {name!r} is named twice")
        if not 0 < fraction <= 1:
            raise DataError(f"the split {name!r} has the fraction {fraction}; it must be above 0, and at most 1")
    total = sum(fraction for _, fraction in splits)
    if splits and abs(total - 1) > _TOLERANCE:
        raise DataError(f"the fractions of the splits add up to {total:g}; they must add up to 1")


def parsed(text: str) -> tuple[tuple[str, float], ...]:
    """The splits of a text such as ``train=0.98,test=0.02``.

    Raises:
        DataError: the text is not of that form; see also `check`.
    """
    found = []
    for part in text.split(","):
        name, _, fraction = part.partition("=")
        try:
            found.append((name.strip(), float(fraction)))
        except ValueError:
            raise DataError(
                f"{part!r} is not a split with its fraction; write for example train=0.98,test=0.02"
            ) from None
    check(found)
    return tuple(found)
