"""Reading a slice: blocks of parsed records, with a finding for everything that could not be read as it stands.

A run of records is cut out of the reused buffer where a record seems to end, the bytes around it are overwritten with
``[`` and ``]``, and one call decodes it all::

    … , {"id": 1, …}, {"id": 2, …} , {"id": 3, …
      [                            ]
      pos                          cut: the last place at hand that reads like the joint between the first records

**Why that is sound.** A run starts at a proven boundary. If the cut lay inside of a string or of a nested array, quotes
or brackets would stay open, and the run could not decode; so decoding proves the cut, and the cut is the next proven
boundary. What does not decode is read element by element (`element_scanner`).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec

from ..core.errors import DataError
from ..core.findings import CODE, Finding
from .boundary_guess import BETWEEN_LINES, TAILS, shallowest
from .byte_window import BLANK, Window
from .decode_element import value_of
from .duplicate_keys import DictPlaces, most_keys, repeats_suspected
from .element_scanner import Element, next_element
from .file_head import Head, compressed, head
from .source import Slice

BLOCK_BYTES = 128 << 10
"""Large enough for a call's cost to vanish, and small enough for the cache and for the garbage collector: the containers
of a block of usual records stay below its threshold, so that it never runs on them (512 KiB take a third longer)."""

MAX_RECORD_BYTES = 64 << 20

_ONLY_DICTS = {dict}


class Block(NamedTuple):
    """Some records of a slice that follow each other.

    Attributes:
        row: ordinal of ``records[0]``, or of the first rejected element if there are no records.
        records: parsed JSON objects with consecutive ordinals.
        findings: placed by file, ordinal (-1: between records, or the file as a whole) and byte offset.
        raw: ordinal of each rejected element → its bytes as they stand, None where they were too many to keep.
        stop: offset behind it in the (decompressed) file, for whoever shows how far the reading is.
        starts: gives the byte offset of each record in the (decompressed) file; only before the next block is asked for, as
            they are looked up in the reader's buffer.  None for a block that was not read as it is.
    """

    row: int
    records: list[dict[str, Any]]
    findings: list[Finding]
    raw: dict[int, bytes | None]
    stop: int = 0
    starts: Callable[[], list[int]] | None = None


class Run(NamedTuple):
    """A block with what cutting needs besides: the byte offset it starts at, and how many ordinals it takes."""

    offset: int
    ordinals: int
    block: Block


class SliceReader:
    """Reads one slice; see the module's text for the way.

    Args:
        part: the slice.
        row: ordinal of its first element.
        block_bytes: how many bytes are decoded at once, as long as records are smaller.
        max_record_bytes: larger elements are skipped.
        build: give the records; without, they are only counted.
    """

    def __init__(self, part: Slice, row: int, block_bytes: int, max_record_bytes: int, *, build: bool = True) -> None:
        self.part = part
        self.head: Head = head(part.path)
        self.row = row
        self.block_bytes = max(block_bytes, 16)
        self.largest = max(max_record_bytes, 16)
        self.build = build
        whole = part.stop < 0 or compressed(part.path) or part.stop >= os.stat(part.path).st_size
        self.stop = None if whole else part.stop
        self.array = self.head.form == "array"
        self.shape = DictPlaces()
        self.lessons = 8
        self.closed = False
        self.cut = False
        self.given = -1
        self.findings: list[Finding] = []
        if not build:
            self.decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[msgspec.Raw])
            self.line_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(msgspec.Raw)
        else:
            self.decoder = self.line_decoder = msgspec.json.Decoder()
        self.window = Window(part.path, part.start, self.block_bytes + (self.block_bytes >> 2))

    # ---- findings

    def note(self, name: str, message: str, offset: int, row: int = -1) -> None:
        """Keep a finding for the block in hand; without a row it is about the file."""
        self.findings.append(Finding(CODE[name], message, "", self.part.file, row, offset))

    def taken(self) -> list[Finding]:
        """The findings noted since the last block."""
        found, self.findings = self.findings, []
        return found

    # ---- the way through the slice

    def runs(self) -> Iterator[Run]:
        """All runs of the slice.

        Raises:
            DataError: the slice starts or ends inside of a record.
            OSError: the file cannot be read.
        """
        with self.window as window:
            window.fill(self.block_bytes)
            if self.part.start == 0:
                self.enter()
            exact_until = -1
            while self.at_element():
                offset = window.offset(window.pos)
                if offset >= exact_until:
                    run, exact_until = self.block()
                    if run is not None:
                        yield run
                        run = None  # freed before the next block is decoded: its memory is used again
                        continue
                yield from self.exactly(exact_until)
            self.leave()
            if self.findings:
                yield Run(window.offset(window.pos), 0, Block(self.row, [], self.taken(), {}))

    def enter(self) -> None:
        """Pass over what stands before the first record of a file."""
        window = self.window
        if self.head.marked:
            self.note("json-bom", "the file starts with EF BB BF", 0)
            window.pos += 3
        if self.array and window.skip_blank() == 0x5B:
            window.pos += 1

    def at_element(self) -> bool:
        """Move to the next element's first byte, noting stray separators; False at the end of the slice."""
        window = self.window
        while True:
            byte = window.skip_blank()
            if byte < 0:
                return False
            offset = window.offset(window.pos)
            if self.stop is not None and offset >= self.stop:
                if offset > self.stop:
                    raise self.misplaced(self.stop)
                return False
            if byte == 0x2C:
                said = (
                    "a comma where a record should start" if self.array else "a comma between records, but no bracket"
                )
                self.note("json-invalid", said, offset)
                window.pos += 1
            elif self.array and byte == 0x5D:
                window.pos += 1
                self.closed = True
                after = window.skip_blank()
                if after < 0:
                    return False
                if after != 0x5B and (self.stop is not None or self.part.start):
                    raise self.misplaced(self.part.start or offset)
                self.note("json-invalid", "text after the closing bracket", window.offset(window.pos))
                if after in b"[,":  # another array, or this one goes on
                    self.closed = False
                    window.pos += 1
            else:
                return True

    def separator(self, element: Element) -> None:
        """Pass over what separates an element from the next one."""
        window = self.window
        byte = window.skip_blank()
        offset = window.offset(window.pos)
        if byte < 0 or (self.array and byte == 0x5D):
            return
        if not self.array:
            return  # a comma is noted by at_element
        if byte != 0x2C:
            if element.trouble is None and (self.stop is None or offset < self.stop):
                self.note("json-invalid", "a comma is missing between two records", offset)
            return
        window.pos += 1
        if window.skip_blank() == 0x5D:
            self.note("json-invalid", "a comma after the last record", offset)

    def leave(self) -> None:
        """Note an end of the file that is none."""
        window = self.window
        offset = window.offset(window.pos)
        if self.stop is not None and offset == self.stop:
            return
        if window.damage:
            if not self.cut:
                self.note("file-damaged", f"{window.damage}, after {self.row:,} records", offset)
        elif self.array and not self.closed and not self.cut:
            self.note("json-truncated", f"no closing bracket after {self.row:,} records", offset)

    def misplaced(self, offset: int) -> DataError:
        """The error for a slice that does not lie between records."""
        return DataError(
            f"{self.part.file}: byte {offset:,} lies inside of a record; cut the file with plan(source, exact=True)"
        )

    # ---- blocks

    def block(self) -> tuple[Run | None, int]:
        """One block decoded at once; or None, and the offset up to which to go on element by element."""
        window, size = self.window, self.block_bytes
        while True:
            have = window.fill(size)
            end = window.pos + min(have, size)  # not one sum: filling moves the position
            final = window.eof and end == window.end
            if self.stop is not None and window.offset(end) >= self.stop:
                end, final = window.index(self.stop), True
            cut = self.last(end) if final else self.cut_before(end)
            if cut is not None or final or size > self.largest:
                break
            size *= 2
        if cut is None:
            return None, window.offset(window.pos) + 1 if not final else window.offset(end)
        for stop, following in self.cuts(cut, end, final):
            if stop - window.pos > self.largest:
                continue
            decoded = self.decoded(stop)
            if decoded is not None:
                count, records = decoded
                offset = window.offset(window.pos)
                starts = partial(self.starts, offset, window.offset(stop), self.row)
                run = Run(offset, count, Block(self.row, records, self.taken(), {}, starts=starts))
                self.given = self.row
                self.row += count
                window.pos = following
                return run, -1
        return None, window.offset(cut[1])

    def cuts(self, cut: tuple[int, int], end: int, final: bool) -> Iterator[tuple[int, int]]:
        """The cuts worth trying: the likely one, then the one at the least depth of brackets near the end."""
        yield cut
        if self.array and not final:
            for tail in TAILS:
                other = shallowest(self.window.buf, max(self.window.pos, end - tail), end)
                if other is not None and other != cut:
                    yield other

    def cut_before(self, end: int) -> tuple[int, int] | None:
        """Where the last whole element at hand seems to end, and where the one after it starts."""
        buf, pos = self.window.buf, self.window.pos
        if self.head.form == "lines":
            line = buf.rfind(b"\n", pos, end)
            return (line, line + 1) if line >= 0 else None
        best, length = -1, 0
        for joint in self.head.joints:
            # near the end first: a text that is not there would be searched for through the whole block
            tail_start = max(pos, best, end - TAILS[0])
            at = buf.rfind(joint, tail_start, end)
            if at < 0 and best < 0 and tail_start > pos:
                at = buf.rfind(joint, pos, end)
            if at > best:
                best, length = at, len(joint)
        if best >= 0:
            return best + 1, buf.index(b"{", best + 1, best + length)
        if self.array:
            for tail in TAILS:
                found = shallowest(buf, max(pos, end - tail), end)
                if found is not None:
                    return found
            return None
        places = list(BETWEEN_LINES.finditer(buf, max(pos, end - TAILS[1]), end))
        return (places[-1].start() + 1, places[-1].end()) if places else None

    def last(self, end: int) -> tuple[int, int] | None:
        """The end of the last element when the slice ends at `end`."""
        buf, at = self.window.buf, end
        if not self.array:
            return end, end
        while at > self.window.pos and buf[at - 1] in BLANK:
            at -= 1
        if at > self.window.pos and buf[at - 1] == (0x5D if self.stop is None else 0x2C):
            at -= 1
            return at, at if self.stop is None else end
        return None

    def decoded(self, stop: int) -> tuple[int, list[dict[str, Any]]] | None:
        """The records from the window's position to `stop`: their number and, if built, themselves; None if in doubt."""
        window = self.window
        buf, start = window.buf, window.pos
        collecting = gc.isenabled()
        gc.disable()  # a block is thousands of new containers and no garbage: scanning them is a fifth of the time
        kept = buf[stop] if stop < len(buf) else 0
        try:
            if self.array:
                if stop == len(buf):
                    return None
                start -= 1
                buf[start], buf[stop] = 0x5B, 0x5D
                stop += 1
            with memoryview(buf) as view, view[start:stop] as text:
                decode = self.decoder.decode if self.array else self.line_decoder.decode_lines
                if not self.build:
                    return len(decode(text)), []  # raw values point into the buffer: let go of before it can grow
                records = decode(text)
                if not records or set(map(type, records)) != _ONLY_DICTS or self.repeated(text, records):
                    return None
                return len(records), records
        except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
            return None
        finally:
            if self.array and stop <= len(buf):
                buf[stop - 1] = kept
            if collecting:
                gc.enable()

    def starts(self, start: int, stop: int, row: int) -> list[int]:
        """The byte offsets of the records of the block that was given last, which was decoded from `start` to `stop`.

        Raises:
            RuntimeError: another block was given since.
        """
        if self.given != row:
            raise RuntimeError(f"the block with record {row} is not at hand any more")
        window, buf = self.window, self.window.buf
        text = bytes(buf[window.index(start) : window.index(stop)])
        if self.array:
            raws = msgspec.json.decode(b"[%b]" % text, type=list[msgspec.Raw])
        else:
            raws = msgspec.json.Decoder(msgspec.Raw).decode_lines(text)
        found: list[int] = []
        at = 0
        for raw in raws:
            element = memoryview(raw)
            at = text.index(element, at)  # only separators are skipped, and none of them holds a record
            found.append(start + at)
            at += len(element)
        return found

    def repeated(self, text: memoryview, records: list[dict[str, Any]]) -> bool:
        """Whether some record of a decoded run may have a key twice in one object."""
        most = most_keys(text)
        if self.shape.least_keys(records) == most:
            return False
        if self.lessons:
            self.lessons -= 1
            for record in records:
                self.shape.add(record)
            if self.shape.least_keys(records) == most:
                return False
        if self.array:
            raws = msgspec.json.decode(text, type=list[msgspec.Raw])
        else:
            raws = msgspec.json.Decoder(msgspec.Raw).decode_lines(text)
        return any(repeats_suspected(memoryview(raw), record) for raw, record in zip(raws, records, strict=True))

    # ---- elements

    def exactly(self, until: int) -> Iterator[Run]:
        """Element by element up to the byte offset `until`; a run ends at each rejected element."""
        window = self.window
        first, offset = self.row, window.offset(window.pos)
        records: list[dict[str, Any]] = []
        starts: list[int] = []
        size = 0
        while self.at_element() and (window.offset(window.pos) < until or self.row == first):
            if self.row == first:
                offset = window.offset(window.pos)
            element = next_element(window, self.head, self.largest)
            if self.stop is not None and window.offset(window.pos) > self.stop:
                raise self.misplaced(self.stop)
            record = self.judged(element)
            self.row += 1
            size += len(element.raw or b"")
            self.separator(element)
            if record is None:
                raw: dict[int, bytes | None] = {self.row - 1: element.raw}
                yield Run(offset, self.row - first, Block(first, records, self.taken(), raw, starts=starts.copy))
            else:
                records.append(record)
                starts.append(element.offset)
                if size < self.block_bytes:
                    continue
                yield Run(offset, self.row - first, Block(first, records, self.taken(), {}, starts=starts.copy))
            first, records, starts, size = self.row, [], [], 0
            if window.offset(window.pos) >= until:
                break
        if records:
            yield Run(offset, self.row - first, Block(first, records, self.taken(), {}, starts=starts.copy))

    def judged(self, element: Element) -> dict[str, Any] | None:
        """The record of an element, its findings noted; None if it is rejected."""
        self.cut = self.cut or element.cut
        if element.trouble is not None or element.raw is None:
            name, message = element.trouble or ("json-invalid", "no record")
            if name == "json-invalid" and element.raw is not None:
                # a stricter parser may name the cause: bytes that are no UTF-8, say
                cause = value_of(element.raw)[1]
                name, message = cause[0] if cause and cause[0][0] != name else (name, message)
            self.note(name, message, element.offset, self.row)
            return None
        if not self.build:
            return {}
        record, troubles = value_of(element.raw)
        for name, message in troubles:
            self.note(name, message, element.offset, self.row)
        return record if type(record) is dict else None
