"""SQLite files: a temporary one of this process, and a cache that several processes share.

Each connection is in autocommit mode and may be used by any thread that holds its lock.  Nothing is synced: what a crash takes is
made again.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from threading import Lock

_SECONDS = 10.0
"""How long a process waits for another one that writes to the same file."""

_TEMPORARY = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA mmap_size = 2147483648;"
_SHARED = "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"


class TempDatabase:
    """A database in a temporary file, so that millions of rows take no memory; it is removed when it is closed.

    Attributes:
        connection: to the database.
        lock: guards the connection.
    """

    def __init__(self, schema: str) -> None:
        """Creates the file and its tables."""
        self.lock = Lock()
        self._file = tempfile.NamedTemporaryFile(prefix="modalmix-", suffix=".sqlite")  # noqa: SIM115  see close
        self.connection = _connected(self._file.name, _TEMPORARY + schema)

    def close(self) -> None:
        """Removes the database."""
        with self.lock:
            self.connection.close()
            self._file.close()


class CacheDatabase:
    """A database that keeps what can be made again; one of another version is emptied.

    Attributes:
        connection: to the database.
        lock: guards the connection in this process; SQLite guards the file between processes.
    """

    def __init__(self, path: str, schema: str, version: int) -> None:
        """Opens the file, or creates it with its tables.

        Args:
            path: of the file.
            schema: statements that create its tables.
            version: of its contents.

        Raises:
            sqlite3.Error: the file is no database, or cannot be written.
            OSError: its folder cannot be made.
        """
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.lock = Lock()
        self.connection = _connected(path, _SHARED)
        try:
            if self._version() != version:
                self._begin_anew(schema, version)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        with self.lock:
            self.connection.close()

    def _version(self) -> int:
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    def _begin_anew(self, schema: str, version: int) -> None:
        """Replaces all tables, unless another process has done so meanwhile."""
        self.connection.execute("BEGIN IMMEDIATE")
        if self._version() != version:
            tables = self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in tables:
                self.connection.execute(f'DROP TABLE "{name}"')
            for statement in filter(str.strip, schema.split(";")):
                self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {version}")
        self.connection.execute("COMMIT")


def storable(text: str) -> str:
    """A text that SQLite accepts: halves of surrogate pairs, which are no Unicode text, become question marks."""
    return text.encode("utf-8", "replace").decode()


def _connected(path: str, script: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_SECONDS, check_same_thread=False, isolation_level=None)
    try:
        connection.executescript(script)
    except BaseException:
        connection.close()
        raise
    return connection
