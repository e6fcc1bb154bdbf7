"""Work: one task of a plan, from its slices to its shards, begun anew or gone on with.

While a task is under way, ``OUT/.build/<task>.journal`` gets a line for each shard that is safe on the disk; at its end
``OUT/.build/<task>.json`` says that it is done.  Run again after a kill, a task reads its records again (which is cheap) and
passes over those whose shards are done (whose media are not), so that at most the shards in flight are made twice.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from .. import rejects
from ..report import Shard
from ..rows import Counts, Reject
from .files import checksum
from .packer import DoneShard, Packer
from .passing import rows_of
from .plan import Plan, Settings, Task
from .progress import Pace, State, Told, size_of
from .splitting import Splitter

FOLDER = ".build"


class DoneTask(msgspec.Struct):
    """What a finished task has made.

    Attributes:
        counts: what became of its records.
        shards: by mix and split, in order.
        rejected: its part of the rejects, relative to the build's folder.
        rejected_bytes: the size of that.
        rows: handed over to be packed.
        packed: bytes of their media and texts.
        seconds: it has taken, in the run that ended it.
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


def run(out: str, plan: Plan, task: Task, told: Told | None = None) -> DoneTask:
    """Runs a task, or what an earlier run has left of it.

    Args:
        out: folder of the build.
        plan: the whole plan.
        task: the task.
        told: called with how far it is.

    Raises:
        RejectedRow: a record was rejected and the settings say so.
        OSError: the disk is full, say; the task can be run again.
    """
    done = finished(out, task)
    if done is not None:
        if told:
            told(State(task.number, size_of(task), done.rows, done.packed, done.counts, done.seconds, True, True))
        return done
    settings = plan.settings
    journal = _Journal(out, task)
    splitter = Splitter(plan)
    packers: dict[tuple[str, str], Packer] = {}
    pace = Pace(task, told)
    total = pace.total
    rejected = _path(out, task, "rejected.jsonl")
    try:
        with _quick_garbage_collection(), open(f"{rejected}.tmp", "wb") as lines:
            for row in rows_of(plan, task, os.path.join(out, FOLDER), pace):
                if isinstance(row, Reject):
                    if settings.on_error == "raise":
                        raise rejects.raised(row)
                    lines.write(rejects.line(row))
                    continue
                key = row.mix, splitter.split_of(row, task.split)
                packer = packers.get(key)
                if packer is None:
                    packer = packers[key] = journal.packer(*key, task, settings)
                pace.row(packer.add(row))
            for (mix, _), packer in sorted(packers.items()):
                packer.close()
                for shard in packer.done:
                    lines.writelines(line.encode() for line in shard.lost)
                    total.written[mix] = total.written.get(mix, 0) - len(shard.lost)
                    total.rejected += len(shard.lost)
                    for code in shard.codes:
                        total.findings[code] = total.findings.get(code, 0) + 1
            lines.flush()
            if lines.tell():
                os.fsync(lines.fileno())
        os.replace(f"{rejected}.tmp", rejected)
    except BaseException:
        for packer in packers.values():
            packer.abort()
        raise
    finally:
        journal.close()
    shards: dict[str, dict[str, list[DoneShard]]] = {}
    for (mix, split), packer in sorted(packers.items()):
        shards.setdefault(mix, {})[split] = packer.done
    state = pace.now()
    size = os.path.getsize(rejected)
    done = DoneTask(
        total, shards, os.path.relpath(rejected, out), size, state.rows, state.packed, round(state.seconds, 3)
    )
    path = _path(out, task, "json")
    with open(f"{path}.tmp", "wb") as file:  # nor here: without it, the task is found in its journal
        file.write(msgspec.json.encode(done))
    os.replace(f"{path}.tmp", path)
    pace.end()
    return done


def finished(out: str, task: Task) -> DoneTask | None:
    """What a task has made, if it is done and every byte of it is still there as it was."""
    done = claimed(out, task)
    return done if done and all(_is_whole(out, shard) for shard in _every(done)) else None


def claimed(out: str, task: Task) -> DoneTask | None:
    """What a task says it has made, if it is done and all of it is there; the bytes are not read."""
    try:
        with open(_path(out, task, "json"), "rb") as file:
            done = msgspec.json.decode(file.read(), type=DoneTask)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    lines = os.path.join(out, done.rejected)
    there = os.path.exists(lines) and os.path.getsize(lines) == done.rejected_bytes
    return done if there and all(_is_there(out, shard) for shard in _every(done)) else None


class _Journal:
    """The shards of a task that are safe on the disk."""

    def __init__(self, out: str, task: Task) -> None:
        self._out = out
        self._done: dict[tuple[str, str], list[DoneShard]] = {}
        path = _path(out, task, "journal")
        if os.path.exists(path):
            with open(path, "rb") as file:
                self._read(file.read())
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115  closed by close()
        os.ftruncate(self._file.fileno(), 0)
        for (mix, split), shards in self._done.items():
            for shard in shards:
                self._append(mix, split, shard)

    def _read(self, text: bytes) -> None:
        """Takes the shards of each mix and split up to the first that is not there as the journal says."""
        broken: set[tuple[str, str]] = set()
        for line in text.splitlines():
            try:
                entry = msgspec.json.decode(line, type=_Line)
            except msgspec.MsgspecError:
                return  # the end of a line that was cut off by a kill
            key = entry.mix, entry.split
            if key in broken or not _is_whole(self._out, entry.shard):
                broken.add(key)
            else:
                self._done.setdefault(key, []).append(entry.shard)

    def packer(self, mix: str, split: str, task: Task, settings: Settings) -> Packer:
        """A packer that goes on behind the shards that are done."""
        prefix = f"data/{mix}/{split}-{task.number:05d}"

        def completed(shard: DoneShard) -> None:
            self._append(mix, split, shard)

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
        )

    def _append(self, mix: str, split: str, shard: DoneShard) -> None:
        # no fsync: the shard is on the disk, and a line that a power cut takes away costs making the shard again, no more
        self._file.write(msgspec.json.encode(_Line(mix, split, shard)) + b"\n")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def shards_of(done: DoneTask) -> Iterator[tuple[str, str, Shard]]:
    """Mix, split and shard, as a report has it, of each shard of a task that holds rows."""
    for mix, by_split in done.shards.items():
        for split, shards in by_split.items():
            for shard in shards:
                if shard.path:
                    yield mix, split, Shard(shard.path, shard.rows, shard.bytes)


def _every(done: DoneTask) -> Iterator[DoneShard]:
    return (shard for by_split in done.shards.values() for shards in by_split.values() for shard in shards)


def _is_whole(out: str, shard: DoneShard) -> bool:
    """Whether a shard is there with the bytes it was written with."""
    return _is_there(out, shard) and (not shard.path or checksum(os.path.join(out, shard.path)) == shard.checksum)


def _is_there(out: str, shard: DoneShard) -> bool:
    """Whether a shard is there, of the size it was written with."""
    try:
        return not shard.path or os.path.getsize(os.path.join(out, shard.path)) == shard.bytes
    except OSError:
        return False


def _path(out: str, task: Task, kind: str) -> str:
    return os.path.join(out, FOLDER, f"{task.number:05d}.{kind}")


@contextmanager
def _quick_garbage_collection() -> Iterator[None]:
    """Keeps the collector from walking through all imported modules again and again while millions of rows come and go."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
