"""The command line, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_rows import Folders
from modalmix.builders.formats import NAMES


def modalmix(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modalmix.builders.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "120", **environment})


def test_inspect_prints_format_mixes_and_counts(example_folders: Folders) -> None:
    done = modalmix("inspect", example_folders["ola"])
    assert done.returncode == 1  # a sound is missing
    assert "video_audio 1" in done.stdout and "media-missing" in done.stdout and "only Ola has" in done.stdout
    clean = modalmix("inspect", example_folders["aria"])
    assert clean.returncode == 0 and "test.jsonl" in clean.stdout


def test_inspect_as_json_has_every_count(example_folders: Folders) -> None:
    done = modalmix("inspect", example_folders["ola"], "--json")
    files = {one["file"]: one for one in json.loads(done.stdout)}
    assert files["ola_audio/Ola_audio.json"]["counts"]["rejected"] == 1
    assert files["ola_audio/Ola_audio.json"]["examples"]["MX101"][0]["row"] == 3
    assert set(files["cross/Ola_cross_modality.json"]["formats"]) == set(NAMES)


def test_build_makes_a_dataset_and_says_what_it_did(example_folders: Folders, tmp_path: Path) -> None:
    done = modalmix("build", example_folders["llava_video"], "--out", str(tmp_path / "out"), "--format", "llava_video")
    assert done.returncode == 0, done.stderr
    assert "6 records read = 6 written + 0 rejected + 0 not selected" in done.stdout
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"]["written"] == {"video": 6}


def test_build_of_one_mix_and_quiet(example_folders: Folders, tmp_path: Path) -> None:
    done = modalmix("build", example_folders["ola"], "--out", str(tmp_path / "out"), "--mix", "image", "--quiet")
    assert done.stdout == "" and (tmp_path / "out" / "data" / "image" / "train-00000-00000.parquet").exists()
    assert os.listdir(tmp_path / "out" / "data") == ["image"]


def test_demo_goes_the_whole_way_twice(tmp_path: Path) -> None:
    for _ in range(2):
        done = modalmix("demo", "--out", str(tmp_path / "demo"))
        assert done.returncode == 0, done.stderr
        assert all(name in done.stdout for name in NAMES) and "all 8" in done.stdout
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("mine")
    assert modalmix("demo", "--out", str(tmp_path / "mine")).returncode == 2
    assert (tmp_path / "mine" / "thesis.tex").exists()


def bad(tmp_path: Path, example_folders: Folders) -> dict[str, tuple[list[str], str]]:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "readme.txt").write_text("nothing here")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "other.json").write_text('[{"a": 1}]')
    (tmp_path / "mix.yaml").write_text("datasets: [{json_path: other.json, sampling_strategy: 'half'}]")
    aria = example_folders["aria"]
    return {
        "a folder without annotations": (["inspect", str(tmp_path / "folder")], "no annotation file"),
        "a file that is not there": (["inspect", str(tmp_path / "nowhere.json")], "nowhere.json"),
        "an empty file": (["inspect", str(tmp_path / "empty.json")], "is empty"),
        "records of no format": (["inspect", str(tmp_path / "other.json")], "no format recognises"),
        "an unknown format": (["inspect", aria, "--format", "betamax"], "betamax"),
        "an unknown mix": (["inspect", aria, "--mix", "smell"], "smell"),
        "an unknown strategy": (["inspect", str(tmp_path / "mix.yaml")], "half"),
        "a media root that is none": (["inspect", aria, "--media-root", "/nowhere"], "/nowhere"),
        "an output that is a file": (["build", aria, "--out", str(tmp_path / "empty.json")], "is a file"),
        "an output with other files": (["build", aria, "--out", str(tmp_path / "folder")], "readme.txt"),
        "a size that is none": (["build", aria, "--out", str(tmp_path / "o"), "--max-shard-size", "5 ft"], "5 ft"),
    }


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, example_folders: Folders) -> None:
    for what, (arguments, said) in bad(tmp_path, example_folders).items():
        done = modalmix(*arguments)
        assert done.returncode == 2, what
        assert done.stdout == "" and said in done.stderr, what
        assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"modalmix {arguments[0]}: "), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read a folder")
def test_a_folder_without_read_permission_is_named(tmp_path: Path) -> None:
    from modalmix.builders.annotations import sources
    from modalmix.builders.core.errors import DataError

    folder = tmp_path / "locked"
    folder.mkdir(mode=0o000)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and str(path).startswith("/tmp/"):
            path.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            sources(str(folder))
        except DataError as error:
            os._exit(7 if "locked" in str(error) else 8)
        except BaseException:
            os._exit(9)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_hostile_text_in_the_data_is_not_markup(tmp_path: Path) -> None:
    record = {
        "id": "[red]x[/red]",
        "image": "[bold]no[/bold]\x1b[31m.jpg",
        "conversations": [{"from": "[/]", "value": "x"}],
    }
    (tmp_path / "[link=evil]a[-link].json").write_text(json.dumps([record, {**record, "conversations": []}]))
    done = modalmix("inspect", str(tmp_path), "--format", "ola")
    assert done.returncode == 1, done.stderr
    assert "[link=evil]" in done.stdout and "\x1b" not in done.stdout
