"""The rows of a task: in the order of the records, or in the order of the archives their media lie in.

A compressed archive is fast to read only from its start to its end.  So a row whose lead medium (`lead_media`) is a member of one
is left to a task that reads that archive once.  The other media of the row, perhaps from another archive, are read at random.

::

    records   a  b  c  d  e …            x.tar.gz   …  d.mp4 … a.mp4 … c.mp4 …
    task of the records:  b  e  …        task of the archive:  d  a  c …

Records that share their lead medium with an earlier record are written directly after it (`reorder_plan`, `reorder_spill`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..annotations import read
from ..core.counts import Counts
from ..core.findings import Finding, finding
from ..core.storage import Output
from ..media.archives import Archive, read_through
from ..media.items import InMemoryItem, Item, Media
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Reject, Row, rows
from .build_plan import Plan, Task
from .lead_media import lead
from .progress import TaskProgress
from .reorder_spill import ReorderedRecords


def rows_of(plan: Plan, task: Task, out: Output, progress: TaskProgress) -> Iterator[Row | Reject]:
    """The rows that a task writes, and those of its records that are rejected.

    Args:
        plan: the whole plan.
        task: the task.
        out: where the build writes.
        progress: follows the reading.  Its total counts the outcomes of the records that the task writes.
    """
    reordered = ReorderedRecords(out, plan, task)
    try:
        yield from (_in_archive_order if task.archives else _in_order)(plan, task, reordered, progress)
    finally:
        reordered.close()


def _in_order(plan: Plan, task: Task, reordered: ReorderedRecords, progress: TaskProgress) -> Iterator[Row | Reject]:
    rewriters = Rewriters(plan.options)

    def rows_after(anchors: list[int]) -> Iterator[Row | Reject]:
        """The rows that are written after records that were read; forgets those records."""
        while anchors:
            for slice_, blocks in reordered.after(anchors.pop(0)):
                counts = Counts()
                yield from rows(slice_, plan.options, counts, rewriters.of(slice_), blocks)
                progress.total.add(counts)

    for slice_ in task.slices:
        counts = Counts()
        anchors: list[int] = []
        progress.begin_slice(slice_, counts)
        blocks = reordered.in_place(slice_, progress.follow(read(slice_)), anchors)
        for row in rows(slice_, plan.options, counts, rewriters.of(slice_), blocks):
            yield from rows_after(anchors)
            yield row
        yield from rows_after(anchors)
        progress.end_slice(slice_)


def _in_archive_order(
    plan: Plan, task: Task, reordered: ReorderedRecords, progress: TaskProgress
) -> Iterator[Row | Reject]:
    rewriters = Rewriters(plan.options)
    passes = frozenset(task.archives)
    waiting: dict[Archive, dict[int, list[Row]]] = {archive: {} for archive in task.archives}
    total = progress.total
    for slice_, blocks in reordered.all():
        counts = Counts()
        for row in rows(slice_, plan.options, counts, rewriters.of(slice_), blocks):
            item = None if isinstance(row, Reject) else lead(row.media, passes)
            if isinstance(row, Reject) or item is None or item.archive not in passes:
                yield row
            else:
                waiting[item.archive].setdefault(item.start, []).append(row)
        total.add(counts)
    progress.expect_rows(sum(len(some) for by_start in waiting.values() for some in by_start.values()))
    for archive, by_start in waiting.items():
        if not by_start:
            continue
        for found in read_through(archive, frozenset(by_start)):
            if isinstance(found, Finding):
                continue  # reported when the archive was listed; its rows are rejected below
            member, data = found
            for row in by_start.pop(member.start, ()):
                yield _with(row, archive, member.start, data)
        for left in by_start.values():
            for row in left:
                unreadable = finding("media-unreadable", f"{archive}: the member could not be read").placed(
                    row.file, row.row
                )
                total.written[row.mix] = total.written.get(row.mix, 0) - 1
                total.rejected += 1
                total.note([unreadable])
                yield Reject(row.format, row.file, row.row, [*row.findings, unreadable], row.record)


def _with(row: Row, archive: Archive, start: int, data: bytes) -> Row:
    """The row with the bytes of a member in place of the item that refers to it."""

    def replaced(items: Sequence[Item]) -> list[Item]:
        return [
            InMemoryItem(item.name, len(data), data, item.path, item.start, item.whole)  # type: ignore[misc]
            if item.archive == archive and item.start == start
            else item
            for item in items
        ]

    media = row.media
    frames: list[Sequence[Item]] = [replaced(items) for items in media.frames]
    return row._replace(
        media=Media(
            replaced(media.images), replaced(media.videos), frames, replaced(media.audios), replaced(media.audio_q)
        )
    )
