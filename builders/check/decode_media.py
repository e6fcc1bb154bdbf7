"""Examining: all media of a dataset, opened or decoded in several threads, each with what is wrong with it."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from ..core.findings import Finding
from ..media.header import Header
from ..media.header_cache import HeaderCache
from ..media.items import Item
from .media_store import MediaHeader, MediaStore, decode_findings, header_findings, media_headers, picture_header
from .slice_result import Depth


def examine_media(
    store: MediaStore, cache: HeaderCache, depth: Depth, threads: int
) -> Iterator[tuple[MediaHeader, list[Finding]]]:
    """Every distinct medium with its header, and what was found about it.

    Args:
        store: the media.
        cache: headers that are known, and where new ones are kept.
        depth: ``full`` decodes all of each.
        threads: media opened, and decoded, at once.
    """
    # lists of frames that share some stand near each other in the store, so that few need to be remembered
    frame = _Frames()
    judge = partial(_both, frame=frame) if depth == "full" else partial(header_findings, frame=frame)
    waiting: deque[tuple[MediaHeader, Future[list[Finding]] | list[Finding]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoding") as pool:
        for one in media_headers(store, cache, threads=threads):
            long = depth == "full" or len(one.items) > 1
            waiting.append((one, pool.submit(judge, one) if long else judge(one)))
            while waiting and (len(waiting) > 4 * threads or isinstance(waiting[0][1], list)):
                yield _done(*waiting.popleft())
        for pair in waiting:
            yield _done(*pair)


_FRAMES_KNOWN = 1 << 16


class _Frames:
    """Headers of frames, each learned once, also where several threads ask for it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Item, Future[Header]] = OrderedDict()

    def __call__(self, item: Item) -> Header:
        with self._lock:
            found = self._known.get(item)
            if found is not None:
                self._known.move_to_end(item)
            else:
                mine = self._known[item] = Future()
                if len(self._known) > _FRAMES_KNOWN:
                    self._known.popitem(last=False)
        if found is not None:
            return found.result()
        try:
            mine.set_result(picture_header(item))
        except BaseException as error:
            mine.set_exception(error)
            raise
        return mine.result()


def _done(known: MediaHeader, findings: Future[list[Finding]] | list[Finding]) -> tuple[MediaHeader, list[Finding]]:
    return known, findings if isinstance(findings, list) else findings.result()


def _both(known: MediaHeader, frame: Callable[[Item], Header]) -> list[Finding]:
    findings = header_findings(known, frame)
    if any(one.severity == "error" for one in findings):
        return findings
    told = {one.code for one in findings}
    return findings + [one for one in decode_findings(known) if one.code not in told]


def measure(gathered: dict[str, list[int]], known: MediaHeader) -> None:
    """Adds the sizes of a medium to the values gathered, by the names of `modalmix.builders.check.statistics.UNITS`."""
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
