"""A build from end to end: plan it, run its tasks, join what they have written."""

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
from .progress import BuildProgress, TaskState
from .task import recorded, shards_of

_BUILT = ("README.md", REPORT, "statistics.json", "plots", REJECTED, "data")
_FINISHED = "finished"
_LOCKS = f"{STATE}/lock"
CHECK_SECONDS = 15.0
"""How often a build makes sure that it still holds its output."""
USUAL = Settings()

CardWriter = Callable[[str, Report], object]
"""Writes the card of a built folder, given the folder (or its URL) and the report: `modalmix.cards.write`."""

OnProgress = Callable[[BuildProgress], None]
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
    progress: OnProgress | None = None,
) -> Report:
    """Builds a dataset, or continues a build that was interrupted.

    The shards, the card and the rejects depend on the data, the options and the settings alone: not on the number of
    workers, nor on the engine, nor on where they are written, nor on how often the build was interrupted.

    Args:
        data: annotation files; see `modalmix.builders.pipeline.inputs`.
        out: folder to make, or URL of a place in an object store (see `modalmix.builders.core.storage`); it must not exist, be
            empty, or hold an unfinished build of the same.
        options: how records become rows.
        settings: how rows are packed.
        card: writes the card, which `load_dataset` reads the features from.
        workers: tasks at a time, each in a process; None for one in this process, or for as many as the cluster takes.
        engine: ``"local"`` or ``"ray"``; see `modalmix.builders.build.ray_engine`.
        address: of the Ray cluster; None for ``$RAY_ADDRESS``, or for one on this machine that ends with the build.
        overwrite: replace a build in `out`.
        take_over: continue in an object store where a build of another host was killed and has left its lock.
        progress: called with how far the build is.

    Raises:
        DataError: the data cannot be found, `out` holds something else, or an unfinished build of something else; or the
            cluster cannot be reached, or does not see `out`.
        modalmix.builders.pipeline.rejects.RejectedRow: a record was rejected, and the settings say to stop at the first.
        OSError: the disk is full, for example; the same call continues the build.
    """
    place = at(out)
    with (
        engines.engine(engine, address, workers) as runner,
        _prepared(data, place, options, settings, runner, overwrite, take_over) as (plan, check),
    ):
        runner.run(place, plan, plan.tasks, _collector(runner, plan.tasks, progress, check))
        check()
        return _joined(place, runner, card)


def build_part(
    data: str | Sequence[str],
    out: str,
    part: tuple[int, int],
    options: Options = DEFAULTS,
    settings: Settings = USUAL,
    *,
    workers: int | None = None,
    take_over: bool = False,
    progress: OnProgress | None = None,
) -> None:
    """Runs every n-th task of a build, for batch systems; `finish` joins the parts.

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
        engines.engine("local", None, workers) as runner,
        _prepared(data, place, options, settings, runner, False, take_over, name) as (plan, check),
    ):
        tasks = plan.tasks[part[0] :: part[1]]
        runner.run(place, plan, tasks, _collector(runner, tasks, progress, check))


def _collector(
    engine: Engine, tasks: Sequence[Task], on_progress: OnProgress | None, check: Callable[[], None]
) -> Callable[[TaskState, int], None]:
    """The function that an engine reports the states of tasks to; it also makes sure that the output is still held."""
    progress = BuildProgress(tasks, engine.sizes(tasks))
    checked = time.monotonic()

    def collect(state: TaskState, worker: int = 0) -> None:
        nonlocal checked
        if time.monotonic() - checked >= CHECK_SECONDS:
            check()
            checked = time.monotonic()
        progress.update(state, worker)
        if on_progress:
            on_progress(progress)

    return collect


def finish(out: str, *, card: CardWriter) -> Report:
    """Joins the results of the tasks of a plan: rejects, card and report.

    Args:
        out: as for `build`.
        card: as for `build`.

    Raises:
        DataError: `out` holds no plan, or some of its tasks are not done.
    """
    with engines.engine("local", None, None) as runner:
        return _joined(at(out), runner, card)


def _joined(out: Output, engine: Engine, card: CardWriter) -> Report:
    plan = planning.read(out)
    if plan is None:
        raise DataError(f"{out.url!r} holds no unfinished build")
    sizes = {**out.sizes(STATE), **out.sizes("data")}
    done = {task.number: recorded(out, task, sizes.get) for task in plan.tasks}
    missing = [number for number, task in done.items() if task is None]
    if missing:
        raise DataError(f"{len(missing)} of {len(done)} tasks are not done (the first is {missing[0]}); run them first")
    counts = Counts()
    packed: dict[str, dict[str, list[Shard]]] = {}
    kept: set[str] = set()
    rejected = out.draft(REJECTED)
    with open(rejected, "wb") as lines:
        for task in plan.tasks:
            result = done[task.number]
            assert result is not None
            counts.add(result.counts)
            for mix, split, shard in shards_of(result):
                packed.setdefault(mix, {}).setdefault(split, []).append(shard)
                kept.add(shard.path)
            if result.rejected_bytes:
                with out.open(result.rejected) as part:
                    shutil.copyfileobj(part, lines, 1 << 20)
        if out.fsync:
            lines.flush()
            os.fsync(lines.fileno())
    by_code = rejects.by_code(rejected)
    out.publish(REJECTED)
    for path in out.sizes("data"):  # drafts of killed workers, mostly
        if path not in kept:
            out.remove(path)
    splits = [*dict.fromkeys([*(name for name, _ in plan.settings.splits), *(task.split for task in plan.tasks)])]
    shards = {
        mix: {split: packed[mix][split] for split in splits if split in packed[mix]}
        for mix in features.mixes(MODALITIES)
        if mix in packed
    }
    counts.written = {mix: n for mix, n in sorted(counts.written.items()) if n}
    by_path = dict(zip(plan.inputs, engine.digests(list(plan.inputs)), strict=True))
    paths = plan.paths()
    digests = {name: by_path[paths[name]] for name in plan.sources}
    report = Report(plan.version, counts, shards, plan.sources, digests, planning.options_for_report(plan), by_code)
    card(out.url, report)
    out.write(REPORT, report.text().encode())
    out.write(f"{STATE}/{_FINISHED}", b"")
    out.remove(STATE, last=_FINISHED)
    return report


def _check(out: Output, overwrite: bool) -> None:
    """Makes sure that an output holds nothing but a build that may be continued or replaced."""
    out.begin()
    there = out.names()
    if there and STATE not in there and REPORT not in there:
        raise DataError(f"{out.url!r} holds other files ({sorted(there)[0]!r}, …); name a new folder")
    finished = REPORT in there and (STATE not in there or out.size(f"{STATE}/{_FINISHED}") is not None)
    if finished and not overwrite:
        if STATE in there:  # it was killed while it removed this folder, its last step
            out.remove(STATE, last=_FINISHED)
        raise DataError(f"{out.url!r} holds a finished build; pass --overwrite to replace it")


def _empty(out: Output) -> None:
    """Removes a build from an output, but not the locks."""
    for name in out.names() & set(_BUILT):
        out.remove(name)
    for path in out.sizes(STATE):
        if not path.startswith(_LOCKS):
            out.remove(path)


@contextmanager
def _prepared(
    data: str | Sequence[str],
    out: Output,
    options: Options,
    settings: Settings,
    engine: Engine,
    overwrite: bool,
    take_over: bool,
    part: str = "",
) -> Iterator[tuple[Plan, Callable[[], None]]]:
    """Holds the output, against a second build of the same part, and gives the plan, which is written there.

    The function beside the plan raises a DataError once another build has taken over the output, as may happen in an object
    store.
    """
    split_assignment.check(settings.splits)
    _check(out, overwrite)
    plan = engine.plan(data, options, settings)
    with out.lock(part, take_over=take_over) as check:
        if overwrite:
            _empty(out)
        before = planning.read(out)
        if before is not None and (changes := planning.changes(before, plan)):
            raise DataError(
                f"{out.url!r} holds an unfinished build of something else: {changes[0]}; pass --overwrite to start again"
            )
        if plan != before:
            out.write(planning.FILE, plan.text())
        engine.check(out)
        yield plan, check
