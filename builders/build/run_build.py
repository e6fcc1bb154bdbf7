"""Building: plan, run, put together."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..core.counts import Counts
from ..core.errors import DataError
from ..core.names import MODALITIES
from ..core.report import REJECTED, REPORT, Report, Shard
from ..core.storage import STATE, Output, at
from ..pipeline import features, rejects
from ..pipeline.options import DEFAULTS, Options
from . import build_plan as planning
from . import engines, split_assignment
from .build_plan import Plan, Settings, Task
from .engines import Engine
from .progress import Standing, State
from .task import claimed, shards_of

_OURS = ("README.md", REPORT, "statistics.json", "plots", REJECTED, "data")
_FINISHED = "finished"
_LOCKS = f"{STATE}/lock"
CHECK_SECONDS = 15.0
"""How often a build makes sure that it still holds its output."""
USUAL = Settings()

CardWriter = Callable[[str, Report], object]
"""Writes the card of a built folder, given the folder (or its URL) and the report: `modalmix.cards.write`."""

Progress = Callable[[Standing], None]
"""Called with how far the build is, now and then."""


def build(
    data: str | Sequence[str],
    out: str,
    options: Options = DEFAULTS,
    settings: Settings = USUAL,
    *,
    card: CardWriter,
    workers: int | None = None,
    engine: str = "local",
    address: str | None = None,
    overwrite: bool = False,
    take_over: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Builds a dataset, or goes on with a build that was interrupted.

    The shards, the card and the rejects depend on the data, the options and the settings alone: not on the number of
    workers, nor on the engine, nor on where they are written, nor on how often the build was interrupted.

    Args:
        data: annotation files; see `modalmix.builders.pipeline.inputs`.
        out: folder to make, or URL of a place in an object store (see `modalmix.builders.core.storage`); it must not exist, be
            empty, or hold an unfinished build of the same.
        options: how records become rows.
        settings: how rows are packed.
        card: writes the card, which `load_dataset` reads the features from.
        workers: tasks at a time, each in a process; None for one, in this process, and for as many as the cluster takes.
        engine: ``"local"`` or ``"ray"``; see `modalmix.builders.build.ray_engine`.
        address: of the Ray cluster; None for ``$RAY_ADDRESS``, or for one on this machine that ends with the build.
        overwrite: replace a build in `out`.
        take_over: go on in an object store where a build of another host has ended without removing its lock.
        progress: told how far the build is.

    Raises:
        DataError: the data cannot be found, `out` holds something else, or an unfinished build of something else; or the
            cluster cannot be reached, or does not see `out`.
        modalmix.builders.pipeline.rejects.RejectedRow: a record was rejected and the settings say so.
        OSError: the disk is full, say; the same call goes on.
    """
    place = at(out)
    with (
        engines.engine(engine, address, workers) as hands,
        _begun(data, place, options, settings, hands, overwrite, take_over) as (plan, check),
    ):
        hands.run(place, plan, plan.tasks, _told(hands, plan.tasks, progress, check))
        check()
        return _finished(place, hands, card)


def build_part(
    data: str | Sequence[str],
    out: str,
    part: tuple[int, int],
    options: Options = DEFAULTS,
    settings: Settings = USUAL,
    *,
    workers: int | None = None,
    take_over: bool = False,
    progress: Progress | None = None,
) -> None:
    """Runs every n-th task of a build, for batch systems; `finish` puts the parts together.

    Args:
        data: as for `build`.
        out: folder, or place in an object store, that all parts share.
        part: ``(i, n)``, i from 0.
        options: as for `build`.
        settings: as for `build`.
        workers: as for `build`.
        take_over: as for `build`; it concerns the lock of this part, and of the whole.
        progress: as for `build`.

    Raises:
        DataError, RejectedRow, OSError: as `build` does.
    """
    place = at(out)
    name = f"-{part[0]}-{part[1]}"
    with (
        engines.engine("local", None, workers) as hands,
        _begun(data, place, options, settings, hands, False, take_over, name) as (plan, check),
    ):
        tasks = plan.tasks[part[0] :: part[1]]
        hands.run(place, plan, tasks, _told(hands, tasks, progress, check))


def _told(
    hands: Engine, tasks: Sequence[Task], progress: Progress | None, check: Callable[[], None]
) -> Callable[[State, int], None]:
    """What engines tell the states of tasks to; it makes sure as well that the output is still held."""
    standing = Standing(tasks, hands.sizes(tasks))
    checked = time.monotonic()

    def told(state: State, worker: int = 0) -> None:
        nonlocal checked
        if time.monotonic() - checked >= CHECK_SECONDS:
            check()
            checked = time.monotonic()
        standing.tell(state, worker)
        if progress:
            progress(standing)

    return told


def finish(out: str, *, card: CardWriter) -> Report:
    """Puts together what the tasks of a plan have made.

    Args:
        out: as for `build`.
        card: as for `build`.

    Raises:
        DataError: `out` holds no plan, or some of its tasks are not done.
    """
    with engines.engine("local", None, None) as hands:
        return _finished(at(out), hands, card)


def _finished(out: Output, hands: Engine, card: CardWriter) -> Report:
    plan = planning.read(out)
    if plan is None:
        raise DataError(f"{out.url!r} holds no unfinished build")
    there = {**out.sizes(STATE), **out.sizes("data")}
    done = {task.number: claimed(out, task, there.get) for task in plan.tasks}
    missing = [number for number, task in done.items() if task is None]
    if missing:
        raise DataError(f"{len(missing)} of {len(done)} tasks are not done (the first is {missing[0]}); run them first")
    counts = Counts()
    packed: dict[str, dict[str, list[Shard]]] = {}
    kept: set[str] = set()
    rejected = out.draft(REJECTED)
    with open(rejected, "wb") as lines:
        for task in plan.tasks:
            made = done[task.number]
            assert made is not None
            counts.add(made.counts)
            for mix, split, shard in shards_of(made):
                packed.setdefault(mix, {}).setdefault(split, []).append(shard)
                kept.add(shard.path)
            if made.rejected_bytes:
                with out.open(made.rejected) as part:
                    shutil.copyfileobj(part, lines, 1 << 20)
        if out.fsync:
            lines.flush()
            os.fsync(lines.fileno())
    by_code = rejects.by_code(rejected)
    out.publish(REJECTED)
    for path in out.sizes("data"):  # drafts, mostly
        if path not in kept:
            out.remove(path)
    splits = [*dict.fromkeys([*(name for name, _ in plan.settings.splits), *(task.split for task in plan.tasks)])]
    shown = {
        mix: {split: packed[mix][split] for split in splits if split in packed[mix]}
        for mix in features.mixes(MODALITIES)
        if mix in packed
    }
    counts.written = {mix: n for mix, n in sorted(counts.written.items()) if n}
    by_path = dict(zip(plan.inputs, hands.digests(list(plan.inputs)), strict=True))
    paths = plan.paths()
    digests = {name: by_path[paths[name]] for name in plan.sources}
    report = Report(plan.version, counts, shown, plan.sources, digests, planning.described(plan), by_code)
    card(out.url, report)
    out.write(REPORT, report.text().encode())
    out.write(f"{STATE}/{_FINISHED}", b"")
    out.remove(STATE, last=_FINISHED)
    return report


def _check(out: Output, overwrite: bool) -> None:
    """Makes sure that an output is ours to write to."""
    out.begin()
    there = out.names()
    if there and STATE not in there and REPORT not in there:
        raise DataError(f"{out.url!r} holds other files ({sorted(there)[0]!r}, …); name a new folder")
    finished = REPORT in there and (STATE not in there or out.size(f"{STATE}/{_FINISHED}") is not None)
    if finished and not overwrite:
        if STATE in there:  # it was killed when there was nothing left to do but this
            out.remove(STATE, last=_FINISHED)
        raise DataError(f"{out.url!r} holds a finished build; pass --overwrite to replace it")


def _empty(out: Output) -> None:
    """Removes a build from an output that is held; the locks stay."""
    for name in out.names() & set(_OURS):
        out.remove(name)
    for path in out.sizes(STATE):
        if not path.startswith(_LOCKS):
            out.remove(path)


@contextmanager
def _begun(
    data: str | Sequence[str],
    out: Output,
    options: Options,
    settings: Settings,
    hands: Engine,
    overwrite: bool,
    take_over: bool,
    part: str = "",
) -> Iterator[tuple[Plan, Callable[[], None]]]:
    """The plan, written down in an output that is held: no second build of the same part gets in.

    The function beside it raises a DataError if the hold is lost, as may happen in an object store.
    """
    split_assignment.check(settings.splits)
    _check(out, overwrite)
    plan = hands.plan(data, options, settings)
    with out.held(part, take_over=take_over) as check:
        if overwrite:
            _empty(out)
        before = planning.read(out)
        if before is not None and (changed := planning.changes(before, plan)):
            what = changed[0]
            raise DataError(
                f"{out.url!r} holds an unfinished build of something else: {what}; pass --overwrite to begin anew"
            )
        if plan != before:
            out.write(planning.FILE, plan.text())
        hands.check(out)
        yield plan, check
