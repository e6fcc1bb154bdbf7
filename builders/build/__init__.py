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

from .build_plan import Settings
from .progress import BuildProgress
from .run_build import build, build_part, finish
from .shard_packer import Packer
from .split_assignment import parsed as parsed_splits

__all__ = ["BuildProgress", "Packer", "Settings", "build", "build_part", "finish", "parsed_splits"]
