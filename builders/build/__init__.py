"""Packing: a dataset as Parquet shards with a card, its rejects and a report.

::

    OUT/README.md                          the card; its YAML makes load_dataset(OUT) give the right features
    OUT/data/<mix>/<split>-TTTTT-NNNNN.parquet   shards: row groups of some 16 MB, media uncompressed, byte for byte
    OUT/rejected.jsonl                     every record that is not in the shards
    OUT/report.json                        counts that add up, versions
    OUT/.build/                            plan, journals and locks of a build that has not ended

Each mix has a folder of its own.  All shards hold all columns (an empty list costs nothing), and the card's configs say which
of them a mix shows; so the config ``all`` reads every mix with one schema.

Rows that share a medium stand together (`reorder_plan`) or are one row (`grouping`), so that it is stored once for them.

OUT is a folder or a place in an object store (`modalmix.builders.core.storage`).

A build is planned into tasks (`build_plan`), each task is run (`task`) by this process, by others (`local_engine`) or on a
Ray cluster (`ray_engine`), and what the tasks have made is put together.  Killed at any moment, the same command goes on
where it stopped and ends with the same bytes.
"""

from .build_plan import Settings
from .progress import Standing
from .run_build import build, build_part, finish
from .shard_packer import Packer
from .split_assignment import parsed as parsed_splits

__all__ = ["Packer", "Settings", "Standing", "build", "build_part", "finish", "parsed_splits"]
