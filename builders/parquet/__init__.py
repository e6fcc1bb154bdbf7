"""Parquet: writing shards whose media bytes never pass through Arrow.

`shards` is the writer; `leaves` writes a media leaf, `pages` lays out its pages, `gather` moves the bytes into them, `thrift`
encodes headers and footer.
"""

from .gather import Cell, FileRange, Gather, MediaChanged
from .leaves import MAX_CELL_BYTES, MAX_COLUMN_BYTES
from .shards import CHUNKING, CREATED_BY, PAGE_BYTES, ShardWriter, media_column

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
