"""Recognition: which format a record is in, and a file as a whole.

A record is judged by what it says.  Many records fit several formats (an image, a question, an answer are written alike in
most); then the file they stand in decides, by its first records: the same for every slice of it, so that no record depends
on how the file was cut.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..annotations import Slice, Source, Take, plan, read
from ..core.findings import finding
from ..core.sample import Recognition, Sample
from .base import NAMES, formats
from .turns import Roles

CERTAIN = 0.85
"""From this confidence on, a record's own words decide."""

_HEAD_RECORDS = 256
_PLAINEST_FIRST = ("lmms_finetune", "llava_video", "ola", "videorefer", "aria")


def recognise(record: Mapping[str, Any]) -> dict[str, Recognition]:
    """Each format's opinion of a record, the most confident first; where they tie, the plainest format first."""
    opinions = {name: formats()[name].recognise(record) for name in _PLAINEST_FIRST}
    return dict(sorted(opinions.items(), key=lambda item: -item[1].confidence))


def format_of(path: str) -> str | None:
    """The format an annotation file is in by its first records; None where no format recognises any.

    Records that are certain decide; where there are none, the sum of the confidences.

    Args:
        path: the annotation file.

    Raises:
        OSError: the file cannot be read.
    """
    return _format_of(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=1024)
def _format_of(path: str, _modified: int) -> str | None:
    certain: Counter[str] = Counter()
    hoped: dict[str, float] = dict.fromkeys(_PLAINEST_FIRST, 0.0)
    left = _HEAD_RECORDS
    for block in read(plan(Source(path, path, Take()))[0]):
        for record in block.records[:left]:
            opinions = recognise(record)
            name, best = next(iter(opinions.items()))
            if best.confidence >= CERTAIN:
                certain[name] += 1
            for name, opinion in opinions.items():
                hoped[name] += opinion.confidence
        left -= len(block.records)
        if left <= 0:
            break
    if certain:
        return min(certain, key=lambda name: (-certain[name], NAMES.index(name)))
    name = max(hoped, key=lambda name: hoped[name])
    return name if hoped[name] > 0 else None


def opinions(path: str) -> dict[str, tuple[float, list[str]]]:
    """Each format's confidence in the first record of an annotation file, and its reasons; empty where there is no record."""
    for block in read(plan(Source(path, path, Take()))[0]):
        for record in block.records:
            return {name: (opinion.confidence, opinion.reasons) for name, opinion in recognise(record).items()}
    return {}


def unrecognised(path: str) -> str | None:
    """Why no format recognises an annotation file, by its first record; None where one does, or it has no records."""
    if format_of(path) is not None:
        return None
    for block in read(plan(Source(path, path, Take()))[0]):
        for record in block.records:
            return _reasons(recognise(record))
        for one in block.findings:
            return one.message
    return None


def _reasons(opinions: Mapping[str, Recognition]) -> str:
    return "; ".join(f"{name}: {', '.join(opinion.reasons)}" for name, opinion in opinions.items())


class Recogniser:
    """Reads the records of a slice, each in the format it is in."""

    def __init__(self, piece: Slice, roles: Roles) -> None:
        """A reader for a slice; `roles` are the speakers' names."""
        self._main = format_of(piece.path)
        self._roles = roles

    def __call__(self, record: Mapping[str, Any]) -> tuple[str | None, Sample]:
        """The format of a record and its sample; no format, and a finding, where none recognises it."""
        opinions = recognise(record)
        name, best = next(iter(opinions.items()))
        if best.confidence <= 0:
            return None, Sample(findings=[finding("format-unknown", _reasons(opinions))])
        if best.confidence < CERTAIN and self._main is not None and opinions[self._main].confidence > 0:
            name = self._main
        return name, formats()[name].read(record, self._roles)
