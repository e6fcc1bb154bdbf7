"""The rows of a task: in the order of the records, or in the order of the archives their media lie in.

A compressed archive can be read fast only from its start to its end.  So a row that one of its members leads (`lead_media`)
is left to a task that goes through that archive once.  Other media of the row, from another archive say, are read at random.

::

    records   a  b  c  d  e …            x.tar.gz   …  d.mp4 … a.mp4 … c.mp4 …
    task of the records:  b  e  …        task of the archive:  d  a  c …

Records that share their lead with one before them are written behind it (`reorder_plan`, `reorder_spill`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..annotations import read
from ..core.counts import Counts
from ..core.findings import Finding, finding
from ..core.storage import Output
from ..media.archives import Archive, read_through
from ..media.items import Held, Item, Media
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Reject, Row, rows
from .build_plan import Plan, Task
from .lead_media import lead
from .progress import Pace
from .reorder_spill import Moved


def rows_of(plan: Plan, task: Task, out: Output, pace: Pace) -> Iterator[Row | Reject]:
    """The rows a task is to write, and the records of its own that are rejected.

    Args:
        plan: the whole plan.
        task: the task.
        out: where the build writes.
        pace: told how far the reading is.  Its total counts what became of the records that the task writes.
    """
    moved = Moved(out, plan, task)
    try:
        yield from (_in_archive_order if task.archives else _in_order)(plan, task, moved, pace)
    finally:
        moved.close()


def _in_order(plan: Plan, task: Task, moved: Moved, pace: Pace) -> Iterator[Row | Reject]:
    rewriters = Rewriters(plan.options)

    def behind(homes: list[int]) -> Iterator[Row | Reject]:
        """The rows that are written behind records that were met; forgets those."""
        while homes:
            for piece, blocks in moved.behind(homes.pop(0)):
                counts = Counts()
                yield from rows(piece, plan.options, counts, rewriters.of(piece), blocks)
                pace.total.add(counts)

    for piece in task.slices:
        counts = Counts()
        met: list[int] = []
        pace.begins(piece, counts)
        blocks = moved.staying(piece, pace.follows(read(piece)), met)
        for row in rows(piece, plan.options, counts, rewriters.of(piece), blocks):
            yield from behind(met)
            yield row
        yield from behind(met)
        pace.ends(piece)


def _in_archive_order(plan: Plan, task: Task, moved: Moved, pace: Pace) -> Iterator[Row | Reject]:
    rewriters = Rewriters(plan.options)
    passes = frozenset(task.archives)
    waiting: dict[Archive, dict[int, list[Row]]] = {archive: {} for archive in task.archives}
    total = pace.total
    for piece, blocks in moved.every():
        counts = Counts()
        for row in rows(piece, plan.options, counts, rewriters.of(piece), blocks):
            item = None if isinstance(row, Reject) else lead(row.media, passes)
            if isinstance(row, Reject) or item is None or item.archive not in passes:
                yield row
            else:
                waiting[item.archive].setdefault(item.start, []).append(row)
        total.add(counts)
    pace.expects(sum(len(some) for by_start in waiting.values() for some in by_start.values()))
    for archive, by_start in waiting.items():
        if not by_start:
            continue
        for found in read_through(archive, frozenset(by_start)):
            if isinstance(found, Finding):
                continue  # told when the archive was listed; the rows it concerns are rejected below
            member, data = found
            for row in by_start.pop(member.start, ()):
                yield _with(row, archive, member.start, data)
        for left in by_start.values():
            for row in left:
                one = finding("media-unreadable", f"{archive}: the member could not be read").placed(row.file, row.row)
                total.written[row.mix] = total.written.get(row.mix, 0) - 1
                total.rejected += 1
                total.note([one])
                yield Reject(row.format, row.file, row.row, [*row.findings, one], row.record)


def _with(row: Row, archive: Archive, start: int, data: bytes) -> Row:
    """The row with the bytes of a member in place of the item that points to it."""

    def held(items: Sequence[Item]) -> list[Item]:
        return [
            Held(item.name, len(data), data, item.path, item.start, item.whole)  # type: ignore[misc]
            if item.archive == archive and item.start == start
            else item
            for item in items
        ]

    media = row.media
    frames: list[Sequence[Item]] = [held(items) for items in media.frames]
    return row._replace(
        media=Media(held(media.images), held(media.videos), frames, held(media.audios), held(media.audio_q))
    )
