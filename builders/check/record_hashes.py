"""Fingerprints: 64 bits of a record, equal for equal records, which show duplicates without keeping the records.

Two records are the same if they have the same keys in the same order and the same values.  How they are written does not
matter (blanks, escapes, JSON Lines or an array), nor does the order of ``from`` and ``value`` in a turn.  The fingerprint of a
record is made of those of its values.  Conversations, which are nearly all of a record, are hashed as one text, not as JSON.  The
fingerprint depends on the record alone, never on its neighbours::

    keys, types ────────┐
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
    """The fingerprints of records, and of their ids; 0 for a record without an id."""

    records: Numbers
    ids: Numbers


def fingerprints(batch: RecordBatch, conversations: Conversations | None) -> Fingerprints:
    """The fingerprints of a batch of records.

    Args:
        batch: the records.
        conversations: of the records; None where they are not as `conversations_of` needs them.
    """
    if conversations is not None and not conversations.bare and batch.size > 1:  # some turns have other keys
        single = [batch.rows(i, i + 1) for i in range(batch.size)]
        each = [fingerprints(record, conversations_of(record.columns["conversations"])) for record in single]
        return Fingerprints(*(np.concatenate(column) for column in zip(*each, strict=True)))
    columns: list[Iterable[bytes]] = [repeat(_hash_of_keys(batch.keys, batch.kinds), batch.size)]
    ids = bytes(8 * batch.size)
    for (key, values), kind in zip(batch.columns.items(), batch.kinds, strict=True):
        if key == "conversations" and conversations is not None and conversations.bare:
            columns.append(_of_conversations(conversations))
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
    """The fingerprint of a record, the same as in a batch."""
    parts = [_hash_of_keys(tuple(record), tuple(map(type, record.values())))]
    for key, value in record.items():
        conversations = conversations_of((value,)) if key == "conversations" else None
        parts += (
            _of_conversations(conversations)
            if conversations is not None and conversations.bare
            else _digests((value,), type(value))
        )
    return _number(_digest(b"".join(parts)))


def of_id(text: str) -> int:
    """The fingerprint of an id."""
    return _number(_digests((text,), str)[0])


@lru_cache(maxsize=1000)
def _hash_of_keys(keys: tuple[str, ...], kinds: tuple[type, ...]) -> bytes:
    return _digest(repr((keys, kinds)).encode())


def _of_conversations(conversations: Conversations) -> list[bytes]:
    """The bytes of the speakers and texts of each conversation."""
    speakers = b"".join(_digests((conversations.user, conversations.assistant), str))
    return [speakers + whole for whole in _digests(conversations.wholes, str)]


def _digests(values: Sequence[Any], kind: type) -> list[bytes]:
    """Eight bytes for each value of a type; an integer has those of its digits."""
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
    """A parsed value as bytes, equal for equal values; unlike all others for a value nested too deeply."""
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError, RecursionError):
        try:
            return json.dumps(value).encode()  # integers beyond 64 bits, lone surrogates
        except RecursionError:
            return repr(id(value)).encode()
