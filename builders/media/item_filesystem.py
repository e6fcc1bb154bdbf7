"""Items by URL: stock `datasets` features open a member of an archive as they open any file.

An item that is a whole file has its path; every other one has a URL, which says all that reading takes::

    modalmix://tar.gz/1536-417768/%2Fdata%2Fv_1.tar.gz/Q04US.mp4
               │      │    │      │                    └ name: the extension is in sight
               │      │    │      └ files of the archive, quoted, with commas between
               │      │    └ size
               │      └ start (a third number: packed size)
               └ kind of archive; ``file`` for a byte range of a file, ``base64`` for one that is base64 text

The package registers this filesystem with fsspec (entry point ``fsspec.specs``), so that every process opens such URLs in which
modalmix is installed. It reads only, and opens only what `url_of` could have made; as with any path in a dataset, that may be any
local file its user can read.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.spec import AbstractFileSystem

from .archives.archive import KINDS, Archive
from .items import Item, PatchItems, read_bytes

PROTOCOL = "modalmix"

_URL = re.compile(r"([a-z0-9.]+)/(\d{1,19})-(\d{1,19})(?:-(\d{1,19}))?/([^/]+)/([^/]+)")
_IN_NAMES = re.compile(
    r"[%/\\?#:*,!\[\]{}\x00-\x1f\x7f]"
)  # what URLs, fsspec or datasets take for more than a character
_IN_MEMORY = 64 << 20


def url_of(item: Item) -> str:
    """The URL of an item; of a whole file, its path."""
    if item.whole and item.direct:
        return item.path
    kind = item.archive.kind if item.archive else "base64" if item.base64 else "file"
    numbers = f"{item.start}-{item.size}" + (f"-{item.packed}" if item.packed else "")
    paths = item.archive.paths if item.archive else (item.path,)
    return f"{PROTOCOL}://{kind}/{numbers}/{','.join(map(_quoted, paths))}/{_quoted_name(item.name)}"


def urls_of(groups: Sequence[Sequence[Item]]) -> pa.StringArray:
    """The URLs of all items of some groups, as `url_of` has them; those of patches by columns, without making the items."""
    if groups and all(isinstance(group, PatchItems) for group in groups):
        return _patch_urls(groups)  # type: ignore[arg-type]  # as was just seen
    return pa.array([url_of(item) for group in groups for item in group], pa.string())


def _patch_urls(patches: Sequence[PatchItems]) -> pa.StringArray:
    lengths = np.array([len(patch) for patch in patches], np.int64)
    sizes = np.fromiter(chain.from_iterable(patch.sizes for patch in patches), np.int64, int(lengths.sum()))
    firsts = np.concatenate(([0], lengths.cumsum()[:-1]))
    before = sizes.cumsum() - sizes
    firsts_in_patch = np.array([patch.start for patch in patches], np.int64)
    in_patch = before + (firsts_in_patch - before[firsts]).repeat(lengths)
    starts = pa.array(in_patch).cast(pa.string())
    in_file = np.array([patch.file.start for patch in patches], np.int64)
    starts_in_file = pa.array(in_patch + in_file.repeat(lengths)).cast(pa.string()) if in_file.any() else starts
    heads = [f"{PROTOCOL}://{'base64' if patch.base64 else 'file'}/" for patch in patches]
    tails = [f"/{_quoted(patch.file.path)}/{_quoted_name(patch.file.name)}." for patch in patches]
    of_group = pa.array(np.arange(len(patches), dtype=np.int32).repeat(lengths))
    return pc.binary_join_element_wise(
        _each(heads, of_group),
        starts_in_file,
        "-",
        pa.array(sizes).cast(pa.string()),
        _each(tails, of_group),
        starts,
        "",
    )


def _each(texts: list[str], of_group: pa.Array) -> pa.Scalar | pa.Array:
    """A text for every item: one for all where the groups have the same."""
    return pa.scalar(texts[0]) if len(set(texts)) == 1 else pa.array(texts, pa.string()).take(of_group)


@lru_cache(maxsize=1024)
def _quoted(path: str) -> str:
    return quote(os.path.abspath(path), safe="", errors="surrogateescape")


def _quoted_name(name: str) -> str:
    return _IN_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", name)


def item_of(url: str) -> Item:
    """The item of a URL made by `url_of`, with or without ``modalmix://``.

    Raises:
        ValueError: it is none.
    """
    path = url.removeprefix(f"{PROTOCOL}://")
    match = _URL.fullmatch(path)
    if match is None or (match[1] not in KINDS and match[1] not in ("file", "base64")):
        raise ValueError(f"{url[:300]!r} is no URL of a media item")
    kind, start, size, packed, files, name = match.groups()
    paths = tuple(unquote(file, errors="surrogateescape") for file in files.split(","))
    archive = Archive(paths, kind) if kind in KINDS else None
    item = Item(unquote(name), paths[0], int(start), int(size), False, kind == "base64", archive, int(packed or 0))
    if (
        (len(paths) > 1 and archive is None)
        or "/" in item.name
        or "\0" in "".join(paths)
        or url_of(item) != f"{PROTOCOL}://{path}"
    ):
        raise ValueError(f"{url[:300]!r} is no URL of a media item: {url_of(item)[:300]!r} would be")
    return item


class ItemFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Opens the URLs of items, for reading."""

    protocol = PROTOCOL
    root_marker = ""

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix(f"{PROTOCOL}://")

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and type of an item.

        Raises:
            FileNotFoundError: the URL is none, or its file is gone.
        """
        item = self._item(path)
        for file in item.archive.paths if item.archive else (item.path,):
            os.stat(file)
        size = len(read_bytes(item)) if item.base64 else item.size
        return {"name": self._strip_protocol(path), "size": size, "type": "file"}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The item itself: there are no folders."""
        found = self.info(path)
        return [found if detail else found["name"]]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode not in ("rb", "r"):
            raise OSError(f"{PROTOCOL}:// is for reading only, not for mode {mode!r}")
        item = self._item(path)
        if item.direct and item.size > _IN_MEMORY:
            return io.BufferedReader(Range(item), 1 << 20)
        return io.BytesIO(read_bytes(item))

    def _item(self, path: str) -> Item:
        try:
            return item_of(path)
        except ValueError as error:
            raise FileNotFoundError(str(error)) from error


class Range(io.RawIOBase):
    """A part of a file as a file of its own, never read beyond its ends."""

    def __init__(self, item: Item) -> None:
        """Opens the file of a direct item.

        Raises:
            OSError: it is gone, or too short.
        """
        super().__init__()
        self._file = os.open(item.path, os.O_RDONLY | os.O_CLOEXEC)
        self._start, self._size, self._at = item.start, item.size, 0
        if (there := os.fstat(self._file).st_size) < item.start + item.size:
            self.close()
            raise OSError(f"{item.path}: expected {item.size} bytes at {item.start}, but it ends at {there}")

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase` has it."""
        with memoryview(buffer).cast("B") as view:
            wanted = max(0, min(len(view), self._size - self._at))
            count = os.preadv(self._file, [view[:wanted]], self._start + self._at) if wanted else 0
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As `io.RawIOBase` has it."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"a position before the beginning: {at}")
        self._at = at
        return at

    def tell(self) -> int:
        """The place the next read begins at."""
        return self._at

    def close(self) -> None:
        """Closes the file."""
        if not self.closed:
            os.close(self._file)
        super().close()
