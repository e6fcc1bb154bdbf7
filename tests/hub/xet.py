"""The two formats of Xet that an upload sends: shards (which chunks make a file) and xorbs (the chunks)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_END = b"\xff" * 32


class Term(NamedTuple):
    """Consecutive chunks of one xorb: its hash, their unpacked bytes, the first chunk and the one after the last."""

    xorb: str
    size: int
    start: int
    stop: int


class Chunk(NamedTuple):
    """A chunk in a xorb: start of its header, end of its payload, compression scheme, unpacked bytes."""

    start: int
    stop: int
    scheme: int
    size: int


def as_hex(raw: bytes) -> str:
    """A hash as it is printed: four little-endian 64-bit words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def files_of_shard(shard: bytes) -> Iterator[tuple[str, str | None, list[Term]]]:
    """The files that a shard describes: Xet hash, SHA-256 if there is one, terms."""
    if not shard.startswith(b"HFRepoMetaData\0"):
        raise ValueError("not a shard")
    at = 48
    while True:
        raw, flags, count, _ = struct.unpack_from("<32sIIQ", shard, at)
        at += 48
        if raw == _END:
            return
        terms = []
        for _ in range(count):
            xorb, _, size, start, stop = struct.unpack_from("<32sIIII", shard, at)
            terms.append(Term(as_hex(xorb), size, start, stop))
            at += 48
        if flags & 1 << 31:
            at += 48 * count
        sha256 = None
        if flags & 1 << 30:
            sha256 = as_hex(shard[at : at + 32])
            at += 48
        yield as_hex(raw), sha256, terms


def chunks_of_xorb(xorb: bytes) -> list[Chunk]:
    chunks, at = [], 0
    while at + 8 <= len(xorb) and not xorb.startswith(b"XETBLOB", at):
        packed, size = (int.from_bytes(xorb[at + i : at + i + 3], "little") for i in (1, 5))
        chunks.append(Chunk(at, at + 8 + packed, xorb[at + 4], size))
        at += 8 + packed
    return chunks


def unpacked(payload: bytes, scheme: int, size: int) -> bytes:
    """A chunk's bytes: stored (0), in an LZ4 frame (1), or in one of bytes grouped by their position in four (2)."""
    if scheme == 0:
        return payload
    import pyarrow as pa

    data: bytes = pa.decompress(payload, decompressed_size=size, codec="lz4", asbytes=True)
    if scheme == 2:
        sorted_, at = bytearray(size), 0
        for place in range(4):
            count = (size - place + 3) // 4
            sorted_[place::4] = data[at : at + count]
            at += count
        data = bytes(sorted_)
    return data
