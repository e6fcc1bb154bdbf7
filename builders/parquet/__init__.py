"""Parquet: writing shards whose media bytes never pass through Arrow.

`shards` is the writer; `pages` lays out the media leaves' pages, `gather` moves the bytes into them, `thrift` encodes headers
and footer.
"""

from .gather import Cell, FileRange, Gather, MediaChanged
from .shards import CHUNKING, CREATED_BY, MAX_CELL_BYTES, MAX_COLUMN_BYTES, PAGE_BYTES, ShardWriter, media_column

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
    "media_column",
]
