"""Scan workers: processes that scan slices at the same time.

Results come in the order of the slices, whichever worker is done first, so that a check gives the same with any number of them.
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
from .path_cache import PathCache
from .scan_slice import scan_slice
from .slice_result import Depth, SliceResult


class Task(NamedTuple):
    """A slice to scan, and the index of its annotation file."""

    slice_: Slice
    file: int


class ScanResult(NamedTuple):
    """The result of a slice, and the file with its findings, which the caller removes."""

    result: SliceResult
    findings: str


class _Setup(NamedTuple):
    options: Options
    depth: Depth
    folder: str


def scan_in_workers(
    tasks: Sequence[Task], options: Options, depth: Depth, folder: str, count: int
) -> Iterator[ScanResult]:
    """Scans slices in `count` processes.

    Args:
        tasks: the slices; each must know its row.
        options: how records become rows.
        depth: as for `scan_slice`.
        folder: where the findings of slices are written.
        count: how many workers.

    Yields:
        The results in the order of the tasks.

    Raises:
        DataError, OSError: of a worker; `modalmix.builders.core.worker_processes.WorkerDied` if a slice ends several of them.
    """
    setup = _Setup(options, depth, folder)
    for _, result in run_in_workers(
        _worker, setup, tasks, count, ordered=True, describe=lambda task: f"a slice of {task.slice_.file!r}"
    ):
        yield result


def _worker(setup: _Setup) -> Callable[[Task, Send], ScanResult]:
    """Scans slices in a worker."""
    rewriters = Rewriters(setup.options)
    paths: PathCache | None = None

    def run(task: Task, send: Send) -> ScanResult:
        nonlocal paths
        rewriter = rewriters.of(task.slice_)
        if paths is None or paths.rewriter is not rewriter:
            paths = PathCache(rewriter)
        handle, path = tempfile.mkstemp(prefix="result-", suffix=".jsonl", dir=setup.folder)
        with os.fdopen(handle, "wb") as spool:
            result = scan_slice(task.slice_, task.file, setup.options, paths, spool, depth=setup.depth)
        return ScanResult(result, path)

    return run
