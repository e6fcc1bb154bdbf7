"""Cells: one media value as decoders meet it, wherever it came from.

In a dataset a media value is ``{"bytes", "path"}`` (undecoded), in the row pipeline an `Item`, and a person has a path or bytes.
`data_of` makes one thing of them all: what a decoder opens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .items import Item, read_bytes

Cell = Item | Mapping[str, Any] | bytes | str | os.PathLike[str]
"""An item, a cell of a dataset with decoding off, encoded bytes, or the path of a local file."""


def data_of(cell: Cell) -> str | bytes:
    """What a decoder opens: the path of a whole local file, or else the encoded bytes.

    Raises:
        OSError: the bytes cannot be read.
        ValueError: a cell of a dataset with neither bytes nor path.
    """
    if isinstance(cell, (str, bytes)):
        return cell
    if isinstance(cell, Item):
        return cell.path if cell.whole and cell.direct else read_bytes(cell)
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    data, path = cell.get("bytes"), cell.get("path")
    if data is not None:
        return bytes(data)
    if path is None:
        raise ValueError("the media value has neither bytes nor path")
    if "://" in path:
        import fsspec

        with fsspec.open(path, "rb") as file:
            return bytes(file.read())
    return str(path)
