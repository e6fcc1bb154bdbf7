"""The rows of a task: in the order of the records, or in the order of the archives their media lie in.

A compressed archive can be read fast only from its start to its end.  So a row whose medium lies in one is left to a task that
goes through that archive once; the first such medium of a row is the one that *leads* it.  Other media of the row, from another
archive say, are read at random.

::

    records   a  b  c  d  e …            x.tar.gz   …  d.mp4 … a.mp4 … c.mp4 …
    task of the records:  b  e  …        task of the archive:  d  a  c …
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..annotations import read
from ..findings import Finding, finding
from ..media.archives import Archive, read_through
from ..media.items import Item, Media
from ..rows import Counts, Reject, Rewriters, Row, rows
from .plan import Plan, Task
from .progress import Pace


class Held(NamedTuple):
    """A media item whose bytes are at hand; it stands where an `Item` stands."""

    name: str
    size: int
    data: bytes


def rows_of(plan: Plan, task: Task, pace: Pace) -> Iterator[Row | Reject]:
    """The rows a task is to write, and the records of its slices that are rejected.

    Args:
        plan: the whole plan.
        task: the task.
        pace: told how far the reading is.  Its total counts what became of the records: a task of records counts those as
            well that it leaves to others; a task of archives counts only what it must reject after all.
    """
    if task.archives:
        yield from _in_archive_order(plan, task, pace)
        return
    rewriters = Rewriters(plan.options)
    passes = frozenset(plan.passes)
    for piece in task.slices:
        counts = Counts()
        pace.begins(piece, counts)
        for row in rows(piece, plan.options, counts, rewriters.of(piece), pace.follows(read(piece))):
            if isinstance(row, Reject) or not passes or _lead(row, passes) is None:
                yield row
        pace.ends(piece)


def _in_archive_order(plan: Plan, task: Task, pace: Pace) -> Iterator[Row | Reject]:
    rewriters = Rewriters(plan.options)
    passes = frozenset(plan.passes)
    waiting: dict[Archive, dict[int, list[Row]]] = {archive: {} for archive in task.archives}
    count = 0
    for piece in task.slices:
        for row in rows(piece, plan.options, Counts(), rewriters.of(piece)):
            lead = None if isinstance(row, Reject) else _lead(row, passes)
            if lead is not None and lead.archive in waiting:
                assert isinstance(row, Row)
                waiting[lead.archive].setdefault(lead.start, []).append(row)
                count += 1
    pace.expects(count)
    total = pace.total
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


def _lead(row: Row, passes: frozenset[Archive]) -> Item | None:
    """The first item of a row that lies in one of the archives."""
    media = row.media
    for items in (media.images, media.videos, *media.frames, media.audios, media.audio_q):
        for item in items:
            if item.archive is not None and item.archive in passes:
                return item
    return None


def _with(row: Row, archive: Archive, start: int, data: bytes) -> Row:
    """The row with the bytes of a member in place of the item that points to it."""

    def held(items: list[Item]) -> list[Item]:
        return [
            Held(item.name, len(data), data) if item.archive == archive and item.start == start else item  # type: ignore[misc]
            for item in items
        ]

    media = row.media
    frames = [held(items) for items in media.frames]
    return row._replace(
        media=Media(held(media.images), held(media.videos), frames, held(media.audios), held(media.audio_q))
    )
