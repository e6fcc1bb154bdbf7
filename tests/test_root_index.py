from __future__ import annotations

import io
import os
import tarfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modalmix.builders.media.items import read_bytes
from modalmix.builders.paths import scan_root
from modalmix.builders.paths.root_index import Index, index

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=6).filter(
    lambda name: not name.startswith(".")
)


def put(root: Path, name: str, data: bytes = b"data") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def long_ago(*paths: Path) -> None:
    """Lets folders look as if they had not been touched just now, when the clock could not tell a change from the listing."""
    for path in paths:
        os.utime(path, (1_600_000_000, 1_600_000_000))


def files(found: Index) -> dict[str, int]:
    entries = found.entries
    return {entries.path(i): int(entries.size[i]) for i in range(len(entries)) if entries.size[i] >= 0}


def on_disk(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_size for p in root.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


def test_the_index_holds_every_file_of_a_tree_with_its_size(root: Path, cache: str) -> None:
    put(root, "a.wav", b"12345"), put(root, "v/deep/er/b.mp4", b"1"), put(root, "v/empty.mp4", b"")
    (root / "nothing").mkdir()
    found = index(str(root), cache)
    assert files(found) == {"a.wav": 5, "v/deep/er/b.mp4": 1, "v/empty.mp4": 0}
    assert found.entries.number("nothing") is not None


@pytest.mark.parametrize("fast", [True, False])
def test_names_may_be_any_bytes_a_file_system_takes(
    root: Path, cache: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setenv("PATH", "")  # no find
        scan_root._has_find.cache_clear()
    names = [b"new\nline.mp4", b"latin-\xe9.mp4", b"tab\t %s \\0.mp4", b"-name", "日本.wav".encode(), b"'\"`$(x).jpg"]
    folder = os.path.join(os.fsencode(root), b"f\n\xff")
    os.mkdir(folder)
    for name in names:
        with open(os.path.join(folder, name), "wb") as file:
            file.write(b"1")
    try:
        found = index(str(root), cache)
        assert files(found) == {os.fsdecode(b"f\n\xff/" + name): 1 for name in names}
        number = found.entries.number(os.fsdecode(b"f\n\xff"))
        assert number is not None
        assert all(len(found.entries.find(number, os.fsdecode(name))) == 1 for name in names)
        assert files(index(str(root), cache)) == files(found)
    finally:
        scan_root._has_find.cache_clear()


def test_links_are_followed_to_files_under_the_root_alone(tmp_path: Path, root: Path, cache: str) -> None:
    put(root, "blobs/1", b"inside")
    (root / "a.jpg").symlink_to(root / "blobs/1")
    (root / "b.jpg").symlink_to(put(tmp_path, "secret", b"outside"))
    (root / "folder").symlink_to(tmp_path)
    (root / "round").symlink_to(root)
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    assert files(index(str(root), cache)) == {"blobs/1": 6, "a.jpg": 6}


def test_hidden_files_and_folders_are_no_media(root: Path, cache: str) -> None:
    put(root, ".cache/huggingface/a.mp4"), put(root, ".a.mp4.part"), put(root, "v/a.mp4")
    assert files(index(str(root), cache)) == {"v/a.mp4": 4}


def test_what_changes_is_seen_and_what_does_not_is_not_listed_again(root: Path, cache: str) -> None:
    put(root, "v/a.mp4"), put(root, "w/b.mp4"), put(root, "w/x/c.mp4")
    long_ago(root, root / "v", root / "w", root / "w/x")
    first = index(str(root), cache)
    assert index(str(root), cache).listed == first.listed
    put(root, "v/new.mp4"), put(root, "y/z/d.mp4")
    (root / "w/x/c.mp4").unlink()
    changed = index(str(root), cache)
    assert changed.listed != first.listed
    assert files(changed) == on_disk(root)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from("abc"), min_size=1, max_size=4)), max_size=12))
def test_a_refreshed_index_equals_a_new_one(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[bool, list[str]]]
) -> None:
    root, cache = tmp_path_factory.mktemp("root"), str(tmp_path_factory.mktemp("cache"))
    for i in range(12):
        put(root, f"{'abc'[i % 3]}/{'abc'[i % 2]}/{i}")
    tar(root / "b/x.tar", {"in/side.mp4": b"1"})
    index(str(root), cache)
    moved = 0
    for arrives, steps in changes:
        path = root.joinpath(*steps)
        if arrives and not path.exists() and not any(parent.is_file() for parent in path.parents):
            put(root, "/".join(steps))
        elif path.is_file():
            path.unlink()
        elif path.is_dir():
            moved += 1
            path.rename(root / f"moved{moved}")
    again, anew = index(str(root), cache), index(str(root), f"{cache}/other")
    assert files(again) == files(anew)
    assert {path for path in again.entries.folders if path} == {path for path in anew.entries.folders if path}


def test_members_have_the_paths_that_unpacking_their_archive_would_give_them(root: Path, cache: str) -> None:
    tar(root / "part/videos_1.tar.gz", {"academic/a.mp4": b"first"}, "w:gz")
    tar(root / "part/videos_2.tar", {"./academic/b.mp4": b"second"})
    for _ in range(2):
        found = index(str(root), cache)
        number = found.entries.number("part/academic")
        assert number is not None
        items = [found.item(found.entries.find(number, name)[0]) for name in ("a.mp4", "b.mp4")]
        assert [read_bytes(item) for item in items] == [b"first", b"second"]
        assert [item.name for item in items] == ["a.mp4", "b.mp4"]


def test_an_archive_that_changed_is_listed_anew(root: Path, cache: str) -> None:
    tar(root / "x.tar", {"a.mp4": b"1"})
    assert "a.mp4" in files(index(str(root), cache))
    tar(root / "x.tar", {"b.mp4": b"1", "c/d.mp4": b"2"})
    assert {"b.mp4", "c/d.mp4"} < files(index(str(root), cache)).keys()
    assert "a.mp4" not in files(index(str(root), cache))


def test_a_member_outside_the_root_is_not_in_the_index_and_is_reported(root: Path, cache: str) -> None:
    tar(root / "x.tar", {"../../evil.mp4": b"1", "good.mp4": b"1", "/etc/passwd": b"1"})
    found = index(str(root), cache)
    assert files(found).keys() == {"x.tar", "good.mp4"}
    assert any("evil.mp4" in problem for problem in found.problems)


def test_an_archive_can_be_the_root(tmp_path: Path, cache: str) -> None:
    tar(tmp_path / "x.tar", {"v/a.mp4": b"one"})
    tar(tmp_path / "other.tar", {"v/b.mp4": b"two"})
    found = index(str(tmp_path / "x.tar"), cache)
    assert files(found) == {"v/a.mp4": 3}


@pytest.mark.parametrize("damage", [b"", b"no index", None])
def test_a_damaged_index_is_made_anew(root: Path, cache: str, damage: bytes | None) -> None:
    put(root, "v/a.mp4")
    index(str(root), cache)
    (kept,) = Path(cache, "paths").iterdir()
    kept.write_bytes(kept.read_bytes()[:200] if damage is None else damage)
    assert files(index(str(root), cache)) == {"v/a.mp4": 4}


def test_without_a_place_for_the_cache_the_index_is_made_all_the_same(root: Path, tmp_path: Path) -> None:
    put(root, "v/a.mp4")
    assert files(index(str(root), str(put(tmp_path, "file")))) == {"v/a.mp4": 4}


def test_readers_see_a_whole_index_while_others_write_it(root: Path, cache: str) -> None:
    for i in range(300):
        put(root, f"v{i % 7}/{i}")
    wrong: list[object] = []

    def read() -> None:
        for i in range(15):
            try:
                put(root, f"new/{threading.get_ident()}-{i}")
                found = files(index(str(root), cache))
                if not {f"v{i % 7}/{i}" for i in range(300)} <= found.keys():
                    wrong.append(found)
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert files(index(str(root), cache)) == on_disk(root)
    assert [path.suffix for path in Path(cache, "paths").iterdir()] == [".index"]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=12), st.lists(NAMES, max_size=3))
def test_folders_are_found_by_the_ends_of_their_paths(
    tmp_path_factory: pytest.TempPathFactory, paths: set[tuple[str, ...]], written: list[str]
) -> None:
    root = tmp_path_factory.mktemp("root")
    for path in paths:
        os.makedirs(root.joinpath(*path), exist_ok=True)
    entries = index(str(root), str(tmp_path_factory.mktemp("cache"))).entries

    def common(path: str) -> int:
        here = path.split("/") if path else []
        count = 0
        while count < min(len(here), len(written)) and here[-1 - count] == written[-1 - count]:
            count += 1
        return count

    expected: dict[int, set[str]] = {0: {""}}
    for path in entries.folders:
        if path and common(path):
            expected.setdefault(common(path), set()).add(path)
    found = {level: {entries.folders[i] for i in numbers or ()} for level, numbers in entries.ending(written, 64)}
    assert found == expected
    assert list(found) == sorted(found, reverse=True)
