"""How many bytes of media a cell, a column and a row of a Parquet file can have."""

from __future__ import annotations

MAX_CELL_BYTES = 2**31 - 2**16
"""The largest cell: a page's size and a value's length are int32, and the page's header and levels count as well."""

MAX_COLUMN_BYTES = MAX_CELL_BYTES
"""The cells of one media column in one row group together, repeated ones each time: of larger ones pyarrow cannot read a
nested column ("Nested data conversions not implemented for chunked array outputs", apache/arrow#21526)."""

ROW_BYTES = min(MAX_CELL_BYTES, MAX_COLUMN_BYTES - (1 << 20))
"""Bytes of media that a row can have, and a row group can hold; the lengths of up to 262,144 items take 4 bytes each."""
