"""Building: plan, run, put together."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ... import cards
from .. import features, rejects
from ..annotations import DataError
from ..report import Report, Shard
from ..rows import DEFAULTS, Counts, Options
from ..sample import MODALITIES
from . import plan as planning
from . import splitting, work
from .files import sha256, sync_folder, write_whole
from .plan import Plan, Settings, Task
from .progress import Standing, State
from .workers import run_all

_OURS = ("README.md", "report.json", "statistics.json", "plots", rejects.FILE, "data", work.FOLDER)
_PLAN = "plan.json"
USUAL = Settings()

Progress = Callable[[Standing], None]
"""Called with how far the build is, now and then."""


def build(
    data: str | Sequence[str],
    out: str,
    options: Options = DEFAULTS,
    settings: Settings = USUAL,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Builds a dataset, or goes on with a build that was interrupted.

    The shards, the card and the rejects depend on the data, the options and the settings alone: not on the number of
    workers, nor on how often the build was interrupted.

    Args:
        data: annotation files; see `modalmix.builders.data`.
        out: folder to make; it must not exist, be empty, or hold an unfinished build of the same.
        options: how records become rows.
        settings: how rows are packed.
        workers: processes; 1 works in this one.
        overwrite: replace a build in `out`.
        progress: told how far the build is.

    Raises:
        DataError: the data cannot be found, `out` holds something else, or an unfinished build of something else.
        modalmix.builders.rejects.RejectedRow: a record was rejected and the settings say so.
        OSError: the disk is full, say; the same call goes on.
    """
    with _begun(data, out, options, settings, overwrite, "") as plan:
        _run(out, plan, plan.tasks, workers, progress)
        return finish(out)


def build_part(
    data: str | Sequence[str],
    out: str,
    part: tuple[int, int],
    options: Options = DEFAULTS,
    settings: Settings = USUAL,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Runs every n-th task of a build, for batch systems; `finish` puts the parts together.

    Args:
        data: as for `build`.
        out: folder that all parts share.
        part: ``(i, n)``, i from 0.
        options: as for `build`.
        settings: as for `build`.
        workers: as for `build`.
        progress: as for `build`.

    Raises:
        DataError, RejectedRow, OSError: as `build` does.
    """
    with _begun(data, out, options, settings, False, f"-{part[0]}-{part[1]}") as plan:
        _run(out, plan, plan.tasks[part[0] :: part[1]], workers, progress)


def _run(out: str, plan: Plan, tasks: Sequence[Task], workers: int, progress: Progress | None) -> None:
    """Runs tasks here, or in several processes."""
    standing = Standing(tasks)

    def told(state: State, worker: int = 0) -> None:
        standing.tell(state, worker)
        if progress:
            progress(standing)

    if workers > 1 and len(tasks) > 1:
        run_all(out, tasks, workers, told)
    else:
        for task in tasks:
            work.run(out, plan, task, told)


def finish(out: str) -> Report:
    """Puts together what the tasks of a plan have made.

    Raises:
        DataError: `out` holds no plan, or some of its tasks are not done.
    """
    plan = planning.read(os.path.join(out, work.FOLDER, _PLAN))
    if plan is None:
        raise DataError(f"{out!r} holds no unfinished build")
    done = {task.number: work.claimed(out, task) for task in plan.tasks}
    missing = [number for number, task in done.items() if task is None]
    if missing:
        raise DataError(f"{len(missing)} of {len(done)} tasks are not done (the first is {missing[0]}); run them first")
    counts = Counts()
    packed: dict[str, dict[str, list[Shard]]] = {}
    kept: set[str] = set()
    with open(os.path.join(out, f"{rejects.FILE}.tmp"), "wb") as lines:
        for task in plan.tasks:
            made = done[task.number]
            assert made is not None
            counts.add(made.counts)
            for mix, split, shard in work.shards_of(made):
                packed.setdefault(mix, {}).setdefault(split, []).append(shard)
                kept.add(shard.path)
            with open(os.path.join(out, made.rejected), "rb") as part:
                shutil.copyfileobj(part, lines)
        lines.flush()
        os.fsync(lines.fileno())
    os.replace(lines.name, os.path.join(out, rejects.FILE))
    _remove_strangers(os.path.join(out, "data"), out, kept)
    splits = [*dict.fromkeys([*(name for name, _ in plan.settings.splits), *(task.split for task in plan.tasks)])]
    shown = {
        mix: {split: packed[mix][split] for split in splits if split in packed[mix]}
        for mix in features.mixes(MODALITIES)
        if mix in packed
    }
    counts.written = {mix: n for mix, n in sorted(counts.written.items()) if n}
    digests = {file: sha256(path) for file, path in zip(plan.sources, plan.inputs, strict=True)}
    by_code = rejects.by_code(os.path.join(out, rejects.FILE))
    report = Report(plan.version, counts, shown, plan.sources, digests, planning.described(plan), by_code)
    cards.write(out, report)
    write_whole(os.path.join(out, "report.json"), report.text().encode())
    shutil.rmtree(os.path.join(out, work.FOLDER))
    sync_folder(out)
    return report


def _remove_strangers(folder: str, out: str, kept: set[str]) -> None:
    """Removes what interrupted runs have left under ``data``: temporary files, mostly."""
    for here, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(here, name)
            if os.path.relpath(path, out) not in kept:
                os.remove(path)


def _check_folder(out: str, overwrite: bool) -> None:
    """Makes sure that `out` is ours to write to, and empties it if it is to be overwritten."""
    if os.path.exists(out) and not os.path.isdir(out):
        raise DataError(f"{out!r} is a file; --out must name a folder")
    os.makedirs(out, exist_ok=True)
    there = set(os.listdir(out))
    if there and work.FOLDER not in there and "report.json" not in there:
        raise DataError(f"{out!r} holds other files ({sorted(there)[0]!r}, …); name a new folder")
    if overwrite:
        for name in there & set(_OURS):
            path = os.path.join(out, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    elif "report.json" in there and work.FOLDER not in there:
        raise DataError(f"{out!r} holds a finished build; pass --overwrite to replace it")


@contextmanager
def _begun(
    data: str | Sequence[str], out: str, options: Options, settings: Settings, overwrite: bool, part: str
) -> Iterator[Plan]:
    """A folder with its plan, locked: no second build of the same part gets in.  The lock ends with the process."""
    splitting.check(settings.splits)
    _check_folder(out, overwrite)
    plan = planning.make(data, options, settings)
    os.makedirs(os.path.join(out, work.FOLDER), exist_ok=True)
    locks = [
        os.open(os.path.join(out, work.FOLDER, name), os.O_RDWR | os.O_CREAT)
        for name in dict.fromkeys(("lock", f"lock{part}"))
    ]
    try:
        try:
            for lock, kind in zip(locks, (fcntl.LOCK_SH if part else fcntl.LOCK_EX, fcntl.LOCK_EX), strict=False):
                fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"another build is at work in {out!r}") from error
        path = os.path.join(out, work.FOLDER, _PLAN)
        before = planning.read(path)
        if before is not None and (changed := planning.changes(before, plan)):
            what = changed[0]
            raise DataError(
                f"{out!r} holds an unfinished build of something else: {what}; pass --overwrite to begin anew"
            )
        if plan != before:
            write_whole(path, plan.text())
        yield plan
    finally:
        for lock in locks:
            os.close(lock)
