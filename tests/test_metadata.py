"""What headers say, in columns beside the media; and builds that leave the media where they are."""

from __future__ import annotations

import json
import os
import tarfile
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pytest

import modalmix.builders
from dataset_rows import Folders, bytes_of, modalmix_roots, undecoded
from modalmix import cards
from modalmix.builders import build, views
from modalmix.builders.build import Settings
from modalmix.builders.cli import example_data
from modalmix.builders.core.sample import MODALITIES
from modalmix.builders.pipeline import features
from modalmix.builders.pipeline.options import Options
from modalmix.upload import HubError

VIDEO = {"frames": 24, "fps": 12.0, "duration": 2.0, "width": 96, "height": 64}
SOUND = {"duration": 0.5, "sampling_rate": 16_000, "channels": 1}
PICTURE = {"width": 96, "height": 64}


def built(folder: str, out: Path, **settings: Any) -> list[dict[str, Any]]:
    build.build(
        folder, str(out), Options(media_root=tuple(modalmix_roots(folder))), Settings(**settings), card=cards.write
    )
    return list(undecoded(datasets.load_dataset(str(out), split="train")))


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows}


def by_place(rows: list[dict[str, Any]]) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["source"]["file"], row["source"]["row"]): row for row in rows}


def test_each_medium_has_what_its_header_says_beside_it(example_folders: Folders, tmp_path: Path) -> None:
    every = built(example_folders["ola"], tmp_path / "out", metadata=True)
    rows = by_id(every)
    assert rows["fv0"]["videos_metadata"] == [VIDEO] and rows["fv0"]["audios_metadata"] == [SOUND]
    assert rows["fv0"]["images_metadata"] == [] and rows["fv0"]["frames_metadata"] == []
    (frames,) = rows["v0"]["frames_metadata"]
    assert frames == [PICTURE] * len(rows["v0"]["frames"][0]) and frames
    assert any(row["audio_q_metadata"] for row in every)
    for row in every:
        for column in features.MEDIA_COLUMNS:
            if column in row:
                assert len(row[column]) == len(row[f"{column}_metadata"])
    assert (
        "modalmix" in (tmp_path / "out" / "README.md").read_text()
        and json.loads((tmp_path / "out" / "report.json").read_text())["options"]["metadata"]
    )
    assert (
        "`videos_metadata` | for each item of `videos`: `frames`, `fps`" in (tmp_path / "out" / "README.md").read_text()
    )


def test_metadata_columns_follow_their_media_in_every_mix_and_streaming(
    example_folders: Folders, tmp_path: Path
) -> None:
    built(example_folders["ola"], tmp_path / "out", metadata=True)
    columns = ["id", "source", "system", "conversations", "images", "images_metadata", "extra"]
    for streaming in (False, True):
        rows = datasets.load_dataset(str(tmp_path / "out"), "image", split="train", streaming=streaming)
        assert list(rows.features) == columns
        assert [row["images_metadata"] for row in undecoded(rows)] == [[PICTURE], [PICTURE]]
    assert all(
        [name for name in features.features(mix, metadata=True) if not name.endswith("_metadata")]
        == list(features.features(mix))
        for mix in features.mixes(MODALITIES).values()
    )


def test_reading_in_place_gives_the_same_metadata(example_folders: Folders, tmp_path: Path) -> None:
    there = by_place(built(example_folders["ola"], tmp_path / "out", metadata=True))
    folder = example_folders["ola"]
    here = modalmix.builders.load_dataset(
        "ola", data_dir=folder, media_root=modalmix_roots(folder), metadata=True, split="train"
    )
    reported = [name for name in here.features if name.endswith("_metadata")]
    assert len(reported) == 5
    for place, row in by_place(list(undecoded(here))).items():
        assert {name: row[name] for name in reported} == {name: there[place][name] for name in reported}


def test_unreadable_metadata_are_null_and_members_of_archives_have_the_metadata_of_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "clips").mkdir(parents=True)
    for i in range(3):
        example_data.video(str(tmp_path / f"{i}.mp4"), i)
    (tmp_path / "2.mp4").write_bytes(b"no video at all")
    for name, kind in (("a.tar", "w"), ("b.tar.gz", "w:gz")):
        with tarfile.open(data / name, kind) as archive:
            archive.add(tmp_path / ("0.mp4" if name == "a.tar" else "1.mp4"), f"clips/{name[0]}.mp4")
    (data / "clips" / "c.mp4").write_bytes((tmp_path / "2.mp4").read_bytes())
    records = [
        {"id": one, "video": f"clips/{one}.mp4", "conversations": example_data.turns("<image>\nWhat?", "A square.")}
        for one in "abc"
    ]
    (data / "train.json").write_text(json.dumps(records))
    rows = by_id(built(str(data), tmp_path / "out", metadata=True))
    assert {one: row["videos_metadata"] for one, row in rows.items()} == {"a": [VIDEO], "b": [VIDEO], "c": [None]}


def test_annotations_only_refers_to_media_where_they_are(example_folders: Folders, tmp_path: Path) -> None:
    folder = example_folders["ola"]
    embedded = by_place(built(folder, tmp_path / "embedded"))
    referred = by_place(built(folder, tmp_path / "out", annotations_only=True, metadata=True))
    assert set(embedded) == set(referred)
    for one, row in referred.items():
        for column in features.MEDIA_COLUMNS:
            cells, bytes_ = row.get(column, []), embedded[one].get(column, [])
            if column == "frames":
                cells, bytes_ = list(chain.from_iterable(cells)), list(chain.from_iterable(bytes_))
            assert all(cell["bytes"] is None for cell in cells)
            assert [bytes_of(cell) for cell in cells] == [bytes_of(cell) for cell in bytes_]
    (row,) = (row for row in referred.values() if row["id"] == "fv0")
    path = row["videos"][0]["path"]
    assert os.path.isabs(path) and path.endswith("/cross/videos/lltmlYR56dI.mp4")
    assert row["videos_metadata"] == [VIDEO]
    card = (tmp_path / "out" / "README.md").read_text()
    assert "only on the machine it was built on" in card and folder not in card


def test_stock_readers_and_views_decode_what_is_referred_to(example_folders: Folders, tmp_path: Path) -> None:
    folder = example_folders["ola"]
    build.build(
        folder,
        str(tmp_path / "out"),
        Options(media_root=tuple(modalmix_roots(folder))),
        Settings(annotations_only=True),
        card=cards.write,
    )
    for row in datasets.load_dataset(str(tmp_path / "out"), "image", split="train"):
        assert row["images"][0].size == (96, 64)
    rows = undecoded(datasets.load_dataset(str(tmp_path / "out"), "video_audio", split="train"))
    (sample,) = views.training(rows, num_frames=4)
    assert sample["videos"][0].shape[0] == 4


def test_annotations_alone_are_not_pushed(example_folders: Folders, tmp_path: Path) -> None:
    from modalmix.upload import build as builds

    build.build(
        example_folders["aria"], str(tmp_path / "out"), settings=Settings(annotations_only=True), card=cards.write
    )
    with pytest.raises(HubError, match="was built with --annotations-only"):
        builds.check(builds.finished_build(str(tmp_path / "out")), private_paths=True)


def test_annotations_of_archives_need_no_pass_through_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "0.jpg").write_bytes(example_data.picture(0))
    with tarfile.open(data / "a.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "0.jpg", "pictures/0.jpg")
    records = [
        {"id": "a", "image": "pictures/0.jpg", "conversations": example_data.turns("<image>\nWhat?", "A square.")}
    ]
    (data / "train.json").write_text(json.dumps(records))
    settings = Settings(annotations_only=True)
    assert not build.build_plan.make(str(data), Options(), settings).passes
    build.build(str(data), str(tmp_path / "out"), settings=settings, card=cards.write)
    (row,) = undecoded(datasets.load_dataset(str(tmp_path / "out"), split="train"))
    assert row["images"][0]["path"].startswith("modalmix://tar.gz/")
    (row,) = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert row["images"][0].size == (96, 64)
