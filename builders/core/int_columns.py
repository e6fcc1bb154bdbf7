"""Columns of integers: facts about millions of records in a few bytes each.

Checks across records (equal ids, equal records, records that refer to a broken file) need some facts of every record.  They are
held as 64-bit numbers in growing arrays: a text as a hash (`hashed`), a record's place as one number (`place`).  Among 10
million texts two share such a hash once in 370,000 datasets.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import sha1

import numpy as np
import xxhash
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_ROW_BITS = 40
_ROW_MASK = (1 << _ROW_BITS) - 1


def place(file: int, row: int) -> int:
    """One number for a record: the index of its file and its ordinal; in the order of reading."""
    return file << _ROW_BITS | row


def placed(number: int) -> tuple[int, int]:
    """The inverse of `place`."""
    return number >> _ROW_BITS, number & _ROW_MASK


def hashed(data: bytes) -> int:
    """64 bits, signed, that are the same in every process; an attacker can construct texts with equal hashes."""
    return int.from_bytes(xxhash.xxh3_64_digest(data), "little", signed=True)


def digested(data: bytes) -> int:
    """As `hashed`, but slower and hard to attack: the first 8 bytes of the SHA-1."""
    return int.from_bytes(sha1(data, usedforsecurity=False).digest()[:8], "little", signed=True)


class Columns:
    """Named columns of 64-bit numbers, all of one length."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self._columns = tuple(array("q") for _ in names)

    def add(self, *row: int) -> None:
        """Adds a row: one number for each name."""
        for column, number in zip(self._columns, row, strict=True):
            column.append(number)

    def extend(self, other: Columns) -> None:
        """Adds the rows of other columns with the same names."""
        for column, more in zip(self._columns, other._columns, strict=True):
            column.extend(more)

    def append(self, *columns: Numbers) -> None:
        """Adds rows given as whole columns, one for each name."""
        for column, more in zip(self._columns, columns, strict=True):
            column.frombytes(np.ascontiguousarray(more, dtype=np.int64).tobytes())

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, name: str) -> Numbers:
        """A column, as it is now."""
        return np.frombuffer(self._columns[self.names.index(name)].tobytes(), dtype=np.int64)


def repeats(values: Numbers) -> tuple[Numbers, Numbers]:
    """Where values are repeated.

    Returns:
        The indices of all but the first of each group of equal values, ascending, and for each the index of that first.
    """
    ordered = np.sort(values)
    # no repeats is the usual case, and sorting values is ten times as fast as sorting indices
    if not np.any(ordered[1:] == ordered[:-1]):
        none = np.empty(0, np.int64)
        return none, none
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    new = np.ones(len(ordered), dtype=bool)
    new[1:] = ordered[1:] != ordered[:-1]
    firsts = order[np.maximum.accumulate(np.where(new, np.arange(len(ordered)), 0))]
    again, first = order[~new], firsts[~new]
    ascending = np.argsort(again)
    return again[ascending].astype(np.int64), first[ascending].astype(np.int64)


def members(values: Iterable[int] | Numbers, among: Numbers) -> NDArray[np.bool_]:
    """For each value whether it is in `among`, which must be sorted."""
    numbers = values if isinstance(values, np.ndarray) else np.fromiter(values, dtype=np.int64)
    if not len(among):
        return np.zeros(len(numbers), dtype=bool)
    at = np.minimum(np.searchsorted(among, numbers), len(among) - 1)
    return np.asarray(among[at] == numbers)
