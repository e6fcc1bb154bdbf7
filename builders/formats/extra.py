"""What a record says beyond the columns, kept so that ``write(read(record)) == record``.

Each format can say which keys of a record follow from a sample's columns alone (its `columns` function).  `keep`
compares that with the record itself: every key that is missing there, or has another value, goes verbatim into
``extra``; so the round trip holds by construction, for any record.

::

    record                 {"id": 7, "image": "/mnt/a.jpg", "conversations": […], "score": 0.5}
    columns(sample)        {"id": "7",                      "conversations": […]}
    extra = keep(…)        {"id": 7, "image": "/mnt/a.jpg",                       "score": 0.5}
    restore(columns, extra) == record, key order included

The one key of ``extra`` that is ours is `NOTES`; it appears only where needed.  A format names the order its keys
usually have, so that the order is noted for unusual records only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ..core.sample import NOTES, notes_of

_ORDER = "keys"
_ABSENT = "absent"
_ESCAPED = "escaped"


def same(a: object, b: object) -> bool:
    """Whether two parsed JSON values are written alike: key order and number types (1, 1.0, true) count.

    In doubt (a value too deeply nested to compare) the answer is no.
    """
    if a is b:
        return True
    try:
        # `==` goes first: it is cheap, and it alone distinguishes null from NaN, which msgspec both writes as null.
        if a != b:
            return False
        return isinstance(a, str) or msgspec.json.encode(a) == msgspec.json.encode(b)
    except RecursionError:
        return False
    except (msgspec.MsgspecError, OverflowError, TypeError, ValueError):
        return json.dumps(a) == json.dumps(b)  # integers beyond 64 bits, lone surrogates


def keep(
    record: Mapping[str, Any],
    columns: Mapping[str, Any],
    notes: Mapping[str, Any] | None = None,
    order: Sequence[str] = (),
) -> dict[str, Any]:
    """The ``extra`` of a record.

    Args:
        record: the record as parsed.
        columns: the keys that follow from the sample's columns alone.
        notes: what the format's `columns` function needs besides; stored under `NOTES` where not empty.
        order: the usual order of the format's keys; those it does not name follow it, `columns` first.

    Returns:
        The keys of `record` that `columns` does not give back, in the record's order, and the notes.
    """
    extra = {key: value for key, value in record.items() if key not in columns or not same(columns[key], value)}
    own = dict(notes) if notes else {}
    keys = list(record)
    merged = {**columns, **extra}
    if NOTES in extra:
        own[_ESCAPED] = extra.pop(NOTES)
        merged[NOTES] = merged.pop(NOTES)  # where `restore` puts it
    if len(merged) != len(keys):
        own[_ABSENT] = [key for key in columns if key not in record]
        merged = {key: None for key in merged if key in record}
    if _ordered(merged, order) != keys:
        own[_ORDER] = keys
    if own:
        extra[NOTES] = own
    return extra


def keep_usual(
    record: Mapping[str, Any],
    exact: tuple[str, ...],
    texts: tuple[str, ...],
    order: tuple[str, ...],
    notes: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """What `keep` gives, for columns that are known to agree with the record.

    Args:
        record: the record as parsed.
        exact: keys whose very values the columns give back.
        texts: keys whose values they give back if these are texts.  All keys of the columns are in the record.
        order: the usual order, which names all keys of the columns.
        notes: as of `keep`.

    Returns:
        None where the keys are not in order, so that `keep` has to note it.
    """
    given = [key for key in texts if type(record.get(key)) is str]
    left = _left(tuple(record), (*exact, *given), order)
    if left is None:
        return None
    extra = {key: record[key] for key in left}
    if notes:
        extra[NOTES] = dict(notes)
    return extra


@lru_cache(maxsize=4096)
def _left(keys: tuple[str, ...], exact: tuple[str, ...], order: tuple[str, ...]) -> tuple[str, ...] | None:
    """Of a record's keys those that are kept; None where they are not in the usual order, or `NOTES` is among them."""
    if NOTES in keys or tuple(_ordered(dict.fromkeys(keys), order)) != keys:
        return None
    return tuple(key for key in keys if key not in exact)


def restore(columns: Mapping[str, Any], extra: Mapping[str, Any], order: Sequence[str] = ()) -> dict[str, Any]:
    """The record again: the inverse of `keep`, given the same columns and the same usual order.

    Given other columns (a record read as one format and written as another), all of them are there.
    """
    merged = {**columns, **extra}
    own = notes_of(extra)
    merged.pop(NOTES, None)
    if _ESCAPED in own:
        merged[NOTES] = own[_ESCAPED]
    for key in own.get(_ABSENT, ()):
        if key not in extra:
            merged.pop(key, None)
    return {key: merged[key] for key in _ordered(merged, own.get(_ORDER, order))}


def _ordered(keys: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """The keys, those that `order` names first and in that order."""
    named = set(order)
    return [key for key in order if key in keys] + [key for key in keys if key not in named]
