from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from modalmix.builders.build import soundtracks, wav_files
from modalmix.builders.build.soundtracks import extract, targets
from modalmix.builders.cli import example_data
from modalmix.builders.cli.main import main
from modalmix.builders.core.errors import DataError
from modalmix.builders.media.audio import read_audio
from modalmix.builders.pipeline.options import Options


def movie(path: Path, seconds: float = 1.0, rate: int = 44_100) -> Path:
    """A video with a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=10)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream("aac", rate=rate, layout="mono")
        for i in range(int(seconds * 10)):
            container.mux(
                pictures.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24"))
            )
        container.mux(pictures.encode(None))
        tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        for at in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, at : at + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return movie(tmp_path_factory.mktemp("tone") / "tone.mp4")


@pytest.fixture
def tree(tmp_path: Path, tone: Path) -> Path:
    """Videos with sound under hostile names, one without, one that broke off, and a file that is no video."""
    root = tmp_path / "videos"
    for name in ("a.mp4", "deep/er/b.MP4", 'it\'s; rm -rf $(x) & "q"/.mp4.mp4', "é\n-i.mkv.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tone, root / name)
    example_data.video(str(root / "silent.mp4"), 1)
    (root / "broken.mp4").write_bytes(tone.read_bytes()[:-3_000])
    (root / "notes.txt").write_text("no video")
    return root


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def statuses(outcomes: list[soundtracks.Outcome]) -> dict[str, str]:
    return {outcome.video: outcome.status for outcome in outcomes}


def test_every_sound_track_becomes_a_wav_in_the_same_tree(tree: Path, tmp_path: Path, tone: Path) -> None:
    out = tmp_path / "out"
    outcomes = extract(str(tree), str(out), workers=2)
    assert statuses(outcomes) == {
        "a.mp4": "written",
        "deep/er/b.MP4": "written",
        'it\'s; rm -rf $(x) & "q"/.mp4.mp4': "written",
        "é\n-i.mkv.mp4": "written",
        "silent.mp4": "silent",
        "broken.mp4": "failed",
    }
    assert files(out) == sorted(["a.wav", "deep/er/b.wav", 'it\'s; rm -rf $(x) & "q"/.mp4.wav', "é\n-i.mkv.wav"])
    info = soundfile.info(str(out / "a.wav"))
    assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
    samples, _ = soundfile.read(out / "a.wav")
    np.testing.assert_allclose(samples, read_audio(tone).samples.clip(-1, 1), atol=1.5 / 32768)
    assert outcomes[0].seconds == len(samples) / 16_000
    assert "not there" in next(outcome.message for outcome in outcomes if outcome.status == "failed")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is the judge")
def test_a_wav_is_what_olas_script_would_have_made(tone: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tone, "-ac", "1", "-ar", "16000", "-vn", theirs], check=True)
    status, _, _ = wav_files.write(str(tone), str(tmp_path / "ours.wav"), str(tmp_path / "part"))
    ours, expected = soundfile.read(tmp_path / "ours.wav")[0], soundfile.read(theirs)[0]
    assert status == "written" and abs(len(ours) - len(expected)) <= 32
    middle = slice(1_000, 14_000)
    error = ours[middle] - expected[middle]
    assert 10 * np.log10((expected[middle] ** 2).mean() / (error**2).mean()) > 40, "another resampler, the same sound"


def test_a_second_run_leaves_alone_what_is_there_and_redoes_what_has_changed(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    extract(str(tree), str(out), workers=1)
    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (out / "deep/er/b.wav").unlink()
    later = (out / "a.wav").stat().st_mtime_ns + 10**9
    os.utime(tree / "a.mp4", ns=(later, later))
    outcomes = statuses(extract(str(tree), str(out), workers=1))
    assert [name for name, status in outcomes.items() if status == "written"] == ["a.mp4", "deep/er/b.MP4"]
    assert [name for name, status in outcomes.items() if status == "there"] == [
        'it\'s; rm -rf $(x) & "q"/.mp4.mp4',
        "é\n-i.mkv.mp4",
    ]
    assert {name for name in before if (out / name).stat().st_mtime_ns == before[name]} == {
        'it\'s; rm -rf $(x) & "q"/.mp4.wav',
        "é\n-i.mkv.wav",
    }


def test_a_killed_run_leaves_whole_wavs_only_and_the_next_run_finishes(tone: Path, tmp_path: Path) -> None:
    tree, out = tmp_path / "videos", tmp_path / "out"
    tree.mkdir()
    for i in range(40):
        shutil.copy(tone, tree / f"{i:02}.mp4")
    command = [
        sys.executable,
        "-m",
        "modalmix.builders.cli.main",
        "audio",
        str(tree),
        "--out",
        str(out),
        "--workers",
        "1",
        "--quiet",
    ]
    run = subprocess.Popen(command, start_new_session=True)
    while run.poll() is None and len(list(out.glob("*.wav"))) < 3:
        time.sleep(0.005)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    left = list(out.glob("*.wav"))
    assert 3 <= len(left) <= 40
    frames = {soundfile.info(str(path)).frames for path in left}
    assert len(frames) == 1
    assert not soundtracks.extract(str(tree), str(out), workers=2)[0].message
    assert files(out) == [f"{i:02}.wav" for i in range(40)]
    assert {soundfile.info(str(path)).frames for path in out.glob("*.wav")} == frames


def test_a_decoder_that_dies_costs_one_video(tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deadly = tmp_path / "deadly.mp4"
    deadly.write_bytes(b"\0")
    jobs: list[Any] = [
        (str(tone), str(tmp_path / "a.wav"), str(tmp_path / "a.part")),
        (str(deadly), str(tmp_path / "b.wav"), str(tmp_path / "b.part")),
        (str(tone), str(tmp_path / "c.wav"), str(tmp_path / "c.part")),
    ]
    monkeypatch.setattr(wav_files, "_bounded", _dies_of_deadly)
    results = dict(wav_files.each_in_processes(jobs, 2))
    assert {number: result[0] for number, result in results.items()} == {0: "written", 1: "failed", 2: "written"}
    assert "crashed" in results[1][2]
    assert (tmp_path / "a.wav").exists() and (tmp_path / "c.wav").exists()


def _dies_of_deadly(video: str, wav: str, part: str) -> wav_files.Result:
    if "deadly" in video:
        os.kill(os.getpid(), signal.SIGSEGV)
    return wav_files.write(video, wav, part)


def test_two_videos_never_share_a_wav() -> None:
    assert targets(["a/b.mp4", "a/c.mkv"]) == ["a/b.wav", "a/c.wav"]
    assert targets(["b.mkv", "b.mp4"]) == ["b.mkv.wav", "b.mp4.wav"]
    awkward = ["b.mkv", "b.mp4", "b.mp4.mp4", "b.mp4.mkv", "b", "b_.mp4", "b.mp4_", "x.mp4", "x.mp4"]
    assert len(set(targets(awkward))) == len(awkward)


def test_the_videos_of_annotations_are_found_under_the_media_root(tone: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    movie_path = root / "finevideo_videos" / "a.mp4"
    movie_path.parent.mkdir(parents=True)
    shutil.copy(tone, movie_path)
    talk = example_data.turns("<speech><image>\nWhat?", "A tone.")
    records = [
        {
            "id": i,
            "video": f"/mnt/x/finevideo_videos/{name}.mp4",
            "audio": f"/mnt/x/audios/{name}.wav",
            "conversations": talk,
        }
        for i, name in enumerate(("a", "a", "missing"))
    ]  # the wavs are not there: they are what is to be made
    annotations = root / "Ola_cross_modality.json"
    annotations.write_text(json.dumps(records))
    outcomes = extract(str(annotations), str(tmp_path / "out"), Options(media_root=(str(root),)), workers=1)
    assert statuses(outcomes) == {
        "finevideo_videos/a.mp4": "written",
        "Ola_cross_modality.json:2/video": "failed",
    }
    assert "MX101" in next(outcome.message for outcome in outcomes if outcome.status == "failed")
    assert files(tmp_path / "out") == ["finevideo_videos/a.wav"]


def test_links_out_of_the_folder_are_not_followed(tone: Path, tmp_path: Path) -> None:
    tree = tmp_path / "videos"
    (tree / "sub").mkdir(parents=True)
    (tree / "out.mp4").symlink_to(tone)
    shutil.copy(tone, tree / "sub" / "a.mp4")
    (tree / "in.mp4").symlink_to(tree / "sub" / "a.mp4")
    outcomes = extract(str(tree), str(tmp_path / "out"), workers=1)
    assert statuses(outcomes) == {"in.mp4": "written", "out.mp4": "failed", "sub/a.mp4": "written"}


def test_the_output_may_be_among_the_videos_and_belongs_to_one_run(tree: Path) -> None:
    out = tree / "wavs"
    assert len(extract(str(tree), str(out), workers=1)) == 6
    with soundtracks._alone_in(str(out)), pytest.raises(DataError, match="another run"):
        extract(str(tree), str(out), workers=1)


def test_the_exit_code_of_the_command_reports_failures(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["audio", str(tree), "--out", out]) == 1
    shown = capsys.readouterr().out
    assert "broken.mp4" in shown and "silent.mp4" in shown and "already written" in shown
    (tree / "broken.mp4").unlink()
    assert main(["audio", str(tree), "--out", out, "--json"]) == 0, "a video without sound is no error"
    reported = json.loads(capsys.readouterr().out)
    assert sorted(one["status"] for one in reported) == ["silent", "there", "there", "there", "there"]
    assert main(["audio", str(tmp_path / "none"), "--out", out]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["audio", str(tmp_path / "empty"), "--out", out]) == 2
    assert main(["audio", str(tree), "--out", out, "--workers", "0"]) == 2
