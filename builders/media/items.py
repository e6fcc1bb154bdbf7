"""Media items: pointers to the bytes of one image, video or sound.

An item is a place, not the bytes: a whole file, a byte range of one, or a member of an archive. Opening it is lazy, and nothing
here decodes.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple, overload

from .archives.archive import Archive, Member
from .archives.joined_file import read_range

NO_BASE64 = "are not base64"
"""How `read_bytes` says that an item should be base64 text, but is not."""


class Item(NamedTuple):
    """Where the bytes of one media item are.

    Attributes:
        name: the file name it keeps in a built dataset, without folders.
        path: local file that holds the bytes; of an archive in pieces, the first.
        start: offset of the first byte in that file; of a member of `archive`, as `Member.start` has it.
        size: number of bytes in that file; of a member of `archive`, number of bytes it has when read.
        whole: the item is the whole file, so that a path alone says where it is.
        base64: the bytes in the file are base64 text of the item.
        archive: the archive the bytes come out of; None where they lie as they are in `path`.
        packed: as `Member.packed` has it.
    """

    name: str
    path: str
    start: int
    size: int
    whole: bool = True
    base64: bool = False
    archive: Archive | None = None
    packed: int = 0

    @property
    def direct(self) -> bool:
        """Whether the item's bytes lie as they are in ``path[start : start + size]``."""
        return self.archive is None and not self.base64


class InMemoryItem(NamedTuple):
    """A media item whose bytes are in memory; it takes the place of an `Item`.

    Attributes:
        name: as of an item.
        size: of the bytes.
        data: the bytes.
        path: file of the bytes, as of an item; empty where it is not on this machine.
        start: offset in that file, as of an item.
        whole: whether the item is the whole file, as of an item.
    """

    name: str
    size: int
    data: bytes
    path: str = ""
    start: int = 0
    whole: bool = False


class PatchItems(Sequence[Item]):
    """The items that follow each other in a patch; each is made when it is asked for.

    Attributes:
        file: the patch, whose bytes lie as they are in a file.
        start: offset of the first item in the patch.
        sizes: of the items, in bytes.
        base64: as of an item.
    """

    __slots__ = ("base64", "file", "sizes", "start")

    def __init__(self, file: Item, start: int, sizes: Sequence[int], base64: bool = False) -> None:
        self.file, self.start, self.sizes, self.base64 = file, start, sizes, base64

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Item]:
        name, path, first = self.file[:3]
        base64 = self.base64
        for start, size in zip(accumulate(self.sizes, initial=self.start), self.sizes, strict=False):
            yield Item(f"{name}.{start}", path, first + start, size, False, base64)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return list(self)[index]
        size = self.sizes[index]
        start = self.start + sum(self.sizes[: index % len(self.sizes)])
        return Item(f"{self.file.name}.{start}", self.file.path, self.file.start + start, size, False, self.base64)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((self.file, self.start, self.base64))

    def __repr__(self) -> str:
        return f"PatchItems({self.file!r}, {self.start!r}, {self.sizes!r}, {self.base64!r})"


class Media(NamedTuple):
    """The media items of one row, by column."""

    images: list[Item]
    videos: list[Item]
    frames: list[Sequence[Item]]
    audios: list[Item]
    audio_q: list[Item]


def item_of_member(archive: Archive, member: Member) -> Item:
    """The media item of a member.

    Where the member's bytes lie as they are in one file (plain tar, stored zip member), the item is a byte range of that file,
    and nothing else is needed to read it; otherwise it names the archive.

    Raises:
        OSError: a piece of the archive is gone.
    """
    name = member.name.rpartition("/")[2]
    if archive.kind in ("tar", "zip") and not member.packed:
        start = member.start
        if len(archive.paths) == 1:
            return Item(name, archive.paths[0], start, member.size, whole=False)
        for path in archive.paths:
            size = os.path.getsize(path)
            if start < size:
                if start + member.size <= size:
                    return Item(name, path, start, member.size, whole=False)
                break  # it runs on into the next piece
            start -= size
    return Item(name, archive.paths[0], member.start, member.size, whole=False, archive=archive, packed=member.packed)


def read_bytes(item: Item, cache: str | None = None) -> bytes:
    """The bytes of an item, as its medium was encoded.

    Args:
        item: any.
        cache: folder for the seek points of compressed archives; see `archives.seeking.cache_folder`.

    Raises:
        OSError: the file is gone, damaged, or shorter than it was when the item was made.
        ValueError: the item should be base64, but is not.
    """
    if item.archive is None:
        data = read_range(item.path, item.size, item.start)
    else:
        from .archives.decompress import undamaged
        from .archives.reader_pool import archive_reader

        with archive_reader(item.archive, cache) as archive, undamaged(item.archive):
            data = archive.read(item.start, item.size, item.packed)
    if len(data) != item.size:
        raise OSError(f"{item.path}: expected {item.size} bytes at {item.start}, found {len(data)}")
    if item.base64:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(
                f"{item.path}: bytes {item.start}–{item.start + item.size} {NO_BASE64}: {error}"
            ) from error
    return data
