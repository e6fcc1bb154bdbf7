"""Check findings: what ``modalmix check --json FILE`` wrote, to show beside the samples.

A temporary database holds them by annotation file and ordinal.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..core.errors import DataError
from ..core.findings import CATALOGUE, Finding
from ..core.sqlite_files import TempDatabase, storable

_SCHEMA = "CREATE TABLE findings (file TEXT, row INT, code TEXT, message TEXT, pointer TEXT, offset INT);"


class _Line(msgspec.Struct):
    """A line of the file; other keys do not matter."""

    code: str
    message: str
    file: str = ""
    row: int | None = None
    pointer: str = ""
    offset: int | None = None


class CheckFindings:
    """The findings of a file; safe for several threads."""

    def __init__(self, path: str) -> None:
        """Reads the file.

        Raises:
            DataError: a line is not a finding.
            OSError: the file cannot be read.
        """
        self._database = TempDatabase(_SCHEMA)
        connection = self._database.connection
        try:
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)", _lines(path))
            connection.execute("COMMIT")
            connection.execute("CREATE INDEX place ON findings (file, row)")
        except BaseException:
            self.close()
            raise

    def of(self, file: str, row: int) -> list[Finding]:
        """The findings of a record."""
        with self._database.lock:
            rows = self._database.connection.execute(
                "SELECT code, message, pointer, offset FROM findings WHERE file = ? AND row = ? ORDER BY rowid",
                (storable(file), row),
            ).fetchall()
        return [Finding(code, message, pointer, file, row, offset) for code, message, pointer, offset in rows]

    def close(self) -> None:
        """Removes the database."""
        self._database.close()


def _lines(path: str) -> Iterator[tuple[str, int, str, str, str, int | None]]:
    decode = msgspec.json.Decoder(_Line).decode
    with open(path, "rb") as file:
        for number, text in enumerate(file, 1):
            if text.isspace():
                continue
            try:
                line = decode(text)
            except ValueError as error:
                message = f"{path!r}, line {number}: not a finding of modalmix check --json: {error}"
                raise DataError(message) from error
            if line.code in CATALOGUE:
                row = -1 if line.row is None else line.row
                yield line.file, row, line.code, line.message, line.pointer, line.offset
