"""The index: every entry of a collection in a temporary database on disk, so that memory does not grow with the samples.

A filter's answer is a list of sample numbers, kept for the filters used last and brought up to date while entries still come in;
a window of the list, the place of a sample and its neighbours are then a look into an array.
"""

from __future__ import annotations

import sqlite3
import tempfile
from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import NamedTuple

from .entries import Entry, severity

_KEPT_ANSWERS = 16
_TABLES = """
CREATE TABLE samples (n INTEGER PRIMARY KEY, piece INT, row INT, id TEXT, mix TEXT, state TEXT, severity TEXT, lead TEXT);
CREATE TABLE words (n INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE findings (code TEXT, n INT, PRIMARY KEY (code, n)) WITHOUT ROWID;
CREATE INDEX by_sample ON findings (n);
"""


class Filter(NamedTuple):
    """What is looked for; an empty word is no condition.

    Attributes:
        mix: name of a mix.
        finding: a code; ``rejected`` for all that were rejected, ``any`` for all with a finding.
        search: words that must all be there, whatever their case.
    """

    mix: str = ""
    finding: str = ""
    search: str = ""


class Line(NamedTuple):
    """A sample in the list."""

    n: int
    id: str
    mix: str
    state: str
    severity: str
    lead: str


class Index:
    """The entries of one collection; safe for several threads.

    Attributes:
        count: entries so far.
        mixes: samples by mix.
        states: samples by state.
        codes: samples by code of a finding.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mixes: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self._lock = Lock()
        self._file = tempfile.NamedTemporaryFile(prefix="modalmix-preview-", suffix=".sqlite")  # noqa: SIM115  see close
        self._base = sqlite3.connect(self._file.name, check_same_thread=False, isolation_level=None)
        self._base.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA mmap_size = 2147483648; {_TABLES}"
        )
        self._answers: OrderedDict[Filter, tuple[int, array[int]]] = OrderedDict()

    def close(self) -> None:
        """Removes the database."""
        with self._lock:
            self._base.close()
            self._file.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Appends entries; they are numbered in the order they come."""
        samples, words, findings = [], [], []
        for n, one in enumerate(entries, self.count):
            worst = severity(one.codes)
            samples.append((n, *one.place, _text(one.id), one.mix, one.state, worst, _text(one.lead)))
            words.append((n, _text(one.text.casefold())))
            findings += [(code, n) for code in one.codes]
        with self._lock:
            self._base.execute("BEGIN")
            self._base.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", samples)
            self._base.executemany("INSERT INTO words VALUES (?, ?)", words)
            self._base.executemany("INSERT INTO findings VALUES (?, ?)", findings)
            self._base.execute("COMMIT")
            self.count += len(entries)
            self.mixes.update(one.mix for one in entries if one.state != "file")
            self.states.update(one.state for one in entries)
            self.codes.update(code for one in entries for code in one.codes)

    def place(self, n: int) -> tuple[int, int]:
        """Where the collection finds a sample.

        Raises:
            IndexError: there is no such sample.
        """
        with self._lock:
            found = self._base.execute("SELECT piece, row FROM samples WHERE n = ?", (n,)).fetchone()
        if found is None:
            raise IndexError(n)
        return found[0], found[1]

    def everything(self, n: int) -> tuple[Line, list[str], str]:
        """All the index knows of a sample: its line, its codes, and its words in lower case."""
        with self._lock:
            line = self._base.execute(
                "SELECT n, id, mix, state, severity, lead FROM samples WHERE n = ?", (n,)
            ).fetchone()
            codes = self._base.execute("SELECT code FROM findings WHERE n = ? ORDER BY code", (n,)).fetchall()
            (text,) = self._base.execute("SELECT text FROM words WHERE n = ?", (n,)).fetchone()
        return Line(*line), [code for (code,) in codes], text

    def lines(self, wanted: Filter, start: int, count: int) -> tuple[int, list[Line]]:
        """A window of the list, and how long the list is."""
        with self._lock:
            numbers = self._numbers(wanted)
            window = numbers[start : start + count] if start >= 0 else array("q")
            marks = ",".join("?" * len(window))
            found = self._base.execute(
                f"SELECT n, id, mix, state, severity, lead FROM samples WHERE n IN ({marks}) ORDER BY n",
                window.tolist(),
            ).fetchall()
        return len(numbers), [Line(*row) for row in found]

    def at(self, wanted: Filter, n: int) -> int:
        """Where a sample stands in the list, or where it would stand."""
        with self._lock:
            return bisect_left(self._numbers(wanted), n)

    def numbers(self, wanted: Filter) -> array[int]:
        """All samples of the list."""
        with self._lock:
            return self._numbers(wanted)[:]

    def _numbers(self, wanted: Filter) -> array[int]:
        until, numbers = self._answers.pop(wanted, (0, array("q")))
        if until < self.count:
            numbers.extend(n for (n,) in self._select(wanted, until))
        self._answers[wanted] = (self.count, numbers)
        while len(self._answers) > _KEPT_ANSWERS:
            self._answers.popitem(last=False)
        return numbers

    def _select(self, wanted: Filter, start: int) -> Iterable[tuple[int]]:
        conditions, values = ["s.n >= ?"], [start]  # type: tuple[list[str], list[str | int]]
        if wanted.mix:
            conditions.append("s.mix = ? AND s.state != 'file'")
            values.append(wanted.mix)
        if wanted.finding == "rejected":
            conditions.append("s.state != 'row'")
        elif wanted.finding == "any":
            conditions.append("s.severity != ''")
        elif wanted.finding:
            conditions.append("s.n IN (SELECT n FROM findings WHERE code = ?)")
            values.append(wanted.finding)
        for word in wanted.search.casefold().split():
            conditions.append("instr(w.text, ?) > 0")
            values.append(_text(word))
        join = "JOIN words w ON w.n = s.n" if wanted.search.split() else ""
        # joined on conditions of ours alone; every value is bound
        query = f"SELECT s.n FROM samples s {join} WHERE {' AND '.join(conditions)} ORDER BY s.n"
        found: Iterable[tuple[int]] = self._base.execute(query, values)
        return found


def _text(text: str) -> str:
    """A text the database takes: halves of surrogate pairs, which are no Unicode text, become question marks."""
    return text.encode("utf-8", "replace").decode()
