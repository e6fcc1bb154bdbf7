"""Examining: all media of a dataset, opened or decoded in several threads, each with what is wrong with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from ..findings import Finding
from ..media.headers import HeaderCache
from .looking import Depth
from .media import Known, MediaStore, decoded, judged, opened


def examined(
    store: MediaStore, cache: HeaderCache, depth: Depth, threads: int
) -> Iterator[tuple[Known, list[Finding]]]:
    """Every distinct medium with its header, and what was found about it.

    Args:
        store: the media.
        cache: headers that are known, and where new ones are kept.
        depth: ``full`` decodes all of each.
        threads: media opened, and decoded, at once.
    """
    known = opened(store, cache, threads=threads)
    if depth != "full":
        for one in known:
            yield one, judged(one)
        return
    waiting: deque[tuple[Known, Future[list[Finding]]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoding") as pool:
        for one in known:
            waiting.append((one, pool.submit(_both, one)))
            if len(waiting) > 4 * threads:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def _both(known: Known) -> list[Finding]:
    findings = judged(known)
    if any(one.severity == "error" for one in findings):
        return findings
    told = {one.code for one in findings}
    return findings + [one for one in decoded(known) if one.code not in told]


def measure(gathered: dict[str, list[int]], known: Known) -> None:
    """Adds the sizes of a medium to the values gathered, by the names of `modalmix.builders.checks.statistics.UNITS`."""
    header = known.header
    wanted = "image" if known.medium == "frames" else known.medium

    def add(name: str, value: float) -> None:
        gathered.setdefault(name, []).append(max(0, round(value)))

    if wanted == "image":
        add("image pixels", header.height * header.width)
        add("image width", header.width)
        add("image height", header.height)
        for item in known.items:
            add("image bytes", item.size)
    elif wanted == "video":
        add("video width", header.width)
        add("video height", header.height)
        add("video frames", header.frames)
        add("video milliseconds", 1000 * header.seconds)
        add("video bytes", known.items[0].size)
    else:
        add("sound milliseconds", 1000 * header.seconds)
        add("sound rate", header.rate)
        add("sound bytes", known.items[0].size)
