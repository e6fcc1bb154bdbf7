"""Temporary database: SQLite in a temporary file, so that millions of rows take no memory."""

from __future__ import annotations

import sqlite3
import tempfile
from threading import Lock

_PRAGMAS = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA mmap_size = 2147483648;"
"""A temporary database need not survive a crash, so nothing is journalled or synced."""


class TempDatabase:
    """A database that is removed when it is closed.

    Attributes:
        connection: may be used by any thread that holds the lock.
        lock: guards the connection.
    """

    def __init__(self, schema: str) -> None:
        """Creates the file and its tables."""
        self.lock = Lock()
        self._file = tempfile.NamedTemporaryFile(prefix="modalmix-preview-", suffix=".sqlite")  # noqa: SIM115  see close
        self.connection = sqlite3.connect(self._file.name, check_same_thread=False, isolation_level=None)
        self.connection.executescript(_PRAGMAS + schema)

    def close(self) -> None:
        """Removes the database."""
        with self.lock:
            self.connection.close()
            self._file.close()


def storable(text: str) -> str:
    """A text that SQLite accepts: halves of surrogate pairs, which are no Unicode text, become question marks."""
    return text.encode("utf-8", "replace").decode()
