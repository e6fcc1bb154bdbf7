"""Files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from modalmix.builders.core.atomic_files import atomic_file, atomic_path, write_file


@pytest.mark.parametrize("temporary", [None, "fixed.part"])
def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path: Path, temporary: str | None) -> None:
    path = tmp_path / "x.json"
    temporary = temporary and str(tmp_path / temporary)
    write_file(str(path), b"old", temporary=temporary)
    with pytest.raises(ValueError), atomic_file(str(path), temporary=temporary) as file:
        file.write(b"half of the ne")
        file.flush()
        assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
        raise ValueError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with atomic_file(str(path), temporary=temporary) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_renamed_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_file(str(tmp_path / "folder"), b"x")
    with pytest.raises(FileNotFoundError), atomic_path(str(tmp_path / "y")):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_names_may_be_as_long_as_the_file_system_lets_them_be(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125 + ".json")
    write_file(str(path), b"x", fsync=False)
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_at_once_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = str(tmp_path / "x")
    with atomic_file(path) as one, atomic_file(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert Path(path).read_bytes() == b"one" and len(list(tmp_path.iterdir())) == 1
