"""The viewer: everything the page can ask for, by address.

Addresses are numbers and names of columns, never paths: what the page can reach is what the collection lists.

====================================  ==========================================================================
``overview``                          counts by mix and finding, and how far the listing is
``list?mix=&finding=&search=&from=``  a window of the list; with ``n=``, where that sample stands in it
``sample/N``                          the sheet of a sample
``columns/N``                         its columns
``media/N/COLUMN/I`` or ``…/I/J``     the bytes of a media value
``frame/N/I/INDEX``                   a frame of a video, counted as masks count them (coded frames)
``mask/N/OBJECT/I``                   a mask in its colour
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
from ..media.errors import MediaError
from ..media.items import Item
from ..media.video import VideoReader, open_video
from . import thumbnails
from .check_findings import Told
from .entries import KINDS, Cell, Collection, Entry, Shown
from .entry_index import Filter, Index
from .sample_page import sheet

WINDOW = 200
"""Lines of the list at once."""

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
    """What an address gives.

    Attributes:
        type: media type.
        body: bytes, or where they are in a file.
        stable: it cannot change while the viewer lives.
    """

    type: str
    body: bytes | Item
    stable: bool = False


class Viewer:
    """Looks at one collection; safe for several threads."""

    def __init__(self, collection: Collection, told: Told | None = None) -> None:
        """A viewer that has listed nothing yet; it closes what it is given.

        Args:
            collection: what to look at.
            told: findings from elsewhere, to show beside those of the collection.
        """
        self.collection = collection
        self._told = told
        self.index = Index()
        self._done = False
        self._closed = False
        self._wrong = ""
        self._thread: Thread | None = None
        self._samples: OrderedDict[int, Shown] = OrderedDict()
        self._sample_lock = Lock()
        self._video_lock = Lock()
        self._video: tuple[tuple[int, int], VideoReader] | None = None

    def start(self) -> None:
        """Lists the samples in a thread of its own; the page shows those that are there."""
        self._thread = Thread(target=self.list_all, name="preview-index", daemon=True)
        self._thread.start()

    def list_all(self) -> None:
        """Lists the samples; what stops it early is told by `overview`."""
        entries = map(self._with_told, self.collection.entries()) if self._told else self.collection.entries()
        try:
            while not self._closed and (batch := list(islice(entries, _BATCH))):
                self.index.add(batch)
        except Exception as error:  # whatever it is, somebody looks at the page and must know that it is not all
            self._wrong = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        self._done = True

    def close(self) -> None:
        """Stops listing, and removes everything temporary."""
        self._closed = True
        if self._thread is not None:
            self._thread.join()
        with self._video_lock:
            if self._video is not None:
                self._video[1].close()
                self._video = None
        self.index.close()
        self.collection.close()
        if self._told is not None:
            self._told.close()

    def answer(self, address: str, query: Mapping[str, str]) -> Answer:
        """What an address gives.

        Raises:
            LookupError: there is no such thing.
            MediaError: a medium that cannot be shown.
            OSError: a file that cannot be read.
            ValueError: bytes that are not what they should be.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise LookupError(f"there is nothing at {address[:80]!r}")
        if found["what"]:
            return _json(self.overview() if found["what"] == "overview" else self.lines(query))
        if found["of"]:
            n = int(found["n"])
            shown = self._shown(n)
            return _json(sheet(shown, n) if found["of"] == "sample" else _texts(shown.columns))
        if found["column"]:
            at = [int(found["i"])] + ([int(found["j"])] if found["j"] else [])
            return self._medium(int(found["m"]), found["column"], at)
        if found["video"]:
            return self._frame(int(found["f"]), int(found["video"]), int(found["index"]))
        masks = self._shown(int(found["k"])).masks
        mask = masks[int(found["object"])][int(found["at"])]
        return Answer("image/png", thumbnails.mask_png(mask, int(found["object"])), True)

    def overview(self) -> dict[str, Any]:
        """What the collection holds, as far as it is listed."""
        index = self.index
        order = {"error": 0, "warning": 1, "info": 2}
        codes = sorted(index.codes.items(), key=lambda pair: (order[CATALOGUE[pair[0]].severity], -pair[1], pair[0]))
        return {
            "title": self.collection.title,
            "count": index.count,
            "done": self._done,
            "wrong": self._wrong,
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
            query: ``mix``, ``finding``, ``search``; ``from`` (place of the first line), ``count``; or ``n`` of a sample.
        """
        wanted = Filter(query.get("mix", ""), query.get("finding", ""), query.get("search", "")[:1000])
        start, count = _number(query.get("from", "0")), min(_number(query.get("count", "50")), WINDOW)
        total, lines = self.index.lines(wanted, start, count)
        answer: dict[str, Any] = {"total": total, "from": start, "lines": [line._asdict() for line in lines]}
        if "n" in query:
            answer["at"] = self.index.at(wanted, _number(query["n"]))
        return answer

    def _shown(self, n: int) -> Shown:
        with self._sample_lock:
            known = self._samples.get(n)
            if known is None:
                known = self._samples[n] = self._whole(n)
                while len(self._samples) > _KEPT_SAMPLES:
                    self._samples.popitem(last=False)
            self._samples.move_to_end(n)
            return known

    def _whole(self, n: int) -> Shown:
        shown = self.collection.shown(self.index.place(n))
        if self._told is not None:
            known = {(one.code, one.pointer) for one in shown.findings}
            more = [one for one in self._told.of(shown.file, shown.row) if (one.code, one.pointer) not in known]
            shown.findings = [*shown.findings, *more]
        return shown

    def _with_told(self, one: Entry) -> Entry:
        assert self._told is not None
        codes = (*one.codes, *(found.code for found in self._told.of(one.file, one.row)))
        return one._replace(codes=tuple(dict.fromkeys(codes)))

    def _item(self, n: int, column: str, at: list[int]) -> Item:
        cell: Any = self._shown(n).media.get(column, [])
        for index in at:
            if isinstance(cell, (Finding, tuple)):
                raise LookupError(f"{column} of sample {n} has no list at {at}")
            cell = cell[index]
        if isinstance(cell, (Finding, list)):
            raise LookupError(f"{column} of sample {n} has no medium at {at}")
        found: Cell = cell
        assert not isinstance(found, Finding)
        item = self.collection.item(found)
        if os.path.realpath(item.path) != item.path:  # it was not a link when it was looked up under the media roots
            raise LookupError(f"{item.name!r} has become a link to somewhere else")
        return item

    def _medium(self, n: int, column: str, at: list[int]) -> Answer:
        item = self._item(n, column, at)
        kind = "image" if column == "frames" else KINDS[column]
        with open(item.path, "rb") as file:
            file.seek(item.start)
            head = file.read(min(_HEAD, item.size))
        type_ = thumbnails.media_type(kind, head)
        if type_ == thumbnails.UNKNOWN and kind == "image":
            return Answer("image/png", thumbnails.shown_png(item), True)
        return Answer(type_, item, True)

    def _frame(self, n: int, video: int, index: int) -> Answer:
        with self._video_lock:  # a decoder is for one thread, and the frames of one video are asked for together
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
    """Each column as a text: what a script reads as numbers would lose the digits beyond 53 bits."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=repr)
        for name, value in columns.items()
    }


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 16 else 0


__all__ = ["Answer", "MediaError", "Viewer"]
