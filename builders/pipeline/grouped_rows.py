"""Groups: rows whose media are the same, as one row.

A dataset built with ``--group-by media`` has a row for each set of media.  Its media columns, and those of what their headers
say, are those of any dataset; each of its other columns is a list with a value for every record that shows them, its *samples*,
in one order throughout::

    row         {"id": "7", "conversations": […], "videos": [A]}     {"id": "8", "conversations": […], "videos": [A]}
    grouped     {"id": ["7", "8"], "conversations": [[…], […]], "videos": [A]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, Features, List

from .features import of_media

SAMPLES = 4096
"""Samples of a row at most; media that more records show have several rows, one behind the other."""


def grouped(columns: Features) -> Features:
    """The columns of a grouped dataset, from those of its samples."""
    return Features({name: kind if of_media(name) else List(kind) for name, kind in columns.items()})


def ungrouped(columns: Features) -> Features:
    """The inverse of `grouped`.

    Raises:
        ValueError: the columns are not those of a grouped dataset.
    """
    if not is_grouped(columns):
        raise ValueError(f"these rows are not grouped by their media: {', '.join(columns)}")
    return Features({name: kind if of_media(name) else kind.feature for name, kind in columns.items()})


def is_grouped(columns: Mapping[str, Any] | None) -> bool:
    """Whether these are the columns of a grouped dataset."""
    return columns is not None and isinstance(columns.get("id"), List)


def samples(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows that a row of a grouped dataset stands for; they share its media."""
    return [
        {name: value if of_media(name) else value[number] for name, value in row.items()}
        for number in range(len(row["id"]))
    ]


def lengths(ds: Dataset) -> list[int]:
    """How many samples each row of a grouped dataset has."""
    found: list[int] = []
    for batch in ds.select_columns("id").with_format("arrow").iter(8192):
        found.extend(pc.list_value_length(batch.column("id")).to_pylist())
    return found
