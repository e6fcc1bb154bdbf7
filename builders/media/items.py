"""Media items: pointers to the bytes of one image, video or sound.

An item is a place, not the bytes: a whole file, or a byte range of one.  Opening it is lazy, and nothing here decodes.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import NamedTuple


class Item(NamedTuple):
    """Where the bytes of one media item are.

    Attributes:
        name: the file name it keeps in a built dataset, without folders.
        path: local file that holds the bytes.
        start: offset of the first byte in that file.
        size: number of bytes in that file.
        whole: the item is the whole file, so that a path alone says where it is.
        base64: the bytes in the file are base64 text of the item.
    """

    name: str
    path: str
    start: int
    size: int
    whole: bool = True
    base64: bool = False


class Media(NamedTuple):
    """The media items of one row, by column."""

    images: list[Item]
    videos: list[Item]
    frames: list[list[Item]]
    audios: list[Item]
    audio_q: list[Item]


def read_bytes(item: Item) -> bytes:
    """The bytes of an item, as its medium was encoded.

    Raises:
        OSError: the file is gone, or shorter than it was when the item was made.
        ValueError: the item should be base64, but is not.
    """
    with open(item.path, "rb", buffering=0) as file:
        data = os.pread(file.fileno(), item.size, item.start)
    if len(data) != item.size:
        raise OSError(f"{item.path}: expected {item.size} bytes at {item.start}, found {len(data)}")
    if item.base64:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(
                f"{item.path}: bytes {item.start}–{item.start + item.size} are not base64: {error}"
            ) from error
    return data
