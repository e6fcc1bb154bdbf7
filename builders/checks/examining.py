"""Examining: all media of a dataset, opened or decoded in several threads, each with what is wrong with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial

from ..findings import Finding
from ..media.headers import Header, HeaderCache
from ..media.items import Item
from .looking import Depth
from .media import Known, MediaStore, decoded, judged, opened, picture_header


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
    # lists of frames that share some stand near each other in the store, so that few need to be remembered
    frame = lru_cache(_FRAMES_KNOWN)(picture_header)
    judge = partial(_both, frame=frame) if depth == "full" else partial(judged, frame=frame)
    waiting: deque[tuple[Known, Future[list[Finding]] | list[Finding]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoding") as pool:
        for one in opened(store, cache, threads=threads):
            long = depth == "full" or len(one.items) > 1
            waiting.append((one, pool.submit(judge, one) if long else judge(one)))
            while waiting and (len(waiting) > 4 * threads or isinstance(waiting[0][1], list)):
                yield _done(*waiting.popleft())
        for pair in waiting:
            yield _done(*pair)


_FRAMES_KNOWN = 1 << 16


def _done(known: Known, findings: Future[list[Finding]] | list[Finding]) -> tuple[Known, list[Finding]]:
    return known, findings if isinstance(findings, list) else findings.result()


def _both(known: Known, frame: Callable[[Item], Header]) -> list[Finding]:
    findings = judged(known, frame)
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
