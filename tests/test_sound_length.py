"""Sound is never cut short, and intact sound is never rejected, whatever its container says about its length."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from modalmix.builders.check.media_store import MediaHeader, decode_findings, header_findings
from modalmix.builders.media.audio import read_audio
from modalmix.builders.media.errors import MediaError
from modalmix.builders.media.header import Header
from modalmix.builders.media.items import Item
from modalmix.builders.media.read_header import read_header
from modalmix.builders.media.samples import EmptySoundError

RATE = 32_000
ART = b"\xff\xd8\xff\xe0" + bytes(np.random.default_rng(7).integers(0, 256, 30_000, dtype=np.uint8)) + b"\xff\xd9"


def quiet_then_loud(seconds: float = 6.0) -> np.ndarray:
    """A faint tone, then noise: a VBR encoder gives the second half many times the bits."""
    count = round(seconds * RATE)
    samples = 0.02 * np.sin(2 * np.pi * 440 * np.arange(count) / RATE)
    samples[count // 2 :] += np.random.default_rng(1).normal(0, 0.2, count - count // 2)
    return samples.clip(-1, 1)


def written(samples: np.ndarray, kind: str, subtype: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 48_000 if subtype == "OPUS" else RATE, format=kind, subtype=subtype, **options)
    return file.getvalue()


def mp3(samples: np.ndarray) -> bytes:
    return written(samples, "MP3", bitrate_mode="VARIABLE", compression_level=0.3)


def packets(data: bytes) -> list[tuple[int, int]]:
    """Place and size of each frame that FFmpeg finds."""
    with av.open(io.BytesIO(data)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]


def without_count(data: bytes) -> bytes:
    """An MP3 without the first frame, which says how many there are."""
    return data[packets(data)[0][0] :]


def id3v2(body: bytes) -> bytes:
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = len(frame)
    return b"ID3\3\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + frame


def ape() -> bytes:
    item = struct.pack("<II", 5, 0) + b"TITLE\0" + b"\xff\xfb\x90\x64x"
    fields = struct.pack("<III", 2000, len(item) + 32, 1)
    header, footer = struct.pack("<I", 0xA0000000), struct.pack("<I", 0x80000000)
    return b"APETAGEX" + fields + header + b"\0" * 8 + item + b"APETAGEX" + fields + footer + b"\0" * 8


ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
TAGS = {
    "cover": (id3v2(ART), b""),
    "two tags": (id3v2(b"x") + id3v2(ART), b""),
    "id3v1": (b"", ID3V1),
    "ape": (b"", ape()),
    "ape, id3v1": (b"", ape() + ID3V1),
    "padding": (b"", bytes(4_096)),
    "padding, id3v1": (b"", bytes(4_096) + ID3V1),
    "lyrics": (b"", b"LYRICSBEGIN" + b"IND0000210" + b"000028LYRICS200" + ID3V1),
    "all": (id3v2(ART), bytes(100) + ape() + ID3V1),
}


def header(data: bytes, folder: Path, suffix: str) -> Header:
    path = folder / f"sound.{suffix}"
    path.write_bytes(data)
    return read_header(Item(path.name, str(path), 0, len(data)), "audio")


def codes(data: bytes, folder: Path, suffix: str) -> set[str]:
    """What a check of all depths finds."""
    found = header(data, folder, suffix)
    path = folder / f"sound.{suffix}"
    medium = MediaHeader(0, "audio", [Item(path.name, str(path), 0, len(data))], found)
    return {finding.code for finding in header_findings(medium) + decode_findings(medium)}


def own(data: bytes, **options: float) -> np.ndarray:
    return read_audio(data, sampling_rate=None, **options).samples  # type: ignore[arg-type]


# ---- MP3


@pytest.mark.parametrize("backwards", [False, True])
def test_an_mp3_that_does_not_count_its_frames_is_heard_to_its_end(backwards: bool, tmp_path: Path) -> None:
    samples = quiet_then_loud()
    data = without_count(mp3(samples[::-1] if backwards else samples))
    count = len(packets(data)) * 1152
    assert count > 6 * RATE
    whole = own(data)
    assert len(whole) == count
    assert header(data, tmp_path, "mp3").seconds == pytest.approx(count / RATE)
    np.testing.assert_array_equal(own(data, start=2.5, end=4.0), whole[round(2.5 * RATE) : 4 * RATE])
    assert not codes(data, tmp_path, "mp3")


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("tags", TAGS)
def test_tags_of_an_mp3_are_neither_sound_nor_damage(tags: str, count: bool, tmp_path: Path) -> None:
    plain = mp3(quiet_then_loud(3.0))
    plain = plain if count else without_count(plain)
    before, behind = TAGS[tags]
    data = before + plain + behind
    np.testing.assert_allclose(own(data), own(plain), atol=1e-5)
    assert header(data, tmp_path, "mp3").seconds == pytest.approx(len(own(plain)) / RATE)
    assert not codes(data, tmp_path, "mp3")


@pytest.mark.parametrize("between", [b"", id3v2(ART), ID3V1, ID3V1 + id3v2(ART), bytes(1_000) + id3v2(ART), ape()])
@pytest.mark.parametrize("count", [True, False])
def test_joined_mp3s_are_heard_one_after_the_other(count: bool, between: bytes, tmp_path: Path) -> None:
    part = mp3(quiet_then_loud(2.0))
    part = part if count else without_count(part)
    samples = own(part + between + part)
    assert abs(len(samples) - 2 * len(own(part))) <= 4 * 1152
    assert header(part + between + part, tmp_path, "mp3").seconds == pytest.approx(len(samples) / RATE, abs=0.1)
    assert not codes(part + between + part, tmp_path, "mp3")


@pytest.mark.parametrize("count", [True, False])
def test_an_mp3_that_broke_off_is_rejected_at_every_depth(count: bool, tmp_path: Path) -> None:
    data = mp3(quiet_then_loud())
    data = data if count else without_count(data)
    for share in (0.3, 0.6, 0.9):
        cut = data[: int(len(data) * share)]
        with pytest.raises(MediaError, match="breaks off"):
            own(cut)
        with pytest.raises(MediaError, match="breaks off"):
            own(cut + ID3V1)
        assert header(cut, tmp_path, "mp3").missing
        assert codes(cut, tmp_path, "mp3") == {"MX118"}


def test_an_mp3_with_something_else_between_its_frames_is_rejected(tmp_path: Path) -> None:
    data = without_count(mp3(quiet_then_loud()))
    place = packets(data)[40][0]
    damaged = data[:place] + bytes(range(1, 250)) * 8 + data[place + 1_000 :]
    with pytest.raises(MediaError, match=f"damaged: at byte {place:,}"):
        own(damaged)
    assert codes(damaged, tmp_path, "mp3") == {"MX104"}


def test_an_mp3_behind_other_bytes_is_heard() -> None:
    data = mp3(quiet_then_loud(2.0))
    np.testing.assert_allclose(own(b"HTTP/1.1 200 OK\r\n" * 100 + data), own(data), atol=1e-5)


# ---- Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_files_are_heard_one_after_the_other(subtype: str, tmp_path: Path) -> None:
    part = written(quiet_then_loud(2.0), "OGG", subtype)
    rate = 48_000 if subtype == "OPUS" else RATE
    for data in (part + part, part + part + part):
        expected = len(data) // len(part) * len(own(part))
        assert expected - 100 <= len(own(data)) <= expected + 4_000
        assert header(data, tmp_path, "ogg").seconds == pytest.approx(len(own(data)) / rate, abs=0.1)
        assert not codes(data, tmp_path, "ogg")
    for share in (0.3, 0.7, 0.95):
        with pytest.raises(MediaError):
            own((part + part)[: int(len(part + part) * share)])


# ---- FLAC


def with_total(flac: bytes, total: int) -> bytes:
    """A FLAC that says it has so many samples."""
    field = int.from_bytes(flac[21:26], "big") >> 36 << 36 | total
    return flac[:21] + field.to_bytes(5, "big") + flac[26:]


@pytest.mark.parametrize("total", [0, 1, 40_000, 3 * RATE])
def test_a_flac_is_heard_to_its_end_whatever_number_of_samples_it_claims(total: int, tmp_path: Path) -> None:
    plain = written(quiet_then_loud(), "FLAC")
    data = with_total(plain, total)
    np.testing.assert_array_equal(own(data), own(plain))
    np.testing.assert_array_equal(own(id3v2(b"x") + data), own(plain))
    for start, end in ((0.5, 1.0), (4.0, 5.0), (5.5, 9.0)):
        np.testing.assert_array_equal(own(data, start=start, end=end), own(plain, start=start, end=end))
    assert header(data, tmp_path, "flac").seconds == pytest.approx(6.0)
    assert not codes(data, tmp_path, "flac")


def test_a_flac_with_fewer_samples_than_it_says_breaks_off(tmp_path: Path) -> None:
    plain = written(quiet_then_loud(), "FLAC")
    assert not codes(plain, tmp_path, "flac") and not codes(plain + ID3V1, tmp_path, "flac")
    for data in (with_total(plain, 6 * RATE + 1), with_total(plain, 12 * RATE), plain[: len(plain) // 2]):
        with pytest.raises(MediaError):
            own(data)


# ---- WAV


def test_a_wav_whose_size_was_never_filled_in_is_heard_to_its_end(tmp_path: Path) -> None:
    plain = written(quiet_then_loud(), "WAV")
    place = plain.index(b"data") + 4
    for riff in (plain[4:8], bytes(4)):
        data = plain[:4] + riff + plain[8:place] + bytes(4) + plain[place + 4 :]
        np.testing.assert_array_equal(own(data), own(plain))
        assert header(data, tmp_path, "wav").seconds == pytest.approx(6.0)
        assert not codes(data, tmp_path, "wav")


@pytest.mark.parametrize("chunk", [b"", b"LIST\4\0\0\0INFO"])
def test_a_sound_without_samples_is_rejected(chunk: bytes, tmp_path: Path) -> None:
    data = written(np.zeros(0), "WAV") + chunk
    for part in ({}, {"start": 1.0}, {"start": 0.0, "end": 1.0}):
        with pytest.raises(EmptySoundError, match="no samples"):
            own(data, **part)
    assert codes(data, tmp_path, "wav") == {"MX141"}
    for kind in ("FLAC", "AIFF", "OGG", "MP3"):
        with pytest.raises(MediaError):
            own(written(np.zeros(0), kind))


# ---- AAC


@pytest.mark.parametrize("backwards", [False, True])
def test_aac_without_a_container_is_heard_to_its_end(backwards: bool, tmp_path: Path) -> None:
    samples = quiet_then_loud()[:: -1 if backwards else 1].astype(np.float32)
    file = tmp_path / "a.aac"
    with av.open(str(file), "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE, options={"global_quality": "200", "flags": "+qscale"})
        stream.layout = "mono"
        for at in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, at : at + 1024].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = file.read_bytes()
    assert len(own(data)) == len(packets(data)) * 1024
    assert header(data, tmp_path, "aac").seconds == pytest.approx(len(own(data)) / RATE)
    assert not codes(data, tmp_path, "aac")


# ---- unknown


def test_a_sound_of_an_unknown_codec_is_rejected(tmp_path: Path) -> None:
    data = bytearray(written(quiet_then_loud(), "WAV"))
    data[20:22] = b"\x77\x77"  # the tag of the codec
    with pytest.raises(MediaError, match="codec is unknown"):
        own(bytes(data))
    assert codes(bytes(data), tmp_path, "wav") == {"MX104"}
