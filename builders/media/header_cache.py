"""The cache of headers on disk.

``modalmix check`` fills it for every file of a dataset.  A cached header is used as long as the size and the modification time of
its file are those it had.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence

import msgspec

from ..core.cache_dir import cache_folder
from .header import VERSION, Header, Medium
from .items import Item


def cache_file() -> str:
    """Where headers are kept: ``headers.sqlite`` in the cache folder."""
    return os.path.join(cache_folder(), "headers.sqlite")


class HeaderCache:
    """Headers on disk, by file, size and modification time.

    One connection, guarded by a lock; several processes may use the file at once.  What cannot be read or written is as if it
    were not there: a cache never stops the work.
    """

    def __init__(self, path: str | None = None, *, create: bool = True) -> None:
        """Opens the cache; without `create`, only one that is there."""
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        path = cache_file() if path is None else path
        if not create and not os.path.exists(path):
            return
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            database = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=OFF")  # a lost header is learned again
            if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                database.execute("DROP TABLE IF EXISTS headers")
                database.execute(f"PRAGMA user_version={VERSION}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS headers (key TEXT PRIMARY KEY, stamp TEXT, header BLOB) WITHOUT ROWID"
            )
            self._database = database
        except (sqlite3.Error, OSError):
            self._database = None

    def get(self, keys: Sequence[tuple[str, str]]) -> list[Header | None]:
        """The headers of (key, stamp) pairs of `key_of`; None where there is none, or one of an older file."""
        found: list[Header | None] = [None] * len(keys)
        if self._database is None:
            return found
        with self._lock:
            for i, (key, stamp) in enumerate(keys):
                try:
                    row = self._database.execute("SELECT stamp, header FROM headers WHERE key = ?", (key,)).fetchone()
                    if row is not None and row[0] == stamp:
                        found[i] = msgspec.msgpack.decode(row[1], type=Header)
                except (sqlite3.Error, msgspec.MsgspecError, UnicodeError):
                    continue
        return found

    def put(self, learned: Iterable[tuple[tuple[str, str], Header]]) -> None:
        """Keeps headers, all in one transaction."""
        if self._database is None:
            return
        rows = [(key, stamp, msgspec.msgpack.encode(header)) for (key, stamp), header in learned]
        with self._lock:
            try:
                self._database.execute("BEGIN")
                self._database.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?)", rows)
                self._database.execute("COMMIT")
            except (sqlite3.Error, UnicodeError):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def key_of(item: Item, medium: Medium) -> tuple[str, str] | None:
    """What a header is kept under, and the stamp of the file it is of; None where the file is gone."""
    try:
        status = os.stat(item.path)
    except (OSError, ValueError):
        return None
    part = "" if item.whole and item.archive is None else f"\0{item.start}\0{item.size}\0{int(item.base64)}"
    return f"{medium}\0{item.path}{part}", f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
