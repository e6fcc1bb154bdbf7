"""Findings that somebody else has told: what ``modalmix check --json FILE`` wrote, to be shown beside its samples.

They lie in a temporary database, by annotation file and ordinal, so that millions of them take no memory.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from threading import Lock

import msgspec

from ..core.errors import DataError
from ..core.findings import CATALOGUE, Finding


class _Line(msgspec.Struct):
    """A finding as it is written; keys that are not named here do not matter."""

    code: str
    message: str
    file: str = ""
    row: int | None = None
    pointer: str = ""
    offset: int | None = None


class Told:
    """The findings of a file; safe for several threads."""

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
            DataError: a line is no finding.
            OSError: the file cannot be read.
        """
        self._lock = Lock()
        self._file = tempfile.NamedTemporaryFile(prefix="modalmix-preview-", suffix=".sqlite")  # noqa: SIM115  see close
        self._base = sqlite3.connect(self._file.name, check_same_thread=False, isolation_level=None)
        self._base.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE told (file TEXT, row INT, code TEXT, message TEXT, pointer TEXT, offset INT);"
        )
        try:
            self._base.execute("BEGIN")
            self._base.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?)", _lines(path))
            self._base.execute("COMMIT")
            self._base.execute("CREATE INDEX place ON told (file, row)")
        except BaseException:
            self.close()
            raise

    def of(self, file: str, row: int) -> list[Finding]:
        """The findings of a record."""
        with self._lock:
            found = self._base.execute(
                "SELECT code, message, pointer, offset FROM told WHERE file = ? AND row = ? ORDER BY rowid",
                (file.encode("utf-8", "replace").decode(), row),
            ).fetchall()
        return [Finding(code, message, pointer, file, row, offset) for code, message, pointer, offset in found]

    def close(self) -> None:
        """Removes the database."""
        with self._lock:
            self._base.close()
            self._file.close()


def _lines(path: str) -> Iterator[tuple[str, int, str, str, str, int | None]]:
    decode = msgspec.json.Decoder(_Line).decode
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            try:
                one = decode(line)
            except ValueError as error:
                raise DataError(
                    f"{path!r}, line {number}: it is no finding of modalmix check --json: {error}"
                ) from error
            if one.code in CATALOGUE:
                yield one.file, -1 if one.row is None else one.row, one.code, one.message, one.pointer, one.offset
