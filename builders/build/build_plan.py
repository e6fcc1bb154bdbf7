"""The plan: what a build does, in which pieces, decided from its inputs alone.

A **task** is a run of slices of one split, and makes shards of its own; nothing passes from one task to another.  So it does
not matter who runs which task, in which order, how many at once, or how often: the shards are the same, byte for byte.

The plan is written before the work begins, in ``OUT/.build/plan.json``.  A build that finds the plan of an earlier run goes on
with it if it would make the same plan itself, and says what has changed if it would not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from .limits import limited

FILE = f"{STATE}/plan.json"
_SAMPLED_RECORDS = 200
_FEWEST_BYTES = 128 << 20
_USUAL_TASKS = 16
_HELD_BYTES = 128 << 20


class Settings(msgspec.Struct, frozen=True):
    """How rows are packed.

    Attributes:
        on_error: ``"reject"`` writes rejected records down; ``"raise"`` stops at the first.
        seed: for ``random:N`` of a mixture.
        row_group_bytes: what a reader is to hold of a row group: texts, and each medium as often as it is shown.  Rows
            that show the same medium stay together for four times that; a row that is larger stands alone.
        shard_bytes: a shard is closed when it has that many, each medium counted once in a row group.
        order: ``"media"`` writes rows that share their leading medium together, where the first of them stands, and goes
            through each compressed archive once, in its order; ``"annotation"`` keeps the order of the records: it
            reads members at random, which costs a multiple of that, and stores a medium as often as it is met.
        group_by: ``"media"`` makes one row of all records whose media are the same
            (`modalmix.builders.pipeline.grouped_rows`); empty: each record is a row.
        limit: rows to write at most, in the records' order; None for all.
        splits: names and fractions of the splits that rows are dealt into; empty for those of the annotation files.
        split_by: ``"media"`` deals by a row's lead medium, ``"id"`` by its id; see `modalmix.builders.build.split_assignment`.
        metadata: write what the headers of media say beside them; see `modalmix.builders.pipeline.metadata_columns`.
        annotations_only: leave the media where they are, and write where that is; such a build is for this machine.
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
    """Rows that make shards of their own.

    Attributes:
        number: its position in the plan.
        split: that of its annotation files; its rows have others if `Settings.splits` says so.
        slices: the records to read; empty for a task of archives, which is given its records (`reorder_spill`).
        archives: take the rows that members of these archives lead, in the archives' order; if empty, take the rows that
            no member of any of `Plan.passes` leads, in the records' order.
    """

    number: int
    split: str
    slices: list[Slice]
    archives: list[Archive] = []


class Plan(msgspec.Struct, frozen=True):
    """All that decides what a build writes.

    Attributes:
        version: of modalmix.
        options: how records become rows.
        settings: how rows are packed.
        inputs: annotation file → its size in bytes and modification time in nanoseconds.
        sources: name of each annotation file → its size in bytes.  A mixture may take from one file twice, under two names.
        passes: archives that are gone through once; the rows that their members lead are left to tasks of their own.
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
    for name, value, known in (
        ("order", settings.order, ("media", "annotation")),
        ("group_by", settings.group_by, ("", "media")),
    ):
        if value not in known:
            raise DataError(f"{name} is {value!r}; it is {' or '.join(map(repr, known))}")
    if settings.group_by and settings.order != "media":
        raise DataError("rows that are grouped by their media do not keep the order of the annotations")
    options = absolute(options)
    by_split = splits(data, format=options.format, seed=settings.seed)
    every = [source for sources in by_split.values() for source in sources]
    check(options.selection)
    options = looked_up(options, every)
    by_archive = settings.order == "media" and not settings.annotations_only  # which read no archive
    passes = compressed_archives(options, every) if by_archive else []
    total = sum(os.path.getsize(source.path) for source in every)
    if settings.limit is not None:
        by_split, total = limited(by_split, options, settings.limit)
    slice_bytes = max(total // _tasks(every, options, settings, total), 1)
    tasks: list[Task] = []
    if settings.splits:
        by_split = {"": [source for sources in by_split.values() for source in sources]}
    for split, sources in by_split.items():
        waiting: list[Slice] = []
        size = 0
        for source in sources:
            for piece in plan(source, slice_bytes=slice_bytes, exact=True):
                if waiting and _are_one(waiting[-1], piece):
                    waiting[-1] = msgspec.structs.replace(waiting[-1], stop=piece.stop)
                    continue
                waiting.append(piece)
                size += 0 if is_unwanted(piece) else slice_size(piece)
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


def described(plan: Plan) -> dict[str, Any]:
    """What decided the rows of a build, for its report: nothing of the machine it was built on."""
    options, settings = plan.options, plan.settings
    rules = [
        *(options.rules.rules if options.rules else ()),
        *(rule for one in options.learned.values() for rule in one.rules),
    ]
    return {
        "format": options.format or "modalmix",
        "mixes": sorted(options.mixes) if options.mixes is not None else None,
        "where": list(options.selection.where),
        "sample": options.selection.sample,
        "limit": settings.limit,
        "roles": list(options.roles),
        "verify_masks": options.verify_masks,
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
    """The options with folders that mean the same wherever a worker stands."""
    names = ("media_root", "image_folder", "video_folder")
    roots = {name: tuple(os.path.abspath(root) for root in getattr(options, name)) for name in names}
    return msgspec.structs.replace(options, **roots)


def _archive_tasks(first: int, split: str, passes: list[Archive], total: int) -> list[Task]:
    """Tasks for the rows that lead into archives: so many that the rows each holds are few, and some to share among workers."""
    if not passes:
        return []
    count = min(len(passes), max(_USUAL_TASKS // 4, total // _HELD_BYTES))
    return [Task(first + i, split, [], passes[i::count]) for i in range(count)]


def is_unwanted(piece: Slice) -> bool:
    """Whether a slice lies behind the limit, and is read to be counted only."""
    return piece.take.before is not None and piece.row is not None and piece.row >= piece.take.before


def _are_one(one: Slice, other: Slice) -> bool:
    """Whether two slices that follow each other are read to be counted only, and need not be two."""
    return (
        is_unwanted(one)
        and is_unwanted(other)
        and (one.file, one.stop, one.take) == (other.file, other.start, other.take)
    )


def slice_size(piece: Slice) -> int:
    """The bytes of a slice in its file."""
    return os.path.getsize(piece.path) - piece.start if piece.stop < 0 else piece.stop - piece.start


def read(out: Output) -> Plan | None:
    """The plan of an earlier run; None where there is none."""
    text = out.read(FILE)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=Plan)
    except msgspec.MsgspecError as error:
        raise DataError(
            f"{out.url}/{FILE} is no plan of this version; pass --overwrite to begin anew ({error})"
        ) from error


def changes(before: Plan, now: Plan) -> list[str]:
    """What differs between two plans, in words; empty if they do the same."""
    found = [] if before.version == now.version else [f"modalmix {before.version} became {now.version}"]
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
        elif was != is_now and key != "on_error":  # which decides whether a build ends, not what it makes
            found.append(f"{key} was {_short(was)}, now {_short(is_now)}")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _tasks(sources: Sequence[Source], options: Options, settings: Settings, total: int) -> int:
    """How many tasks: one a shard in large builds, some sixteen in small ones, never tiny ones."""
    expected = total if settings.annotations_only else int(total * _growth(sources, options))
    return max(1, expected // settings.shard_bytes, min(_USUAL_TASKS, expected // _FEWEST_BYTES))


def _growth(sources: Sequence[Source], options: Options) -> float:
    """Bytes of media and text a byte of annotations stands for, by the first records of the largest file."""
    largest = max(sources, key=lambda source: os.path.getsize(source.path))
    piece = plan(largest)[0]
    read_bytes = media_bytes = 0
    for row in islice(rows(piece, options, Counts(), Rewriters(options).of(piece)), _SAMPLED_RECORDS):
        if isinstance(row, Row):
            read_bytes += len(repr(row.record))
            media = row.media
            for items in (media.images, media.videos, media.audios, media.audio_q, *media.frames):
                media_bytes += sum(item.size for item in items)
    return 1 + media_bytes / max(read_bytes, 1)
