"""SQLite files: a cache keeps its rows from one process to the next, and is emptied for another version."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modalmix.builders.core.sqlite_files import CacheDatabase, TempDatabase

SCHEMA = "CREATE TABLE seen (name TEXT); CREATE TABLE sizes (size INTEGER)"


def names(path: Path, version: int, schema: str = SCHEMA) -> list[str]:
    """The names in a cache, to which one more is then added."""
    cache = CacheDatabase(str(path), schema, version)
    found = [name for (name,) in cache.connection.execute("SELECT name FROM seen")]
    cache.connection.execute("INSERT INTO seen VALUES (?)", (f"of {version}",))
    cache.close()
    return found


def test_a_cache_is_kept_and_emptied_for_another_version(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "cache.sqlite"
    assert names(path, 1) == [] and names(path, 1) == ["of 1"]
    assert names(path, 2, "CREATE TABLE seen (name TEXT)") == []
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("seen",)]


def test_a_cache_that_many_open_at_once_is_emptied_once(tmp_path: Path) -> None:
    path = str(tmp_path / "cache.sqlite")
    CacheDatabase(path, SCHEMA, 1).close()

    def add(number: int) -> None:
        cache = CacheDatabase(path, SCHEMA, 2)
        cache.connection.execute("INSERT INTO sizes VALUES (?)", (number,))
        cache.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(40)))
    cache = CacheDatabase(path, SCHEMA, 2)
    assert sorted(size for (size,) in cache.connection.execute("SELECT size FROM sizes")) == list(range(40))
    cache.close()


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 20)
    with pytest.raises(sqlite3.DatabaseError):
        CacheDatabase(str(tmp_path / "cache.sqlite"), SCHEMA, 1)


def test_a_temporary_database_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    database = TempDatabase(SCHEMA)
    database.connection.execute("INSERT INTO sizes VALUES (7)")
    assert len(list(tmp_path.iterdir())) == 1
    database.close()
    assert list(tmp_path.iterdir()) == []
