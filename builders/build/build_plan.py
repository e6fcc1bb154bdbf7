"""The plan of a build: its tasks, decided from its inputs alone.

A **task** is a run of slices of one split.  It writes shards of its own, and depends on no other task.  So the shards are the
same, byte for byte, whichever process runs a task, in which order, how many at once, and how often.

The plan is written to ``OUT/.build/plan.json`` before the work begins.  A build that finds the plan of an earlier run continues
that run if its own plan is the same; else it stops and names what has changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from ..annotations import Slice, Source, plan
from ..core.counts import Counts
from ..core.errors import DataError
from ..core.report import modalmix_version
from ..core.storage import STATE, Output
from ..media.archives import Archive
from ..pipeline.infer_rules import compressed_archives, looked_up
from ..pipeline.inputs import splits
from ..pipeline.options import Options
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Row, rows
from ..pipeline.selection import Selection, check

FILE = f"{STATE}/plan.json"
_SAMPLED_RECORDS = 200
_FEWEST_BYTES = 128 << 20
_USUAL_TASKS = 16
_ARCHIVE_TASK_BYTES = 128 << 20  # of annotations: their records are held in memory
_LIMIT_SLICE_BYTES = 8 << 20


class Settings(msgspec.Struct, frozen=True):
    """How rows are packed.

    Attributes:
        on_error: ``"reject"`` writes rejected records to a file; ``"raise"`` stops at the first.
        seed: for ``random:N`` of a mixture.
        row_group_bytes: bytes that a reader holds of a row group: texts, and each medium once for each row that shows it.  Rows
            that show the same medium stay together up to four times that; a larger row has a row group of its own.
        shard_bytes: a shard is closed when it has that many, each medium counted once in a row group.
        order: ``"media"`` writes rows that share their lead medium together, at the place of the first of them, and reads each
            compressed archive once, in its order; ``"annotation"`` keeps the order of the records: it reads members at random,
            which takes several times as long, and stores a medium once for each row group that shows it.
        group_by: ``"media"`` makes one row of all records whose media are the same
            (`modalmix.builders.pipeline.grouped_rows`); empty: each record is a row.
        limit: rows to write at most, in the records' order; None for all.
        splits: names and fractions of the splits that rows are assigned to; empty for those of the annotation files.
        split_by: ``"media"`` assigns by a row's lead medium, ``"id"`` by its id; see `modalmix.builders.build.split_assignment`.
        metadata: write facts from the headers of media beside them; see `modalmix.builders.pipeline.metadata_columns`.
        annotations_only: store paths to the media instead of their bytes; such a build is for this machine alone.
    """

    on_error: str = "reject"
    seed: int = 42
    row_group_bytes: int = 16 << 20
    shard_bytes: int = 500 << 20
    order: str = "media"
    group_by: str = ""
    limit: int | None = None
    splits: tuple[tuple[str, float], ...] = ()
    split_by: str = "media"
    metadata: bool = False
    annotations_only: bool = False


class Task(msgspec.Struct, frozen=True):
    """A part of the build that writes shards of its own.

    Attributes:
        number: its position in the plan.
        split: that of its annotation files; its rows have others if `Settings.splits` has any.
        slices: the records to read; empty for a task of archives, whose records are in a file (`reorder_spill`).
        archives: write the rows whose lead medium is a member of these archives, in the archives' order; if empty, write the
            rows whose lead medium is in none of `Plan.passes`, in the records' order.
    """

    number: int
    split: str
    slices: list[Slice]
    archives: list[Archive] = []


class Plan(msgspec.Struct, frozen=True):
    """Everything that decides what a build writes.

    Attributes:
        version: of modalmix.
        options: how records become rows.
        settings: how rows are packed.
        inputs: annotation file → its size in bytes and modification time in nanoseconds.
        sources: name of each annotation file → its size in bytes.  A mixture may take from one file twice, under two names.
        passes: archives that are read once, from start to end; rows whose lead medium is in one belong to tasks of their own.
        tasks: in order.
    """

    version: str
    options: Options
    settings: Settings
    inputs: dict[str, tuple[int, int]]
    sources: dict[str, int]
    passes: list[Archive]
    tasks: list[Task]

    def text(self) -> bytes:
        """The plan as JSON."""
        return msgspec.json.encode(self, order="deterministic")

    def paths(self) -> dict[str, str]:
        """Name of each annotation file → its path."""
        return {slice_.file: slice_.path for task in self.tasks for slice_ in task.slices}


def make(data: str | Sequence[str], options: Options, settings: Settings) -> Plan:
    """The plan for building DATA.

    Raises:
        DataError: the data cannot be found.
    """
    for name, value, allowed in (
        ("order", settings.order, ("media", "annotation")),
        ("group_by", settings.group_by, ("", "media")),
    ):
        if value not in allowed:
            raise DataError(f"{name} is {value!r}; it must be {' or '.join(map(repr, allowed))}")
    if settings.group_by and settings.order != "media":
        raise DataError("rows that are grouped by their media cannot keep the order of the annotations")
    options = absolute(options)
    by_split = splits(data, format=options.format, seed=settings.seed)
    every = [source for sources in by_split.values() for source in sources]
    check(options.selection)
    options = looked_up(options, every)
    by_archive = settings.order == "media" and not settings.annotations_only  # then no archive is read
    passes = compressed_archives(options, every) if by_archive else []
    total = sum(os.path.getsize(source.path) for source in every)
    if settings.limit is not None:
        by_split, total = _cut_at_limit(by_split, options, settings.limit)
    slice_bytes = max(total // _tasks(every, options, settings, total), 1)
    tasks: list[Task] = []
    if settings.splits:
        by_split = {"": [source for sources in by_split.values() for source in sources]}
    for split, sources in by_split.items():
        waiting: list[Slice] = []
        size = 0
        for source in sources:
            for slice_ in plan(source, slice_bytes=slice_bytes, exact=True):
                if waiting and _can_join(waiting[-1], slice_):
                    waiting[-1] = msgspec.structs.replace(waiting[-1], stop=slice_.stop)
                    continue
                waiting.append(slice_)
                size += 0 if is_behind_limit(slice_) else slice_size(slice_)
                if size >= slice_bytes:
                    tasks.append(Task(len(tasks), split, waiting))
                    waiting, size = [], 0
        if waiting:
            tasks.append(Task(len(tasks), split, waiting))
        tasks += _archive_tasks(len(tasks), split, passes, total)
    inputs = {}
    for source in every:
        status = os.stat(source.path)
        inputs[source.path] = (status.st_size, status.st_mtime_ns)
    sizes = {source.file: inputs[source.path][0] for source in every}
    return Plan(modalmix_version(), options, settings, inputs, sizes, passes, tasks)


def _cut_at_limit(
    by_split: Mapping[str, list[Source]], options: Options, limit: int
) -> tuple[dict[str, list[Source]], int]:
    """The annotation files with takes that end with the `limit`-th row, and the bytes up to there.

    Which rows are the first depends on the order of the records alone.  So it is decided here, by reading the records as the
    build does, and tasks need not know of each other.

    Args:
        by_split: the annotation files.
        options: how their records become rows.
        limit: number of rows.

    Raises:
        DataError: the limit is less than 1.
    """
    if limit < 1:
        raise DataError(f"the limit is {limit}; it must be at least 1")
    left, used = limit, 0
    cut: dict[str, list[Source]] = {}
    rewriters = Rewriters(options)
    for split, sources in by_split.items():
        cut[split] = []
        for source in sources:
            before = None if left else 0
            for slice_ in plan(source, slice_bytes=_LIMIT_SLICE_BYTES) if left else ():
                for row in rows(slice_, options, Counts(), rewriters.of(slice_)):
                    left -= isinstance(row, Row)
                    if not left:
                        before = row.row + 1
                        break
                used += slice_size(slice_)
                if not left:
                    break
            take = msgspec.structs.replace(source.take, before=before)
            cut[split].append(msgspec.structs.replace(source, take=take))
    return cut, used


def options_for_report(plan: Plan) -> dict[str, Any]:
    """The options and settings for the report: all that decided the rows, nothing about the machine."""
    options, settings = plan.options, plan.settings
    rules = [
        *(options.rules.rules if options.rules else ()),
        *(rule for learned in options.learned.values() for rule in learned.rules),
    ]
    return {
        "format": options.format or "modalmix",
        "mixes": sorted(options.mixes) if options.mixes is not None else None,
        "where": list(options.selection.where),
        "sample": options.selection.sample,
        "limit": settings.limit,
        "roles": list(options.roles),
        "verify_masks": options.verify_masks,
        **({"ignore_key": list(options.ignore_key)} if options.ignore_key else {}),
        "seed": settings.seed,
        "order": settings.order,
        "group_by": settings.group_by,
        "splits": dict(settings.splits),
        "split_by": settings.split_by,
        "metadata": settings.metadata,
        "annotations_only": settings.annotations_only,
        "rules": [{"kind": rule.kind, "from": rule.before, "to": rule.to, "root": rule.root} for rule in rules],
    }


def absolute(options: Options) -> Options:
    """The options with absolute paths, which mean the same in every worker."""
    names = ("media_root", "image_folder", "video_folder")
    roots = {name: tuple(os.path.abspath(root) for root in getattr(options, name)) for name in names}
    return msgspec.structs.replace(options, **roots)


def _archive_tasks(first: int, split: str, passes: list[Archive], total: int) -> list[Task]:
    """Tasks for the rows whose lead media are in archives: several to share among workers, and few rows in each."""
    if not passes:
        return []
    count = min(len(passes), max(_USUAL_TASKS // 4, total // _ARCHIVE_TASK_BYTES))
    return [Task(first + i, split, [], passes[i::count]) for i in range(count)]


def is_behind_limit(slice_: Slice) -> bool:
    """Whether all records of a slice are behind the limit, and are only counted."""
    return slice_.take.before is not None and slice_.row is not None and slice_.row >= slice_.take.before


def _can_join(first: Slice, second: Slice) -> bool:
    """Whether two slices follow each other and are only counted, so that one does for both."""
    return (
        is_behind_limit(first)
        and is_behind_limit(second)
        and (first.file, first.stop, first.take) == (second.file, second.start, second.take)
    )


def slice_size(slice_: Slice) -> int:
    """The bytes of a slice in its file."""
    return os.path.getsize(slice_.path) - slice_.start if slice_.stop < 0 else slice_.stop - slice_.start


def read(out: Output) -> Plan | None:
    """The plan of an earlier run; None where there is none."""
    text = out.read(FILE)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{out.url}/{FILE} is not a plan of this version of modalmix; pass --overwrite to start again ({error})"
        ) from error


def changes(before: Plan, now: Plan) -> list[str]:
    """The differences between two plans, in words; empty if they write the same."""
    found = [] if before.version == now.version else [f"modalmix was {before.version}, now {now.version}"]
    for old, new in ((before.options, now.options), (before.settings, now.settings)):
        found += _changed(old, new)
    for path in {**before.inputs, **now.inputs}:
        if path not in now.inputs:
            found.append(f"{path} is no longer part of the data")
        elif path not in before.inputs:
            found.append(f"{path} is new")
        elif before.inputs[path] != now.inputs[path]:
            found.append(f"{path} has changed")
    if not found and before.tasks != now.tasks:
        found.append("the sizes of the media have changed")
    return found


def _changed(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """The fields of two structs of one type that differ, in words."""
    found = []
    for key in old.__struct_fields__:
        was, is_now = getattr(old, key), getattr(new, key)
        if isinstance(was, Selection):
            found += _changed(was, is_now)
        elif was != is_now and key != "on_error":  # which decides when a build stops, not what it writes
            found.append(f"{key} was {_short(was)}, now {_short(is_now)}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _tasks(sources: Sequence[Source], options: Options, settings: Settings, total: int) -> int:
    """How many tasks: one for each shard in large builds, up to sixteen in small ones, and none that is tiny."""
    expected = total if settings.annotations_only else int(total * _growth(sources, options))
    return max(1, expected // settings.shard_bytes, min(_USUAL_TASKS, expected // _FEWEST_BYTES))


def _growth(sources: Sequence[Source], options: Options) -> float:
    """Bytes of media and text for each byte of annotations, measured on the first records of the largest file."""
    largest = max(sources, key=lambda source: os.path.getsize(source.path))
    slice_ = plan(largest)[0]
    read_bytes = media_bytes = 0
    for row in islice(rows(slice_, options, Counts(), Rewriters(options).of(slice_)), _SAMPLED_RECORDS):
        if isinstance(row, Row):
            read_bytes += len(repr(row.record))
            media = row.media
            for items in (media.images, media.videos, media.audios, media.audio_q, *media.frames):
                media_bytes += sum(item.size for item in items)
    return 1 + media_bytes / max(read_bytes, 1)
