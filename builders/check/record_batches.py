r"""Transposed: records with the same keys and types of values, column by column, so that many cost few steps of Python.

::

    {"id": 7, "image": "a.jpg", "conversations": […]}        id            7, 8
    {"id": 8, "image": "b.jpg", "conversations": […]}   ──►  image         "a.jpg", "b.jpg"
                                                             conversations […], […]  ──spoken──►  "What?\0A dog.", …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

_VALUE, _FROM = itemgetter("value"), itemgetter("from")
BETWEEN = "\0"
"""What stands between the turns of a conversation that is one text."""


class RecordBatch(NamedTuple):
    """Records of one frame.

    Attributes:
        keys: of each of them, in this order.
        kinds: the types of their values, in the same order.
        columns: key → the values of all of them.
        size: how many they are.
    """

    keys: tuple[str, ...]
    kinds: tuple[type, ...]
    columns: dict[str, Sequence[Any]]
    size: int

    def some(self, start: int, stop: int) -> RecordBatch:
        """Those from one to before another."""
        columns = {key: column[start:stop] for key, column in self.columns.items()}
        return RecordBatch(self.keys, self.kinds, columns, stop - start)


class Conversations(NamedTuple):
    """Conversations that are texts by two speakers in turn, none of them blank.

    Attributes:
        user: who begins each of them.
        assistant: who answers.
        lengths: how many turns each has; even.
        texts: of all turns.
        wholes: the texts of each conversation with `BETWEEN` in between.
        bare: no turn says anything besides.
    """

    user: str
    assistant: str
    lengths: list[int]
    texts: list[str]
    wholes: list[str]
    bare: bool


def record_batches(records: Sequence[dict[str, Any]]) -> list[tuple[Sequence[int], RecordBatch]]:
    """Records by their keys and the types of their values: the indices of those alike, and their columns."""
    if len(set(map(tuple, records))) == 1:
        one = _columns(records)
        if one is not None:
            return [(range(len(records)), one)]
    frames: dict[object, list[int]] = {}
    for i, record in enumerate(records):
        frames.setdefault((tuple(record), tuple(map(type, record.values()))), []).append(i)
    return [(indices, table) for indices in frames.values() if (table := _columns([records[i] for i in indices]))]


def _columns(records: Sequence[dict[str, Any]]) -> RecordBatch | None:
    """The columns of records with the same keys; None where a key has values of several types."""
    columns = list(zip(*map(dict.values, records), strict=True))
    kinds = [set(map(type, column)) for column in columns]
    if any(len(kind) > 1 for kind in kinds):
        return None
    keys = tuple(records[0])
    return RecordBatch(keys, tuple(kind.pop() for kind in kinds), dict(zip(keys, columns, strict=True)), len(records))


def stretches(table: RecordBatch) -> Iterator[tuple[int, RecordBatch, Conversations]]:
    """Records that follow each other and whose conversations are `spoken` by the same two; the others are left out.

    Yields:
        The number of the first of them in the table, they, and their conversations.
    """
    conversations = table.columns.get("conversations")
    if conversations is None:
        return
    waiting = [(0, table.size)]
    while waiting:
        start, stop = waiting.pop()
        said = conversations_of(conversations[start:stop])
        if said is not None:
            yield start, table if stop - start == table.size else table.some(start, stop), said
        elif stop - start > 1:  # one of them spoils it for the others
            half = (start + stop) // 2
            waiting += (half, stop), (start, half)


def conversations_of(conversations: Sequence[Any]) -> Conversations | None:
    """What is said in conversations; None where one of them is not by the same two speakers in turn, or a text is blank."""
    try:
        lengths = list(map(len, conversations))
        turns = list(chain.from_iterable(conversations))
        texts: list[str] = list(map(_VALUE, turns))
        speakers = list(map(_FROM, turns))
        kinds = set(lengths)
        if any(length % 2 or not length for length in kinds) or not all(texts) or any(map(str.isspace, texts)):
            return None
        if len(kinds) == 1:  # as where every conversation is a question and its answer
            wholes = list(map(BETWEEN.join, zip(*[iter(texts)] * lengths[0], strict=True)))
        else:
            wholes = [BETWEEN.join(texts[start:stop]) for start, stop in pairwise(accumulate(lengths, initial=0))]
    except (KeyError, TypeError):
        return None
    user, assistant = speakers[:2]
    if not (type(user) is type(assistant) is str) or speakers != [user, assistant] * (len(speakers) // 2):
        return None
    return Conversations(user, assistant, lengths, texts, wholes, set(map(len, turns)) == {2})
