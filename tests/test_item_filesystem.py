"""Items have URLs, and stock `datasets` opens them."""

from __future__ import annotations

import io
import multiprocessing
import os
import zipfile
from pathlib import Path

import datasets
import fsspec
import pyarrow as pa
import pytest
from datasets.table import embed_table_storage
from hypothesis import given
from hypothesis import strategies as st
from test_archives import WRITERS, archive_of, listed, zip_bytes

from modalmix.builders.cli import example_data
from modalmix.builders.media.archives import Archive
from modalmix.builders.media.item_filesystem import item_of, url_of, urls_of
from modalmix.builders.media.items import Item, PatchItems, item_of_member, read_bytes

PICTURES = {
    f"pictures/{name}": example_data.picture(i) for i, name in enumerate(("a.png", "b c.png", "0:01:09.png", "ä#?.png"))
}


@pytest.fixture(autouse=True)
def own_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "points"))


def items(folder: Path, writer: str = "tar.gz") -> list[Item]:
    name, _, pack = WRITERS[writer]
    archive = archive_of(folder / name, pack(PICTURES))
    return [item_of_member(archive, one) for one in listed(archive)[0]]


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=4).map(
    lambda steps: "/" + "/".join(steps)
)
numbers = st.integers(0, 2**60)


@given(
    names,
    st.lists(paths, min_size=1, max_size=3),
    numbers,
    numbers,
    numbers,
    st.sampled_from(["file", "base64", "tar.gz", "zip"]),
)
def test_every_item_comes_back_from_its_url(
    name: str, files: list[str], start: int, size: int, packed: int, kind: str
) -> None:
    archive = None if kind in ("file", "base64") else Archive(tuple(files), kind)
    item = Item(name, files[0], start, size, False, kind == "base64", archive, packed)
    url = url_of(item)
    assert item_of(url) == item == item_of(url.removeprefix("modalmix://"))
    assert "::" not in url and url.count("/") == 5 and not set(url) & set("*?[]{}#\n\\")


def test_a_whole_file_keeps_its_path() -> None:
    assert url_of(Item("a.mp4", "/data/a.mp4", 0, 5)) == "/data/a.mp4"


def test_the_urls_of_patches_are_those_of_their_items() -> None:
    patches = [
        PatchItems(Item("patch_0", "/data/a b/patch_0", 0, 100), 7, (3, 4, 5)),
        PatchItems(Item("patch_0", "/data/a b/patch_0", 0, 100), 50, (1,), base64=True),
        PatchItems(Item("p,1:x", "/data/p,1:x", 0, 1 << 42), 1 << 41, (60_000, 1 << 40)),
        PatchItems(Item("patch_2", "/data/all.tar", 1536, 4096, whole=False), 0, (1, 4095)),
    ]
    for some in ([], patches[:1], patches[:2], patches, [patches[0], [Item("a.mp4", "/data/a.mp4", 0, 5)]]):
        assert urls_of(some).to_pylist() == [url_of(item) for items in some for item in items]


def test_items_of_a_patch_follow_each_other() -> None:
    patch = PatchItems(Item("patch_2", "/data/all.tar", 1536, 4096, whole=False), 10, (3, 4, 5))
    found = list(patch)
    assert [(item.name, item.start, item.size) for item in found] == [
        ("patch_2.10", 1546, 3),
        ("patch_2.13", 1549, 4),
        ("patch_2.17", 1553, 5),
    ]
    assert len(patch) == 3
    assert [patch[i] for i in range(-3, 3)] == [*found, *found]
    assert patch[1:] == found[1:]
    with pytest.raises(IndexError):
        patch[3]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/etc/passwd",
        "file/0-5/relative/a.png",
        "file/0-5/%2Fetc%2F..%2Fa/a.png",
        "file/0-5/%2Fa,%2Fb/a.png",
        "file/00-5/%2Fa/a.png",
        "file/0-5/%2fa/a.png",
        "file/0-5/%2Fa/..%2Fa.png",
        "file/0-5/%2Fa/b/a.png",
        "file/-1-5/%2Fa/a.png",
        "rar/0-5/%2Fa/a.png",
        "file/0-5/%2Fa%00/a.png",
        "file/0-99999999999999999999/%2Fa/a.png",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no URL of a media item"):
        item_of(url)
    with pytest.raises(FileNotFoundError):
        fsspec.open(f"modalmix://{url}", "rb").open()


@pytest.mark.parametrize("writer", WRITERS)
def test_stock_datasets_decodes_members(tmp_path: Path, writer: str) -> None:
    found = items(tmp_path, writer)
    rows = datasets.Dataset.from_dict({"image": [url_of(item) for item in found]})
    rows = rows.cast_column("image", datasets.Image())
    for row, data in zip(rows, PICTURES.values(), strict=True):
        assert row["image"].tobytes() == datasets.Image().decode_example({"bytes": data, "path": None}).tobytes()


def test_stock_datasets_embeds_members(tmp_path: Path) -> None:
    found = items(tmp_path)
    features = datasets.Features({"image": datasets.Image(), "video": datasets.List(datasets.Video())})
    urls = [url_of(item) for item in found]
    table = pa.table({"image": urls, "video": [[url] for url in urls]}).cast(
        pa.schema({"image": pa.string(), "video": pa.list_(pa.string())})
    )
    table = datasets.table.table_cast(table, features.arrow_schema)
    embedded = embed_table_storage(table).to_pylist()
    assert [row["image"]["bytes"] for row in embedded] == list(PICTURES.values())
    assert [row["video"][0]["bytes"] for row in embedded] == list(PICTURES.values())
    assert [row["image"]["path"] for row in embedded][:2] == ["a.png", "b c.png"]


def _decoded(url: str) -> tuple[int, int]:
    image = datasets.Image().decode_example({"path": url, "bytes": None})
    return (image.width, image.height)


def test_a_fresh_process_opens_them_without_importing_modalmix(tmp_path: Path) -> None:
    url = url_of(items(tmp_path)[1])
    code = "import sys, fsspec\nprint(len(fsspec.open(sys.argv[1], 'rb').open().read()), 'modalmix.builders' in sys.modules)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True)
    assert done.stdout.split() == [str(len(PICTURES["pictures/b c.png"])), "True"], done.stderr
    with multiprocessing.get_context("fork").Pool(2) as pool:
        sizes = pool.map(_decoded, [url] * 4)
    assert len(set(sizes)) == 1 and sizes[0] == _decoded(url)


def test_workers_of_a_data_loader_open_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    rows = datasets.Dataset.from_dict({"image": [url_of(item) for item in items(tmp_path)]}).cast_column(
        "image", datasets.Image()
    )
    loader = torch.utils.data.DataLoader(rows, num_workers=2, collate_fn=lambda batch: batch[0]["image"].size)
    assert len(list(loader)) == len(PICTURES)


def test_a_file_is_read_within_its_ends(tmp_path: Path) -> None:
    data = os.urandom(70 << 20)
    (tmp_path / "patch").write_bytes(data + b"beyond")
    item = Item("big.mp4", str(tmp_path / "patch"), 5, len(data) - 5, whole=False)
    with fsspec.open(url_of(item), "rb") as file:
        assert file.seek(0, io.SEEK_END) == item.size and file.read(10) == b""
        file.seek(-3, io.SEEK_END)
        assert file.read() == data[-3:]
        file.seek(0)
        assert file.read(4) == data[5:9] and file.read() == data[9:]
    longer = item._replace(size=len(data) + 100)
    with pytest.raises(OSError, match="expected"):
        fsspec.open(url_of(longer), "rb").open()


def test_it_only_reads_and_says_what_there_is(tmp_path: Path) -> None:
    (item, *_) = items(tmp_path)
    system, path = fsspec.url_to_fs(url_of(item))
    assert (
        system.info(path)["size"] == item.size
        and system.exists(path)
        and system.isfile(path)
        and not system.isdir(path)
    )
    assert system.cat_file(path) == read_bytes(item) and system.cat_file(path, 1, 4) == read_bytes(item)[1:4]
    for mode in ("wb", "ab", "r+b"):
        with pytest.raises((OSError, NotImplementedError)):
            system.open(path, mode)
    os.remove(item.path)
    assert not system.exists(path)


def test_base64_and_deflated_members_have_urls_too(tmp_path: Path) -> None:
    (tmp_path / "patch").write_bytes(b"..aGVsbG8=")
    item = Item("a.png", str(tmp_path / "patch"), 2, 8, whole=False, base64=True)
    with fsspec.open(url_of(item), "rb") as file:
        assert file.read() == b"hello"
    archive = archive_of(tmp_path / "a.zip", zip_bytes({"x.txt": b"hello" * 100}, zipfile.ZIP_DEFLATED))
    (member,) = listed(archive)[0]
    with fsspec.open(url_of(item_of_member(archive, member)), "rb") as file:
        assert file.read() == b"hello" * 100
