from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modalmix.builders.core.findings import Finding
from modalmix.builders.core.sample import Reference
from modalmix.builders.media.items import Item, PatchItems, read_bytes
from modalmix.builders.paths import Rewriter


def put(root: Path, name: str, data: bytes = b"data") -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def name_of(found: object) -> str:
    assert isinstance(found, Finding), found
    return found.kind.name


def test_a_foreign_path_is_found_by_its_longest_existing_suffix(tmp_path: Path) -> None:
    put(tmp_path, "a.wav", b"short suffix")
    there = put(tmp_path, "AudioCaps/train/a.wav")
    assert Rewriter([str(tmp_path)]).locate("/mnt/lustre/AudioCaps/train/a.wav", "audio", "") == there


def test_a_file_directly_in_the_root_is_found_by_its_name(tmp_path: Path) -> None:
    there = put(tmp_path, "a.wav")
    assert Rewriter([str(tmp_path)]).locate("/mnt/x/y/a.wav", "audio", "") == there


def test_a_path_that_exists_as_it_is_under_a_root_is_found(tmp_path: Path) -> None:
    there = put(tmp_path, "deep/a.wav")
    assert Rewriter([str(tmp_path)]).locate("deep/a.wav", "audio", "") == there
    assert Rewriter(["/"]).locate(there, "audio", "") == there


def test_equally_good_files_in_two_roots_are_a_finding_and_no_guess(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    put(one, "v/a.mp4"), put(two, "v/a.mp4")
    found = Rewriter([str(one), str(two)]).locate("/x/v/a.mp4", "video", "/video")
    assert name_of(found) == "media-ambiguous"
    assert isinstance(found, Finding) and found.pointer == "/video"


def test_a_longer_suffix_in_one_root_beats_a_shorter_one_in_another(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    put(one, "a.mp4")
    there = put(two, "v/a.mp4")
    assert Rewriter([str(one), str(two)]).locate("/x/v/a.mp4", "video", "") == there


def test_the_same_folder_given_twice_is_no_ambiguity(tmp_path: Path) -> None:
    there = put(tmp_path, "v/a.mp4")
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    assert Rewriter([str(tmp_path), str(link)]).locate("/x/v/a.mp4", "video", "") == there


def test_a_missing_file_is_a_finding(tmp_path: Path) -> None:
    assert name_of(Rewriter([str(tmp_path)]).locate("/x/a.mp4", "video", "")) == "media-missing"


def test_a_file_outside_of_the_roots_is_refused_though_it_exists(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    secret = put(tmp_path, "secret.txt")
    rewriter = Rewriter([str(root)])
    assert name_of(rewriter.locate(secret, "image", "")) == "path-outside-root"
    assert name_of(rewriter.locate("../secret.txt", "image", "")) == "path-outside-root"
    assert name_of(rewriter.locate("x/../../secret.txt", "image", "")) == "path-outside-root"


def test_a_link_out_of_the_root_is_refused_and_one_inside_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    inside = put(root, "blobs/1")
    (root / "a.jpg").symlink_to(put(tmp_path, "secret.txt"))
    (root / "b.jpg").symlink_to(inside)
    (root / "folder").symlink_to(tmp_path)
    (root / "broken.jpg").symlink_to(tmp_path / "nowhere")
    rewriter = Rewriter([str(root)])
    assert name_of(rewriter.locate("a.jpg", "image", "")) == "path-outside-root"
    assert rewriter.locate("b.jpg", "image", "") == inside
    assert name_of(rewriter.locate("folder/secret.txt", "image", "")) == "media-missing"
    assert name_of(rewriter.locate("broken.jpg", "image", "")) in ("media-missing", "path-outside-root")


@pytest.mark.parametrize("written", ["", "/", ".", "a\0b", "a/b\n.jpg", "..", "a\x7f.jpg"])
def test_what_can_be_no_path_is_a_finding(tmp_path: Path, written: str) -> None:
    found = Rewriter([str(tmp_path)]).locate(written, "image", "")
    assert name_of(found) in ("path-invalid", "path-outside-root", "media-missing")


def test_colons_spaces_and_quotes_are_parts_of_names(tmp_path: Path) -> None:
    there = put(tmp_path, "clips/r_0:01:09.6 'x' & $(y).mp4")
    assert Rewriter([str(tmp_path)]).locate("/m/clips/r_0:01:09.6 'x' & $(y).mp4", "video", "") == there


def test_roots_for_one_kind_go_for_that_kind_alone(tmp_path: Path) -> None:
    images, videos = tmp_path / "i", tmp_path / "v"
    put(images, "a"), put(videos, "a")
    rewriter = Rewriter([], {"image": [str(images)], "video": [str(videos)]})
    assert rewriter.locate("a", "image", "") == str(images / "a")
    assert rewriter.locate("a", "video", "") == str(videos / "a")
    assert name_of(rewriter.locate("a", "audio", "")) == "media-missing"


def test_a_patch_gives_the_byte_ranges_one_after_the_other(tmp_path: Path) -> None:
    put(tmp_path, "patch_000000", b"--onetwothree")
    frames = Rewriter([str(tmp_path)]).video(Reference("/m/patch_000000", (3, 3, 5), 2), "")
    assert isinstance(frames, PatchItems)
    assert [read_bytes(frame) for frame in frames] == [b"one", b"two", b"three"]


def test_a_patch_of_base64_gives_the_bytes_behind_it(tmp_path: Path) -> None:
    put(tmp_path, "patch", b"xxaGVsbG8=")
    item = Rewriter([str(tmp_path)]).item(Reference("patch", (8,), 2, base64=True), "image", "")
    assert isinstance(item, Item) and read_bytes(item) == b"hello"


@pytest.mark.parametrize(("start", "sizes"), [(0, (11,)), (10, (1,)), (-1, (2,)), (2**40, (1,)), (0, (10, 1))])
def test_a_range_outside_of_the_patch_is_a_finding(tmp_path: Path, start: int, sizes: tuple[int, ...]) -> None:
    put(tmp_path, "patch", b"0123456789")
    assert name_of(Rewriter([str(tmp_path)]).video(Reference("patch", sizes, start), "")) == "patch-out-of-range"


def test_an_empty_file_is_a_finding(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", b"")
    assert name_of(Rewriter([str(tmp_path)]).item(Reference("a.jpg"), "image", "")) == "media-empty"


def test_a_folder_is_a_video_of_its_pictures_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("10.jpg", "1.jpg", "2.jpg", "notes.txt"):
        put(tmp_path, f"frames/{name}", name.encode())
    for written in ("frames", "/m/frames/", "frames/."):
        frames = Rewriter([str(tmp_path)]).video(Reference(written), "")
        assert isinstance(frames, list) and [frame.name for frame in frames] == ["1.jpg", "10.jpg", "2.jpg"]


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    put(tmp_path, "frames/1.jpg")
    assert name_of(Rewriter([str(tmp_path)]).item(Reference("frames"), "image", "")) == "media-kind"


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert name_of(Rewriter([str(tmp_path)]).item(Reference("a.jpg"), "image", "")) == "media-unreadable"


def test_what_is_watched_changes_when_a_missing_file_arrives(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    rewriter = Rewriter([str(tmp_path)])
    rewriter.locate("/x/v/a.mp4", "video", "")
    assert rewriter.watched.keys() == {str(tmp_path), str(tmp_path / "v")}


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_path_leads_out_of_the_root(tmp_path_factory: pytest.TempPathFactory, written: str) -> None:
    root = tmp_path_factory.getbasetemp() / "never"
    root.mkdir(exist_ok=True)
    (root / "a").write_bytes(b"x")
    found = Rewriter([str(root)]).locate(written, "image", "")
    assert isinstance(found, Finding) or os.path.realpath(found).startswith(f"{root}{os.sep}")
