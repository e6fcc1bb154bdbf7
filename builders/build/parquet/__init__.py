"""Parquet: writing shards whose media bytes never pass through Arrow.

`shard_writer` is the writer; `media_leaf` writes a media leaf, `pages` lays out its pages, `byte_gather` moves the bytes
into them, `thrift_compact` encodes headers and footer.
"""

from ...core.parquet_limits import MAX_CELL_BYTES, MAX_COLUMN_BYTES
from .byte_gather import Cell, FileRange, Gather, MediaChanged
from .shard_writer import CHUNKING, CREATED_BY, PAGE_BYTES, ShardWriter

__all__ = [
    "CHUNKING",
    "CREATED_BY",
    "MAX_CELL_BYTES",
    "MAX_COLUMN_BYTES",
    "PAGE_BYTES",
    "Cell",
    "FileRange",
    "Gather",
    "MediaChanged",
    "ShardWriter",
]
