"""Media, prompts and times under keys that a format does not read: nothing of them goes missing in silence."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import datasets
import pytest

import modalmix.builders  # noqa: F401  registers the builders
from defects import image
from modalmix.builders.annotations import plan, sources
from modalmix.builders.check import check
from modalmix.builders.check.write_clean import write_clean
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.counts import Counts
from modalmix.builders.core.findings import CATALOGUE
from modalmix.builders.loading.hub.requested_paths import PENDING_REWRITER
from modalmix.builders.pipeline.options import Options
from modalmix.builders.pipeline.rewriters import Rewriters
from modalmix.builders.pipeline.rows import Reject, Row, rows
from modalmix.builders.preview.annotation_collection import AnnotationCollection

UNREAD = {"images": ["a.jpg"], "conversations": example_data.turns("<image>\nWhat?", "A square.")}
SOUND = image("a.jpg", source="web")
EXTRA = image("a.jpg", thumbnail="b.jpg", system="Be brief.")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(example_data.picture(1))
    return tmp_path


def data(folder: Path, *records: dict[str, Any]) -> str:
    path = folder / "data.json"
    path.write_text(json.dumps(records))
    return str(path)


def made(path: str, rewriter: Any = None, **options: Any) -> list[Row | Reject]:
    """What becomes of the records of a file, read as lmms-finetune."""
    chosen = Options(format="lmms_finetune", **options)
    (slice_,) = plan(sources(path)[0])
    return list(rows(slice_, chosen, Counts(), rewriter or Rewriters(chosen).of(slice_)))


def names(row: Row | Reject) -> list[str]:
    return [CATALOGUE[one.code].name for one in row.findings]


@pytest.mark.parametrize("streaming", [False, True])
def test_loading_rejects_a_row_without_its_medium_and_logs_the_keys_of_the_others(
    folder: Path, caplog: pytest.LogCaptureFixture, streaming: bool
) -> None:
    rejected = folder / "rejected.jsonl"
    options = {"data_files": data(folder, SOUND, UNREAD, EXTRA, EXTRA), "media_root": str(folder), "split": "train"}
    found = datasets.load_dataset("lmms_finetune", streaming=streaming, rejected=str(rejected), **options)
    assert [row["id"] for row in found] == ["data:0", "data:2", "data:3"]
    entry = json.loads(rejected.read_text())
    assert (entry["row"], entry["name"], entry["pointer"]) == (1, "medium-unread", "/images/0") or (
        "medium-unread" in [one["name"] for one in entry["findings"]]
    )
    lines = [record.getMessage() for record in caplog.records if "data.json:2" in record.getMessage()]
    assert [
        "MX222 medium-extra at /thumbnail" in line or "MX223 prompt-unread at /system" in line for line in lines
    ] == [
        True,
        True,
    ]
    assert not [record for record in caplog.records if "data.json:3" in record.getMessage()]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_key_that_is_ignored_is_not_spoken_of(
    folder: Path, caplog: pytest.LogCaptureFixture, streaming: bool
) -> None:
    files = data(folder, SOUND, UNREAD, EXTRA)
    found = datasets.load_dataset(
        "lmms_finetune",
        data_files=files,
        streaming=streaming,
        split="train",
        ignore_key=["thumbnail", "system", "images"],
    )
    with caplog.at_level(logging.WARNING, "modalmix"):
        assert [row["id"] for row in found] == ["data:0", "data:1", "data:2"]
    assert not [record for record in caplog.records if "MX22" in record.getMessage()]


def test_the_commands_reject_it_and_take_the_keys_to_ignore(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = data(folder, SOUND, EXTRA, UNREAD)
    for command in (["inspect", file, "--json"], ["check", file, "--json", "-"]):
        assert main(command) == 1
        assert "images holds" in capsys.readouterr().out
    assert main(["inspect", file, "--json", "--ignore-key", "images", "--ignore-key", "thumbnail"]) == 0
    printed = capsys.readouterr().out
    assert "MX221" not in printed and "MX222" not in printed and "MX223" in printed
    out = tmp_path / "out"
    assert main(["build", file, "--out", str(out), "--quiet"]) == 1
    assert json.loads((out / "rejected.jsonl").read_text())["row"] == 2
    report = json.loads((out / "report.json").read_text())
    assert "ignore_key" not in report["options"]
    again = tmp_path / "again"
    assert main(["build", file, "--out", str(again), "--quiet", "--ignore-key", "images"]) == 0
    assert json.loads((again / "report.json").read_text())["options"]["ignore_key"] == ["images"]
    assert "keys ignored: `images`" in (again / "README.md").read_text()


def test_a_stream_from_the_hub_finds_what_shows_in_the_text(folder: Path) -> None:
    source = image("a.jpg", source="a/place", frames="x/walk")
    found = made(data(folder, SOUND, UNREAD, EXTRA, source), PENDING_REWRITER)
    assert [isinstance(one, Reject) for one in found] == [False, True, False, False]
    assert [names(one) for one in found if isinstance(one, Row)] == [[], ["medium-extra", "prompt-unread"], []]


def test_the_name_of_a_source_is_no_folder_of_frames(folder: Path) -> None:
    for name in ("web", "coco/train", "frames/1"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.jpg").write_bytes(example_data.picture(1))
    texts = example_data.turns("What?", "A square.")
    records = [{"source": "web", "conversations": texts}, {"source": "coco/train", "conversations": texts}]
    records += [image("a.jpg", media_type="web"), {"frames": "frames/1", "conversations": texts}]
    records += [{"source": "coco/train", "conversations": example_data.turns("<video>\nWhat?", "A square.")}]
    found = made(data(folder, *records))
    assert [isinstance(one, Reject) for one in found] == [False, False, False, True, True]
    assert not any(one.findings for one in found[:3])


@pytest.mark.parametrize(
    "text", ["look at x.jpg in the long text of a question, which says much", "index.ts", "x", "😀"]
)
def test_texts_that_are_no_path_say_nothing(folder: Path, text: str) -> None:
    (one,) = made(data(folder, {"note": text, "conversations": example_data.turns("What?", "A square.")}))
    assert isinstance(one, Row) and not one.findings


@pytest.mark.parametrize(
    "value", ["x" * 300, "a/" * 600, "..", ".", "/", "~", "a\x00b", "\ud800", [[[["x"]]]] * 9, {"": {}}]
)
def test_any_value_is_looked_at_without_raising(folder: Path, value: Any) -> None:
    (one,) = made(data(folder, {"note": value, "conversations": example_data.turns("What?", "A square.")}))
    assert "medium-unread" not in names(one)


def test_the_first_medium_of_a_key_is_named_once_for_each_key(folder: Path) -> None:
    record = image("a.jpg", shots=["b.jpg", "a.jpg"], start=1, end=2)
    (one,) = made(data(folder, record))
    assert [(found.pointer, CATALOGUE[found.code].name) for found in one.findings] == [
        ("/shots/0", "medium-extra"),
        ("/start", "part-unread"),
    ]
    assert "start, end" in one.findings[1].message


def test_the_preview_shows_why_it_is_rejected(folder: Path) -> None:
    collection = AnnotationCollection(data(folder, UNREAD), Options(format="lmms_finetune"))
    (entry,) = collection.entries()
    details = collection.details(entry.place)
    assert details.state == "rejected" and "MX221" in [one.code for one in details.findings]


def test_a_fix_elsewhere_does_not_keep_a_record_without_its_medium(folder: Path) -> None:
    talk = example_data.turns("What?\n<image>", "A square.")
    records = [{"image": "a.jpg", "conversations": talk}, {"image": "a.jpg", "shot": "b.jpg", "conversations": talk}]
    records[1]["conversations"] = example_data.turns("What? <image>", "Is <speech> a tag?")
    file, options = data(folder, *records), Options(format="ola", media_root=(str(folder),))
    copied = write_clean(check(file, options, depth="quick"), str(folder / "out"), options, fix=True)["data.json"]
    assert (copied.written, copied.left_out) == (1, 1)
