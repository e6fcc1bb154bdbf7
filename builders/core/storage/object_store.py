"""A place in an object store as output, through fsspec: ``s3://bucket/x``, ``gs://…``, ``az://…``, and others.

How a build uses an object store:

- An object appears whole or not at all.  So a shard is written to the worker's scratch folder, uploaded under its final name, and
  removed from the folder: a worker's disk holds one shard for each mix, never the dataset.  (Other file systems show a file
  during its upload; the build relies on a file only after that.)
- An uploaded object is on the store's disks.
- A shard is identified by its size and by what the store reports of it right after the upload (its ETag, for example), without
  reading it back.
- There are no locks; see `object_lock`.

A process that is killed during the upload of a large object may leave parts of it in the bucket; a lifecycle rule of the bucket
removes those.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from ..errors import DataError
from . import object_lock
from .scratch_dir import Scratch

_FLAT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2"})
"""Stores without folders.  To create a folder there would create a bucket."""

_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
"""Names for the store's identifier of an object's content: in s3fs, adlfs and others, and gcsfs."""

_PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 4  # the defaults, ten parts of 50 MB, would take more memory than all else


class Store:
    """A place in a file system of fsspec; see `modalmix.builders.core.storage.Output`."""

    fsync = False

    def __init__(self, url: str) -> None:
        """The place of a URL; sends no request yet.

        Raises:
            DataError: there is no file system for it.
        """
        import fsspec

        self.url = url.rstrip("/")
        self.name = self.url.rpartition("/")[2]
        self._scheme = url.partition("://")[0]
        if self._scheme in ("hf", "modalmix"):
            raise DataError(f"a build cannot write to {url!r}; build into a folder, and use modalmix push for the Hub")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError, TypeError) as error:
            raise DataError(f"{url!r} cannot be written to: {error}") from error
        self._root = self._root.rstrip("/")
        self._scratch = Scratch(self.url)

    def begin(self) -> None:
        """Makes sure that no file has this name."""
        with self._requests(""):
            if self._fs.isfile(self._root):
                raise DataError(f"{self.url!r} is a file; --out must name a folder")

    def names(self) -> set[str]:
        """The names directly below it."""
        with self._requests(""):
            try:
                return {path.rstrip("/").rpartition("/")[2] for path in self._fs.ls(self._root, detail=False)}
            except FileNotFoundError:
                return set()

    def sizes(self, folder: str) -> dict[str, int]:
        """The files anywhere under a folder."""
        with self._requests(folder):
            found = self._fs.find(self._full(folder), detail=True)
        start = len(self._full(""))
        return {path[start:]: int(info["size"]) for path, info in found.items()}

    def size(self, path: str) -> int | None:
        """The bytes of a file."""
        info = self._info(path)
        return None if info is None else int(info["size"])

    def read(self, path: str) -> bytes | None:
        """A small file."""
        with self._requests(path):
            try:
                return bytes(self._fs.cat_file(self._full(path)))
            except FileNotFoundError:
                return None

    def open(self, path: str) -> Any:
        """A file to read from; each read is a request, without a cache."""
        with self._requests(path):
            return self._fs.open(self._full(path), "rb", cache_type="none")

    def write(self, path: str, data: bytes, *, safe: bool = True) -> None:
        """Writes a small file whole."""
        with self._requests(path):
            self._make_parent(path)
            self._fs.pipe_file(self._full(path), data)

    def create(self, path: str, data: bytes) -> bool:
        """Writes a small file unless it exists; False if it does.  A store without that operation replaces the file."""
        with self._requests(path):
            self._make_parent(path)
            try:
                self._fs.pipe_file(self._full(path), data, mode="create")
            except FileExistsError:
                return False
            except (NotImplementedError, TypeError, ValueError):
                self._fs.pipe_file(self._full(path), data)
        return True

    def draft(self, path: str) -> str:
        """A file in the scratch folder."""
        return self._scratch.path(path)

    def publish(self, path: str) -> str:
        """Uploads the draft, and removes it here."""
        draft = self._scratch.path(path)
        options = {"chunksize": _PART_BYTES, "max_concurrency": _PARTS_AT_ONCE} if self._scheme in ("s3", "s3a") else {}
        with self._requests(path):
            self._make_parent(path)
            self._fs.put_file(draft, self._full(path), **options)
        info, size = self._info(path), os.path.getsize(draft)
        if info is None or info["size"] != size:
            raise OSError(f"{self.url}/{path}: {size} bytes were uploaded, but the store has {info and info['size']}")
        self._scratch.remove(path)
        return self._stamp(path, info)

    def discard(self, path: str) -> None:
        """Removes a draft or a copy."""
        self._scratch.remove(path)

    def fetch(self, path: str) -> str | None:
        """A copy in the scratch folder."""
        copy = self._scratch.path(path)
        try:
            with self._requests(path):
                self._fs.get_file(self._full(path), copy)
        except FileNotFoundError:
            self._scratch.remove(path)
            return None
        return copy

    def file_lock(self, path: str) -> AbstractContextManager[object]:
        """Holds nothing."""
        return nullcontext()

    def is_whole(self, path: str, size: int, checksum: str, stamp: str) -> bool:
        """Whether the store reports the size and identifier that it reported after the upload."""
        info = self._info(path)
        return info is not None and info["size"] == size and bool(stamp) and self._stamp(path, info) == stamp

    def remove(self, path: str, *, last: str = "") -> None:
        """Removes a file, or a folder and all in it."""
        full = self._full(path)
        with self._requests(path):
            try:
                inner = [found for found in self._fs.find(full) if found not in (full, f"{full}/{last}")]
                if inner and last:
                    self._fs.rm(inner)
                self._fs.rm(full, recursive=True)
            except FileNotFoundError:
                pass

    def lock(self, part: str, *, take_over: bool = False) -> AbstractContextManager[Callable[[], None]]:
        """Takes the lock of the place, or of a part of its build."""
        return object_lock.locked(self, part, take_over)

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _make_parent(self, path: str) -> None:
        if self._scheme not in _FLAT:
            self._fs.makedirs(self._full(path).rpartition("/")[0], exist_ok=True)

    def _info(self, path: str) -> Any:
        with self._requests(path):
            try:
                return self._fs.info(self._full(path))
            except FileNotFoundError:
                return None

    def _stamp(self, path: str, info: Any) -> str:
        for key in _STAMPS:
            if info.get(key):
                return str(info[key])
        with self._requests(path):
            return str(self._fs.checksum(self._full(path)))

    @contextmanager
    def _requests(self, path: str) -> Iterator[None]:
        """Turns errors of the store's library into an OSError that names the object."""
        try:
            yield
        except DataError:
            raise
        except Exception as error:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
            what = str(error) or type(error).__name__
            raise kind(f"{self.url}/{path}: {what}") from error
