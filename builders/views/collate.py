"""Batches: samples of different sizes side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def collate(samples: Iterable[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """A ragged batch: for each key, the values of all samples in order.

    Nothing is padded, stacked or cut, because media differ in number and size; a model's processor pads what it needs padded.
    It is a ``collate_fn`` for `torch.utils.data.DataLoader`; tensors in the batch are pinned and moved as in any other.

    Args:
        samples: of one view, or of several with different columns; None stands for a rejected sample.

    Returns:
        Key → one value for each sample; None if a sample does not have the key.  Empty if there is no sample.
    """
    present = [sample for sample in samples if sample is not None]
    keys = dict.fromkeys(key for sample in present for key in sample)
    return {key: [sample.get(key) for sample in present] for key in keys}
