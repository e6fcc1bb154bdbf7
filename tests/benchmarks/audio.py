"""How fast sounds decode, against the libraries used directly.

    python tests/benchmarks/audio.py

Files       peers
wav flac mp3  soundfile.read as float32 and the mean of its channels; modalmix: `read_audio` at the file's own rate
wav → 16 kHz  librosa's way (soundfile, then soxr HQ) and modalmix
mp4 track     the ffmpeg command with the arguments of Ola's convert_mp4_wav.py; modalmix: `wavs.write` in this process, and
              without its fsync
mp4 folder    the same command for each of the files, one after the other, as that script does it; modalmix: `extract` of the
              folder, with a process per core (the first call, which also starts them, is not timed)

Peers take turns file by file in one process; the table has the medians of the sums, in seconds, and × against the first peer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from modalmix.builders.build import soundtracks, wav_files
from modalmix.builders.media.audio import read_audio

Peer = Callable[[str], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--video-seconds", type=int, default=30)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}; {options.files} files of {options.seconds:g} s stereo 44.1 kHz; "
          f"{options.video_seconds} s of mp4; medians of {options.repeats}")  # fmt: skip
    print(f"{'files':14} {'peer':28} {'seconds':>8} {'×':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("wav", "flac", "mp3"):
            files = sounds(Path(folder), suffix, options.files, options.seconds)
            table(suffix, files, {"soundfile": plain, "modalmix": own_rate}, options.repeats)
            if suffix == "wav":
                table("wav → 16 kHz", files, {"soundfile + soxr": resampled, "modalmix": read_audio}, options.repeats)
        files = movies(Path(folder), options.video_seconds)
        peers: dict[str, Peer] = {"ffmpeg command": ffmpeg, "modalmix": track, "modalmix, no fsync": track_unsynced}
        table("mp4 track", files, peers, options.repeats)
        folders = [copies(Path(folder), files[0], options.files)]
        table("mp4 folder", folders, {"ffmpeg commands": ffmpegs, "modalmix": folder_of_tracks}, options.repeats)


def table(name: str, files: list[str], peers: dict[str, Peer], repeats: int) -> None:
    seconds: dict[str, list[float]] = {peer: [] for peer in peers}
    for peer in peers.values():
        peer(files[0])
    for _ in range(repeats):
        spent = dict.fromkeys(peers, 0.0)
        for file in files:
            for peer, run in peers.items():
                began = time.perf_counter()
                run(file)
                spent[peer] += time.perf_counter() - began
        for peer in peers:
            seconds[peer].append(spent[peer])
    base = statistics.median(seconds[next(iter(peers))])
    for peer in peers:
        median = statistics.median(seconds[peer])
        print(f"{name:14} {peer:28} {median:8.3f} {median / base:6.2f}")


def sounds(folder: Path, suffix: str, count: int, seconds: float) -> list[str]:
    random = np.random.default_rng(0)
    paths = [str(folder / f"{i}.{suffix}") for i in range(count)]
    for path in paths:
        noise = random.normal(0, 0.05, (int(44_100 * seconds), 2)).cumsum(0)
        soundfile.write(path, np.sin(noise) * 0.5, 44_100)
    return paths


def movies(folder: Path, seconds: int) -> list[str]:
    path = str(folder / "movie.mp4")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=d={seconds}:s=640x360:r=25", "-f", "lavfi", "-i",
         f"anoisesrc=d={seconds}:r=44100:c=pink", "-ac", "2", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", path],
        check=True,
    )  # fmt: skip
    return [path]


def plain(path: str) -> object:
    samples, _ = soundfile.read(path, dtype="float32")
    return (samples[:, 0] + samples[:, 1]) * np.float32(0.5)


def own_rate(path: str) -> object:
    return read_audio(path, sampling_rate=None)


def resampled(path: str) -> object:
    samples, rate = soundfile.read(path, dtype="float32")
    return soxr.resample((samples[:, 0] + samples[:, 1]) * np.float32(0.5), rate, 16_000)


def ffmpeg(path: str) -> object:
    command = ["ffmpeg", "-v", "error", "-y", "-i", path, "-ac", "1", "-ar", "16000", "-vn", f"{path}.ffmpeg.wav"]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def copies(folder: Path, path: str, count: int) -> str:
    (folder / "movies").mkdir()
    for i in range(count):
        os.link(path, folder / "movies" / f"{i}.mp4")
    return str(folder / "movies")


def ffmpegs(folder: str) -> object:
    return [ffmpeg(path) for path in sorted(map(str, Path(folder).glob("*.mp4")))]


def folder_of_tracks(folder: str) -> object:
    shutil.rmtree(f"{folder}/wavs", ignore_errors=True)
    outcomes = soundtracks.extract(folder, f"{folder}/wavs")
    assert all(outcome.status == "written" for outcome in outcomes), outcomes
    return outcomes


def track(path: str) -> object:
    status, _, message = wav_files.write(path, f"{path}.wav", f"{path}.part")
    assert status == "written", message
    return status


def track_unsynced(path: str) -> object:
    fsync, os.fsync = os.fsync, lambda descriptor: None
    try:
        return track(path)
    finally:
        os.fsync = fsync


if __name__ == "__main__":
    main()
