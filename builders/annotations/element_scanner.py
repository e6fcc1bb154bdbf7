"""One element of an annotation file at a time: where it ends, or why nobody can say.

Blocks of sound records never come here; this is the slow and exact way, taken for blocks that do not decode, and for
records larger than a block.  A **broken** element ends, in this order of trust,

1. at the end of its line, in JSON Lines;
2. where its brackets are balanced, if nothing but JSON tokens lie between them (a trailing comma, say);
3. where the next record starts: a place that looks like the file's first records and decodes;
4. at the end of the file.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from .byte_window import BLANK, Window
from .file_head import Head, extent

_FIRST_READ = 16 << 10
_PARSED_AT_ONCE = 4 << 20
"""Beyond this size an element's end is found by its brackets alone: parsing would hold its values in memory."""
_REPAIR_BYTES = 1 << 20
"""How far a broken element's balanced end, or an object over several lines in JSON Lines, is searched for."""

_SKIPPED_AT_ONCE = 512 << 10

_BRACKET = re.compile(rb'["\[\]{}]')
_BETWEEN = re.compile(rb"[ \t\r\n,:0-9.eE+\-truefalsnNIityTFo]*")
"""What stands between strings and brackets: numbers, separators, and the letters of the constants of JSON and Python."""

_strict = json.JSONDecoder().raw_decode


class Element(NamedTuple):
    """One element: `offset` of its first byte; its bytes, None if too many to keep; what is wrong with it, if anything.

    `trouble` is a finding's catalogue name and message; `cut` says that the file ends inside of the element.
    """

    offset: int
    raw: bytes | None
    trouble: tuple[str, str] | None = None
    cut: bool = False


class Brackets:
    """Follows brackets and strings through text that arrives in pieces, holding nothing but the open brackets.

    Args:
        strict: give up at a closing bracket of the wrong kind and at words that no JSON or Python constant holds.
    """

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.open = bytearray()
        self.in_string = False
        self.escaped = False
        self.failed = False

    def feed(self, buf: bytearray, low: int, high: int) -> int:
        """Adds ``buf[low:high]``; the index after the bracket that closes the first one, or -1."""
        at = low
        while at < high:
            if self.in_string:
                if self.escaped:
                    self.escaped = False
                    at += 1
                    continue
                quote = buf.find(b'"', at, high)
                last = quote if quote >= 0 else high
                slashes = last
                while slashes > at and buf[slashes - 1] == 0x5C:
                    slashes -= 1
                odd = (last - slashes) % 2 == 1
                if quote < 0:
                    self.escaped = odd
                    return -1
                self.in_string = odd
                at = quote + 1
                continue
            if self.strict:
                between = _BETWEEN.match(buf, at, high)
                at = between.end() if between else at
                if at < high and buf[at] not in b'"[]{}':
                    self.failed = True
                    return -1
            found = _BRACKET.search(buf, at, high)
            if found is None:
                return -1
            at = found.end()
            byte = buf[at - 1]
            if byte == 0x22:
                self.in_string = True
            elif byte in b"[{":
                self.open.append(byte)
            else:
                if not self.open or (self.strict and self.open[-1] != byte - 2):  # "[" + 2 is "]", "{" + 2 is "}"
                    self.failed = True
                    return -1
                self.open.pop()
                if not self.open:
                    return at
        return -1


def next_element(window: Window, head: Head, largest: int) -> Element:
    """The element that starts at the window's position, which moves to its end.

    Args:
        window: at the first byte of an element.
        head: of the same file.
        largest: elements of more bytes are not held.
    """
    if head.form == "lines":
        return _line(window, largest)
    size = _FIRST_READ
    brackets = Brackets(strict=True)
    scanned = 0
    while True:
        have = window.fill(min(size, largest + 1))
        reached = min(have, max(size, _FIRST_READ))
        found: int | str | None
        if size <= _PARSED_AT_ONCE:
            with memoryview(window.buf) as view:
                text = str(view[window.pos : window.pos + reached], "latin-1")
            parsed = extent(text, 0, last=window.eof and reached == have)
            found = parsed[1] if isinstance(parsed, tuple) else parsed
            if parsed == "nested too deeply":
                return _broken(window, head, largest, ("json-invalid", "nested too deeply to be read"))
        else:
            end = brackets.feed(window.buf, window.pos + scanned, window.pos + reached)
            scanned = reached
            found = end - window.pos if end >= 0 else None
            if brackets.failed:
                found = "brackets or words where JSON has none"
        done = window.eof and reached == window.end - window.pos
        if isinstance(found, str):
            return _broken(window, head, largest, ("json-invalid", found))
        if found is not None and (found < reached or done or window.buf[window.pos + found - 1] in b'}]"'):
            return _whole(window, head, largest, found)
        if reached > largest:
            return _too_large(window, head, largest, None)
        if done:
            return _broken(window, head, largest, _cut_off(window), cut=True)
        size *= 4


def _cut_off(window: Window) -> tuple[str, str]:
    if window.damage:
        return "file-damaged", f"{window.damage}, inside of this record"
    return "json-truncated", "the file ends inside of this record"


def _whole(window: Window, head: Head, largest: int, length: int) -> Element:
    """The element of known length at the window's position, if what comes after it can follow an element."""
    offset = window.offset(window.pos)
    if length > largest:
        return _too_large(window, head, largest, length)
    after, ends_line = _after(window, length)
    array = head.form == "array"
    # pretty-printed objects need nothing between them, so text on a later line is an element of its own
    if after >= 0 and after not in (b",]{" if array else b",{") and (array or not ends_line):
        return _broken(window, head, largest, ("json-invalid", f"unexpected {chr(after)!r} after the record"))
    start = window.pos
    if after < 0 and array and window.eof and window.buf[start] == 0x5B:
        # It took the file's own closing bracket: a stray "[" before a record would swallow all that follow.
        at, sure = head.next_record(window.buf, start + 1, start + length)
        if sure and not window.buf[start + 1 : at].strip(BLANK):
            window.pos += 1
            return Element(offset, b"[", ("json-invalid", "a bracket where a record should start"))
    raw = bytes(window.buf[start : start + length])
    window.pos += length
    return Element(offset, raw)


def _after(window: Window, length: int) -> tuple[int, bool]:
    """The byte after an element and after white space (-1 if there is none near), and whether a line ends before it."""
    have = window.fill(length + _FIRST_READ)
    at, stop = window.pos + length, window.pos + min(have, length + _FIRST_READ)
    start = at
    while at < stop and window.buf[at] in BLANK:
        at += 1
    return (window.buf[at] if at < stop else -1), window.buf.find(b"\n", start, at) >= 0


def _broken(window: Window, head: Head, largest: int, trouble: tuple[str, str], *, cut: bool = False) -> Element:
    """The element at the window's position, which cannot be read: find where it ends."""
    offset = window.offset(window.pos)
    balanced = _balanced(window, head)
    if balanced is not None and not cut:
        raw = bytes(window.buf[window.pos : window.pos + balanced])
        window.pos += balanced
        return Element(offset, raw, trouble)
    size = max(_FIRST_READ, window.end - window.pos)
    low, kept, loose = 1, True, False
    while True:
        have = window.fill(size)
        at, sure = head.next_record(window.buf, window.pos + low, window.pos + have, loose)
        if sure:
            start, window.pos = window.pos, at
            raw = bytes(window.buf[start:at]).rstrip(BLANK) if kept else b""
            if raw.endswith(b","):
                window.pos = start + len(raw) - 1
                raw = raw[:-1].rstrip(BLANK)
            return Element(offset, raw if kept and len(raw) <= largest else None, _cause(trouble, cut))
        if window.eof:
            if kept and not loose and (head.outer or head.inner):
                low, loose = 1, True
                continue
            break
        # an unfinished candidate is tried again with more bytes; else only what a brace and a key may straddle
        low = max(1, (at if at < window.pos + have else max(window.pos, at - 256)) - window.pos)
        if have >= largest:
            if not loose and kept and (head.outer or head.inner):
                loose, low = True, 1
                continue
            kept = False
            step = low if low > 1 else have - 256
            window.pos += step
            low = 1
        size = min(max(size * 2, _FIRST_READ), largest + 1)
    raw = bytes(window.buf[window.pos : window.end]).rstrip(BLANK)
    window.pos = window.end
    if head.form == "array" and not cut and raw.endswith(b"]"):
        raw = raw[:-1].rstrip(BLANK)
        window.pos = window.end - 1
        while window.buf[window.pos] != 0x5D:
            window.pos -= 1
    return Element(offset, raw if kept and len(raw) <= largest else None, trouble, cut)


def _cause(trouble: tuple[str, str], cut: bool) -> tuple[str, str]:
    """An element that seemed to run to the end of the file, while a record starts inside of it, is not cut but open."""
    return ("json-invalid", "a string or a bracket is not closed before the next record") if cut else trouble


def _balanced(window: Window, head: Head) -> int | None:
    """The length of the element at the window's position by its brackets, if that can be trusted."""
    if window.buf[window.pos] not in b"[{":
        return None
    have = min(window.fill(_REPAIR_BYTES + _FIRST_READ), _REPAIR_BYTES)
    start = window.pos
    end = Brackets(strict=True).feed(window.buf, start, start + have)
    if end < 0:
        return None
    after, _ = _after(window, end - start)
    return end - start if after < 0 or after in (b",]{" if head.form == "array" else b"{,") else None


def _too_large(window: Window, head: Head, largest: int, length: int | None) -> Element:
    """The element at the window's position has more bytes than are held: pass over it piece by piece."""
    offset = window.offset(window.pos)
    if length is not None:
        window.pos += length
        return Element(offset, None, _size_trouble(length, largest))
    high = min(window.end, window.pos + largest + 1)
    sure = not head.ambiguous and head.next_record(window.buf, window.pos + 1, high)[1]
    if sure or window.buf[window.pos] not in b"[{":
        return _broken(window, head, largest, ("json-invalid", "not closed before the next record"))
    brackets = Brackets(strict=False)
    end = brackets.feed(window.buf, window.pos, window.end)
    while end < 0:
        window.pos = window.end
        if not window.fill(_SKIPPED_AT_ONCE):
            end = window.end
            break
        end = brackets.feed(window.buf, window.pos, window.end)
    window.pos = end
    return Element(offset, None, _size_trouble(window.offset(end) - offset, largest))


def _size_trouble(size: int, largest: int) -> tuple[str, str]:
    return "record-too-large", f"the record has {size:,} bytes, more than the {largest:,} that are held"


def _line(window: Window, largest: int) -> Element:
    """One element of JSON Lines. Several on one line are separate; one over several lines is accepted if it is strict."""
    offset = window.offset(window.pos)
    size, searched = _FIRST_READ, 0
    while True:
        have = window.fill(size)
        stop = window.buf.find(b"\n", window.pos + searched, window.pos + have)
        if stop >= 0 or (window.eof and window.end == window.pos + have):
            break
        searched = have
        if have > largest:
            return _long_line(window, largest, offset)
        size = min(size * 4, largest + 1)
    last = stop < 0
    length = (window.end if last else stop) - window.pos
    with memoryview(window.buf) as view:
        text = str(view[window.pos : window.pos + length], "latin-1")
    if length > largest:
        return _long_line(window, largest, offset)
    found = extent(text, 0, last=True)
    if isinstance(found, tuple):
        after = text[found[1] :].lstrip(" \t\r,")[:1]
        if after in ("", "{"):
            length = found[1]
            trouble = None
        else:
            trouble = ("json-invalid", f"unexpected {after!r} after the record")
    else:
        spread = _over_lines(window)
        if spread is not None:
            length, trouble = spread, None
        elif last and found is None:
            trouble = _cut_off(window)
        else:
            trouble = ("json-invalid", found or "the line ends inside of the record")
    raw = bytes(window.buf[window.pos : window.pos + length])
    window.pos += length
    if trouble is not None:
        raw = raw.rstrip(BLANK)
    return Element(offset, raw, trouble, last and trouble is not None and found is None)


def _over_lines(window: Window) -> int | None:
    """The length of a strictly valid object that is spread over several lines."""
    have = min(window.fill(_REPAIR_BYTES), _REPAIR_BYTES)
    with memoryview(window.buf) as view:
        text = str(view[window.pos : window.pos + have], "latin-1")
    try:
        value, end = _strict(text, 0)
    except (ValueError, RecursionError):
        return None
    return end if type(value) is dict and text[end:].lstrip(" \t\r,")[:1] in ("", "\n", "{") else None


def _long_line(window: Window, largest: int, offset: int) -> Element:
    """Pass over a line of more bytes than are held."""
    while True:
        stop = window.buf.find(b"\n", window.pos, window.end)
        if stop >= 0:
            window.pos = stop
            break
        window.pos = window.end
        if not window.fill(_SKIPPED_AT_ONCE):
            break
    return Element(offset, None, _size_trouble(window.offset(window.pos) - offset, largest))
