"""Rows dealt into splits: whole, apart, and the same whoever builds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import datasets
import pytest

from dataset_rows import undecoded
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.build import Settings, build_plan, parsed_splits
from modalmix.builders.cli import example_data
from modalmix.builders.core.errors import DataError
from modalmix.builders.pipeline.options import DEFAULTS, Options

THREE = (("train", 0.6), ("validation", 0.2), ("test", 0.2))
SMALL = 60_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 records in two files: 180 about 60 pictures, written in two ways, and 20 of text."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b"):
        records = []
        for i in range(100):
            record = {"id": f"{name}{i}", "conversations": example_data.turns("<image>\nWhat?", f"A square, {i}.")}
            if i % 10:
                prefix = "/mnt/elsewhere/pictures" if i % 2 else "pictures"
                record["image"] = f"{prefix}/{i % 60}.jpg"
            else:
                record["conversations"] = example_data.turns("Hello?", "Yes.")
            records.append(record)
        (folder / f"{name}.json").write_text(json.dumps(records))
    (folder / "pictures").mkdir()
    for i in range(60):
        (folder / "pictures" / f"{i}.jpg").write_bytes(example_data.picture(i) + bytes(1000 + i))
    return folder


def rows(out: Path) -> dict[str, list[tuple[str, str]]]:
    """Split → id and the digest of its picture, of each row."""
    return {
        split: [
            (row["id"], hashlib.sha256(row["images"][0]["bytes"]).hexdigest() if row["images"] else "")
            for row in undecoded(part)
        ]
        for split, part in datasets.load_dataset(str(out)).items()
    }


def test_one_picture_is_never_in_two_splits(data: Path, tmp_path: Path) -> None:
    report = build.build(str(data), str(tmp_path / "out"), settings=Settings(splits=THREE), card=cards.write)
    by_split = rows(tmp_path / "out")
    assert list(by_split) == ["train", "validation", "test"] and all(by_split.values())
    assert sorted(one for part in by_split.values() for one, _ in part) == sorted(
        f"{name}{i}" for name in "ab" for i in range(100)
    )
    pictures = {split: {picture for _, picture in part if picture} for split, part in by_split.items()}
    assert sum(map(len, pictures.values())) == len(set.union(*pictures.values())) == 54
    assert report.options["splits"] == dict(THREE) and report.options["split_by"] == "media"
    assert "split by media, seed 42: `train` 0.6" in (tmp_path / "out" / "README.md").read_text()


def test_by_id_one_id_is_never_in_two_splits(data: Path, tmp_path: Path) -> None:
    build.build(str(data), str(tmp_path / "out"), settings=Settings(splits=THREE, split_by="id"), card=cards.write)
    by_split = rows(tmp_path / "out")
    pictures = [{picture for _, picture in part if picture} for part in by_split.values()]
    assert sum(map(len, pictures)) > len(set.union(*pictures))
    assert sum(map(len, by_split.values())) == 200


def test_the_media_root_may_have_another_place_and_the_splits_stay(data: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(data, tmp_path / "elsewhere")
    build.build(str(data), str(tmp_path / "one"), settings=Settings(splits=THREE), card=cards.write)
    options = Options(media_root=(str(tmp_path / "elsewhere"),))
    build.build(str(tmp_path / "elsewhere"), str(tmp_path / "two"), options, Settings(splits=THREE), card=cards.write)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def test_another_seed_deals_otherwise_and_a_split_keeps_its_rows_where_others_are_cut_off(
    data: Path, tmp_path: Path
) -> None:
    build.build(str(data), str(tmp_path / "one"), settings=Settings(splits=THREE), card=cards.write)
    build.build(str(data), str(tmp_path / "seed"), settings=Settings(splits=THREE, seed=7), card=cards.write)
    build.build(
        str(data), str(tmp_path / "two"), settings=Settings(splits=(("train", 0.6), ("rest", 0.4))), card=cards.write
    )
    assert rows(tmp_path / "seed") != rows(tmp_path / "one")
    assert rows(tmp_path / "two")["train"] == rows(tmp_path / "one")["train"]


def test_workers_and_interruptions_change_nothing(data: Path, tmp_path: Path) -> None:
    settings = Settings(splits=THREE, row_group_bytes=20_000, shard_bytes=SMALL)
    assert len(build_plan.make(str(data), DEFAULTS, settings).tasks) > 2

    def digests(out: Path) -> dict[str, bytes]:
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    build.build(str(data), str(tmp_path / "out" / "one"), settings=settings, card=cards.write)
    build.build(str(data), str(tmp_path / "two" / "one"), settings=settings, workers=3, card=cards.write)
    stopped: list[int] = []

    def stop(*_: object) -> None:
        stopped.append(1)
        if len(stopped) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.build(str(data), str(tmp_path / "three" / "one"), settings=settings, progress=stop, card=cards.write)
    build.build(str(data), str(tmp_path / "three" / "one"), settings=settings, card=cards.write)
    one = digests(tmp_path / "out" / "one")
    assert one == digests(tmp_path / "two" / "one") == digests(tmp_path / "three" / "one")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=0.9", "add up to 0.9"),
        ("train=0.9,test=0.2", "add up to 1.1"),
        ("train", "for example train=0.98,test=0.02"),
        ("train=half,test=0.5", "'train=half' is not a split"),
        ("train=0.5,train=0.5", "named twice"),
        ("../x=0.5,test=0.5", "'../x' is not a name"),
        ("all=1", "'all' is not a name"),
        ("a=0,b=1", "must be above 0"),
        ("a=nan,b=1", "must be above 0"),
    ],
)
def test_splits_that_cannot_be_are_refused_with_a_word(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parsed_splits(text)
