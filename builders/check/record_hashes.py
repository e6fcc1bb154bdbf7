"""Fingerprints: 64 bits of a record, equal for equal records, from which duplicates are told without keeping the records.

Two records are the same if they have the same keys in the same order and the same values.  How they are written does not
matter (blanks, escapes, JSON Lines or an array), nor does the order of ``from`` and ``value`` in a turn.  The fingerprint is of
the fingerprints of the values; conversations, which are nearly all of a record, are taken as one text and not written out as
JSON.  It hangs on the record alone, never on those beside it::

    frame (keys, types) ┐
    id           ───────┤
    image        ───────┼─ joined ──► 64 bits
    speakers     ───────┤
    texts of the turns ─┘
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash

from ..core.int_columns import Numbers
from .record_batches import Conversations, RecordBatch, conversations_of

_digest: Callable[[bytes], bytes] = xxhash.xxh3_64_digest


class Fingerprints(NamedTuple):
    """Those of records, and those of their ids; 0 for one without."""

    records: Numbers
    ids: Numbers


def fingerprints(table: RecordBatch, said: Conversations | None) -> Fingerprints:
    """The fingerprints of records of one frame.

    Args:
        table: the records.
        said: their conversations; None where they are not so.
    """
    if said is not None and not said.bare and table.size > 1:  # of some of them
        single = [table.some(i, i + 1) for i in range(table.size)]
        each = [fingerprints(one, conversations_of(one.columns["conversations"])) for one in single]
        return Fingerprints(*(np.concatenate(column) for column in zip(*each, strict=True)))
    columns: list[Iterable[bytes]] = [repeat(_frame(table.keys, table.kinds), table.size)]
    ids = bytes(8 * table.size)
    for (key, values), kind in zip(table.columns.items(), table.kinds, strict=True):
        if key == "conversations" and said is not None and said.bare:
            columns.append(_of_conversations(said))
            continue
        column = _digests(values, kind)
        columns.append(column)
        if key == "id" and kind in (str, int):
            ids = b"".join(column)
        elif key == "id" and kind is float:
            ids = b"".join(_digests(list(map(str, values)), str))
    joined = map(b"".join, zip(*columns, strict=False))
    return Fingerprints(_numbers(b"".join(map(_digest, joined))), _numbers(ids))


def fingerprint(record: dict[str, Any]) -> int:
    """The fingerprint of a record, the same as among others."""
    parts = [_frame(tuple(record), tuple(map(type, record.values())))]
    for key, value in record.items():
        said = conversations_of((value,)) if key == "conversations" else None
        parts += _of_conversations(said) if said is not None and said.bare else _digests((value,), type(value))
    return _number(_digest(b"".join(parts)))


def of_id(text: str) -> int:
    """The fingerprint of an id."""
    return _number(_digests((text,), str)[0])


@lru_cache(maxsize=1000)
def _frame(keys: tuple[str, ...], kinds: tuple[type, ...]) -> bytes:
    return _digest(repr((keys, kinds)).encode())


def _of_conversations(said: Conversations) -> list[bytes]:
    """Of who speaks and what is said, of one conversation after the other."""
    speakers = b"".join(_digests((said.user, said.assistant), str))
    return [speakers + whole for whole in _digests(said.wholes, str)]


def _digests(values: Sequence[Any], kind: type) -> list[bytes]:
    """Eight bytes of each value of a type; those of an integer are those of its digits."""
    if kind is int:
        return list(map(_digest, map(str.encode, map(str, values))))
    if kind is not str:
        return [_digest(encoded(value)) for value in values]
    try:
        return list(map(_digest, map(str.encode, values)))
    except UnicodeEncodeError:  # lone surrogates
        return [_digest(value.encode("utf-8", "surrogatepass")) for value in values]


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "little", signed=True)


def _numbers(digests: bytes) -> Numbers:
    return np.frombuffer(digests, "<i8").astype(np.int64)


def encoded(value: Any) -> bytes:
    """A parsed value as bytes, equal for equal ones; of one that is nested too deeply, bytes like no other's."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError, RecursionError):
        try:
            return json.dumps(value).encode()  # integers beyond 64 bits, lone surrogates
        except RecursionError:
            return repr(id(value)).encode()
