"""Batches: samples of different sizes side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def collate(samples: Iterable[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """A ragged batch: for each key the values of all samples, in their order.

    Nothing is padded, stacked or cut, as media differ in number and size; what a model wants padded, its processor pads.
    It is the ``collate_fn`` of a `torch.utils.data.DataLoader`; tensors in it are pinned and moved as in any batch.

    Args:
        samples: of one view or of several with different columns; None stands for a rejected sample.

    Returns:
        Key → one value per sample; None where a sample has no such key.  Empty if there is no sample at all.
    """
    present = [sample for sample in samples if sample is not None]
    keys = dict.fromkeys(key for sample in present for key in sample)
    return {key: [sample.get(key) for sample in present] for key in keys}
