"""Moving: the records that are written elsewhere than where they stand, on the disk until their task takes them.

::

    OUT/.build/moved           places of all records that are moved, ascending, 8 bytes each; there only when all below is
    OUT/.build/<task>.moved    the records a task is given: their texts, then where each is and belongs (`_INDEX`), then how many

The first task of a build that is run makes them, in one or two passes over the annotations; the others wait for it.  Where no
lock can hold them back, in an object store or on a cluster, `make` is called before the first.  A kill leaves files that are made
anew.  No task reads records that are not its own, so annotations are read three times in all, however
many tasks there are.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..annotations import Block, Slice, read
from ..core.findings import Finding
from ..core.int_columns import Columns, Numbers, place, placed
from ..core.storage import STATE, Output
from .build_plan import Plan, Task
from .reorder_plan import Arrangement, Files, arrangement

_ALL = f"{STATE}/moved"
_INDEX = ("behind", "place", "offset", "size")
_BUFFERED = 32 << 20
_COUNT = struct.Struct("<q")


class Moved:
    """The records that are moved to a task, and from it."""

    def __init__(self, out: Output, plan: Plan, task: Task) -> None:
        """Opens the records moved to a task; makes the files of all tasks if nobody has.

        Args:
            out: where the build writes.
            plan: the whole plan.
            task: one of its tasks.

        Raises:
            DataError: a media root is not there any more.
            OSError: an annotation file cannot be read, or the disk is full.
        """
        self._files = Files(plan)
        make(out, plan)
        path = out.fetch(_ALL)
        assert path is not None, "it was made above"
        empty = not os.path.getsize(path)
        self._leaving: Numbers = np.zeros(0, np.int64) if empty else np.memmap(path, np.int64, "r")
        out.discard(_ALL)
        self._data = -1
        index = np.zeros((0, len(_INDEX)), np.int64)
        given = None if empty else out.fetch(_path(task.number))
        if given is not None:
            self._data = os.open(given, os.O_RDONLY | os.O_CLOEXEC)
            out.discard(_path(task.number))  # it is there until it is closed
            index = _index(self._data)
        self._behind, self._place, self._offset, self._size = index.T
        self._homes = np.unique(self._behind)

    def close(self) -> None:
        """Closes the file."""
        if self._data >= 0:
            os.close(self._data)
            self._data = -1

    def staying(self, piece: Slice, blocks: Iterable[Block], met: list[int]) -> Iterator[Block]:
        """The blocks of a slice without the records that are moved away.

        Args:
            piece: of this task.
            blocks: of the slice.
            met: gets the place of each record behind which others are to be written, when all up to it were taken.
        """
        base = place(self._files.number(piece), 0)
        for block in blocks:
            begin = base + block.row
            gone = _within(self._leaving, begin, begin + len(block.records))
            homes = _within(self._homes, begin, begin + len(block.records))
            if not len(gone) and not len(homes):
                yield block
                continue
            marks = sorted([(int(one), True) for one in gone] + [(int(one), False) for one in homes])
            at = 0
            for one, leaves in marks:
                offset = one - begin
                yield from _part(block, at, offset if leaves else offset + 1)
                if not leaves:
                    met.append(one)
                at = offset + 1
            yield from _part(block, at, None)

    def behind(self, home: int) -> Iterator[tuple[Slice, list[Block]]]:
        """The records that are written behind the one at a place: a slice of their file, and blocks of them."""
        low, high = np.searchsorted(self._behind, (home, home + 1))
        return self._read(int(low), int(high))

    def every(self) -> Iterator[tuple[Slice, list[Block]]]:
        """All records that are moved to the task, likewise."""
        return self._read(0, len(self._behind))

    def _read(self, low: int, high: int) -> Iterator[tuple[Slice, list[Block]]]:
        for number, entries in groupby(range(low, high), lambda entry: placed(int(self._place[entry]))[0]):
            yield self._files.first_slice(number), [self._block(entry) for entry in entries]

    def _block(self, entry: int) -> Block:
        text = os.pread(self._data, int(self._size[entry]), int(self._offset[entry]))
        record, findings = decoded(text)
        return Block(placed(int(self._place[entry]))[1], [record], findings, {})


def make(out: Output, plan: Plan) -> None:
    """Makes the files of all tasks, unless they are there.

    Raises:
        DataError: a media root is not there any more.
        OSError: an annotation file cannot be read, or the disk is full.
    """
    if out.size(_ALL) is not None:
        return
    with out.alone(_ALL):
        if out.size(_ALL) is not None:
            return
        files = Files(plan)
        found = arrangement(plan, files)
        if len(found.places):
            _write(out, plan, files, found)
        out.write(_ALL, found.places.tobytes())


def _write(out: Output, plan: Plan, files: Files, moved: Arrangement) -> None:
    """Writes the records that are moved to the files of their tasks."""
    drafts: dict[int, str] = {}
    buffers: dict[int, bytearray] = {}
    sizes: dict[int, int] = {}
    index = Columns("task", *_INDEX)
    waiting = 0
    for piece in (piece for task in plan.tasks for piece in task.slices):
        base = place(files.number(piece), 0)
        for block in read(piece):
            begin = base + block.row
            low, high = np.searchsorted(moved.places, (begin, begin + len(block.records)))
            for entry in range(low, high):
                at, task = int(moved.places[entry]), int(moved.tasks[entry])
                row = at - base
                text = encoded(block.records[at - begin], [one for one in block.findings if one.row == row])
                index.add(task, int(moved.behind[entry]), at, sizes.get(task, 0), len(text))
                if task not in drafts:
                    drafts[task] = out.draft(_path(task))
                buffers.setdefault(task, bytearray()).extend(text)
                sizes[task] = sizes.get(task, 0) + len(text)
                waiting += len(text)
            if waiting >= _BUFFERED:
                _append(drafts, buffers)
                waiting = 0
    _append(drafts, buffers)
    tasks = index["task"]
    order = np.lexsort((index["place"], index["behind"], tasks))
    columns = np.stack([index[name][order] for name in _INDEX], 1)
    for number in sizes:
        low, high = np.searchsorted(tasks[order], (number, number + 1))
        end = {number: bytearray(columns[low:high].tobytes() + _COUNT.pack(high - low))}
        _append(drafts, end, fsync=out.fsync)
        out.publish(_path(number))


def _append(drafts: Mapping[int, str], buffers: dict[int, bytearray], fsync: bool = False) -> None:
    """Appends what is waiting, and lets go of it."""
    for number, data in buffers.items():
        with open(drafts[number], "ab") as file:
            file.write(data)
            if fsync:
                file.flush()
                os.fsync(file.fileno())
    buffers.clear()


def _index(file: int) -> NDArray[np.int64]:
    """The index at the end of a task's file."""
    end = os.fstat(file).st_size - _COUNT.size
    (count,) = _COUNT.unpack(os.pread(file, _COUNT.size, end))
    width = 8 * len(_INDEX)
    text = os.pread(file, count * width, end - count * width)
    return np.frombuffer(text, np.int64).reshape(count, len(_INDEX))


def encoded(record: dict[str, Any], findings: list[Finding]) -> bytes:
    """A record and what reading it has found, so that `decoded` gives exactly that."""
    try:
        return b"M" + msgspec.msgpack.encode((record, findings))
    except (
        msgspec.MsgspecError,
        OverflowError,
        UnicodeError,
        ValueError,
    ):  # integers of any size, halves of surrogates
        return b"J" + json.dumps([record, msgspec.to_builtins(findings)]).encode()


def decoded(text: bytes) -> tuple[dict[str, Any], list[Finding]]:
    """The inverse of `encoded`."""
    if text[:1] == b"M":
        return msgspec.msgpack.decode(memoryview(text)[1:], type=tuple[dict[str, Any], list[Finding]])
    record, findings = json.loads(text[1:])
    return record, msgspec.convert(findings, list[Finding])


def _within(places: Numbers, begin: int, end: int) -> Numbers:
    low, high = np.searchsorted(places, (begin, end))
    return places[low:high]


def _part(block: Block, first: int, stop: int | None) -> Iterator[Block]:
    """Some records of a block, with what was found of them; without a stop with all that is said of no record, too."""
    records = block.records[first:stop]
    begin, end = block.row + first, block.row + first + len(records)
    last = block.row + len(block.records)
    findings = [
        one for one in block.findings if begin <= one.row < end or (stop is None and not block.row <= one.row < last)
    ]
    if records or findings:
        yield Block(begin, records, findings, block.raw if stop is None else {})


def _path(task: int) -> str:
    return f"{STATE}/{task:05d}.moved"
