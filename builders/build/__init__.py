"""Packing: a dataset as Parquet shards with a card, its rejects and a report.

::

    OUT/README.md                          the card; its YAML makes load_dataset(OUT) give the right features
    OUT/data/<mix>/<split>-TTTTT-NNNNN.parquet   shards: row groups of some 16 MB, media uncompressed, byte for byte
    OUT/rejected.jsonl                     every record that is not in the shards
    OUT/report.json                        counts that add up, versions
    OUT/.build/                            plan, journals and locks of an unfinished build

Each mix has a folder of its own.  All shards hold all columns (an empty list costs nothing), and the card's configs list the
columns of each mix; so the config ``all`` reads every mix with one schema.

Rows that share a medium are written together (`reorder_plan`) or are one row (`grouping`), so that it is stored once for them.

OUT is a folder or a place in an object store (`modalmix.builders.core.storage`).

A build is planned as tasks (`build_plan`); each task is run (`task`) by this process, by other processes (`local_engine`) or on
a Ray cluster (`ray_engine`), and the results are joined (`run_build`).  After a kill at any moment, the same command continues
where the build stopped, and ends with the same bytes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .build_plan import Settings
    from .progress import BuildProgress
    from .run_build import build, build_part, finish
    from .shard_packer import Packer
    from .split_assignment import parsed as parsed_splits

__all__ = ["BuildProgress", "Packer", "Settings", "build", "build_part", "finish", "parsed_splits"]

_HOMES = {
    "BuildProgress": ("progress", "BuildProgress"),
    "Packer": ("shard_packer", "Packer"),
    "Settings": ("build_plan", "Settings"),
    "build": ("run_build", "build"),
    "build_part": ("run_build", "build_part"),
    "finish": ("run_build", "finish"),
    "parsed_splits": ("split_assignment", "parsed"),
}
"""Module and name of each public name.  They are imported when asked for: a worker that decodes sound needs none of them."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
