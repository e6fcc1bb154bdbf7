"""Rows grouped by their media: what is stored, and that it says what the ungrouped rows say."""

from __future__ import annotations

import json
import tarfile
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from encoded_videos import encode
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_clips import CLIPS, build, clip, write, write_annotations

from build_data import digests
from dataset_rows import Folders, modalmix_roots, undecoded
from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders import views
from modalmix.builders.build import Packer, Settings
from modalmix.builders.build.grouping import Grouper
from modalmix.builders.build.lead_media import lead
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.sample import Mask, Sample, Turn
from modalmix.builders.core.storage import at
from modalmix.builders.media.items import Item, Media
from modalmix.builders.pipeline import features
from modalmix.builders.pipeline.arrow_tables import grouped_table, referenced, table
from modalmix.builders.pipeline.grouped_rows import grouped, samples, ungrouped
from modalmix.builders.pipeline.options import Options
from modalmix.builders.pipeline.rows import Row
from modalmix.builders.preview.parquet_collection import folder as preview_of

GROUPED = Settings(group_by="media", row_group_bytes=150_000, shard_bytes=400_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data"))


def loaded(out: Path, name: str | None = None, streaming: bool = False) -> Any:
    return undecoded(datasets.load_dataset(str(out), name, split="train", streaming=streaming))


def by_place(rows: Any) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["source"]["file"], row["source"]["row"]))


def size_of(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*.parquet"))


def test_a_row_holds_a_clip_once_with_all_that_three_annotation_files_ask(data: Path, tmp_path: Path) -> None:
    report = build(data, tmp_path / "grouped", GROUPED)
    counts = report.counts
    assert counts.read == 7 * CLIPS == sum(counts.written.values()) + counts.rejected
    assert report.grouped and report.rows == CLIPS + 3 and sum(counts.written.values()) == 7 * CLIPS - 9
    rows = list(loaded(tmp_path / "grouped", "video"))
    assert sorted(row["videos"][0]["bytes"] for row in rows) == sorted(map(clip, range(CLIPS)))
    assert all(len({len(row[name]) for name in row if name != "videos" and name != "frames"}) == 1 for row in rows)
    assert sum(len(row["id"]) for row in rows) == 7 * CLIPS - 12
    assert {len(row["source"]) for row in rows} & {7}


def test_grouped_shards_are_as_small_as_the_clips(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "grouped", GROUPED)
    build(data, tmp_path / "kept", Settings(order="annotation", row_group_bytes=150_000, shard_bytes=400_000))
    stored = sum(len(clip(number)) for number in range(CLIPS))
    assert stored < size_of(tmp_path / "grouped") < 1.4 * stored < 4 * stored < size_of(tmp_path / "kept")


def test_flattened_rows_are_those_of_the_ungrouped_build(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "grouped", GROUPED)
    build(data, tmp_path / "flat")
    for name, streaming in product(("video", "text", "all"), (False, True)):
        expected = loaded(tmp_path / "flat", name, streaming)
        found = views.flatten(loaded(tmp_path / "grouped", name, streaming))
        assert found.features == expected.features
        assert by_place(found) == by_place(expected)


@pytest.mark.parametrize("name", ["ola", "videorefer", "lmms_finetune", "aria", "llava_video"])
def test_every_format_comes_back_from_its_groups(example_folders: Folders, tmp_path: Path, name: str) -> None:
    folder = example_folders[name]
    options = Options(media_root=tuple(modalmix_roots(folder)))
    grouped = building.build(folder, str(tmp_path / "grouped"), options, Settings(group_by="media"), card=cards.write)
    flat = building.build(folder, str(tmp_path / "flat"), options, card=cards.write)
    assert grouped.counts == flat.counts
    splits = {split for by_split in flat.shards.values() for split in by_split}
    for split, streaming in product(splits, (False, True)):
        one, other = (
            undecoded(datasets.load_dataset(str(tmp_path / out), split=split, streaming=streaming))
            for out in ("grouped", "flat")
        )
        found = views.flatten(one)
        assert found.features == other.features and by_place(found) == by_place(other)


def test_metadata_is_beside_the_media_of_a_group_and_media_may_stay_outside(
    example_folders: Folders, tmp_path: Path
) -> None:
    folder = example_folders["ola"]
    options = Options(media_root=tuple(modalmix_roots(folder)))
    both = {"metadata": True, "annotations_only": True}
    building.build(folder, str(tmp_path / "grouped"), options, Settings(group_by="media", **both), card=cards.write)
    building.build(folder, str(tmp_path / "flat"), options, Settings(**both), card=cards.write)
    one, other = loaded(tmp_path / "grouped", "video_audio"), loaded(tmp_path / "flat", "video_audio")
    assert one[0]["videos_metadata"] == other[0]["videos_metadata"] != []
    assert by_place(views.flatten(one)) == by_place(other)


def test_rows_from_archives_are_grouped_likewise(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "archived"
    write_annotations(folder)
    with tarfile.open(folder / "videos.tar.gz", "w:gz") as archive:
        for number in range(CLIPS):
            archive.add(data / "academic" / str(number) / "clip.mp4", f"academic/{number}/clip.mp4")
    report = build(folder, tmp_path / "one" / "built", GROUPED)
    build(folder, tmp_path / "two" / "built", GROUPED, workers=2)
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert report.rows == CLIPS and report.counts.written == {"video": 7 * CLIPS}


def test_a_grouped_build_goes_on_behind_the_shards_that_are_done(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "undisturbed" / "built", GROUPED)
    out, done = tmp_path / "out" / "built", []

    class StopError(Exception):
        pass

    def on_progress(state: Any) -> None:
        done[:] = sorted(out.glob("data/*/*.parquet"))
        if len(done) > 1:
            raise StopError

    with pytest.raises(StopError):
        build(data, out, GROUPED, progress=on_progress)
    before = {path: path.stat().st_mtime_ns for path in done}
    build(data, out, GROUPED)
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")
    assert before and {path: path.stat().st_mtime_ns for path in done} == before


def test_a_clip_that_cannot_be_read_takes_all_its_samples_to_the_rejects(tmp_path: Path) -> None:
    packer = Packer(at(str(tmp_path / "out")), "data/video/train", 1 << 20, 1 << 20, grouped=True)
    for number, name in enumerate(["a.mp4", "a.mp4", "b.mp4", "a.mp4"]):
        (tmp_path / name).write_bytes(bytes(1000))
        item = Item(name, str(tmp_path / name), 0, 1000)
        sample = Sample(id=str(number), turns=[Turn("human", "What?"), Turn("gpt", "That.")])
        packer.add(Row(str(number), None, "a.json", number, "video", sample, Media([], [item], [], [], []), {}, []))
    (tmp_path / "a.mp4").write_bytes(bytes(10))
    packer.close()
    (shard,) = packer.done
    assert (shard.rows, shard.records) == (1, 1)
    assert [json.loads(line)["row"] for line in shard.lost] == [0, 1, 3]


def test_training_gives_the_samples_of_the_ungrouped_rows_and_decodes_a_clip_once(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    encode(str(folder / "a.mp4"))
    encode(str(folder / "b.mp4"), frames=20)
    (folder / "c.mp4").write_bytes(b"no video")
    records = [
        {
            "id": f"{name}{turn}",
            "video": f"{name}.mp4",
            "conversations": example_data.turns("<video>\nWhat?", f"{turn}."),
        }
        for turn in range(3)
        for name in "abc"
    ]
    (folder / "train.json").write_text(json.dumps(records))
    options = Options(format="lmms_finetune", media_root=(str(folder),))
    building.build(str(folder), str(tmp_path / "grouped"), options, Settings(group_by="media"), card=cards.write)
    building.build(str(folder), str(tmp_path / "flat"), options, card=cards.write)
    for streaming in (False, True):
        train = views.training(loaded(tmp_path / "grouped", streaming=streaming), num_frames=4)
        given = list(train)
        expected = list(views.training(loaded(tmp_path / "flat", streaming=streaming), num_frames=4))
        assert [one["id"] for one in given] == [one["id"] for one in expected] == ["a0", "a1", "a2", "b0", "b1", "b2"]
        assert train.counts == (9, 6, 3)
        for one, other in zip(given, expected, strict=True):
            assert one.keys() == other.keys()
            assert np.array_equal(one["videos"][0], other["videos"][0])
        assert given[0]["videos"][0] is given[2]["videos"][0] is not given[3]["videos"][0]
        if not streaming:
            assert len(train) == 9 and train[4]["id"] == "b1"
            assert [one["id"] for one in train.__getitems__([5, 0, 2, 7])] == ["b2", "a0", "a2"]


def test_random_frames_of_a_grouped_sample_are_the_same_by_index_and_by_iteration(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    encode(str(folder / "a.mp4"))
    records = [
        {"id": str(i), "video": "a.mp4", "conversations": example_data.turns("<video>\nWhat?", "It.")} for i in range(4)
    ]
    (folder / "train.json").write_text(json.dumps(records))
    options = Options(format="lmms_finetune", media_root=(str(folder),))
    building.build(str(folder), str(tmp_path / "out"), options, Settings(group_by="media"), card=cards.write)
    train = views.training(loaded(tmp_path / "out"), num_frames=5, sampling="jitter")
    iterated = [one["frame_indices"][0].tolist() for one in train]
    assert [train[i]["frame_indices"][0].tolist() for i in range(4)] == iterated
    assert [one["frame_indices"][0].tolist() for one in train.__getitems__([3, 2])] == iterated[2:]


def test_samples_of_grouped_rows_are_selected_and_shuffled_one_by_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        example_data.video(str(folder / f"{name}.mp4"), seed)
    turns = example_data.turns("<video>\nWhat?", "It.")
    records = [{"id": str(i), "video": f"{'abc'[i % 3]}.mp4", "conversations": turns} for i in range(8)]
    (folder / "train.json").write_text(json.dumps(records))
    options = Options(format="lmms_finetune", media_root=(str(folder),))
    building.build(str(folder), str(tmp_path / "out"), options, GROUPED, card=cards.write)
    assert len(loaded(tmp_path / "out")) == 3
    view = views.training(loaded(tmp_path / "out"), num_frames=1)
    ids = [one["id"] for one in view]
    order = [5, 4, 0, 1, 7]
    chosen = view.select(order)
    assert [one["id"] for one in chosen] == [one["id"] for one in chosen[:]] == [ids[index] for index in order]
    assert [one["id"] for one in view[2:5]] == ids[2:5]
    assert sorted(one["id"] for one in view.shuffle(seed=1)) == sorted(ids)
    assert list(view[0]) == view.column_names


def test_masks_of_each_sample_come_with_the_pictures_of_their_own_frames(
    example_folders: Folders, tmp_path: Path
) -> None:
    folder = tmp_path / "vr"
    folder.mkdir()
    example_data.video(str(folder / "a.mp4"), 1)

    def record(name: str, *frames: int) -> dict[str, Any]:
        masks = {str(frame): {"segmentation": example_data.rle(frame)} for frame in frames}
        turns = example_data.turns("<video>\nWhat is <region>?", "A square.")
        return {"id": name, "video": "a.mp4", "conversations": turns, "annotation": [masks]}

    records = [record("a", 3), record("b", 1, 8), record("c", 999), record("d", 3, 8)]
    (folder / "annotation.json").write_text(json.dumps(records))
    options = Options(format="videorefer", media_root=(str(folder),), verify_masks=False)
    building.build(str(folder), str(tmp_path / "grouped"), options, Settings(group_by="media"), card=cards.write)
    building.build(str(folder), str(tmp_path / "flat"), options, card=cards.write)
    assert len(loaded(tmp_path / "grouped")) == 1
    given, expected = (list(views.training(loaded(tmp_path / out), num_frames=4)) for out in ("grouped", "flat"))
    assert [one["id"] for one in given] == [one["id"] for one in expected] == ["a", "b", "d"]
    for one, other in zip(given, expected, strict=True):
        for name in ("region_frames", "videos", "masks", "region_indices", "mask_frames"):
            assert all(map(np.array_equal, one[name], other[name])) and len(one[name]) == len(other[name]), name


def test_the_command_line_the_card_and_the_preview_count_rows_and_samples(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    files = [str(data / f"{kind}.json") for kind in ("cap", "oe", "mc")]
    assert main(["build", *files, "--media-root", str(data), "--out", str(out), "--group-by", "media"]) == 1
    assert f"{CLIPS + 3} rows with {7 * CLIPS - 9} samples" in capsys.readouterr().out
    card = (out / "README.md").read_text()
    assert f"{CLIPS + 3} rows with {7 * CLIPS - 9} samples" in card and "views.flatten(ds)" in card
    (every,) = (one for one in yaml.safe_load(card.split("---")[1])["dataset_info"] if one["config_name"] == "all")
    assert every["splits"][0]["num_examples"] == CLIPS + 3
    built = preview_of(str(out))
    entries = [entry for entry in built.entries() if entry.state == "row"]
    assert len(entries) == 7 * CLIPS - 9
    detailed = {built.details(entry.place).id for entry in entries}
    assert detailed == {entry.id for entry in entries}
    built.close()
    assert main(["build", *files, "--out", str(out), "--group-by", "media", "--order", "annotation"]) == 2


def test_what_is_not_grouped_cannot_be_flattened(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "out")
    with pytest.raises(ValueError, match="not grouped"):
        views.flatten(loaded(tmp_path / "out", "video"))
    with pytest.raises(TypeError, match="pass one split"):
        views.flatten(datasets.load_dataset(str(tmp_path / "out"), "video"))
    with pytest.raises(DataError, match="group_by is 'id'"):
        build(data, tmp_path / "other", Settings(group_by="id"))
    assert [row["id"] for row in samples({"id": ["a", "b"], "videos": [1]})] == ["a", "b"]


def _rows(shown: list[tuple[int, ...]]) -> list[Row]:
    """Rows that show pictures, sounds and frames by number; records of one lead come one after the other, as in a build."""
    made = []
    for number, (image, sound, first, second) in enumerate(shown):
        items = [Item(f"{n}.bin", f"/media/{n}.bin", 0, 1 + n) for n in (image, sound, 10 + first, 10 + second)]
        media = Media(items[:1] if image else [], [], [items[2:]] if first else [], items[1:2] if sound else [], [])
        masks = [[Mask(number, 4, 4, "1" * second)]] if second else []
        turns = [Turn("human", "What?"), Turn("gpt", "That." * number)]
        sample = Sample(str(number), turns, masks=masks, num_frames=first or None, extra={"n": number} if image else {})
        made.append(Row(str(number), None, "a.json", number, "image_video_audio", sample, media, {}, []))
    return sorted(made, key=lambda row: (lead(row.media) or ("",))[0])


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=12))
def test_samples_of_any_groups_are_the_rows_they_were_made_of(shown: list[tuple[int, ...]]) -> None:
    rows, grouper = _rows(shown), Grouper()
    made = [group for row in rows for group in grouper.add(row)] + grouper.flush()
    columns = features.columns(metadata=False)
    flat = table(rows, columns.arrow_schema, referenced).to_pylist()
    grouped_rows = grouped_table([group.rows for group in made], grouped(columns).arrow_schema, referenced).to_pylist()
    found = [sample for row in grouped_rows for sample in samples(row)]
    assert by_place(found) == by_place(flat)
    media = [[row[name] for name in features.MEDIA_COLUMNS] for row in grouped_rows]
    sets = [repr(one) for one in media if any(one)]
    assert len(set(sets)) == len(sets)
    assert ungrouped(grouped(columns)) == columns
