"""Annotation files: from what the user names to blocks of parsed records.

::

    data ──sources──► Source (a file and the records selected of it)
                        │ plan
                        ▼
                      Slice (a byte range between records) ──read──► Block (records, findings, rejected bytes)

JSON arrays, JSON Lines and bare objects one after another, compressed or not, of any size, in bounded memory.
"""

from .read_slice import read
from .record_counts import count, first_row
from .slice_reader import Block
from .slices import plan
from .source import LocalCopy, Slice, Source, Take
from .sources import sources

__all__ = ["Block", "LocalCopy", "Slice", "Source", "Take", "count", "first_row", "plan", "read", "sources"]
