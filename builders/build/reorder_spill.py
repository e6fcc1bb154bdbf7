"""The reordered records of a build (`reorder_plan`), on the disk until their task writes them.

::

    OUT/.build/moved           places of all reordered records, ascending, 8 bytes each; written after all files below
    OUT/.build/<task>.moved    the records of a task: their texts, then an index (`_INDEX`), then their number

The first task that runs writes these files, in one or two passes over the annotations, while the other tasks wait.  In an
object store or on a cluster there is no lock to wait for, and `make` is called before the first task.  After a kill the files
are written again.  No task reads the records of another, so annotations are read three times in all, whatever the number of
tasks.
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
from .reorder_plan import AnnotationFiles, ReorderPlan, reorder_plan

_ALL = f"{STATE}/moved"
_INDEX = ("anchor", "place", "offset", "size")
_BUFFERED = 32 << 20
_COUNT = struct.Struct("<q")


class ReorderedRecords:
    """The reordered records that a task writes, and those that it leaves to others."""

    def __init__(self, out: Output, plan: Plan, task: Task) -> None:
        """Opens the records of a task; writes the files of all tasks if they do not exist.

        Args:
            out: where the build writes.
            plan: the whole plan.
            task: one of its tasks.

        Raises:
            DataError: a media root no longer exists.
            OSError: an annotation file cannot be read, or the disk is full.
        """
        self._files = AnnotationFiles(plan)
        make(out, plan)
        path = out.fetch(_ALL)
        assert path is not None, "make has written it"
        empty = not os.path.getsize(path)
        self._places: Numbers = np.zeros(0, np.int64) if empty else np.memmap(path, np.int64, "r")
        out.discard(_ALL)
        self._data = -1
        index = np.zeros((0, len(_INDEX)), np.int64)
        path = None if empty else out.fetch(_path(task.number))
        if path is not None:
            self._data = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            out.discard(_path(task.number))  # its bytes stay until it is closed
            index = _index(self._data)
        self._anchor, self._place, self._offset, self._size = index.T
        self._anchors = np.unique(self._anchor)

    def close(self) -> None:
        """Closes the file."""
        if self._data >= 0:
            os.close(self._data)
            self._data = -1

    def in_place(self, slice_: Slice, blocks: Iterable[Block], anchors: list[int]) -> Iterator[Block]:
        """The blocks of a slice without the reordered records.

        Args:
            slice_: of this task.
            blocks: of the slice.
            anchors: receives the place of each record after which others are written, once all records up to it are taken.
        """
        base = place(self._files.number(slice_), 0)
        for block in blocks:
            begin = base + block.row
            reordered = _within(self._places, begin, begin + len(block.records))
            anchored = _within(self._anchors, begin, begin + len(block.records))
            if not len(reordered) and not len(anchored):
                yield block
                continue
            cuts = sorted([(int(at), True) for at in reordered] + [(int(at), False) for at in anchored])
            start = 0
            for at, is_reordered in cuts:
                offset = at - begin
                yield from _part(block, start, offset if is_reordered else offset + 1)
                if not is_reordered:
                    anchors.append(at)
                start = offset + 1
            yield from _part(block, start, None)

    def after(self, anchor: int) -> Iterator[tuple[Slice, list[Block]]]:
        """The records that are written after the one at a place: a slice of their file, and blocks of them."""
        low, high = np.searchsorted(self._anchor, (anchor, anchor + 1))
        return self._read(int(low), int(high))

    def all(self) -> Iterator[tuple[Slice, list[Block]]]:
        """All reordered records that the task writes, in the same form."""
        return self._read(0, len(self._anchor))

    def _read(self, low: int, high: int) -> Iterator[tuple[Slice, list[Block]]]:
        for number, entries in groupby(range(low, high), lambda entry: placed(int(self._place[entry]))[0]):
            yield self._files.first_slice(number), [self._block(entry) for entry in entries]

    def _block(self, entry: int) -> Block:
        text = os.pread(self._data, int(self._size[entry]), int(self._offset[entry]))
        record, findings = decoded(text)
        return Block(placed(int(self._place[entry]))[1], [record], findings, {})


def make(out: Output, plan: Plan) -> None:
    """Writes the files of all tasks, unless they exist.

    Raises:
        DataError: a media root no longer exists.
        OSError: an annotation file cannot be read, or the disk is full.
    """
    if out.size(_ALL) is not None:
        return
    with out.file_lock(_ALL):
        if out.size(_ALL) is not None:
            return
        files = AnnotationFiles(plan)
        found = reorder_plan(plan, files)
        if len(found.places):
            _write(out, plan, files, found)
        out.write(_ALL, found.places.tobytes())


def _write(out: Output, plan: Plan, files: AnnotationFiles, found: ReorderPlan) -> None:
    """Writes the reordered records to the files of their tasks."""
    drafts: dict[int, str] = {}
    buffers: dict[int, bytearray] = {}
    sizes: dict[int, int] = {}
    index = Columns("task", *_INDEX)
    buffered = 0
    for slice_ in (slice_ for task in plan.tasks for slice_ in task.slices):
        base = place(files.number(slice_), 0)
        for block in read(slice_):
            begin = base + block.row
            low, high = np.searchsorted(found.places, (begin, begin + len(block.records)))
            for entry in range(low, high):
                at, task = int(found.places[entry]), int(found.tasks[entry])
                row = at - base
                text = encoded(block.records[at - begin], [finding for finding in block.findings if finding.row == row])
                index.add(task, int(found.anchors[entry]), at, sizes.get(task, 0), len(text))
                if task not in drafts:
                    drafts[task] = out.draft(_path(task))
                buffers.setdefault(task, bytearray()).extend(text)
                sizes[task] = sizes.get(task, 0) + len(text)
                buffered += len(text)
            if buffered >= _BUFFERED:
                _append(drafts, buffers)
                buffered = 0
    _append(drafts, buffers)
    tasks = index["task"]
    order = np.lexsort((index["place"], index["anchor"], tasks))
    columns = np.stack([index[name][order] for name in _INDEX], 1)
    for number in sizes:
        low, high = np.searchsorted(tasks[order], (number, number + 1))
        tail = {number: bytearray(columns[low:high].tobytes() + _COUNT.pack(high - low))}
        _append(drafts, tail, fsync=out.fsync)
        out.publish(_path(number))


def _append(drafts: Mapping[int, str], buffers: dict[int, bytearray], fsync: bool = False) -> None:
    """Appends the buffers to their files, and clears them."""
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
    """A record and its findings as bytes, of which `decoded` gives exactly the same."""
    try:
        return b"M" + msgspec.msgpack.encode((record, findings))
    except (msgspec.MsgspecError, OverflowError, ValueError):  # an integer beyond 64 bits, half of a surrogate pair
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
    """Some records of a block with their findings; without a stop also the findings that belong to no record."""
    records = block.records[first:stop]
    begin, end = block.row + first, block.row + first + len(records)
    last = block.row + len(block.records)
    findings = [
        finding
        for finding in block.findings
        if begin <= finding.row < end or (stop is None and not block.row <= finding.row < last)
    ]
    if records or findings:
        yield Block(begin, records, findings, block.raw if stop is None else {})


def _path(task: int) -> str:
    return f"{STATE}/{task:05d}.moved"
