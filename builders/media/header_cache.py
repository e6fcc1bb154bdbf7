"""The cache of headers on disk.

``modalmix check`` fills it for every file of a dataset.  A cached header is used as long as the size and the modification time of
its file are those it had.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec

from ..core.cache_dir import cache_folder
from ..core.sqlite_files import CacheDatabase
from .header import VERSION, Header, Medium
from .items import Item

_SCHEMA = "CREATE TABLE headers (key TEXT PRIMARY KEY, stamp TEXT, header BLOB) WITHOUT ROWID"


def cache_file() -> str:
    """Where headers are kept: ``headers.sqlite`` in the cache folder."""
    return os.path.join(cache_folder(), "headers.sqlite")


class HeaderCache:
    """Headers on disk, by file, size and modification time.

    Several threads and processes may use it at once.  What cannot be read or written is as if it
    were not there: a cache never stops the work.
    """

    def __init__(self, path: str | None = None, *, create: bool = True) -> None:
        """Opens the cache; without `create`, only one that is there."""
        self._database: CacheDatabase | None = None
        path = cache_file() if path is None else path
        if not create and not os.path.exists(path):
            return
        with suppress(sqlite3.Error, OSError):
            self._database = CacheDatabase(path, _SCHEMA, VERSION)

    def get(self, keys: Sequence[tuple[str, str]]) -> list[Header | None]:
        """The headers of (key, stamp) pairs of `key_of`; None where there is none, or one of an older file."""
        found: list[Header | None] = [None] * len(keys)
        if self._database is None:
            return found
        connection = self._database.connection
        with self._database.lock:
            for i, (key, stamp) in enumerate(keys):
                try:
                    row = connection.execute("SELECT stamp, header FROM headers WHERE key = ?", (key,)).fetchone()
                    if row is not None and row[0] == stamp:
                        found[i] = msgspec.msgpack.decode(row[1], type=Header)
                except (sqlite3.Error, msgspec.MsgspecError, UnicodeError):
                    continue
        return found

    def put(self, headers: Iterable[tuple[tuple[str, str], Header]]) -> None:
        """Keeps headers, all in one transaction."""
        if self._database is None:
            return
        rows = [(key, stamp, msgspec.msgpack.encode(header)) for (key, stamp), header in headers]
        connection = self._database.connection
        with self._database.lock:
            try:
                connection.execute("BEGIN")
                connection.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?)", rows)
                connection.execute("COMMIT")
            except (sqlite3.Error, UnicodeError):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

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
