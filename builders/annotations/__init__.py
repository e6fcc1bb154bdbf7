"""Annotation files: from what the user names to blocks of parsed records.

::

    data ──sources──► Source (a file and the records wanted of it)
                        │ plan
                        ▼
                      Slice (a byte range between records) ──read──► Block (records, findings, rejected bytes)

JSON arrays, JSON Lines and bare objects one after another, compressed or not, of any size, in bounded memory.
"""

from .slice_reader import Block, read
from .slices import count, first_row, plan
from .source import Slice, Source, Take
from .sources import HUB, sources

__all__ = ["HUB", "Block", "Slice", "Source", "Take", "count", "first_row", "plan", "read", "sources"]
