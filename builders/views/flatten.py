"""Flattening: rows that are grouped by their media, one for each sample again."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..pipeline.features import of_media
from ..pipeline.grouped_rows import lengths, ungrouped


def flatten(ds: Any) -> Any:
    """A dataset that was built with ``--group-by media``, with a row for each sample, as if it had been built without.

    Of a stream nothing is copied.  The rows of a `datasets.Dataset` are written anew into the cache of `datasets`, with their
    media in each of them; `training` takes the grouped one and copies nothing.

    Args:
        ds: one split: a `datasets.Dataset` or `datasets.IterableDataset`.

    Returns:
        A dataset of the same kind, with the columns and values of the ungrouped one.

    Raises:
        TypeError: `ds` is no dataset, or has several splits.
        ValueError: its rows are not grouped.
    """
    if isinstance(ds, datasets.IterableDataset):
        features = ds.features or ds._resolve_features().features
        columns = ungrouped(features)
        stored = (ds.decode(False) if ds.features is not None else ds).with_format(None)
        return stored.map(_batch, batched=True, batch_size=1, remove_columns=list(columns), features=columns)
    if isinstance(ds, datasets.Dataset):
        columns = ungrouped(ds.features)
        counts = np.array(lengths(ds), np.int64)
        rows = np.repeat(np.arange(len(counts)), counts)
        numbers = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        grouped = ds.with_format("arrow").select(rows)  # refers to the rows, and copies nothing
        flat = grouped.map(
            _sample, with_indices=True, batched=True, batch_size=1, features=columns, fn_kwargs={"numbers": numbers}
        )
        return flat.with_format(ds.format["type"])
    if isinstance(ds, dict):
        raise TypeError(f"pass one split: this is a {type(ds).__name__} of {', '.join(map(str, ds))}")
    raise TypeError(f"{type(ds).__name__} is neither a Dataset nor an IterableDataset")


def _sample(table: pa.Table, indices: list[int], numbers: NDArray[np.int64]) -> pa.Table:
    """The one sample of a grouped row that is meant by its place."""
    (index,) = indices
    number = int(numbers[index])
    columns = [
        column if of_media(name) else pa.concat_arrays(column.chunks).flatten().slice(number, 1)
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


def _batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The samples of a batch of one row; its media are given to each of them, not copied."""
    (count,) = map(len, batch["id"])
    return {name: value * count if of_media(name) else value[0] for name, value in batch.items()}
