"""Flattening: rows that are grouped by their media become one row for each sample again."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..pipeline.features import of_media
from ..pipeline.grouped_rows import lengths, ungrouped
from .training_view import not_one_split


def flatten(ds: Any) -> Any:
    """A dataset that was built with ``--group-by media``, with one row for each sample, as if it had been built without.

    A stream copies nothing.  For a `datasets.Dataset`, the rows are written to the cache of `datasets`, each with its media;
    `training` takes the grouped dataset itself and copies nothing.

    Args:
        ds: one split: a `datasets.Dataset` or `datasets.IterableDataset`.

    Returns:
        A dataset of the same kind, with the columns and values of the ungrouped one.

    Raises:
        TypeError: `ds` is not a dataset, or has several splits.
        ValueError: its rows are not grouped.
    """
    if isinstance(ds, datasets.IterableDataset):
        return _flatten_stream(ds)
    if isinstance(ds, datasets.Dataset):
        return _flatten_table(ds)
    raise not_one_split(ds)


def _flatten_stream(ds: datasets.IterableDataset) -> datasets.IterableDataset:
    features = ds.features or ds._resolve_features().features
    columns = ungrouped(features)
    rows = (ds.decode(False) if ds.features is not None else ds).with_format(None)
    return rows.map(_samples, batched=True, batch_size=1, remove_columns=list(columns), features=columns)


def _flatten_table(ds: datasets.Dataset) -> datasets.Dataset:
    columns = ungrouped(ds.features)
    counts = np.array(lengths(ds), np.int64)
    rows = np.repeat(np.arange(len(counts)), counts)  # the row of each sample
    numbers = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)  # the sample's number in its row
    repeated = ds.with_format("arrow").select(rows)  # an index over the rows, not a copy
    flat = repeated.map(
        _one_sample, with_indices=True, batched=True, batch_size=1, features=columns, fn_kwargs={"numbers": numbers}
    )
    return flat.with_format(ds.format["type"])


def _samples(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The samples of a batch of one row; they share its media."""
    (count,) = map(len, batch["id"])
    return {name: value * count if of_media(name) else value[0] for name, value in batch.items()}


def _one_sample(table: pa.Table, indices: list[int], numbers: NDArray[np.int64]) -> pa.Table:
    """One sample of a grouped row; `numbers` says which, by the index of the sample."""
    (index,) = indices
    number = int(numbers[index])
    columns = [
        column if of_media(name) else pa.concat_arrays(column.chunks).flatten().slice(number, 1)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)
