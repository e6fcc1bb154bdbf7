"""Files that appear whole or not at all, and survive a power cut.

The order is always the same: bytes under a temporary name, fsync; rename; fsync of the folder.  Only then may anything else
rely on the file.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

import xxhash

STATE = ".build"
"""Folder, in an output, of what a build needs to go on: plan, journals, locks.  It goes when the build ends."""


def write_whole(path: str, data: bytes) -> None:
    """Writes a file, or replaces it; whoever looks sees the old bytes or the new ones."""
    temporary = f"{path}.tmp"
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path))


def sync_folder(folder: str) -> None:
    """Makes the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: str) -> str:
    """The SHA-256 of a file's bytes, hexadecimal: what others name files by."""
    return _hexdigest(path, hashlib.sha256())


def checksum(path: str) -> str:
    """The checksum of a file's bytes (XXH3, 128 bits, hexadecimal): what journals know shards by."""
    return _hexdigest(path, xxhash.xxh3_128())


def _hexdigest(path: str, digest: Any) -> str:
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return str(digest.hexdigest())
