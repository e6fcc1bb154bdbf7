r"""Batches of records with the same keys and types of values, column by column, so that many records cost few steps of Python.

::

    {"id": 7, "image": "a.jpg", "conversations": […]}        id            7, 8
    {"id": 8, "image": "b.jpg", "conversations": […]}   ──►  image         "a.jpg", "b.jpg"
                                                             conversations […], […]  ──texts──►  "What?\0A dog.", …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

_VALUE, _FROM = itemgetter("value"), itemgetter("from")
BETWEEN = "\0"
"""The separator of turns where a conversation is one text."""


class RecordBatch(NamedTuple):
    """Records with the same keys and types of values.

    Attributes:
        keys: of each record, in this order.
        kinds: the types of their values, in the same order.
        columns: key → the values of all of them.
        size: number of records.
    """

    keys: tuple[str, ...]
    kinds: tuple[type, ...]
    columns: dict[str, Sequence[Any]]
    size: int

    def rows(self, start: int, stop: int) -> RecordBatch:
        """The records from `start` to before `stop`."""
        columns = {key: column[start:stop] for key, column in self.columns.items()}
        return RecordBatch(self.keys, self.kinds, columns, stop - start)


class Conversations(NamedTuple):
    """Conversations of two speakers in turn, without blank texts.

    Attributes:
        user: who begins each.
        assistant: who answers.
        lengths: number of turns of each; even.
        texts: of all turns.
        wholes: the texts of each conversation, joined by `BETWEEN`.
        bare: no turn has a key besides ``from`` and ``value``.
    """

    user: str
    assistant: str
    lengths: list[int]
    texts: list[str]
    wholes: list[str]
    bare: bool


def record_batches(records: Sequence[dict[str, Any]]) -> list[tuple[Sequence[int], RecordBatch]]:
    """Records by their keys and the types of their values: the indices of each batch, and the batch."""
    if len(set(map(tuple, records))) == 1:
        batch = _columns(records)
        if batch is not None:
            return [(range(len(records)), batch)]
    by_keys: dict[object, list[int]] = {}
    for i, record in enumerate(records):
        by_keys.setdefault((tuple(record), tuple(map(type, record.values()))), []).append(i)
    return [(indices, batch) for indices in by_keys.values() if (batch := _columns([records[i] for i in indices]))]


def _columns(records: Sequence[dict[str, Any]]) -> RecordBatch | None:
    """The batch of records with the same keys; None where a key has values of several types."""
    columns = list(zip(*map(dict.values, records), strict=True))
    kinds = [set(map(type, column)) for column in columns]
    if any(len(kind) > 1 for kind in kinds):
        return None
    keys = tuple(records[0])
    return RecordBatch(keys, tuple(kind.pop() for kind in kinds), dict(zip(keys, columns, strict=True)), len(records))


def stretches(batch: RecordBatch) -> Iterator[tuple[int, RecordBatch, Conversations]]:
    """Consecutive records whose conversations have the same two speakers (`conversations_of`); the others are left out.

    Yields:
        The index of the first record in the batch, the records, and their conversations.
    """
    column = batch.columns.get("conversations")
    if column is None:
        return
    pending = [(0, batch.size)]
    while pending:
        start, stop = pending.pop()
        conversations = conversations_of(column[start:stop])
        if conversations is not None:
            yield start, batch if stop - start == batch.size else batch.rows(start, stop), conversations
        elif stop - start > 1:  # one record may differ from all others
            half = (start + stop) // 2
            pending += (half, stop), (start, half)


def conversations_of(conversations: Sequence[Any]) -> Conversations | None:
    """The texts of conversations; None where one is not by the same two speakers in turn, or has a blank text."""
    try:
        lengths = list(map(len, conversations))
        turns = list(chain.from_iterable(conversations))
        texts: list[str] = list(map(_VALUE, turns))
        speakers = list(map(_FROM, turns))
        kinds = set(lengths)
        if any(length % 2 or not length for length in kinds) or not all(texts) or any(map(str.isspace, texts)):
            return None
        if len(kinds) == 1:  # for example, every conversation is a question and its answer
            wholes = list(map(BETWEEN.join, zip(*[iter(texts)] * lengths[0], strict=True)))
        else:
            wholes = [BETWEEN.join(texts[start:stop]) for start, stop in pairwise(accumulate(lengths, initial=0))]
    except (KeyError, TypeError):
        return None
    user, assistant = speakers[:2]
    if not (type(user) is type(assistant) is str) or speakers != [user, assistant] * (len(speakers) // 2):
        return None
    return Conversations(user, assistant, lengths, texts, wholes, set(map(len, turns)) == {2})
