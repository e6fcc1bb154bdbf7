"""Entry index: all entries of a collection in a temporary database, for the list, the filters and the search.

Memory does not grow with the samples.  The index keeps the sample numbers that the last few filters select, and extends them
while entries still come in.  A window of the list, the position of a sample and its neighbours are then lookups in an array.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.sqlite_files import TempDatabase, storable
from .entries import Entry, severity

_KEPT_FILTERS = 16
_SCHEMA = """
CREATE TABLE samples (n INTEGER PRIMARY KEY, part INT, row INT, id TEXT, mix TEXT, state TEXT, severity TEXT, excerpt TEXT);
CREATE TABLE texts (n INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE findings (code TEXT, n INT, PRIMARY KEY (code, n)) WITHOUT ROWID;
CREATE INDEX by_sample ON findings (n);
"""
_LINE = "n, id, mix, state, severity, excerpt"


class Filter(NamedTuple):
    """Which samples to list; an empty text is no condition.

    Attributes:
        mix: name of a mix.
        finding: a code; ``rejected`` for all rejected records, ``any`` for all samples with a finding.
        search: words that must all occur, in any case.
    """

    mix: str = ""
    finding: str = ""
    search: str = ""


class Line(NamedTuple):
    """A line of the list: one sample."""

    n: int
    id: str
    mix: str
    state: str
    severity: str
    excerpt: str


class Index:
    """The entries of one collection; safe for several threads.

    Attributes:
        count: entries so far.
        mixes: number of samples of each mix.
        states: number of samples in each state.
        codes: number of samples with each finding code.
    """

    def __init__(self) -> None:
        """Creates an empty index."""
        self.count = 0
        self.mixes: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self._database = TempDatabase(_SCHEMA)
        self._lock, self._connection = self._database.lock, self._database.connection
        self._selected: OrderedDict[Filter, tuple[int, array[int]]] = OrderedDict()

    def close(self) -> None:
        """Removes the database."""
        self._database.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Appends entries; they are numbered in order."""
        samples, texts, findings = [], [], []
        for n, entry in enumerate(entries, self.count):
            samples.append((n, *entry.place, storable(entry.id), entry.mix, entry.state, severity(entry.codes),
                            storable(entry.excerpt)))  # fmt: skip
            texts.append((n, storable(entry.text.casefold())))
            findings += [(code, n) for code in entry.codes]
        with self._lock:
            self._connection.execute("BEGIN")
            self._connection.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?)", samples)
            self._connection.executemany("INSERT INTO texts VALUES (?, ?)", texts)
            self._connection.executemany("INSERT INTO findings VALUES (?, ?)", findings)
            self._connection.execute("COMMIT")
            self.count += len(entries)
            self.mixes.update(entry.mix for entry in entries if entry.state != "file")
            self.states.update(entry.state for entry in entries)
            self.codes.update(code for entry in entries for code in entry.codes)

    def place(self, n: int) -> tuple[int, int]:
        """Where the collection finds a sample.

        Raises:
            IndexError: there is no such sample.
        """
        with self._lock:
            found = self._connection.execute("SELECT part, row FROM samples WHERE n = ?", (n,)).fetchone()
        if found is None:
            raise IndexError(f"there is no sample {n}")
        return found[0], found[1]

    def searchable(self, n: int) -> tuple[Line, list[str], str]:
        """What filters and search read of a sample: its line, its codes, and its text in lower case."""
        with self._lock:
            line = self._connection.execute(f"SELECT {_LINE} FROM samples WHERE n = ?", (n,)).fetchone()
            codes = self._connection.execute("SELECT code FROM findings WHERE n = ? ORDER BY code", (n,)).fetchall()
            (text,) = self._connection.execute("SELECT text FROM texts WHERE n = ?", (n,)).fetchone()
        return Line(*line), [code for (code,) in codes], text

    def lines(self, filter_: Filter, start: int, count: int) -> tuple[int, list[Line]]:
        """The length of the list, and a window of it."""
        with self._lock:
            numbers = self._numbers(filter_)
            window = numbers[start : start + count] if start >= 0 else array("q")
            marks = ",".join("?" * len(window))
            rows = self._connection.execute(
                f"SELECT {_LINE} FROM samples WHERE n IN ({marks}) ORDER BY n", window.tolist()
            ).fetchall()
        return len(numbers), [Line(*row) for row in rows]

    def position(self, filter_: Filter, n: int) -> int:
        """Where a sample is in the list, or where it would be."""
        with self._lock:
            return bisect_left(self._numbers(filter_), n)

    def numbers(self, filter_: Filter) -> array[int]:
        """The numbers of all samples in the list."""
        with self._lock:
            return self._numbers(filter_)[:]

    def _numbers(self, filter_: Filter) -> array[int]:
        until, numbers = self._selected.pop(filter_, (0, array("q")))
        if until < self.count:
            numbers.extend(n for (n,) in self._select(filter_, until))
        self._selected[filter_] = (self.count, numbers)
        while len(self._selected) > _KEPT_FILTERS:
            self._selected.popitem(last=False)
        return numbers

    def _select(self, filter_: Filter, start: int) -> Iterable[tuple[int]]:
        conditions: list[str] = ["s.n >= ?"]
        values: list[str | int] = [start]
        words = filter_.search.casefold().split()
        if filter_.mix:
            conditions.append("s.mix = ? AND s.state != 'file'")
            values.append(filter_.mix)
        if filter_.finding == "rejected":
            conditions.append("s.state != 'row'")
        elif filter_.finding == "any":
            conditions.append("s.severity != ''")
        elif filter_.finding:
            conditions.append("s.n IN (SELECT n FROM findings WHERE code = ?)")
            values.append(filter_.finding)
        for word in words:
            conditions.append("instr(t.text, ?) > 0")
            values.append(storable(word))
        join = "JOIN texts t ON t.n = s.n" if words else ""
        # the text of the query is ours alone; every value is bound
        query = f"SELECT s.n FROM samples s {join} WHERE {' AND '.join(conditions)} ORDER BY s.n"
        rows: Iterable[tuple[int]] = self._connection.execute(query, values)
        return rows
