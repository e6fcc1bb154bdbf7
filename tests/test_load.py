"""`load_dataset`, stock and ours, map-style and streaming, over the example."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets.distributed import split_dataset_by_node
from datasets.table import embed_table_storage

import modalmix.builders
from dataset_rows import Folders, annotation_files, bytes_of, ids, modalmix_roots, undecoded
from modalmix.builders.cli import example_data
from modalmix.builders.core.errors import DataError
from modalmix.builders.formats import NAMES, formats
from modalmix.builders.loading.registry import BUILDERS
from modalmix.builders.pipeline import features


def ola(folders: Folders, config: str | None = None, **options: Any) -> Any:
    return datasets.load_dataset(
        "ola", config, data_files=annotation_files(folders["ola"]), media_root=modalmix_roots(folders["ola"]), **options
    )


def test_the_stock_call_knows_every_builder(example_folders: Folders) -> None:
    for name in BUILDERS:
        files = annotation_files(example_folders.get(name, example_folders["aria"]))
        builder = datasets.load_dataset_builder(name, data_files=files)
        assert list(builder.info.features) == list(features.features(builder.config.modalities))


def test_importing_the_package_is_light() -> None:
    heavy = ("decord", "soundfile", "torch", "av", "pycocotools", "rich")
    code = f"import modalmix.builders, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_map_style_and_streaming_show_the_same_rows(example_folders: Folders, name: str) -> None:
    options: dict[str, Any] = {
        "data_files": annotation_files(example_folders[name]),
        "media_root": modalmix_roots(example_folders[name]),
        "split": "train",
    }
    whole = undecoded(datasets.load_dataset(name, **options))
    streamed = undecoded(datasets.load_dataset(name, streaming=True, **options))
    assert whole.features == streamed.features
    assert list(whole) == list(streamed)
    assert len(whole) > 0


def test_every_mix_is_a_config_with_its_own_rows_and_columns(example_folders: Folders) -> None:
    found: dict[str, list[str]] = {}
    for mix, modalities in features.mixes(formats()["ola"].MODALITIES).items():
        rows = ola(example_folders, mix, split="train")
        assert list(rows.features) == list(features.features(modalities))
        if len(rows):
            found[mix] = ids(undecoded(rows))
    assert found == {
        "image": ["0", "1"],
        "video": ["v0"],
        "audio": ["0", "1", "2"],
        "video_audio": ["fv0"],
        "image_audio_q": ["q0"],
    }
    assert sorted(ids(undecoded(ola(example_folders, split="train")))) == sorted(
        one for some in found.values() for one in some
    )


def test_media_are_the_bytes_on_the_disk(example_folders: Folders) -> None:
    root = Path(example_folders["ola"])
    rows = {row["id"]: row for row in undecoded(ola(example_folders, "all", split="train"))}
    patch = (root / "video_data" / "patch_000000").read_bytes()
    sizes = json.loads((root / "video_data" / "video-data.json").read_text())[0]["video"]["size"]
    (frames,) = rows["v0"]["frames"]
    assert b"".join(bytes_of(frame) for frame in frames) == patch[100:]
    assert [len(bytes_of(frame)) for frame in frames] == sizes
    (video,) = rows["fv0"]["videos"]
    assert video == {"bytes": None, "path": str(root / "cross" / "videos" / "lltmlYR56dI.mp4")}
    assert bytes_of(rows["q0"]["audio_q"][0]) == (root / "audio_q" / "q0.wav").read_bytes()
    assert rows["q0"]["text_q"] == "How many squares are there?"


def test_pictures_decode_as_everywhere_in_datasets(example_folders: Folders) -> None:
    for streaming in (False, True):
        rows = list(ola(example_folders, "image", split="train", streaming=streaming))
        assert [picture.size for row in rows for picture in row["images"]] == [(96, 64), (96, 64)]


@pytest.mark.skipif(features.decodes_audio_and_video(), reason="torchcodec is installed")
def test_without_torchcodec_sound_and_video_come_as_path_and_bytes(example_folders: Folders) -> None:
    for streaming in (False, True):
        rows = ola(example_folders, "video_audio", split="train", streaming=streaming)
        assert rows.features["audios"] == datasets.List(datasets.Audio(decode=False))
        (row,) = list(rows)
        assert set(row["audios"][0]) == set(row["videos"][0]) == {"bytes", "path"}


def test_a_shuffled_stream_shows_every_row(example_folders: Folders) -> None:
    rows = ola(example_folders, split="train", streaming=True)
    assert sorted(ids(undecoded(rows.shuffle(seed=3, buffer_size=4)))) == sorted(ids(undecoded(rows)))


def test_masks_are_typed_and_absence_is_kept(example_folders: Folders) -> None:
    folder = example_folders["videorefer"]
    files = annotation_files(folder)
    rows = datasets.load_dataset("videorefer", "video_masks", data_files=files, media_root=folder, split="train")
    masks = {row["id"]: row["masks"] for row in undecoded(rows)}
    assert [mask["frame"] for mask in masks["0"][0]] == [0, 8, 16]
    assert masks["0"][0][1]["counts"] == example_data.rle(8)["counts"]
    assert (masks["0"][0][1]["height"], masks["0"][0][1]["width"]) == (64, 96)
    absent = masks["2"][0][1]
    assert absent["frame"] == 5 and absent["counts"] is None and absent["polygons"] is None


def test_records_of_all_formats_in_one_call_are_recognised(example_folders: Folders) -> None:
    files = [file for folder in example_folders.values() for file in annotation_files(folder)]
    roots = [root for folder in example_folders.values() for root in modalmix_roots(folder)]
    rows = datasets.load_dataset("modalmix", data_files=files, media_root=roots, split="train")
    assert list(rows.features) == list(features.columns())
    assert len(rows) > 15
    assert any(row["masks"] for row in undecoded(rows)) and any(row["text_q"] for row in undecoded(rows))


def test_slices_are_the_shards(tmp_path: Path) -> None:
    records = [{"id": str(i), "conversations": example_data.turns(f"question {i} " * 40, "answer")} for i in range(600)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    rows = datasets.load_dataset(
        "ola", data_files=str(tmp_path / "a.json"), split="train", streaming=True, slice_bytes=20_000
    )
    assert rows.num_shards > 8
    assert [row["source"]["row"] for row in rows] == list(range(600))
    parts = [split_dataset_by_node(rows, rank, 3) for rank in range(3)]
    assert sorted(row["source"]["row"] for part in parts for row in part) == list(range(600))
    resumed = datasets.load_dataset(
        "ola", data_files=str(tmp_path / "a.json"), split="train", streaming=True, slice_bytes=20_000
    )
    first = []
    for number, row in enumerate(resumed):
        first.append(row["source"]["row"])
        if number == 250:
            state = resumed.state_dict()
            break
    resumed.load_state_dict(state)
    assert first + [row["source"]["row"] for row in resumed] == list(range(600))


def test_several_processes_prepare_the_same_rows(tmp_path: Path) -> None:
    records = [{"id": str(i), "conversations": example_data.turns(f"question {i} " * 40, "answer")} for i in range(600)]
    records[17]["conversations"] = []
    (tmp_path / "a.json").write_text(json.dumps(records))
    options: dict[str, Any] = {"data_files": str(tmp_path / "a.json"), "split": "train", "slice_bytes": 20_000}
    one = datasets.load_dataset("ola", cache_dir=str(tmp_path / "one"), **options)
    two = datasets.load_dataset("ola", cache_dir=str(tmp_path / "two"), num_proc=2, **options)
    assert list(one) == list(two) and len(one) == 599
    rejects = [sorted((tmp_path / name).rglob("rejected.jsonl"))[0].read_text() for name in ("one", "two")]
    assert rejects[0] == rejects[1] and json.loads(rejects[0])["row"] == 17


def test_builders_pickle(example_folders: Folders) -> None:
    builder = datasets.load_dataset_builder("aria", data_files=annotation_files(example_folders["aria"]))
    again = pickle.loads(pickle.dumps(builder))
    assert again.info.features == builder.info.features
    rows = undecoded(again.as_streaming_dataset("train"))
    assert len(list(rows)) == 2


def test_a_folder_gives_the_splits_its_files_are_named_for(example_folders: Folders) -> None:
    aria = modalmix.builders.load_dataset("aria", data_dir=example_folders["aria"])
    assert {split: len(rows) for split, rows in aria.items()} == {"train": 2, "test": 1}
    llava = modalmix.builders.load_dataset(
        "llava_video", "0_30_s_academic_v0_1", data_dir=example_folders["llava_video"]
    )
    assert {split: len(rows) for split, rows in llava.items()} == {"caption": 2, "open_ended": 2, "multi_choice": 2}


def test_a_mixture_takes_what_its_strategies_say(example_folders: Folders) -> None:
    mixture = os.path.join(example_folders["llava_video"], "mixture.yaml")
    rows = modalmix.builders.load_dataset("llava_video", data_files=mixture, split="train")
    assert len(rows) == 2 + 1 + 1


def test_the_stock_call_lists_a_folder_too(example_folders: Folders) -> None:
    rows = datasets.load_dataset("aria", data_dir=example_folders["aria"])
    assert {split: len(part) for split, part in rows.items()} == {"train": 2, "test": 1}


def test_rejected_rows_are_written_down_counted_and_logged(
    example_folders: Folders, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for streaming in (False, True):
        caplog.clear()
        target = tmp_path / f"{streaming}.jsonl"
        rows = ola(example_folders, "audio", split="train", streaming=streaming, rejected=str(target))
        assert ids(undecoded(rows)) == ["0", "1", "2"]
        (entry,) = [json.loads(line) for line in target.read_text().splitlines()]
        assert (entry["format"], entry["row"], entry["code"], entry["pointer"]) == ("ola", 3, "MX101", "/audio")
        assert entry["record"]["audio"].endswith("/3.wav") and entry["mend"]
        assert "rejected" in caplog.text and "media-missing" in caplog.text


def test_on_error_raise_stops_at_the_first_with_its_place(example_folders: Folders) -> None:
    rows = ola(example_folders, "audio", split="train", streaming=True, on_error="raise")
    with pytest.raises(ValueError, match=r"Ola_audio\.json:3: MX101 media-missing at /audio"):
        list(undecoded(rows))
    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        ola(example_folders, "audio", split="train", on_error="raise")


class TestTheCache:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Path:
        record = {
            "id": "a",
            "audio": "/x/sound/a.wav",
            "conversations": example_data.turns("<speech>\nWhat?", "A tone."),
        }
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "a.json").write_text(
            json.dumps([record, {**record, "id": "b", "audio": "/x/sound/b.wav"}])
        )
        example_data.sound(str(tmp_path / "data" / "sound" / "a.wav"), 1)
        return tmp_path / "data"

    def load(self, made: Path, **options: Any) -> Any:
        return datasets.load_dataset("ola", data_files=str(made / "a.json"), split="train", **options)

    def files(self, rows: Any) -> list[tuple[str, int]]:
        return [(file["filename"], os.stat(file["filename"]).st_mtime_ns) for file in rows.cache_files]

    def test_is_used_again_while_nothing_has_changed(self, made: Path) -> None:
        assert self.files(self.load(made)) == self.files(self.load(made))

    def test_is_made_anew_when_a_missing_file_arrives(self, made: Path) -> None:
        assert ids(undecoded(self.load(made))) == ["a"]
        example_data.sound(str(made / "sound" / "b.wav"), 2)
        assert ids(undecoded(self.load(made))) == ["a", "b"]

    def test_is_made_anew_when_a_media_file_goes(self, made: Path) -> None:
        assert len(self.load(made)) == 1
        os.remove(made / "sound" / "a.wav")
        assert len(self.load(made)) == 0

    def test_is_made_anew_when_the_annotations_change(self, made: Path) -> None:
        before = self.load(made)
        records = json.loads((made / "a.json").read_text())
        (made / "a.json").write_text(json.dumps([{**records[0], "id": "changed"}]))
        assert ids(undecoded(before)) == ["a"] and ids(undecoded(self.load(made))) == ["changed"]

    def test_is_another_one_for_another_option(self, made: Path) -> None:
        one, other = self.load(made), self.load(made, verify_masks=False)
        assert self.files(one) != self.files(other)

    def test_refers_to_local_files_and_embeds_them_in_parquet(self, made: Path, tmp_path: Path) -> None:
        rows = self.load(made)
        assert undecoded(rows)[0]["audios"][0] == {"bytes": None, "path": str(made / "sound" / "a.wav")}
        embedded = rows.with_format("arrow").map(embed_table_storage, batched=True)  # as push_to_hub does
        embedded.with_format(None).to_parquet(str(tmp_path / "a.parquet"))
        again = datasets.load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), split="train")
        cell = undecoded(again)[0]["audios"][0]
        assert cell["bytes"] == (made / "sound" / "a.wav").read_bytes() and cell["path"] == "a.wav"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data_files": "nowhere.json"}, "nowhere.json"),
        ({}, "no annotation files"),
        ({"data_dir": "nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises((DataError, FileNotFoundError), match=said) as caught:
        modalmix.builders.load_dataset("ola", **options)
    assert "\n" not in str(caught.value)


def test_a_media_root_that_is_not_a_folder_is_named(example_folders: Folders) -> None:
    with pytest.raises((DataError, datasets.exceptions.DatasetGenerationError)) as caught:
        datasets.load_dataset("aria", data_files=annotation_files(example_folders["aria"]), media_root="/nowhere")
    assert "/nowhere" in str(caught.value) + str(caught.value.__cause__)


def test_workers_of_a_data_loader_share_the_slices(tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    records = [{"id": str(i), "conversations": example_data.turns(f"question {i} " * 40, "answer")} for i in range(600)]
    (tmp_path / "a.json").write_text(json.dumps(records))
    files = str(tmp_path / "a.json")
    rows = datasets.load_dataset("ola", data_files=files, split="train", streaming=True, slice_bytes=20_000)
    loader = data.DataLoader(rows, batch_size=None, num_workers=2)
    assert sorted(row["source"]["row"] for row in loader) == list(range(600))
