"""Builds: from annotations to Parquet and back by stock `load_dataset`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import yaml

from dataset_rows import Folders, bytes_of, ids, modalmix_roots, undecoded
from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders.cli import example_data
from modalmix.builders.core import storage
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.report import Report
from modalmix.builders.pipeline.options import Options
from modalmix.builders.pipeline.rows import Row


def build(folder: str, out: Path, **options: Any) -> Report:
    chosen = {name: options.pop(name) for name in list(options) if name in Options.__struct_fields__}
    packed = {name: options.pop(name) for name in list(options) if name in building.Settings.__struct_fields__}
    roots = {"media_root": tuple(modalmix_roots(folder)), **chosen}
    return building.build(folder, str(out), Options(**roots), building.Settings(**packed), **options, card=cards.write)


def rejects(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]


def test_counts_add_up_and_every_record_is_somewhere(example_folders: Folders, tmp_path: Path) -> None:
    for name, folder in example_folders.items():
        report = build(folder, tmp_path / name)
        counts = report.counts
        assert counts.read == sum(counts.written.values()) + counts.rejected + counts.not_selected
        assert sum(shard.rows for shard in report.all_shards()) == sum(counts.written.values())
        assert len(rejects(tmp_path / name)) == counts.rejected


def test_stock_load_dataset_gives_each_mix_its_columns_and_all_of_them_together(
    example_folders: Folders, tmp_path: Path
) -> None:
    report = build(example_folders["ola"], tmp_path / "ola")
    for streaming in (False, True):
        every = undecoded(datasets.load_dataset(str(tmp_path / "ola"), split="train", streaming=streaming))
        assert "masks" not in every.features and {"images", "videos", "audios", "audio_q"} <= set(every.features)
        assert len(list(every)) == sum(report.counts.written.values())
        one = undecoded(datasets.load_dataset(str(tmp_path / "ola"), "image", split="train", streaming=streaming))
        assert list(one.features) == ["id", "source", "system", "conversations", "images", "extra"]
        assert ids(one) == ["0", "1"]


def test_media_keep_their_bytes_and_names(example_folders: Folders, tmp_path: Path) -> None:
    build(example_folders["ola"], tmp_path / "ola")
    root = Path(example_folders["ola"])
    rows = {row["id"]: row for row in undecoded(datasets.load_dataset(str(tmp_path / "ola"), split="train"))}
    video = rows["fv0"]["videos"][0]
    assert video["path"] == "lltmlYR56dI.mp4"
    assert video["bytes"] == (root / "cross" / "videos" / "lltmlYR56dI.mp4").read_bytes()
    assert rows["fv0"]["images"] == [] and rows["fv0"]["frames"] == []
    (frames,) = rows["v0"]["frames"]
    assert b"".join(map(bytes_of, frames)) == (root / "video_data" / "patch_000000").read_bytes()[100:]


def test_a_build_of_one_mix_has_that_config_alone(example_folders: Folders, tmp_path: Path) -> None:
    report = build(example_folders["ola"], tmp_path / "out", mixes=frozenset({"video_audio"}))
    assert list(report.shards) == ["video_audio"]
    rows = datasets.load_dataset(str(tmp_path / "out"))
    assert list(rows) == ["train"] and rows["train"].info.config_name == "video_audio"
    assert report.counts.not_selected > 0


def test_splits_of_a_folder_become_splits_of_the_build(example_folders: Folders, tmp_path: Path) -> None:
    build(example_folders["aria"], tmp_path / "aria")
    rows = datasets.load_dataset(str(tmp_path / "aria"))
    assert {split: len(part) for split, part in rows.items()} == {"train": 2, "test": 1}


def test_the_same_input_gives_the_same_bytes(example_folders: Folders, tmp_path: Path) -> None:
    def digests(out: Path) -> dict[str, str]:
        return {
            str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in out.rglob("*")
            if path.is_file() and path.name != "README.md"
        }

    build(example_folders["videorefer"], tmp_path / "one")
    build(example_folders["videorefer"], tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert not [name for name in digests(tmp_path / "one") if name.endswith(".tmp") or "unfinished" in name]


def test_row_groups_are_cut_by_bytes_and_shards_too(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    records = []
    for i in range(40):
        (data / f"{i}.jpg").write_bytes(example_data.picture(i) + bytes(50_000))
        records.append(
            {"id": str(i), "image": f"{i}.jpg", "conversations": example_data.turns("<image>\nWhat?", "A square.")}
        )
    (data / "a.json").write_text(json.dumps(records))
    report = building.build(
        str(data),
        str(tmp_path / "out"),
        settings=building.Settings(row_group_bytes=200_000, shard_bytes=600_000),
        card=cards.write,
    )
    shards = report.all_shards()
    assert sum(shard.rows for shard in shards) == 40 and len(shards) > 3
    assert all(shard.bytes < 900_000 for shard in shards)
    meta = pq.read_metadata(tmp_path / "out" / shards[0].path)
    groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert set(groups[:-1]) == {3} and groups[-1] <= 3
    assert meta.row_group(0).column(0).has_offset_index and meta.row_group(0).column(0).has_column_index
    assert b"content_defined_chunking" in meta.metadata
    assert ids(undecoded(datasets.load_dataset(str(tmp_path / "out"), split="train"))) == [str(i) for i in range(40)]
    for number in range(meta.num_columns):
        column = meta.row_group(0).column(number)
        if column.path_in_schema.endswith(".bytes"):
            assert column.compression == "UNCOMPRESSED"


def test_a_file_that_shrinks_while_it_is_packed_is_rejected_and_the_others_are_written(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path in paths:
        example_data.sound(str(path), 1)
    records = [
        {"id": str(i), "audio": str(path), "conversations": example_data.turns("<speech>\nWhat?", "A tone.")}
        for i, path in enumerate(paths)
    ]
    (tmp_path / "a.json").write_text(json.dumps(records))
    from modalmix.builders.annotations import plan, sources
    from modalmix.builders.core.counts import Counts
    from modalmix.builders.pipeline.rewriters import Rewriters
    from modalmix.builders.pipeline.rows import rows

    (source,) = sources(str(tmp_path / "a.json"))
    packer = building.Packer(storage.at(str(tmp_path / "out")), "data/audio/train", 1 << 20, 1 << 20)
    for row in rows(plan(source)[0], Options(), Counts(), Rewriters(Options()).of(plan(source)[0])):
        assert isinstance(row, Row)
        packer.add(row)
    os.truncate(paths[1], 100)
    packer.close()
    (shard,) = packer.done
    lost = json.loads(shard.lost[0])
    assert (lost["row"], lost["name"]) == (1, "media-changed")
    assert pq.read_table(tmp_path / "out" / shard.path)["id"].to_pylist() == ["0", "2"]


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path, example_folders: Folders) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        build(example_folders["aria"], tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"] or set(os.listdir(tmp_path)) == {"thesis.tex", "datasets-cache"}


def test_a_finished_build_is_replaced_only_on_request(tmp_path: Path, example_folders: Folders) -> None:
    out = tmp_path / "out"
    build(example_folders["aria"], out)
    with pytest.raises(DataError, match="--overwrite"):
        build(example_folders["aria"], out)
    build(example_folders["lmms_finetune"], out, overwrite=True)
    assert "lmms_finetune" in (out / "README.md").read_text()


def test_an_unfinished_build_is_begun_again(tmp_path: Path, example_folders: Folders) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="MX301"):
        build(example_folders["videorefer"], out, on_error="raise")
    assert not (out / "report.json").exists()
    report = build(example_folders["videorefer"], out)
    assert report.counts.rejected == 1 and (out / "report.json").exists()


def test_the_card_is_valid_and_its_table_has_the_rows(tmp_path: Path, example_folders: Folders) -> None:
    build(example_folders["ola"], tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["config_name"] == "all" and front["configs"][0]["default"] is True
    assert "| `video_audio` | train | 1 |" in text
    assert "MX101 media-missing" in text


def test_a_file_name_cannot_break_out_of_the_card(tmp_path: Path) -> None:
    name = "a`<script>$x|\n---.json"
    record = {"id": "a", "conversations": example_data.turns("Hello?", "Yes.")}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(json.dumps([record]))
    building.build(str(tmp_path / "data"), str(tmp_path / "out"), card=cards.write)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "<script>" not in text and len(datasets.load_dataset(str(tmp_path / "out"), split="train")) == 1


def test_no_path_of_this_machine_is_in_a_build(tmp_path: Path, example_folders: Folders) -> None:
    build(example_folders["ola"], tmp_path / "out")
    needle = os.path.dirname(example_folders["ola"]).encode()
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert needle not in path.read_bytes(), path


def test_a_truncated_file_is_reported_even_if_no_record_is_lost(tmp_path: Path) -> None:
    record = {"id": "a", "conversations": example_data.turns("Hello?", "Yes.")}
    (tmp_path / "a.json").write_text(json.dumps([record, record])[:-1])
    report = building.build(str(tmp_path / "a.json"), str(tmp_path / "out"), card=cards.write)
    assert report.counts.read == report.counts.written["text"] == 2
    (entry,) = rejects(tmp_path / "out")
    assert (entry["row"], entry["code"]) == (-1, "MX002")
    with pytest.raises(ValueError, match="MX002"):
        building.build(
            str(tmp_path / "a.json"),
            str(tmp_path / "raised"),
            settings=building.Settings(on_error="raise"),
            card=cards.write,
        )


def test_records_that_are_no_json_are_rejected_with_their_text(tmp_path: Path) -> None:
    good = json.dumps({"id": "a", "conversations": example_data.turns("Hello?", "Yes.")})
    (tmp_path / "a.jsonl").write_text(f'{good}\n{{"id": oops}}\n{good}\n')
    report = building.build(str(tmp_path / "a.jsonl"), str(tmp_path / "out"), card=cards.write)
    assert (report.counts.read, report.counts.rejected) == (3, 1)
    (entry,) = rejects(tmp_path / "out")
    assert (entry["row"], entry["code"], entry["offset"], entry["raw"]) == (1, "MX001", len(good) + 1, '{"id": oops}')


@pytest.fixture
def archived(tmp_path: Path) -> Path:
    """Annotations whose videos lie in two tar.gz, three rows to a video, and one video in none."""
    folder = tmp_path / "llava"
    (folder / "sub").mkdir(parents=True)
    records = []
    for number in range(2):
        with tarfile.open(folder / "sub" / f"videos_{number}.tar.gz", "w:gz") as archive:
            for i in range(4):
                path = tmp_path / "clip.mp4"
                example_data.video(str(path), 10 * number + i, frames=6)
                archive.add(path, f"academic/{3 - i}/{number}.mp4")
                records += [
                    {
                        "id": f"{number}-{i}-{turn}",
                        "data_source": "x",
                        "video": f"academic/{3 - i}/{number}.mp4",
                        "conversations": example_data.turns("<image>\nWhat moves?", "A square."),
                    }
                    for turn in range(3)
                ]
    records.append({**records[0], "id": "missing", "video": "academic/9/nowhere.mp4"})
    (folder / "sub" / "all.json").write_text(json.dumps(records))
    return folder


def test_a_build_from_archives_is_that_from_folders(archived: Path, tmp_path: Path) -> None:
    report = building.build(str(archived), str(tmp_path / "out"), card=cards.write)
    assert report.counts.written == {"video": 24} and report.counts.rejected == 1 and report.counts.read == 25
    rows = {row["id"]: row for row in undecoded(datasets.load_dataset(str(tmp_path / "out"), split="train"))}
    unpacked = tmp_path / "unpacked"
    for name in ("videos_0.tar.gz", "videos_1.tar.gz"):
        with tarfile.open(archived / "sub" / name) as archive:
            for member in archive.getmembers():
                archive.extract(member, unpacked, set_attrs=False)
    (unpacked / "all.json").write_text((archived / "sub" / "all.json").read_text())
    building.build(str(unpacked), str(tmp_path / "out2"), card=cards.write)
    others = {row["id"]: row for row in undecoded(datasets.load_dataset(str(tmp_path / "out2"), split="train"))}
    assert rows.keys() == others.keys() and len(rows) == 24
    assert all(rows[name]["videos"] == others[name]["videos"] for name in rows)


def test_archive_order_goes_with_the_archive_and_annotation_order_with_the_records(
    archived: Path, tmp_path: Path
) -> None:
    building.build(str(archived), str(tmp_path / "a"), card=cards.write)
    building.build(str(archived), str(tmp_path / "b"), settings=building.Settings(order="annotation"), card=cards.write)
    order = {name: ids(undecoded(datasets.load_dataset(str(tmp_path / name), split="train"))) for name in "ab"}
    assert sorted(order["a"]) == sorted(order["b"])
    assert order["b"] == [f"{number}-{i}-{turn}" for number in range(2) for i in range(4) for turn in range(3)]


def test_archives_are_read_in_place_too(archived: Path) -> None:
    for streaming in (False, True):
        rows = datasets.load_dataset(
            "llava_video", data_files=str(archived / "sub" / "all.json"), split="train", streaming=streaming
        )
        cells = [row["videos"][0] for row in undecoded(rows)]
        assert len(cells) == 24 and all(cell["bytes"] is None for cell in cells)
        assert all(bytes_of(cell)[4:8] == b"ftyp" for cell in cells)


PEAK = """
import resource, sys
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.pipeline.options import Options

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
build.build(sys.argv[1] + "/small", sys.argv[1] + "/first", Options(format="lmms_finetune"), card=cards.write)
before = peak()
build.build(sys.argv[1] + "/large", sys.argv[1] + "/second", Options(format="lmms_finetune"), card=cards.write)
print(peak() - before)
"""


def test_a_build_holds_no_large_clip_in_memory_and_neither_does_its_card(tmp_path: Path) -> None:
    for name, size in (("small", 1_000), ("large", 300 << 20)):
        (tmp_path / name).mkdir()
        with open(tmp_path / name / "a.mp4", "wb") as file:
            file.truncate(size)
        records = [{"id": "1", "video": "a.mp4", "conversations": example_data.turns("<video>\nWhat?", "Nothing.")}]
        (tmp_path / name / "a.json").write_text(json.dumps(records))
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    assert grown < 100
    assert (tmp_path / "second" / "report.json").exists()
