"""Viewer: the answer to every request of the page, by address.

Addresses are made of numbers and column names, never of paths: the page reaches only what the collection lists.

====================================  ==========================================================================
``overview``                          counts by mix and finding, and whether the listing is complete
``list?mix=&finding=&search=&from=``  a window of the list; with ``n=``, the position of that sample in the list
``sample/N``                          the sheet of a sample
``columns/N``                         its columns
``media/N/COLUMN/I`` or ``…/I/J``     the bytes of a media value
``frame/N/I/INDEX``                   a frame of a video, by the number that masks use (coded frames)
``mask/N/OBJECT/I``                   a mask in its object's colour
====================================  ==========================================================================
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from threading import Lock, Thread
from typing import Any, NamedTuple

import msgspec

from ..core.findings import CATALOGUE, Finding
from ..media.items import Item
from ..media.video import VideoReader, open_video
from . import thumbnails
from .check_findings import CheckFindings
from .entries import KINDS, Cell, Collection, Entry, SampleDetails
from .entry_index import Filter, Index
from .sample_page import sheet

WINDOW = 200
"""Lines of the list that one request gets at most."""

_BATCH = 500
_KEPT_SAMPLES = 8
_HEAD = 4096

_ADDRESS = re.compile(
    r"(?P<what>overview|list)|(?P<of>sample|columns)/(?P<n>\d{1,15})"
    r"|media/(?P<m>\d{1,15})/(?P<column>[a-z_]+)/(?P<i>\d{1,9})(?:/(?P<j>\d{1,9}))?"
    r"|frame/(?P<f>\d{1,15})/(?P<video>\d{1,9})/(?P<index>\d{1,15})"
    r"|mask/(?P<k>\d{1,15})/(?P<object>\d{1,9})/(?P<at>\d{1,9})"
)


class Answer(NamedTuple):
    """The answer to a request.

    Attributes:
        type: media type.
        body: bytes, or where they are in a file.
        stable: the answer stays the same as long as the viewer is open.
    """

    type: str
    body: bytes | Item
    stable: bool = False


class Viewer:
    """Answers requests about one collection; safe for several threads."""

    def __init__(self, collection: Collection, findings: CheckFindings | None = None) -> None:
        """A viewer with an empty list; closing it closes its arguments.

        Args:
            collection: what to show.
            findings: of a check, to show beside those of the collection.
        """
        self.collection = collection
        self._findings = findings
        self.index = Index()
        self._done = False
        self._closed = False
        self._error = ""
        self._thread: Thread | None = None
        self._samples: OrderedDict[int, SampleDetails] = OrderedDict()
        self._sample_lock = Lock()
        self._video_lock = Lock()
        self._video: tuple[tuple[int, int], VideoReader] | None = None

    def start(self) -> None:
        """Lists the samples in a thread; the page shows those that are listed so far."""
        self._thread = Thread(target=self.list_all, name="preview-index", daemon=True)
        self._thread.start()

    def list_all(self) -> None:
        """Lists the samples; an error that stops the listing is in `overview`."""
        entries = self.collection.entries()
        if self._findings is not None:
            entries = map(self._with_check_codes, entries)
        try:
            while not self._closed and (batch := list(islice(entries, _BATCH))):
                self.index.add(batch)
        except Exception as error:  # any error: the page must say that the list is incomplete
            self._error = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        self._done = True

    def close(self) -> None:
        """Stops the listing, and removes all temporary files."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()
        with self._video_lock:
            if self._video is not None:
                self._video[1].close()
                self._video = None
        self.index.close()
        self.collection.close()
        if self._findings is not None:
            self._findings.close()

    def answer(self, address: str, query: Mapping[str, str]) -> Answer:
        """The answer to a request.

        Raises:
            LookupError: the address names nothing.
            MediaError: a medium cannot be shown.
            OSError: a file cannot be read.
            ValueError: a file does not hold what it should.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise LookupError(f"there is nothing at {address[:80]!r}")
        if found["what"]:
            return _json(self.overview() if found["what"] == "overview" else self.lines(query))
        if found["of"]:
            n = int(found["n"])
            details = self._details(n)
            return _json(sheet(details, n) if found["of"] == "sample" else _texts(details.columns))
        if found["column"]:
            at = [int(found["i"])] + ([int(found["j"])] if found["j"] else [])
            return self._medium(int(found["m"]), found["column"], at)
        if found["video"]:
            return self._frame(int(found["f"]), int(found["video"]), int(found["index"]))
        masks = self._details(int(found["k"])).masks
        mask = masks[int(found["object"])][int(found["at"])]
        return Answer("image/png", thumbnails.mask_png(mask, int(found["object"])), True)

    def overview(self) -> dict[str, Any]:
        """The counts of the samples that are listed so far."""
        index = self.index
        order = {"error": 0, "warning": 1, "info": 2}
        codes = sorted(index.codes.items(), key=lambda pair: (order[CATALOGUE[pair[0]].severity], -pair[1], pair[0]))
        return {
            "title": self.collection.title,
            "count": index.count,
            "done": self._done,
            "error": self._error,
            "states": dict(index.states),
            "mixes": dict(sorted(index.mixes.items(), key=lambda pair: (pair[0] == "", -pair[1], pair[0]))),
            "findings": [
                {"code": code, "count": count, "name": CATALOGUE[code].name, "severity": CATALOGUE[code].severity}
                for code, count in codes
            ],
        }

    def lines(self, query: Mapping[str, str]) -> dict[str, Any]:
        """A window of the list.

        Args:
            query: ``mix``, ``finding``, ``search``; ``from`` (position of the first line), ``count``; ``n`` of a sample.
        """
        filter_ = Filter(query.get("mix", ""), query.get("finding", ""), query.get("search", "")[:1000])
        start, count = _number(query.get("from", "0")), min(_number(query.get("count", "50")), WINDOW)
        total, lines = self.index.lines(filter_, start, count)
        answer: dict[str, Any] = {"total": total, "from": start, "lines": [line._asdict() for line in lines]}
        if "n" in query:
            answer["at"] = self.index.position(filter_, _number(query["n"]))
        return answer

    def _details(self, n: int) -> SampleDetails:
        with self._sample_lock:
            details = self._samples.get(n)
            if details is None:
                details = self._samples[n] = self._with_check_findings(self.collection.details(self.index.place(n)))
                while len(self._samples) > _KEPT_SAMPLES:
                    self._samples.popitem(last=False)
            self._samples.move_to_end(n)
            return details

    def _with_check_findings(self, details: SampleDetails) -> SampleDetails:
        if self._findings is not None:
            known = {(found.code, found.pointer) for found in details.findings}
            of_check = self._findings.of(details.file, details.row)
            details.findings += [found for found in of_check if (found.code, found.pointer) not in known]
        return details

    def _with_check_codes(self, entry: Entry) -> Entry:
        assert self._findings is not None
        codes = (*entry.codes, *(found.code for found in self._findings.of(entry.file, entry.row)))
        return entry._replace(codes=tuple(dict.fromkeys(codes)))

    def _item(self, n: int, column: str, at: list[int]) -> Item:
        cell: Any = self._details(n).media.get(column, [])
        for index in at:
            if isinstance(cell, (Finding, tuple)):
                raise LookupError(f"{column} of sample {n} has no list at {at}")
            cell = cell[index]
        if isinstance(cell, (Finding, list)):
            raise LookupError(f"{column} of sample {n} has no medium at {at}")
        found: Cell = cell
        assert not isinstance(found, Finding)
        item = self.collection.item(found)
        if os.path.realpath(item.path) != item.path:  # it was no link when it was found under the media roots
            raise LookupError(f"{item.name!r} is now a link to another place")
        return item

    def _medium(self, n: int, column: str, at: list[int]) -> Answer:
        item = self._item(n, column, at)
        kind = "image" if column == "frames" else KINDS[column]
        with open(item.path, "rb") as file:
            file.seek(item.start)
            head = file.read(min(_HEAD, item.size))
        type_ = thumbnails.media_type(kind, head)
        if type_ == thumbnails.UNKNOWN and kind == "image":
            return Answer("image/png", thumbnails.image_png(item), True)
        return Answer(type_, item, True)

    def _frame(self, n: int, video: int, index: int) -> Answer:
        with self._video_lock:  # a decoder is for one thread, and the page requests the frames of one video together
            if self._video is None or self._video[0] != (n, video):
                if self._video is not None:
                    self._video[1].close()
                    self._video = None
                self._video = (n, video), open_video(self._item(n, "videos", [video]))
            pixels = self._video[1].read([index], coded=True)[0]
        return Answer("image/jpeg", thumbnails.frame_jpeg(pixels), True)


def _json(value: Any) -> Answer:
    try:
        body = msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, UnicodeError, TypeError, ValueError):
        body = json.dumps(value, default=repr).encode()  # integers beyond 64 bits, halves of surrogate pairs
    return Answer("application/json", body)


def _texts(columns: Mapping[str, Any]) -> dict[str, str]:
    """Each column as a text: JavaScript numbers lose the digits beyond 53 bits."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=repr)
        for name, value in columns.items()
    }


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else 0
