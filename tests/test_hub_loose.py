"""Media that lie in no archive on the Hub: patches, rows with media in several places, and masks, against reading in place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub.client import Worker
from hub.streams import by_place, create_repository, noise, speech, tar

pytestmark = pytest.mark.xdist_group("streaming")  # one Hub, not one in each process

REPO = "o/loose"


@pytest.fixture
def hub(streaming: tuple[Hub, Worker]) -> Iterator[Hub]:
    yield streaming[0]
    streaming[0].clear()


def files_in(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def is_annotation(name: str) -> bool:
    return name.endswith((".json", ".jsonl"))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("packed", [(), (".wav", ".jpg")])
@pytest.mark.parametrize("name", ["ola", "videorefer"])
def test_rows_masks_and_rejects_are_those_of_reading_in_place(
    hub: Hub, call: Any, example_folders: dict[str, str], tmp_path: Path, name: str, packed: tuple[str, ...]
) -> None:
    folder = example_folders[name]
    files = files_in(folder)
    media = {path.removeprefix("cross/"): data for path, data in files.items() if not is_annotation(path)}
    inside = {path: data for path, data in media.items() if path.endswith(packed)} if packed else {}
    outside = {path: data for path, data in media.items() if path not in inside}
    create_repository(
        hub, REPO, {**outside, **({"media.tar.gz": tar(inside)} if inside else {}), "README.md": b"# Loose"}
    )
    given = {
        "path": name,
        "split": "train",
        "streaming": True,
        "data_files": sorted(f"{folder}/{path}" for path in files if is_annotation(path)),
    }
    accounts = []
    for root in (f"hf://datasets/{REPO}", folder):
        rejected = tmp_path / f"{len(accounts)}.jsonl"
        rows = call("rows", media_root=root, rejected=str(rejected), **given)["rows"]
        lines = [json.loads(line) for line in rejected.read_text().splitlines()] if rejected.exists() else []
        accounts.append((by_place(rows), sorted((line["file"], line["row"], line["code"]) for line in lines)))
    assert accounts[0] == accounts[1]
    assert len(accounts[0][0]) >= 4


def frames(number: int, start: int, sizes: list[int], **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": f"It, {number}."}]
    patch = {"patch": "/mnt/x/video_data/patch_000000", "start_num": start, "size": sizes}
    return {"id": f"p{number}", "video": patch, "conversations": turns, **more}


def streamed(call: Any, tmp_path: Path, records: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    annotations, rejected = tmp_path / "ola.json", tmp_path / "rejected.jsonl"
    annotations.write_text(json.dumps(records))
    given = {"path": "ola", "split": "train", "streaming": True, "data_files": str(annotations)}
    rows = call("rows", media_root=f"hf://datasets/{REPO}", rejected=str(rejected), **given)["rows"]
    lines = [json.loads(line) for line in rejected.read_text().splitlines()] if rejected.exists() else []
    return rows, {line["record"]["id"]: f"{line['name']}: {line['message']}" for line in lines}


def test_neighbouring_parts_of_a_patch_come_in_one_request_and_far_ones_do_not(
    hub: Hub, call: Any, tmp_path: Path
) -> None:
    data = noise(4_000_000)
    create_repository(hub, REPO, {"video_data/patch_000000.bin": b"another", "video_data/patch_000000": data})
    starts = [3_500_000, 1_000, 900_000, 1_500]
    records = [frames(i, start, [200, 300]) for i, start in enumerate(starts)]
    hub.log.clear()
    rows, reported = streamed(call, tmp_path, [*records, frames(4, 3_999_900, [50, 60])])
    assert [row["id"] for row in rows] == ["p1", "p3", "p2", "p0"]  # as they lie
    for row in rows:
        start = starts[int(row["id"][1])]
        cells = [[sha(data[start : start + 200]), f"patch_000000.{start}"]]
        cells.append([sha(data[start + 200 : start + 500]), f"patch_000000.{start + 200}"])
        assert row["frames"] == [cells]
    assert reported == {
        "p4": "patch-out-of-range: bytes 3999950–4000010 of 'mnt/x/video_data/patch_000000', which has 4000000"
    }
    asked = [one["range"] for one in hub.log if one["path"].startswith("/blob/")]
    assert asked == ["bytes=1000-900499", "bytes=3500000-"]


def test_a_patch_inside_an_archive_is_reported(hub: Hub, call: Any, tmp_path: Path) -> None:
    create_repository(hub, REPO, {"video.tar": tar({"video_data/patch_000000": noise(5_000)}, "w")})
    rows, reported = streamed(call, tmp_path, [frames(0, 0, [200])])
    assert not rows and reported["p0"].startswith(
        "media-unreadable: 'mnt/x/video_data/patch_000000' is a patch, and no file"
    )


def test_a_row_has_media_from_an_archive_and_from_files_beside_it(hub: Hub, call: Any, tmp_path: Path) -> None:
    videos = {f"v/{i}.mp4": noise(3_000 + i) for i in range(4)}
    sounds = {f"a/{i}.wav": noise(2_000 + i) for i in range(3)}
    create_repository(hub, REPO, {"videos.tar.gz": tar(videos), **sounds})
    text = "<speech><image>\nWhat?"
    records = [speech(i, f"a/{i}.wav", video=f"v/{i}.mp4") for i in range(5)]
    for one in records:
        one["conversations"][0]["value"] = text
    rows, reported = streamed(call, tmp_path, records)
    assert [(row["id"], row["videos"][0][0][0], row["audios"][0][0][0]) for row in rows] == [
        (f"s{i}", sha(videos[f"v/{i}.mp4"]), sha(sounds[f"a/{i}.wav"])) for i in range(3)
    ]
    assert "'a/3.wav' is not" in reported["s3"] and "in none of 1 archive(s) and 3 media file(s)" in reported["s4"]


def test_masks_are_compared_with_what_has_come(
    hub: Hub, call: Any, example_folders: dict[str, str], tmp_path: Path
) -> None:
    folder = example_folders["videorefer"]
    records = json.loads(Path(folder, "annotation.json").read_text())
    video = next(one for one in records if str(one.get("video", "")).endswith(".mp4"))
    far = json.loads(json.dumps(video))
    far["annotation"] = [{"9999": next(iter(far["annotation"][0].values()))}, *far["annotation"][1:]]
    annotations = tmp_path / "far.json"
    annotations.write_text(json.dumps([far]))
    given = {"path": "videorefer", "split": "train", "streaming": True, "data_files": str(annotations)}
    create_repository(
        hub, REPO, {"videos.tar.gz": tar({p: d for p, d in files_in(folder).items() if p.endswith(".mp4")})}
    )
    for verify, name in ((True, "mask-frame-out-of-range"), (False, None)):
        rejected = tmp_path / f"{verify}.jsonl"
        rows = call("rows", media_root=f"hf://datasets/{REPO}", rejected=str(rejected), verify_masks=verify, **given)[
            "rows"
        ]
        assert len(rows) == (not verify)
        if name:
            assert json.loads(rejected.read_text().splitlines()[0])["name"] == name
