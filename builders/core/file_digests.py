"""Digests of files."""

from __future__ import annotations

import hashlib
from typing import Any

import xxhash


def sha256(path: str) -> str:
    """The SHA-256 of a file's bytes, hexadecimal: what others name files by."""
    return hexdigest(path, hashlib.sha256())


def checksum(path: str) -> str:
    """The checksum of a file's bytes (XXH3, 128 bits, hexadecimal): what journals know shards by."""
    return hexdigest(path, xxhash.xxh3_128())


def hexdigest(path: str, digest: Any) -> str:
    """The digest of a file's bytes, hexadecimal, by a hash object that may have begun with other bytes."""
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return str(digest.hexdigest())
