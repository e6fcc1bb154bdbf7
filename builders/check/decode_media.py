"""Examination of media: all media of a dataset, opened or decoded in several threads, each with its findings."""

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
    """Every distinct medium with its header and its findings.

    Args:
        store: the media.
        cache: headers, and where new ones are kept.
        depth: ``full`` decodes each to its end.
        threads: number of media opened and decoded at once.
    """
    # lists that share frames are near each other in the store, so that a small cache is enough
    frame_header = _FrameHeaders()
    find = (
        partial(_all_findings, frame_header=frame_header)
        if depth == "full"
        else partial(header_findings, frame_header=frame_header)
    )
    pending: deque[tuple[MediaHeader, Future[list[Finding]] | list[Finding]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decoding") as pool:
        for medium in media_headers(store, cache, threads=threads):
            is_slow = depth == "full" or len(medium.items) > 1
            pending.append((medium, pool.submit(find, medium) if is_slow else find(medium)))
            while pending and (len(pending) > 4 * threads or isinstance(pending[0][1], list)):
                yield _done(*pending.popleft())
        for pair in pending:
            yield _done(*pair)


_MAX_FRAMES = 1 << 16


class _FrameHeaders:
    """Headers of frames, each read once, also where several threads need it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._headers: OrderedDict[Item, Future[Header]] = OrderedDict()

    def __call__(self, item: Item) -> Header:
        with self._lock:
            found = self._headers.get(item)
            if found is not None:
                self._headers.move_to_end(item)
            else:
                mine = self._headers[item] = Future()
                if len(self._headers) > _MAX_FRAMES:
                    self._headers.popitem(last=False)
        if found is not None:
            return found.result()
        try:
            mine.set_result(picture_header(item))
        except BaseException as error:
            mine.set_exception(error)
            raise
        return mine.result()


def _done(medium: MediaHeader, findings: Future[list[Finding]] | list[Finding]) -> tuple[MediaHeader, list[Finding]]:
    return medium, findings if isinstance(findings, list) else findings.result()


def _all_findings(medium: MediaHeader, frame_header: Callable[[Item], Header]) -> list[Finding]:
    findings = header_findings(medium, frame_header)
    if any(finding.severity == "error" for finding in findings):
        return findings
    codes = {finding.code for finding in findings}
    return findings + [finding for finding in decode_findings(medium) if finding.code not in codes]


def measure(values: dict[str, list[int]], medium: MediaHeader) -> None:
    """Adds the sizes of a medium to the values, by the names of `modalmix.builders.check.statistics.UNITS`."""
    header = medium.header
    kind = "image" if medium.kind == "frames" else medium.kind

    def add(name: str, value: float) -> None:
        values.setdefault(name, []).append(max(0, round(value)))

    if kind == "image":
        add("image pixels", header.height * header.width)
        add("image width", header.width)
        add("image height", header.height)
        for item in medium.items:
            add("image bytes", item.size)
    elif kind == "video":
        add("video width", header.width)
        add("video height", header.height)
        add("video frames", header.frames)
        add("video milliseconds", 1000 * header.seconds)
        add("video bytes", medium.items[0].size)
    else:
        add("sound milliseconds", 1000 * header.seconds)
        add("sound rate", header.rate)
        add("sound bytes", medium.items[0].size)
