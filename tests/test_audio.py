from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from modalmix.builders.cli import example_data
from modalmix.builders.media import audio
from modalmix.builders.media.audio import Sound, chunks, decoded, read_audio
from modalmix.builders.media.errors import MediaError
from modalmix.builders.media.items import Item
from modalmix.builders.media.samples import NoSoundError

FILES = {
    "wav": {"subtype": "PCM_16"},
    "flac": {"subtype": "PCM_16"},
    "mp3": {},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
"""Suffixes that libsndfile decodes, and how soundfile writes them."""
TRACKS = {
    "m4a": "aac",
    "mp4": "aac",
    "aac": "aac",
    "mkv": "libopus",
    "webm": "libopus",
    "mov": "pcm_s16le",
    "avi": "mp3",
}

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is the judge")


def tones(seconds: float, rate: int, channels: int = 2) -> np.ndarray:
    """Shape (N, channels): a tone of another pitch in each channel, and a click each half second to tell time by."""
    time = np.arange(round(seconds * rate)) / rate
    samples = np.stack([0.3 * np.sin(2 * np.pi * 300 * (i + 1) * time) for i in range(channels)], 1)
    samples[:: rate // 2] += 0.4
    return samples


def sound_file(path: Path, seconds: float = 3.0, rate: int = 44_100, channels: int = 2) -> Path:
    rate = 48_000 if path.suffix == ".opus" else rate
    soundfile.write(path, tones(seconds, rate, channels), rate, **FILES[path.suffix[1:]])
    return path


def track_file(
    path: Path, seconds: float = 3.0, rate: int = 48_000, layout: str = "stereo", video: bool = False, **options: str
) -> Path:
    """A container with a sound track, after a video track if asked."""
    with av.open(str(path), "w") as container:
        if video:
            pictures = container.add_stream("libx264", rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(TRACKS[path.suffix[1:]], rate=rate, options=options)
        stream.layout = layout
        samples = tones(seconds, rate, stream.layout.nb_channels).astype(np.float32)
        if video:
            for i in range(int(seconds * 10)):
                container.mux(
                    pictures.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), i, np.uint8), format="rgb24"))
                )
            container.mux(pictures.encode(None))
        for at in range(0, len(samples), 960):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[at : at + 960].reshape(1, -1)), format="flt", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def by_ffmpeg(path: Path, *arguments: str) -> np.ndarray:
    command = ["ffmpeg", "-v", "error", "-i", str(path), *arguments, "-c:a", "pcm_f32le", "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.float32)


def media(folder: Path, suffix: str, **options: Any) -> Path:
    make = sound_file if suffix in FILES else track_file
    return make(folder / f"sound.{suffix}", **options)


@pytest.fixture(scope="module")
def six_seconds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A sound of 6 s for each suffix, made once."""
    folder = tmp_path_factory.mktemp("six")

    @cache
    def make(suffix: str) -> Path:
        return media(folder, suffix, seconds=6.0, **({"aac_pns": "0"} if TRACKS.get(suffix) == "aac" else {}))

    return make


# ---- what is decoded


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_lossless_sounds_come_back_as_they_were(suffix: str, tmp_path: Path) -> None:
    sound = read_audio(sound_file(tmp_path / f"a.{suffix}"), sampling_rate=None, mono=False)
    assert sound.sampling_rate == 44_100 and sound.samples.shape == (2, 132_300)
    assert sound.samples.dtype == np.float32 and sound.samples.flags.c_contiguous and sound.samples.flags.writeable
    np.testing.assert_allclose(sound.samples, tones(3, 44_100).T, atol=1 / 32768)


@pytest.mark.parametrize("suffix", FILES)
def test_files_decode_as_soundfile_decodes_them(suffix: str, tmp_path: Path) -> None:
    path = sound_file(tmp_path / f"a.{suffix}")
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    sound = read_audio(path, sampling_rate=None, mono=False)
    assert sound.sampling_rate == rate
    np.testing.assert_array_equal(sound.samples, samples.T)
    np.testing.assert_allclose(read_audio(path, sampling_rate=None).samples, samples.mean(1), atol=1e-7)
    np.testing.assert_allclose(read_audio(path).samples, soxr.resample(samples.mean(1), rate, 16_000), atol=1e-6)


@needs_ffmpeg
@pytest.mark.parametrize("suffix", [*FILES, *TRACKS])
def test_every_kind_of_sound_is_what_ffmpeg_decodes(suffix: str, tmp_path: Path) -> None:
    path = media(tmp_path, suffix)
    expected = by_ffmpeg(path).reshape(-1, 2).T
    sound = read_audio(path, sampling_rate=None, mono=False)
    assert sound.samples.shape == expected.shape and expected.shape[1] > 2.9 * sound.sampling_rate
    np.testing.assert_allclose(sound.samples, expected, atol=2e-4 if suffix == "opus" else 1e-5)  # two decoders of Opus


@needs_ffmpeg
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_a_track_is_mixed_down_as_ffmpeg_does(layout: str, tmp_path: Path) -> None:
    path = track_file(tmp_path / "a.mp4", layout=layout)
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-f", "s16le", "-"]
    expected = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2") / 32768
    np.testing.assert_allclose(read_audio(path, sampling_rate=None).samples, expected, atol=1 / 32768)


def test_channels_of_a_file_are_averaged(tmp_path: Path) -> None:
    path = sound_file(tmp_path / "a.flac", channels=5)
    np.testing.assert_allclose(read_audio(path, sampling_rate=None).samples, tones(3, 44_100, 5).mean(1), atol=1e-4)


@pytest.mark.parametrize("suffix", ["wav", "mp4"])
def test_every_kind_of_cell_gives_the_same_samples(suffix: str, tmp_path: Path) -> None:
    path = media(tmp_path, suffix)
    data = path.read_bytes()
    patch = tmp_path / "patch"
    patch.write_bytes(b"before" + data + b"after")
    cells: list[Any] = [
        str(path),
        data,
        {"bytes": data, "path": None},
        {"bytes": None, "path": str(path)},
        Item(path.name, str(path), 0, len(data)),
        Item("patch.6", str(patch), 6, len(data), whole=False),
    ]
    expected = read_audio(path).samples
    assert expected.any()
    for cell in cells:
        np.testing.assert_array_equal(read_audio(cell).samples, expected)


def test_the_suffix_of_a_name_does_not_decide(tmp_path: Path) -> None:
    expected = read_audio(sound_file(tmp_path / "a.wav")).samples
    for name in ("a.raw", "a.mp3", "a.vox", "a", "concat:a", "a?b#c%20.wav", "-i"):
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
        np.testing.assert_array_equal(read_audio(tmp_path / name).samples, expected)
    track = track_file(tmp_path / "t.mp4")
    for name in ("concat:t.mp4", "t%03d", "t:1.m3u8", "-t"):
        shutil.copy(track, tmp_path / name)
        np.testing.assert_array_equal(read_audio(tmp_path / name).samples, read_audio(track).samples)


def test_the_stream_marked_default_is_heard_not_the_first(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        streams[0].disposition, streams[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for number, stream in enumerate(streams):
            samples = np.full((1, 16_000), 8192 * (number + 1), np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    np.testing.assert_allclose(read_audio(path).samples[100:-100], 0.5)


# ---- rate, start, end


def test_frequencies_above_the_new_limit_vanish_instead_of_folding_back(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.sin(2 * np.pi * 9_000 * np.arange(44_100) / 44_100), 44_100, subtype="FLOAT")
    samples = read_audio(path).samples[1_000:-1_000]
    assert np.sqrt((samples**2).mean()) < 1e-4, "9 kHz would be heard as 7 kHz"


@pytest.mark.parametrize("suffix", [*FILES, "m4a", "mov", "mkv", "aac"])
@pytest.mark.parametrize(("start", "end"), [(0.25, 0.5), (2.5, 4.125), (5.0, None), (None, 1.0), (3.0, 3.0)])
def test_a_part_is_that_part_of_the_whole(
    suffix: str, start: float | None, end: float | None, six_seconds: Callable[[str], Path]
) -> None:
    path = six_seconds(suffix)  # without AAC's noise substitution, which depends on where decoding began
    whole, rate = read_audio(path, sampling_rate=None, mono=False)
    part = read_audio(path, sampling_rate=None, mono=False, start=start, end=end).samples
    expected = whole[:, round((start or 0) * rate) : None if end is None else round(end * rate)]
    assert part.shape == expected.shape
    np.testing.assert_allclose(part, expected, atol=1e-6)


def test_a_part_behind_the_end_is_empty_and_makes_no_sense_backwards(tmp_path: Path) -> None:
    for suffix in ("wav", "mp3", "m4a"):
        path = media(tmp_path, suffix)
        assert read_audio(path, start=100.0).samples.shape == (0,)
        assert read_audio(path, start=100.0, end=101.0, mono=False).samples.shape[1] == 0
        for start, end in ((2.0, 1.0), (-1.0, None), (float("nan"), None), (None, -1.0)):
            with pytest.raises(ValueError, match="start is"):
                read_audio(path, start=start, end=end)
    with pytest.raises(ValueError, match="sampling_rate is 0"):
        read_audio(path, sampling_rate=0)


@pytest.mark.parametrize("suffix", [*FILES, "m4a", "mov"])
def test_long_sounds_come_in_blocks_that_add_up(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = media(tmp_path, suffix)
    whole, rate = read_audio(path, sampling_rate=None)
    for name in ("audio._BLOCK", "audio._MP3_AT_ONCE", "audio_pyav._BLOCK"):
        monkeypatch.setattr(f"modalmix.builders.media.{name}", 10_000)
    blocks = [block for _, block in decoded(path)]
    assert max(map(len, blocks)) <= 5_000
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    monkeypatch.setattr(audio, "MAX_SAMPLES", 60_000)
    with pytest.raises(MediaError, match="over 60,000 samples"):
        read_audio(path, sampling_rate=None)
    assert len(read_audio(path, sampling_rate=None, start=1.0, end=2.0).samples) == rate


# ---- chunks


def test_chunks_have_a_tail_and_a_cut() -> None:
    sound = Sound(np.arange(1, 101, dtype=np.float32), 10)
    made = chunks(sound, 3.0, maximum=None)
    assert made.samples.shape == (4, 30) and made.lengths.tolist() == [30, 30, 30, 10] and made.dropped == 0
    np.testing.assert_array_equal(made.samples.reshape(-1)[:100], sound.samples)
    assert not made.samples[3, 10:].any()
    made = chunks(sound, 3.0, maximum=2)
    assert made.samples.shape == (2, 30) and made.lengths.tolist() == [30, 30] and made.dropped == 40
    assert chunks(sound, 5.0).lengths.tolist() == [50, 50]
    empty = chunks(Sound(np.zeros(0, np.float32), 10), 3.0)
    assert empty.samples.shape == (1, 30) and empty.lengths.tolist() == [0] and empty.dropped == 0


def test_ola_hears_750_seconds_in_pieces_of_480000_samples() -> None:
    made = chunks(Sound(np.ones(16_000 * 751, np.float32), 16_000))
    assert made.samples.shape == (25, 480_000) and made.dropped == 16_000


def test_chunks_of_what_makes_none_are_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        chunks(Sound(np.zeros((2, 10), np.float32), 10))
    for seconds, maximum in ((0.0, 1), (1.0, 0), (-1.0, None)):
        with pytest.raises(ValueError, match="a piece would have"):
            chunks(Sound(np.zeros(10, np.float32), 10), seconds, maximum=maximum)


# ---- hostile and damaged


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "mkv", "mov", "avi"])
def test_a_sound_that_broke_off_raises(suffix: str, tmp_path: Path) -> None:
    data = media(tmp_path, suffix).read_bytes()
    assert read_audio(data).samples.any()
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(MediaError):
            read_audio(data[: int(len(data) * share)])


def test_a_wav_from_a_pipe_says_no_length_and_is_read_to_its_end(tmp_path: Path) -> None:
    data = bytearray(sound_file(tmp_path / "a.wav").read_bytes())
    expected = read_audio(bytes(data)).samples
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = struct.pack("<I", 0xFFFFFFFF)
    np.testing.assert_array_equal(read_audio(bytes(data)).samples, expected)


def test_a_video_without_sound_says_so(tmp_path: Path) -> None:
    path = str(tmp_path / "silent.mp4")
    example_data.video(path, 1)
    with pytest.raises(NoSoundError, match="no sound track"):
        read_audio(path)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\0" * 5_000, b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\na.aac\n#EXT-X-ENDLIST\n"]
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError):
        read_audio(data)


def test_a_playlist_opens_no_other_file(tmp_path: Path) -> None:
    secret = track_file(tmp_path / "secret.aac")
    for name, text in (
        ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{secret}\n#EXT-X-ENDLIST\n"),
        ("a.txt", f"ffconcat version 1.0\nfile '{secret}'\n"),
    ):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(MediaError):
            read_audio(path)
        with av.open(str(path), options={"safe": "0", "allowed_extensions": "ALL"}) as unguarded:
            assert unguarded.streams.audio, "FFmpeg itself would have followed it"


def test_files_that_are_none_are_refused_without_waiting(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(MediaError, match="not a file"):
            read_audio(path)
    with pytest.raises(FileNotFoundError):
        read_audio(tmp_path / "none.wav")


def test_absurd_rates_and_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    data = bytearray(sound_file(tmp_path / "a.wav").read_bytes())
    for rate in (1, 999, 4_000_000_000):
        data[24:28] = struct.pack("<I", rate)
        with pytest.raises(MediaError):
            read_audio(bytes(data))
    for bad in (np.nan, np.inf):
        samples = np.zeros(16_000, np.float32)
        samples[5] = bad
        file = io.BytesIO()
        soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
        with pytest.raises(MediaError, match="no numbers"):
            read_audio(file.getvalue())


def test_channels_in_an_order_of_their_own_do_not_end_the_process(tmp_path: Path) -> None:
    data = bytearray(track_file(tmp_path / "a.mov", layout="3.0").read_bytes())
    at = data.index(b"chan")
    data[at + 8 : at + 12] = struct.pack(">I", 114 << 16 | 3)  # MPEG_3_0_B: centre, left, right
    path = tmp_path / "b.mov"
    path.write_bytes(data)
    code = (
        "import sys\nfrom modalmix.builders.media.audio import read_audio\nfor _ in range(5):\n    try: read_audio(sys.argv[1])\n"
        "    except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("an order of its own") == 5


@pytest.mark.parametrize("suffix", [*FILES, *TRACKS])
def test_damaged_sounds_raise_nothing_but_media_errors(suffix: str, tmp_path: Path) -> None:
    data = media(tmp_path, suffix, seconds=0.5).read_bytes()
    dice = random.Random(suffix)
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 5, 50))):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            sound = read_audio(bytes(damaged))
        except MediaError:
            continue
        assert sound.samples.ndim == 1 and sound.samples.dtype == np.float32 and np.isfinite(sound.samples).all()


def test_a_small_file_of_days_of_silence_is_refused_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "silence.flac"
    soundfile.write(path, np.zeros((400_000, 8), np.int16), 16_000)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(audio, "MAX_SAMPLES", 1_000_000)
    with pytest.raises(MediaError, match="over 1,000,000 samples"):
        read_audio(path, mono=False)
    with pytest.raises(MediaError, match="over 1,000,000 samples"):
        read_audio(path, sampling_rate=768_000)
