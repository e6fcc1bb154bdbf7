"""Decoding ahead: results in the order of their sources, computed in threads before they are requested."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Source = TypeVar("_Source")
_Result = TypeVar("_Result")


def in_order(
    decode: Callable[[_Source], _Result], sources: Iterable[_Source], threads: int, prefetch: int | None
) -> Iterator[_Result]:
    """The results of `decode` for each source, in order.

    At most `prefetch` results exist at a time, so memory is bounded; None stands for twice the threads.
    """
    limit = prefetch or 2 * threads
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(min(threads, limit), "modalmix-view")
    try:
        for source in sources:
            waiting.append(pool.submit(decode, source))
            if len(waiting) >= limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def thread_count(requested: int | None) -> int:
    """The number of threads: as requested, or one per processor, shared among the workers of a DataLoader."""
    if requested is not None:
        return requested
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available // _loader_workers())


def _loader_workers() -> int:
    """The number of workers of the DataLoader that this process is a worker of; 1 if it is none."""
    if "torch" not in sys.modules:
        return 1
    import torch.utils.data

    info = torch.utils.data.get_worker_info()
    return 1 if info is None else int(info.num_workers)
