"""Streams straight from the Hub, by the real clients, against the same files read in place."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from encoded_videos import encode
from hub import Hub
from hub.client import Clients, RefusedError, Worker
from hub.streams import CALLS, by_place, create_repository, noise, requested_files, speech, tar
from huggingface_hub.errors import OfflineModeIsEnabled

from modalmix.builders.pipeline.hub_retry import passes

pytestmark = pytest.mark.xdist_group("streaming")  # one Hub, not one in each process

REPO = "lmms-lab/LLaVA-Video-178K"
SUBSET, OTHER = "0_30_s_academic_v0_1", "1_2_m_youtube_v0_1"
CAPTIONS = f"{SUBSET}/{SUBSET}_cap_processed.json"
CLIPS = 8


def record(number: int, video: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat happens?"}, {"from": "gpt", "value": f"Something, {number}."}]
    return {"id": f"r{number}", "conversations": turns, "data_source": SUBSET, "video": video, **more}


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Real clips, each by the path that records write."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        f"academic_source/Charades/V{i}.mp4": Path(encode(str(folder / f"{i}.mp4"), frames=4 + i)).read_bytes()
        for i in range(CLIPS)
    }


@pytest.fixture(scope="module")
def release(videos: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a small LLaVA-Video-178K: two folders; three archives of clips in one, and records in no order."""
    paths = list(videos)
    order = random.Random(1).sample(range(3 * CLIPS), 3 * CLIPS)
    captions = [record(i, paths[i % CLIPS]) for i in order]
    captions.insert(5, record(100, "academic_source/Charades/nowhere.mp4"))
    captions.insert(9, {"id": "broken"})
    captions.append(
        {"id": "text", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hi."}]}
    )
    questions = [record(200 + i, paths[-1 - i % 2]) for i in range(4)]
    parts = (paths[:3], paths[3:6], paths[6:])
    return {
        CAPTIONS: json.dumps(captions).encode(),
        f"{SUBSET}/0_30_s_academic_mc_v0_1_qa_processed.json": json.dumps(questions).encode(),
        **{
            f"{SUBSET}/{SUBSET}_videos_{i}.tar.gz": tar(
                {f"x/{i}.bin": noise(9_000)} | {name: videos[name] for name in part}
            )
            for i, part in enumerate(parts, 1)
        },
        f"{OTHER}/{OTHER}_cap_processed.json": json.dumps([record(300, "liwei/a.mp4")]).encode(),
        f"{OTHER}/{OTHER}_videos_1.tar.gz": tar({"liwei/a.mp4": b"a video"}),
        "README.md": b"# LLaVA-Video",
    }


@pytest.fixture
def hub(streaming: tuple[Hub, Worker], release: dict[str, bytes]) -> Iterator[Hub]:
    create_repository(streaming[0], REPO, release)
    yield streaming[0]
    streaming[0].clear()


STREAM = {"path": "llava_video", "name": SUBSET, "streaming": True}


def test_a_stream_has_the_rows_and_the_bytes_that_reading_in_place_has(
    hub: Hub, call: Any, release: dict[str, bytes], tmp_path: Path
) -> None:
    for path, data in release.items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(data)
    for split in ("caption", "multi_choice"):
        streamed = call("rows", split=split, **STREAM)
        in_place = call(
            "rows", path="llava_video", name=SUBSET, split=split, data_dir=str(tmp_path / "copy"), stock=False
        )
        assert by_place(streamed["rows"]) == by_place(in_place["rows"])
        assert streamed["features"] == in_place["features"]
        assert len(streamed["rows"]) == (3 * CLIPS + 1 if split == "caption" else 4)
    assert {path.partition("/")[0] for path in requested_files(hub, REPO)} == {SUBSET}
    assert {one["token"] for one in hub.log if one["path"].startswith("/blob/")} == {""}


def test_every_record_is_a_row_or_a_reject_and_is_reported_once(hub: Hub, call: Any, tmp_path: Path) -> None:
    for epoch in range(2):
        rejected = tmp_path / f"{epoch}.jsonl"
        found = call("rows", split="caption", rejected=str(rejected), again=not epoch, **STREAM)
        lines = [json.loads(line) for line in rejected.read_text().splitlines()]
        assert sorted(line["name"] for line in lines) == ["media-missing", "turns-missing"]
        places = [row["source"]["row"] for row in found["rows"]] + [line["row"] for line in lines]
        assert sorted(places) == list(range(3 * CLIPS + 3))
        assert found["shards"] == 3 and "1 media-missing" in found["warnings"][-1]


def test_rows_come_in_the_order_of_the_archives_and_of_the_records(
    hub: Hub, call: Any, videos: dict[str, bytes]
) -> None:
    rows = call("rows", split="multi_choice", **STREAM)["rows"]
    assert [row["id"] for row in rows] == ["r201", "r203", "r200", "r202"]


def test_an_archive_known_to_have_no_requested_file_is_not_requested(hub: Hub, call: Any) -> None:
    call("rows", split="multi_choice", **STREAM)
    assert len(requested_files(hub, REPO)) == 3
    hub.log.clear()
    assert len(call("rows", split="multi_choice", **STREAM)["rows"]) == 4
    assert requested_files(hub, REPO) == [f"{SUBSET}/{SUBSET}_videos_3.tar.gz"]


def test_the_first_sample_comes_before_its_archive_has_been_read(
    hub: Hub, call: Any, release: dict[str, bytes], videos: dict[str, bytes]
) -> None:
    data = tar({**videos, "padding.bin": noise(4_000_000)})
    create_repository(hub, REPO, {**release, f"{SUBSET}/{SUBSET}_videos_1.tar.gz": data})
    hub.fault("GET", "/blob/", "truncate", times=1000, bytes=2_000_000)
    assert len(call("rows", split="caption", take=1, **STREAM)["rows"]) == 1
    assert len(requested_files(hub, REPO)) == 1


def test_a_broken_connection_goes_on_at_the_byte_it_broke_at(hub: Hub, call: Any) -> None:
    whole = call("rows", split="caption", **STREAM)["rows"]
    hub.log.clear()
    hub.fault("GET", "/blob/", "truncate", bytes=2_000)
    hub.fault("GET", "/blob/", "truncate", bytes=1_000)
    hub.fault("GET", "/resolve/.*videos_2", status=503)
    hub.fault("GET", "/resolve/.*videos_2", status=429, headers={"Retry-After": "0"})
    hub.fault("GET", "/blob/", "drop", skip=3)
    hub.fault("GET", "/blob/", "delay", seconds=0.2, skip=4)
    assert call("rows", split="caption", **STREAM)["rows"] == whole
    assert hub.pending() == 0
    blobs = [one["range"] for one in hub.log if one["path"].startswith("/blob/")]
    assert blobs[:3] == ["bytes=0-", "bytes=2000-", "bytes=3000-"]


def test_a_hub_that_stays_away_is_an_error_in_one_line(hub: Hub, call: Any) -> None:
    hub.fault("GET", "/resolve/.*videos_2", status=503, times=1000)
    with pytest.raises(RefusedError, match=r"videos_2.*could not be read at byte 0: .*503") as reported:
        call("rows", split="caption", tries=4, **STREAM)
    assert "\n" not in str(reported.value) and "hf_test" not in str(reported.value)


def test_terms_that_were_not_accepted_are_an_error_at_once(hub: Hub, call: Any) -> None:
    hub.fault("GET", "/resolve/.*videos_1", status=403, headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(RefusedError, match=f"{REPO} is gated: agree to its terms"):
        call("rows", split="caption", **STREAM)


def test_nobody_waits_for_a_hub_that_may_not_be_reached() -> None:
    assert not passes(OfflineModeIsEnabled("HF_HUB_OFFLINE=1"))


def test_a_broken_archive_is_reported_and_the_others_continue(
    hub: Hub, call: Any, release: dict[str, bytes], tmp_path: Path
) -> None:
    path = f"{SUBSET}/{SUBSET}_videos_2.tar.gz"
    data = bytearray(release[path])
    data[-2_000:-1_900] = bytes(100)
    create_repository(hub, REPO, {**release, path: bytes(data)})
    rejected = tmp_path / "rejected.jsonl"
    rows = call("rows", split="caption", rejected=str(rejected), **STREAM)["rows"]
    lines = [json.loads(line) for line in rejected.read_text().splitlines()]
    (broken,) = [line for line in lines if line["name"] == "archive-damaged"]
    assert broken["file"].endswith(path) and broken["row"] == -1
    lost = [line for line in lines if line["name"] == "media-missing"]
    assert len(lost) > 1 and all("1 of which could not be read to the end" in line["message"] for line in lost)
    assert len(rows) + sum(line["row"] >= 0 for line in lines) == 3 * CLIPS + 3
    assert {row["videos"][0][0][1] for row in rows if row["videos"][0]} >= {
        "V0.mp4",
        "V1.mp4",
        "V2.mp4",
        "V6.mp4",
        "V7.mp4",
    }


def test_nodes_share_the_archives(hub: Hub, call: Any) -> None:
    whole = call("rows", split="caption", **STREAM)["rows"]
    parts = []
    for node in range(3):
        hub.log.clear()
        parts += call("rows", split="caption", node=node, world=3, **STREAM)["rows"]
        assert requested_files(hub, REPO) == [f"{SUBSET}/{SUBSET}_videos_{node + 1}.tar.gz"]
    assert parts == whole


def test_workers_of_a_data_loader_share_the_archives(hub: Hub, call: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    whole = call("rows", split="caption", **STREAM)["rows"]
    hub.log.clear()
    rejected = tmp_path / "rejected.jsonl"
    rows = call("loaded", workers=2, split="caption", rejected=str(rejected), **STREAM)
    assert by_place(rows) == by_place(whole)
    assert sorted(requested_files(hub, REPO)) == [f"{SUBSET}/{SUBSET}_videos_{i}.tar.gz" for i in (1, 2, 3)]
    assert len(rejected.read_text().splitlines()) == 2


def test_a_stream_goes_on_where_its_state_says(hub: Hub, call: Any) -> None:
    whole = call("rows", split="caption", **STREAM)["rows"]
    hub.log.clear()
    first, rest = call("resumed", take=15, split="caption", **STREAM)
    assert first + rest == whole
    assert [path[-8] for path in requested_files(hub, REPO)] == ["1", "2", "2", "3"]


@pytest.mark.parametrize("fork", [False, True])
def test_a_stream_that_is_left_amid_an_archive_is_in_nobodys_way(
    hub: Hub, call: Any, release: dict[str, bytes], fork: bool
) -> None:
    path = f"{SUBSET}/{SUBSET}_videos_1.tar.gz"
    create_repository(hub, REPO, {**release, path: tar({"x/large.bin": noise(3_000_000)}, "w") + release[path]})
    whole = call("rows", split="caption", **STREAM)["rows"]
    first, rows = call("abandoned", fork=fork, split="caption", **STREAM)
    assert first == whole[0] and rows == whole


def test_a_process_ends_amid_a_stream(
    hub: Hub, release: dict[str, bytes], videos: dict[str, bytes], tmp_path: Path
) -> None:
    data = tar({**videos, "x/large.bin": noise(4_000_000)})
    create_repository(hub, REPO, {**release, f"{SUBSET}/{SUBSET}_videos_1.tar.gz": data})
    code = f"""
import datasets, modalmix.builders
rows = datasets.load_dataset(**{ {**STREAM, "split": "caption"}!r})
begun = iter(rows)
print(next(begun)["id"])
"""
    env = {**os.environ, **Clients(hub, tmp_path / "home", "lfs").env(), "MODALMIX_CACHE": str(tmp_path / "cache")}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stdout[:1]) == (0, "r"), done.stderr
    assert "Traceback" not in done.stderr and "Fatal" not in done.stderr
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_shuffled_stream_has_every_row_once(hub: Hub, call: Any) -> None:
    whole = call("rows", split="caption", **STREAM)["rows"]
    shuffled = call("rows", split="caption", shuffle=3, **STREAM)["rows"]
    assert shuffled != whole and by_place(shuffled) == by_place(whole)


def test_features_are_known_before_an_archive_is_requested(hub: Hub, call: Any) -> None:
    assert "'videos': List(Video(" in call("rows", split="caption", take=1, **STREAM)["features"]
    hub.log.clear()
    with pytest.raises(
        RefusedError, match=rf"pass streaming=True, or run modalmix download llava-video-178k --subset {SUBSET}"
    ):
        call("rows", path="llava_video", name=SUBSET, split="caption")
    with pytest.raises(RefusedError, match="no annotation files"):
        call("rows", path="llava_video", split="train", streaming=True)
    assert requested_files(hub, REPO) == []


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def parquet(members: dict[str, bytes]) -> bytes:
    """As FineVideo has it: the video and a struct that names it."""
    out = io.BytesIO()
    ids = [{"original_video_filename": name} for name in members]
    pq.write_table(pa.table({"mp4": pa.array(members.values(), pa.binary()), "json": ids}), out, row_group_size=2)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["tar in pieces", "tar.zst", "zip", "parquet", "tar named tar.gz", "files"])
def test_archives_of_every_kind_are_streamed(hub: Hub, call: Any, tmp_path: Path, kind: str) -> None:
    suffix = "mp4" if kind == "parquet" else "wav"
    sounds = {f"{'' if kind == 'parquet' else 'LibriSpeech/'}{i}.{suffix}": noise(3_000 + i) for i in range(6)}
    plain = tar(sounds, "w")
    files = {
        "tar in pieces": {"a/X.tar.0": plain[:7_000], "a/X.tar.1": plain[7_000:]},
        "tar.zst": {"a/X.tar.zst": zstandard.ZstdCompressor().compress(plain)},
        "zip": {"a/X.zip": zipped(sounds)},
        "parquet": {"a/X.parquet": parquet(sounds)},
        "tar named tar.gz": {"a/X.tar.gz": plain},
        "files": {f"a/{name}": data for name, data in sounds.items()} | {"a/LibriSpeech/not-wanted.wav": b"wav"},
    }[kind]
    create_repository(hub, "o/sounds", {**files, "other/Y.tar.gz": b"never asked for"})
    annotations = tmp_path / "ola.json"
    annotations.write_text(json.dumps([speech(i, f"/mnt/x/{name}") for i, name in enumerate(sounds)][::-1]))
    rows = call(
        "rows",
        path="ola",
        split="train",
        streaming=True,
        data_files=str(annotations),
        media_root="hf://datasets/o/sounds/a",
    )["rows"]
    assert [row["audios"][0][0][0] for row in rows] == [hashlib.sha256(data).hexdigest() for data in sounds.values()]
    assert set(requested_files(hub, "o/sounds")) == {path for path in files if "not-wanted" not in path}


def test_a_row_waits_until_all_of_its_media_have_come(hub: Hub, call: Any, tmp_path: Path) -> None:
    first = {"v/0.mp4": b"video 0", "v/1.mp4": b"video 1", "a/0.wav": b"sound 0", "v/2.mp4": b"video 2"}
    second = {"a/1.wav": b"sound 1", "v/3.mp4": b"video 3", "a/3.wav": b"sound 3", "v/4.mp4": b""}
    create_repository(hub, "o/both", {"1.tar.gz": tar(first), "2.tar.gz": tar(second)})
    turns = [{"from": "human", "value": "<speech><image>\nWhat?"}, {"from": "gpt", "value": "It."}]
    records = [{"id": str(i), "video": f"v/{i}.mp4", "audio": f"a/{i}.wav", "conversations": turns} for i in range(4)]
    records.append({"id": "4", "video": "v/4.mp4", "conversations": [{**turns[0], "value": "<image>"}, turns[1]]})
    annotations = tmp_path / "ola.json"
    annotations.write_text(json.dumps(records))
    rejected = tmp_path / "rejected.jsonl"
    rows = call(
        "rows",
        path="ola",
        split="train",
        streaming=True,
        data_files=str(annotations),
        media_root="hf://datasets/o/both",
        rejected=str(rejected),
    )["rows"]
    assert [row["id"] for row in rows] == ["0", "3"]
    lines = {
        json.loads(line)["record"]["id"]: json.loads(line)["message"] for line in rejected.read_text().splitlines()
    }
    assert sorted(lines) == ["1", "2", "4"]
    assert "'a/1.wav' is not" in lines["1"] and "has no bytes" in lines["4"]


def test_two_members_that_fit_one_path_are_a_finding(hub: Hub, call: Any, tmp_path: Path) -> None:
    create_repository(
        hub, "o/two", {"1.tar.gz": tar({"x/a.wav": b"one", "y/b.wav": b"two"}), "2.tar.gz": tar({"z/a.wav": b"three"})}
    )
    annotations, rejected = tmp_path / "ola.json", tmp_path / "rejected.jsonl"
    annotations.write_text(json.dumps([speech(0, "a.wav"), speech(1, "/mnt/y/b.wav"), speech(2, "/mnt/q/b.wav")]))
    given = {"path": "ola", "split": "train", "streaming": True, "data_files": str(annotations)}
    rows = call("rows", media_root="hf://datasets/o/two", rejected=str(rejected), **given)["rows"]
    assert [row["id"] for row in rows] == ["s0", "s1"]
    assert rows[0]["audios"][0][0][0] == hashlib.sha256(b"one").hexdigest()
    lines = {line["name"]: line["message"] for line in map(json.loads, rejected.read_text().splitlines())}
    assert set(lines) == {"media-ambiguous", "media-missing"}
    assert "'a.wav' fits 'x/a.wav' in hf://" in lines["media-ambiguous"] and "'z/a.wav'" in lines["media-ambiguous"]


def test_a_folder_of_frames_is_a_video(hub: Hub, call: Any, tmp_path: Path) -> None:
    frames = {f"shareVideoGPTV/{video}/{i:02}.jpeg": noise(100 + i) for video in ("b", "a") for i in (3, 1, 2)}
    create_repository(hub, "o/frames", {"frames.tar.gz": tar({**frames, "shareVideoGPTV/c.mp4": b"no frame"})})
    annotations = tmp_path / "llava.json"
    annotations.write_text(json.dumps([record(i, f"shareVideoGPTV/{name}") for i, name in enumerate("ab")]))
    given = {"path": "llava_video", "split": "train", "streaming": True, "data_files": str(annotations)}
    rows = call("rows", media_root="hf://datasets/o/frames", **given)["rows"]
    assert [row["id"] for row in rows] == ["r1", "r0"]
    for row in rows:
        assert [name for _, name in row["frames"][0]] == ["01.jpeg", "02.jpeg", "03.jpeg"]
        assert row["frames"][0][0][0] == hashlib.sha256(noise(101)).hexdigest()


def test_annotations_on_the_hub_are_read_with_the_archives_beside_them(hub: Hub, call: Any) -> None:
    given = {"path": "llava_video", "split": "train", "streaming": True}
    for stock in (True, False):
        rows = call("rows", data_files=f"hf://datasets/{REPO}/{CAPTIONS}", stock=stock, **given)["rows"]
        assert len(rows) == 3 * CLIPS + 1 and {row["source"]["file"] for row in rows} == {CAPTIONS}
    with pytest.raises(RefusedError, match=r"the media are on the Hub .*: pass streaming=True, or download them"):
        call("rows", data_files=f"hf://datasets/{REPO}/{CAPTIONS}", path="llava_video", split="train")
    with pytest.raises(RefusedError, match=r"no/body is not on http"):
        call("rows", data_files=f"hf://datasets/{REPO}/{CAPTIONS}", media_root="hf://datasets/no/body", **given)


def test_a_release_is_streamed_at_the_state_that_is_named(hub: Hub, call: Any, release: dict[str, bytes]) -> None:
    old = hub.store.repos[REPO]["refs"]["main"]
    put_more = hub.store.commit
    put_more(REPO, "main", {**hub.files(REPO), CAPTIONS: hub.store.regular(b"[]")}, "less", "tester", old)
    given = {"path": "llava_video", "split": "caption", "streaming": True, "subset": SUBSET}
    assert len(call("rows", release=f"llava-video-178k@{old}", **given)["rows"]) == 3 * CLIPS + 1
    assert call("rows", release="llava-video-178k", **given)["rows"] == []


def test_a_repository_is_inspected_where_it_is(hub: Hub, call: Any, release: dict[str, bytes]) -> None:
    files = call("inspected", data=f"hf://datasets/{REPO}/{SUBSET}")
    assert {one["split"]: one["counts"]["written"] for one in files} == {
        "caption": {"text": 1, "video": 3 * CLIPS + 1},
        "multi_choice": {"video": 4},
    }
    assert all(one["formats"]["llava_video"][0] > 0.9 and one["url"].startswith("hf://") for one in files)
    assert requested_files(hub, REPO) == []


def test_what_needs_media_on_this_disk_says_so(hub: Hub, call: Any, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="are on the Hub, too: name the folder they were downloaded to"):
        call("built", data=f"hf://datasets/{REPO}/{CAPTIONS}", out=str(tmp_path / "out"))


def test_what_was_uploaded_through_xet_is_streamed_as_well(hub: Hub, release: dict[str, bytes], tmp_path: Path) -> None:
    for path, data in release.items():
        (tmp_path / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / path).write_bytes(data)
    worker = Worker(Clients(hub, tmp_path / "home", "xet"), CALLS)
    try:
        worker("uploaded", folder=str(tmp_path / "files"), name="tester/release")
        assert any(entry.get("xet") for entry in hub.files("tester/release").values())
        given = {"path": "llava_video", "split": "train", "streaming": True, "cache": str(tmp_path / "cache")}
        rows = worker("rows", data_files=f"hf://datasets/tester/release/{CAPTIONS}", **given)["rows"]
    finally:
        worker.close()
    assert len(rows) == 3 * CLIPS + 1


def test_other_releases_are_streamed_by_their_names(hub: Hub, call: Any) -> None:
    sounds = {f"Clotho/{i}.wav": noise(2_000 + i) for i in range(3)}
    files = {
        "Ola_audio_1169k.json": json.dumps([speech(i, f"/mnt/x/{name}") for i, name in enumerate(sounds)]).encode(),
        "ola_audio/Clotho.tar": tar(sounds, "w"),
        "ola_audio/WavCaps.tar.0": b"never asked for",
        "video_data/video-data.json": b"[]",
    }
    create_repository(hub, "THUdyh/Ola-Data", files)
    given = {"path": "ola", "name": "audio", "split": "train", "streaming": True}
    found = call("rows", release="ola-audio", subset=["Clotho"], **given)
    assert [row["audios"][0][0][1] for row in found["rows"]] == ["0.wav", "1.wav", "2.wav"] and found["shards"] == 1
    assert requested_files(hub, "THUdyh/Ola-Data") == ["ola_audio/Clotho.tar"]
    with pytest.raises(RefusedError, match="there is no subset 'Clatho': it is one of AudioCaps"):
        call("rows", release="ola-audio", subset=["Clatho"], **given)
    with pytest.raises(RefusedError, match="there is no release 'ola'"):
        call("rows", release="ola", **given)


def test_rows_of_a_stream_are_chosen_by_what_their_records_say(hub: Hub, call: Any) -> None:
    whole = call("rows", split="caption", **STREAM)["rows"]
    chosen = call("rows", split="caption", where="matches('^r1', id)", **STREAM)["rows"]
    assert chosen == [row for row in whole if row["id"].startswith("r1")] != []
    drawn = call("rows", split="caption", sample=0.5, **STREAM)["rows"]
    assert 0 < len(drawn) < len(whole) and all(row in whole for row in drawn)
    with pytest.raises(RefusedError, match="'bytes > 10' asks for what is known only of media on this disk"):
        call("rows", split="caption", where="bytes > 10", **STREAM)


def test_metadata_is_beside_streamed_media(hub: Hub, call: Any) -> None:
    rows = call("rows", split="multi_choice", metadata=True, **STREAM)["rows"]
    assert {row["id"]: row["videos_metadata"][0]["frames"] for row in rows} == {
        f"r{200 + i}": 3 + CLIPS - i % 2 for i in range(4)
    }
