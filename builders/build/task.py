"""One task of a plan, from its slices to its shards: run from its start, or from where an earlier run stopped.

While a task runs, ``OUT/.build/<task>.journal`` has a line for each shard that is complete; at its end ``OUT/.build/<task>.json``
says that it is done.  Run again after a kill, a task reads its records again, which is cheap, and skips those whose shards are
complete, whose media are not read again.  So at most the shards under way are written twice.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from ..core.counts import Counts
from ..core.report import Shard
from ..core.storage import STATE, Output
from ..pipeline import rejects
from ..pipeline.rows import Reject
from .build_plan import Plan, Settings, Task
from .progress import OnState, TaskProgress, TaskState, size_of
from .shard_packer import DoneShard, Packer
from .split_assignment import Splitter
from .task_rows import rows_of


class DoneTask(msgspec.Struct):
    """What a finished task has made.

    Attributes:
        counts: outcomes of its records.
        shards: by mix and split, in order.
        rejected: the file of its rejected records, relative to the build's folder.
        rejected_bytes: the size of that file.
        rows: rows that the packer has taken.
        packed: bytes of their media and texts.
        seconds: time it has taken, in the run that finished it.
    """

    counts: Counts
    shards: dict[str, dict[str, list[DoneShard]]]
    rejected: str
    rejected_bytes: int
    rows: int = 0
    packed: int = 0
    seconds: float = 0.0


class _Line(msgspec.Struct):
    """A line of the journal."""

    mix: str
    split: str
    shard: DoneShard


def run(out: Output, plan: Plan, task: Task, on_state: OnState | None = None) -> DoneTask:
    """Runs a task, or the part of it that no earlier run has done.

    Args:
        out: where the build writes.
        plan: the whole plan.
        task: the task.
        on_state: called with the task's state.

    Raises:
        RejectedRow: a record was rejected, and the settings say to stop at the first.
        OSError: the disk is full, for example; the task can be run again.
    """
    done = finished(out, task)
    if done is not None:
        if on_state:
            size = size_of(task)
            on_state(TaskState(task.number, size, done.rows, done.packed, done.counts, done.seconds, True, True))
        return done
    settings = plan.settings
    journal = _Journal(out, task)
    splitter = Splitter(plan)
    packers: dict[tuple[str, str], Packer] = {}
    progress = TaskProgress(task, on_state)
    total = progress.total
    rejected = _path(task, "rejected.jsonl")
    try:
        with _frozen_garbage_collection(), open(out.draft(rejected), "wb") as lines:
            for row in rows_of(plan, task, out, progress):
                if isinstance(row, Reject):
                    if settings.on_error == "raise":
                        raise rejects.raised(row)
                    lines.write(rejects.line(row))
                    continue
                key = row.mix, splitter.split_of(row, task.split)
                packer = packers.get(key)
                if packer is None:
                    packer = packers[key] = journal.packer(*key, task, settings)
                progress.add_row(packer.add(row))
            for (mix, _), packer in sorted(packers.items()):
                packer.close()
                for shard in packer.done:
                    lines.writelines(line.encode() for line in shard.lost)
                    total.written[mix] = total.written.get(mix, 0) - len(shard.lost)
                    total.rejected += len(shard.lost)
                    for code in shard.codes:
                        total.findings[code] = total.findings.get(code, 0) + 1
            lines.flush()
            rejected_bytes = lines.tell()
            if rejected_bytes and out.fsync:
                os.fsync(lines.fileno())
        out.publish(rejected)
    except BaseException:
        for packer in packers.values():
            packer.abort()
        out.discard(rejected)
        raise
    shards: dict[str, dict[str, list[DoneShard]]] = {}
    for (mix, split), packer in sorted(packers.items()):
        shards.setdefault(mix, {})[split] = packer.done
    state = progress.current()
    done = DoneTask(total, shards, rejected, rejected_bytes, state.rows, state.packed, round(state.seconds, 3))
    # not synced: a power cut that loses it leaves the journal, from which the task is finished again
    out.write(_path(task, "json"), msgspec.json.encode(done), safe=False)
    progress.finish()
    return done


def finished(out: Output, task: Task) -> DoneTask | None:
    """The result of a task, if it is done and every byte of it is unchanged."""
    done = recorded(out, task, out.size)
    return done if done and all(_is_whole(out, shard) for shard in _all_shards(done)) else None


def recorded(out: Output, task: Task, size: Callable[[str], int | None]) -> DoneTask | None:
    """The result that a task has recorded, if all its files are there in their sizes; their bytes are not read.

    Args:
        out: where the build writes.
        task: the task.
        size: gives the bytes of a file in `out`; None where there is none.
    """
    try:
        done = msgspec.json.decode(out.read(_path(task, "json")) or b"", type=DoneTask)
    except msgspec.MsgspecError:
        return None
    files = [
        (done.rejected, done.rejected_bytes),
        *((shard.path, shard.bytes) for shard in _all_shards(done) if shard.path),
    ]
    return done if all(size(path) == bytes_ for path, bytes_ in files) else None


class _Journal:
    """The complete shards of a task: a small file that is replaced with each of them."""

    def __init__(self, out: Output, task: Task) -> None:
        self._out = out
        self._path = _path(task, "journal")
        self._done: dict[tuple[str, str], list[DoneShard]] = {}
        self._lines: list[bytes] = []
        self._read(out.read(self._path) or b"")

    def _read(self, text: bytes) -> None:
        """Takes the shards of each mix and split, up to the first that is missing or has changed."""
        broken: set[tuple[str, str]] = set()
        for line in text.splitlines():
            try:
                entry = msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError:
                return  # cut off by a power cut
            key = entry.mix, entry.split
            if key in broken or not _is_whole(self._out, entry.shard):
                broken.add(key)
            else:
                self._done.setdefault(key, []).append(entry.shard)
                self._lines.append(line)

    def packer(self, mix: str, split: str, task: Task, settings: Settings) -> Packer:
        """A packer that continues after the shards that are complete."""
        prefix = f"data/{mix}/{split}-{task.number:05d}"

        def completed(shard: DoneShard) -> None:
            self._lines.append(msgspec.json.encode(_Line(mix, split, shard)))
            # not synced: the shard is on the disk, and to lose its line costs no more than writing the shard again
            self._out.write(self._path, b"\n".join(self._lines) + b"\n", safe=False)

        done = self._done.get((mix, split), ())
        return Packer(
            self._out,
            prefix,
            settings.row_group_bytes,
            settings.shard_bytes,
            done,
            completed,
            metadata=settings.metadata,
            embeds=not settings.annotations_only,
            grouped=settings.group_by == "media",
        )


def shards_of(done: DoneTask) -> Iterator[tuple[str, str, Shard]]:
    """Mix, split and shard (as in a report) of each shard of a task that holds rows."""
    for mix, by_split in done.shards.items():
        for split, shards in by_split.items():
            for shard in shards:
                if shard.path:
                    yield mix, split, Shard(shard.path, shard.rows, shard.bytes)


def _all_shards(done: DoneTask) -> Iterator[DoneShard]:
    return (shard for by_split in done.shards.values() for shards in by_split.values() for shard in shards)


def _is_whole(out: Output, shard: DoneShard) -> bool:
    """Whether a shard has the bytes it was written with."""
    return not shard.path or out.is_whole(shard.path, shard.bytes, shard.checksum, shard.stamp)


def _path(task: Task, kind: str) -> str:
    return f"{STATE}/{task.number:05d}.{kind}"


@contextmanager
def _frozen_garbage_collection() -> Iterator[None]:
    """Exempts all objects of imported modules from garbage collection, which would visit them again and again."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
