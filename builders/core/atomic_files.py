"""Files that appear whole or not at all, and survive a power cut where that is asked for.

The order is always the same: bytes under a temporary name in the same folder, fsync; rename; fsync of the folder.  Only then may
anything else rely on the file.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO


def temporary_name(path: str) -> str:
    """A unique name beside a path, for one process and thread; never longer than a file system allows."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name[:40]}.{uuid.uuid4().hex[:12]}.tmp")


@contextmanager
def atomic_path(path: str, *, temporary: str | None = None) -> Iterator[str]:
    """The temporary path to write a file under; when the context ends it is renamed, and on an error it is removed.

    Args:
        path: of the file; one that is there is replaced.
        temporary: the temporary path, in the folder of `path`.  Where one process at a time writes the file, a fixed path makes
            the next process overwrite what a killed one has left.  None for a unique path.
    """
    temporary = temporary or temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise


@contextmanager
def atomic_file(path: str, *, temporary: str | None = None, fsync: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which appears under its name when the context ends without an error.

    Args:
        path: of the file; one that is there is replaced.
        temporary: see `atomic_path`.
        fsync: wait until the bytes are on the disk before the file is renamed, so that a power cut leaves the old file or the
            new one, and not an empty one.
    """
    with atomic_path(path, temporary=temporary) as writing, open(writing, "wb") as file:
        yield file
        file.flush()
        if fsync:
            os.fsync(file.fileno())


def write_file(path: str, data: bytes, *, temporary: str | None = None, fsync: bool = True) -> None:
    """Writes a file whole, or replaces it; a reader sees the old bytes or the new ones.  See `atomic_file`."""
    with atomic_file(path, temporary=temporary, fsync=fsync) as file:
        file.write(data)


def sync_folder(folder: str) -> None:
    """Makes the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
