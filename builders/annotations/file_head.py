r"""The head of an annotation file: in which of its forms the file is, and what its records look like.

========== ================================================================================
``array``    ``[{…}, {…}]``, on one line or indented
``lines``    JSON Lines: each record on a line of its own
``objects``  records one after another, pretty-printed over several lines or without a break
========== ================================================================================

The content decides, not the extension.  What the first records look like (their keys, the white space around their first
brace, the text between two of them) is what places deep in the file are compared with: to guess where a record starts
near a byte offset, and to find the next one after a broken one.  Every guess is proved by decoding.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

from .byte_window import BLANK, COMPRESSED, Window

Form = Literal["array", "lines", "objects"]

MARK = b"\xef\xbb\xbf"
TURN_KEYS = frozenset({"conversations", "messages"})
"""A record has one of these in all formats; used where the file's first records say nothing."""

_SAMPLE = 256 << 10
_LARGEST_SAMPLE = 16 << 20
_START = re.compile(rb'\{[ \t\r\n]*"(?=[^",:\]} \t\r\n])')
"""A brace and a key. It cannot begin inside of a string: the quote would end it, and what follows may not."""
_JOINT = re.compile(rb'[ \t\r\n]*,?[ \t\r\n]*\{[ \t\r\n]*"(?:[^"\\]|\\.)*"')
_FIRST_KEY = re.compile(rb'\{[ \t\r\n]*"((?:[^"\\]|\\.)*)"')

_scan = json.JSONDecoder(strict=False).raw_decode


_HALF = re.compile(r"\s*(?:-?I?n?f?i?n?i?t?y?|N?a?N?|t?r?u?e?|f?a?l?s?e?|n?u?l?l?|[.eE+-]*|\\.{0,5})", re.DOTALL)
"""What the end of a text leaves of a constant, a number or an escape."""


def extent(text: str, start: int, *, last: bool = False) -> tuple[Any, int] | str | None:
    """The JSON value that starts at `start` and its end; what is wrong with it; or None if it goes on past the text.

    The text is bytes read as Latin-1, so that indexes are byte offsets: brackets and quotes are ASCII, and a strict check
    of the bytes comes later. Raw line breaks in strings, NaN and lone surrogates do not blur where a record ends.

    Args:
        text: bytes as Latin-1.
        start: index of the value's first character.
        last: nothing follows the text, so that an error near its end may be one.
    """
    try:
        return _scan(text, start)
    except json.JSONDecodeError as error:
        # the text's end itself gives these: an open string, or an error among the last bytes (half a constant or escape)
        if error.msg.startswith("Unterminated"):
            return None
        if error.pos >= len(text) - 12 and (not last or _HALF.fullmatch(text, error.pos)):
            return None
        return f"{error.msg} (byte {error.pos - start} of the record)"
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:  # an integer of thousands of digits
        return str(error)


def _nested(value: Any) -> Iterable[dict[str, Any]]:
    """All dicts inside of a record."""
    stack = list(value.values())
    while stack:
        item = stack.pop()
        if type(item) is dict:
            yield item
            stack.extend(item.values())
        elif type(item) is list:
            stack.extend(item)


class Head:
    """What the first bytes of a file say about it.

    Attributes:
        form: array, lines or objects.
        marked: the file starts with a byte-order mark.
        empty: there is nothing but white space.
        first_kind: the type of the first element, if it is whole in these bytes; else None.
        first_has_turns: it is an object with turns.
        single: nothing follows the first element (for `objects` and `lines`).
        keys: the key sets of the first records.
        first_key: the key each record begins with, or None where it differs or cannot be read.
        outer: white space before the brace of a record, if it is indented; inner: white space after it.
        joints: exact texts from the end of a record to the end of the next one's first key.
        ambiguous: records hold objects that look like records, so that the look of a place decides nothing.
    """

    def __init__(self, path: str) -> None:
        self.form: Form = "objects"
        self.keys: set[frozenset[str]] = set()
        self.outer = self.inner = b""
        self.joints: list[bytes] = []
        self.first_key: bytes | None = None
        self.first_kind: type | None = None
        self.first_has_turns = False
        self.single = False
        self.ambiguous = False
        with Window(path) as window:
            size = _SAMPLE
            while True:
                have = window.fill(size)
                data = bytes(window.buf[window.pos : window.end])
                self.marked = data.startswith(MARK)
                self.damage = window.damage
                if self._read_records(data, window.eof) or have < size or size >= _LARGEST_SAMPLE:
                    break
                size *= 4

    def _read_records(self, data: bytes, whole: bool) -> bool:
        """Reads the first records; False if not even one of them is whole."""
        pos = _unblank(data, len(MARK) if self.marked else 0)
        self.empty = pos == len(data)
        if self.empty:
            return True
        if data[pos] == 0x5B:
            self.form = "array"
            start = _unblank(data, pos + 1)
            self.outer = _indent(data, pos + 1, start)
        else:
            start = pos
            self.form = "lines" if _has_whole_line(data[pos:]) else "objects"
        named = _FIRST_KEY.match(data, start)
        if named:
            self.first_key = named[1]
            inner_start = start + 1
            self.inner = data[inner_start : _unblank(data, inner_start)]
        text = data.decode("latin-1")
        for number in range(64):
            found = extent(text, start) if start < len(text) else None
            if not isinstance(found, tuple):
                return number > 0 or isinstance(found, str)
            value, end = found
            if number == 0:
                self.first_kind = type(value)
                self.first_has_turns = type(value) is dict and not TURN_KEYS.isdisjoint(value)
                self.single = whole and _unblank(data, end) == len(data)
            if type(value) is dict:
                keys = frozenset(_text(key) for key in value)
                if keys:
                    self.keys.add(keys)
            if type(value) is dict and not self.ambiguous:
                self.ambiguous = any(self.resembles(inner) for inner in _nested(value))
            joint = _JOINT.match(data, end)
            if joint is None:
                break
            sound = data[end - 1] == 0x7D and (b"," in joint[0][: joint[0].index(b"{")]) == (self.form == "array")
            if sound and b"}" + joint[0] not in self.joints and len(self.joints) < 8:
                self.joints.append(b"}" + joint[0])
            start = data.index(b"{", end)
            if not data[:start].endswith(self.outer):
                self.outer = b""
            if data[start + 1 : _unblank(data, start + 1)] != self.inner:
                self.inner = b""
            again = _FIRST_KEY.match(data, start)
            if again is None or again[1] != self.first_key:
                self.first_key = None
        return True

    def resembles(self, value: Any) -> bool:
        """Whether a parsed value shares enough keys with the first records to be one itself."""
        if type(value) is not dict or not value:
            return False
        keys = {_text(key) for key in value}
        if any(2 * len(keys & seen) >= len(seen) for seen in self.keys):
            return True
        if TURN_KEYS & keys:
            return True
        return not self.keys and self.first_key is not None and next(iter(value)).encode("latin-1") == self.first_key

    def next_record(self, buf: bytes | bytearray, low: int, high: int, loose: bool = False) -> tuple[int, bool]:
        """The first place in ``buf[low:high]`` that looks like the start of a record, and is one up to its end.

        Args:
            buf: bytes of the file.
            low: where to begin.
            high: where the bytes at hand end.
            loose: do without the indentation of the first records.

        Returns:
            The index of its brace and True; or an index up to which there is none, and False: what starts from there
            goes on past the bytes at hand.
        """
        text = ""
        value_end = low
        unfinished = -1
        tries = 0
        outer = b"" if loose else self.outer
        for match in _START.finditer(buf, low, high):
            at = match.start()
            if at < value_end:
                continue  # inside of a value that is no record
            before = at - 1
            while before >= low and buf[before] in BLANK:
                before -= 1
            if before >= low and buf[before] in b":[(":
                continue  # a value of a key, or the first of a list: not between records
            if outer and bytes(buf[max(0, at - len(outer)) : at]) != outer:
                continue
            if not loose and b"\n" in self.inner and bytes(buf[at + 1 : match.end() - 1]) != self.inner:
                continue
            if not text:
                with memoryview(buf) as view:
                    text = str(view[low:high], "latin-1")
            found = extent(text, at - low)
            if found is None:
                # The bytes at hand end inside of it, or it lacks a bracket. A whole record behind it shows the latter,
                # unless records hold their like.
                unfinished = at if unfinished < 0 else unfinished
                tries += 1
                if self.ambiguous or tries == 8:
                    break
            elif isinstance(found, tuple):
                if self.resembles(found[0]):
                    return at, True
                value_end = low + found[1]
        return (unfinished if unfinished >= 0 else high), False


def _text(key: str) -> str:
    """A key read as Latin-1, as the text it is."""
    return key if key.isascii() else key.encode("latin-1", "replace").decode("utf-8", "replace")


def _unblank(data: bytes, start: int) -> int:
    while start < len(data) and data[start] in BLANK:
        start += 1
    return start


def _indent(data: bytes, start: int, stop: int) -> bytes:
    """The line break and blanks before a record, or nothing if it is not on a line of its own."""
    line = data.rfind(b"\n", start, stop)
    return data[line:stop] if line >= 0 else b""


def _has_whole_line(data: bytes) -> bool:
    """Whether one of the first lines is a whole record, alone on its line and not indented."""
    lines = data.split(b"\n", 32)
    for line in lines[:32]:
        if line[:1] not in (b"", b" ", b"\t") and isinstance(found := extent(line.decode("latin-1"), 0), tuple):
            return not line[found[1] :].strip(b", \t\r") and type(found[0]) is dict
    return False


@lru_cache(maxsize=256)
def _head(path: str, size: int, changed: int) -> Head:
    return Head(path)


def head(path: str) -> Head:
    """The head of a file, read once in a process as long as the file is not changed.

    Raises:
        OSError: the file cannot be opened.
    """
    status = os.stat(path)
    return _head(path, status.st_size, status.st_mtime_ns)


def compressed(path: str) -> bool:
    """Whether a file is read through a decompressor, by its name."""
    return path.lower().endswith(COMPRESSED)
