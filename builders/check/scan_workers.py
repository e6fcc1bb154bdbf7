"""Scan workers: processes that look at slices side by side.

Results come in the order of the slices, whichever worker is done first, so that a check says the same with any number of them.
See `modalmix.builders.core.worker_processes`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ..annotations import Slice
from ..core.worker_processes import Send, run_in_workers
from ..pipeline.options import Options
from ..pipeline.rewriters import Rewriters
from .path_cache import Located
from .scan_slice import look
from .slice_result import Depth, Part


class Task(NamedTuple):
    """A slice to look at, and the index of its annotation file."""

    piece: Slice
    file: int


class Looked(NamedTuple):
    """The result of a slice, and the file its findings are in; who takes it removes that file."""

    part: Part
    findings: str


class _Setup(NamedTuple):
    options: Options
    depth: Depth
    folder: str


def looked(tasks: Sequence[Task], options: Options, depth: Depth, folder: str, count: int) -> Iterator[Looked]:
    """Looks at slices in `count` processes.

    Args:
        tasks: the slices; each must know its row.
        options: how records become rows.
        depth: as for `look`.
        folder: where the findings of slices are put.
        count: how many workers.

    Yields:
        The results in the order of the tasks.

    Raises:
        DataError, OSError: of a worker; `modalmix.builders.core.worker_processes.WorkerDied` if a slice has ended several.
    """
    setup = _Setup(options, depth, folder)
    for _, result in run_in_workers(
        _worker, setup, tasks, count, ordered=True, describe=lambda task: f"a slice of {task.piece.file!r}"
    ):
        yield result


def _worker(setup: _Setup) -> Callable[[Task, Send], Looked]:
    """Looks at slices in a worker."""
    rewriters = Rewriters(setup.options)
    located: Located | None = None

    def run(task: Task, send: Send) -> Looked:
        nonlocal located
        rewriter = rewriters.of(task.piece)
        if located is None or located.rewriter is not rewriter:
            located = Located(rewriter)
        handle, path = tempfile.mkstemp(prefix="part-", suffix=".jsonl", dir=setup.folder)
        with os.fdopen(handle, "wb") as spool:
            part = look(task.piece, task.file, setup.options, located, spool, depth=setup.depth)
        return Looked(part, path)

    return run
