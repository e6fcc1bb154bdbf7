"""Recognition of annotation files: which format a file is in by its first records, and each of its records then.

Many records fit several formats.  Then the first records of the file decide: the same for every slice of it, so that no record
depends on how the file was cut.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from ..annotations import Slice, Source, Take, plan, read
from ..core.findings import finding
from ..core.sample import Sample
from ..formats import formats
from ..formats.recognition import RecordFormat, best_of, reasons, recognise
from ..formats.turns import Roles

_HEAD_RECORDS = 256


def format_of(path: str) -> str | None:
    """The format an annotation file is in by its first records; None where no format recognises any.

    Args:
        path: the annotation file.

    Raises:
        OSError: the file cannot be read.
    """
    return _format_of(path, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=1024)
def _format_of(path: str, _modified: int) -> str | None:
    return best_of(map(recognise, islice(_records(path), _HEAD_RECORDS)))


def _records(path: str) -> Iterator[Mapping[str, Any]]:
    for block in read(plan(Source(path, path, Take()))[0]):
        yield from block.records


def first_record(path: str) -> dict[str, tuple[float, list[str]]]:
    """Each format's confidence in the first record of an annotation file, and its reasons; empty where there is no record."""
    for record in _records(path):
        return {name: (found.confidence, found.reasons) for name, found in recognise(record).items()}
    return {}


def why_unrecognised(path: str) -> str | None:
    """Why no format recognises an annotation file, by its first record; None where one does, or it has no records."""
    if format_of(path) is not None:
        return None
    for block in read(plan(Source(path, path, Take()))[0]):
        for record in block.records:
            return reasons(recognise(record))
        for found in block.findings:
            return found.message
    return None


class RecognisingReader:
    """Reads the records of a slice, each in the format it is in."""

    def __init__(self, slice_: Slice, roles: Roles) -> None:
        """A reader for a slice; `roles` are the speakers' names."""
        self._format_of = RecordFormat(format_of(slice_.path))
        self._read = {name: format_.read for name, format_ in formats().items()}
        self._roles = roles

    def __call__(self, record: Mapping[str, Any]) -> tuple[str | None, Sample]:
        """The format of a record and its sample; no format, and a finding, where none recognises it."""
        name = self._format_of(record)
        if name is None:
            return None, Sample(findings=[finding("format-unknown", reasons(recognise(record)))])
        return name, self._read[name](record, self._roles)
