from __future__ import annotations

import os
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import encoded_videos
import numpy as np
import pytest
import soundfile
from encoded_videos import FPS, FRAMES, HEIGHT, WIDTH, Pictures, numbers

from modalmix.builders.cli import example_data
from modalmix.builders.media.audio import read_audio
from modalmix.builders.media.backends.frame_index import Packet, has_leading, make, runs
from modalmix.builders.media.container_length import missing_bytes
from modalmix.builders.media.header import Header, Medium
from modalmix.builders.media.items import Item
from modalmix.builders.media.read_header import read_header
from modalmix.builders.media.video import MediaError, VideoReader, open_video

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg command is the judge")

TRAITS = [
    "plain", "no B-frames", "open groups", "open groups in mkv", "one group", "keyframes only", "variable rate", "starts at 5 s",
    "mkv", "fragmented", "odd size", "odd size in vp9", "10 bit", "full range", "hevc", "vp8", "vp9", "mjpeg",
    "avi with B-frames", "gif", "mpeg-ts", "two streams", "edit list", "truncated", "truncated mkv",
    "turned 90", "turned 180", "turned 270",
]  # fmt: skip
HIDDEN = 17
"""Frames that the edit list hides."""
SEEN = {"edit list": range(HIDDEN, FRAMES), "truncated": range(20), "truncated mkv": range(24)}
"""Numbers painted on the shown frames, where they are not 0 … 47."""
REFUSED = {
    "decord": {
        "open groups", "open groups in mkv", "hevc", "mjpeg", "avi with B-frames", "gif", "mpeg-ts", "edit list", "truncated",
        "two streams",
    },
    "torchcodec": {"mjpeg", "avi with B-frames", "mpeg-ts", "truncated"},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return encoded_videos.make(str(tmp_path_factory.mktemp("clips")))


def judged(path: str, video: VideoReader, *before: str, stream: int = 0) -> Pictures:
    """All frames of the ffmpeg command itself."""
    command = [
        "ffmpeg",
        "-v",
        "quiet",
        *before,
        "-i",
        path,
        "-map",
        f"0:v:{stream}",
        "-vsync",
        "0",
        "-f",
        "rawvideo",
        "-pix_fmt",
    ]
    done = subprocess.run([*command, "rgb24", "-"], capture_output=True, check=False)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, video.height, video.width, 3)


def likeness(a: Pictures, b: Pictures) -> float:
    """PSNR in dB of the worst frame."""
    errors = ((a.astype(np.float32) - b) ** 2).mean(axis=(1, 2, 3))
    return float(10 * np.log10(255**2 / np.maximum(errors, 1e-9)).min())


# ---- the right frame


@pytest.mark.parametrize("trait", [trait for trait in TRAITS if not trait.startswith("turned")])
def test_frames_by_index_are_those_with_that_number_in_any_order(made: dict[str, str], trait: str) -> None:
    seen = list(SEEN.get(trait, range(FRAMES)))
    order = np.random.default_rng(1).permutation([*range(len(seen)), *range(0, len(seen), 5)])
    with open_video(made[trait]) as video:
        assert video.frames == len(seen)
        assert numbers(video.read(order)) == [seen[i] for i in order]
        assert [numbers(video.read([i]))[0] for i in (len(seen) - 1, 0, 7)] == [seen[-1], seen[0], seen[7]]


@needs_ffmpeg
@pytest.mark.parametrize("trait", TRAITS)
def test_pictures_are_those_of_ffmpeg(made: dict[str, str], trait: str) -> None:
    with open_video(made[trait]) as video:
        expected = judged(made[trait], video, stream=1 if trait == "two streams" else 0)
        pictures = video.read(range(video.frames))
    assert len(pictures) == len(expected)
    if trait == "10 bit":  # versions of libswscale differ at the edges of colours; another frame has some 12 dB
        assert likeness(pictures, expected) > 35
    else:
        assert np.array_equal(pictures, expected)


@pytest.mark.parametrize(
    "trait", ["plain", "open groups in mkv", "mpeg-ts", "edit list", "truncated", "gif", "turned 90"]
)
def test_bytes_give_what_the_path_gives(made: dict[str, str], trait: str) -> None:
    with open_video(made[trait]) as one, open_video(Path(made[trait]).read_bytes()) as other:
        assert np.array_equal(one.read(range(one.frames)), other.read(range(other.frames)))
        assert (one.coded_frames, one.fps, one.duration) == (other.coded_frames, other.fps, other.duration)
        assert one.findings == other.findings


@pytest.mark.parametrize("backend", ["decord", "torchcodec"])
@pytest.mark.parametrize("trait", TRAITS)
def test_another_backend_gives_the_same_pictures_or_says_that_it_cannot(
    made: dict[str, str], trait: str, backend: str
) -> None:
    pytest.importorskip(backend)
    if trait in REFUSED[backend]:
        with pytest.raises(MediaError):
            open_video(made[trait], backend=backend)
        return
    with open_video(made[trait]) as ours, open_video(made[trait], backend=backend) as video:
        assert (video.backend, ours.backend) == (backend, "pyav")
        order = [*range(video.frames - 1, 0, -7), 3, 3]
        assert likeness(video.read(order), ours.read(order)) > 35


def test_frames_of_several_threads_are_the_same(made: dict[str, str]) -> None:
    for trait in ("plain", "open groups", "vp9", "edit list", "truncated"):
        with open_video(made[trait]) as one, open_video(made[trait], threads=3) as other:
            assert np.array_equal(one.read(range(one.frames)), other.read(range(one.frames)))


# ---- what it says about the file


def test_an_edit_list_has_two_counts_and_masks_can_use_the_coded_one(made: dict[str, str]) -> None:
    with open_video(made["edit list"]) as video:
        assert (video.frames, video.coded_frames) == (FRAMES - HIDDEN, FRAMES)
        assert numbers(video.read([0, 30, 5])) == [HIDDEN, HIDDEN + 30, HIDDEN + 5]
        assert numbers(video.read([0, 47, 20, 3], coded=True)) == [0, 47, 20, 3]
        assert video.times([0, 6]) == pytest.approx([0, 6 / FPS], abs=1e-3)
        assert [f.kind.name for f in video.findings] == ["video-edit-list"]
        with pytest.raises(IndexError, match="frame 31 of a video of 31"):
            video.read([31])


def test_torchcodec_reads_coded_frames_as_far_as_they_are_shown(made: dict[str, str]) -> None:
    pytest.importorskip("torchcodec")
    with open_video(made["edit list"], backend="torchcodec") as video:
        assert numbers(video.read([HIDDEN, 40], coded=True)) == [HIDDEN, 40]
        with pytest.raises(MediaError, match="coded frame 3 is not shown"):
            video.read([3], coded=True)


@pytest.mark.parametrize("trait", ["truncated", "truncated mkv"])
def test_of_a_truncated_file_the_frames_that_are_there_come_with_a_finding(made: dict[str, str], trait: str) -> None:
    with open_video(made[trait]) as video:
        assert [f.kind.name for f in video.findings] == ["video-truncated"]
        assert str(video.frames) in video.findings[0].message
        assert video.fps == pytest.approx(FPS, rel=2e-3)


def test_frames_before_the_first_keyframe_are_coded_but_not_shown(made: dict[str, str], tmp_path: Path) -> None:
    for name in ("headless.mp4", "headless.mkv"):
        path = encoded_videos.remux(made["plain"], str(tmp_path / name), first=5)
        with open_video(path) as video:
            assert numbers(video.read(range(video.frames))) == list(range(12, FRAMES))
            assert video.coded_frames > video.frames
            last = video.coded_frames - 1
            assert numbers(video.read([last, last - 30], coded=True)) == [47, 17]
            with pytest.raises(MediaError, match=r"frame 0 of .* cannot be decoded"):
                video.read([0], coded=True)
            assert [f.kind.name for f in video.findings if f.severity == "info"] == ["video-edit-list"]


def test_damage_in_the_middle_is_reported_and_moves_no_other_frame(made: dict[str, str], tmp_path: Path) -> None:
    data = bytearray(Path(made["no B-frames"]).read_bytes())
    with av.open(made["no B-frames"]) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][18]
    data[packet.pos + 4 : packet.pos + packet.size] = bytes(packet.size - 4)
    with open_video(bytes(data)) as video:
        assert video.frames == FRAMES
        rest = [i for i in range(FRAMES) if not 18 <= i < 24]  # until the next keyframe
        assert numbers(video.read(rest)) == rest
        with pytest.raises(MediaError, match="frame 18 of 48 cannot be decoded"):
            video.read([18])
        assert [f.kind.name for f in video.findings] == ["video-damaged"]


def test_whole_files_have_no_findings(made: dict[str, str]) -> None:
    for trait in TRAITS:
        if trait not in {*SEEN, "two streams"}:
            with open_video(made[trait]) as video:
                video.read(range(video.frames))
                assert not video.findings, trait


@pytest.mark.parametrize(("degrees", "clockwise"), [(90, 270), (180, 180), (270, 90)])
def test_a_turned_video_is_turned_back(made: dict[str, str], degrees: int, clockwise: int) -> None:
    with open_video(made["plain"]) as plain, open_video(made[f"turned {degrees}"]) as video:
        assert video.rotation == clockwise
        assert (video.height, video.width) == ((HEIGHT, WIDTH) if degrees == 180 else (WIDTH, HEIGHT))
        straight = plain.read([0, 20])
        assert np.array_equal(video.read([0, 20]), np.rot90(straight, -clockwise // 90, axes=(1, 2)))


def test_a_mirrored_video_is_mirrored_back(made: dict[str, str], tmp_path: Path) -> None:
    def mirror(stream: Any) -> None:
        stream.set_display_matrix([-0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000])

    try:
        path = encoded_videos.remux(made["plain"], str(tmp_path / "m.mp4"), prepare=mirror)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this PyAV writes no display matrix: {error}")
    with open_video(made["plain"]) as plain, open_video(path) as video:
        assert np.array_equal(video.read([9]), plain.read([9])[:, :, ::-1])


def test_times_are_those_of_the_time_stamps(made: dict[str, str]) -> None:
    with open_video(made["variable rate"]) as video:
        stamps = [(n + n // 5 * 3 + n // 7) / FPS for n in range(FRAMES)]
        assert video.times(range(FRAMES)) == pytest.approx(stamps)
        assert video.fps is not None and video.fps == pytest.approx(FRAMES / video.duration)
        assert video.fps < 15
    with open_video(made["starts at 5 s"]) as video:
        assert video.times([0, 12]) == pytest.approx([0, 0.5], abs=1e-3)
        assert video.duration == pytest.approx(2, abs=2e-3)
        assert video.fps == pytest.approx(FPS, rel=2e-3)


def test_of_several_streams_the_one_marked_default_is_shown(made: dict[str, str]) -> None:
    with open_video(made["two streams"]) as video:
        assert (video.height, video.width) == (HEIGHT, WIDTH)
        assert numbers(video.read([4])) == [4]


def header_of_file(path: str, medium: Medium = "video") -> Header:
    return read_header(Item(os.path.basename(path), path, 0, os.path.getsize(path)), medium)


@pytest.mark.parametrize("trait", ["two streams", "plain", "mkv"])
def test_the_header_is_of_the_stream_that_is_decoded(trait: str, made: dict[str, str]) -> None:
    header = header_of_file(made[trait])
    with open_video(made[trait]) as video:
        assert (header.frames, header.height, header.width) == (video.coded_frames, video.height, video.width)
        assert header.seconds == pytest.approx(video.duration, abs=0.1)
        codes = [finding.code for finding in video.findings]
    assert codes == (["MX134"] if trait == "two streams" else [])
    assert ("decord takes stream 0" in header.other_choices) == (trait == "two streams")


def with_cover(path: Path, source: str, medium: str) -> str:
    """A sound or a video with a picture of its cover, which is a video stream as well; the cover is the first or only one."""
    with av.open(source) as old, av.open(str(path), "w") as new:
        picture: Any = new.add_stream("mjpeg", rate=1, options={"strict": "unofficial"})
        picture.height, picture.width, picture.pix_fmt = 64, 64, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic.value
        kept = old.streams.best(medium)
        stream = new.add_stream_from_template(kept)
        packets = picture.encode(av.VideoFrame(64, 64, "yuvj420p")) + picture.encode(None)
        for packet in packets:
            new.mux(packet)
        for packet in old.demux(kept):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return str(path)


def test_a_cover_is_no_video(made: dict[str, str], tmp_path: Path) -> None:
    film = with_cover(tmp_path / "film.mp4", made["plain"], "video")
    with av.open(film) as container:
        assert len(container.streams.video) == 2
    header, plain = header_of_file(film), header_of_file(made["plain"])
    assert (header.frames, header.height, header.width) == (FRAMES, HEIGHT, WIDTH) and not header.other_choices
    assert header.seconds == pytest.approx(plain.seconds, abs=0.1)
    with open_video(film) as video:
        assert numbers(video.read([0, 40])) == [0, 40] and not video.findings
    wav = tmp_path / "a.wav"
    soundfile.write(wav, np.zeros(32_000), 16_000)
    with av.open(str(wav)) as old, av.open(str(tmp_path / "a.m4a"), "w") as new:
        stream: Any = new.add_stream("aac", rate=16_000)
        stream.layout = "mono"
        for frame in [*old.decode(audio=0), None]:
            new.mux(stream.encode(frame))
    song = with_cover(tmp_path / "song.mp4", str(tmp_path / "a.m4a"), "audio")
    header = header_of_file(song, "audio")
    assert (header.medium, header.frames, header.rate) == ("audio", 0, 16_000)
    assert header.seconds == pytest.approx(2.0, abs=0.2)
    assert len(read_audio(song).samples) == pytest.approx(32_000, abs=2_100)
    with pytest.raises(MediaError, match="no video stream"):
        open_video(song)


# ---- asking


def test_an_index_outside_of_the_video_is_named(made: dict[str, str]) -> None:
    with open_video(made["plain"]) as video:
        for index in (-1, FRAMES, 10**12):
            with pytest.raises(IndexError, match=f"frame {index} of a video of 48 frames"):
                video.read([0, index])
            with pytest.raises(IndexError):
                video.times([index])
        with pytest.raises(TypeError):
            video.read([1.5])  # type: ignore[list-item]


def test_no_index_gives_no_pictures_of_the_right_size(made: dict[str, str]) -> None:
    with open_video(made["turned 90"]) as video:
        assert video.read([]).shape == (0, WIDTH, HEIGHT, 3)
        assert video.times([]) == []


def test_any_kind_of_cell_is_the_same_video(made: dict[str, str], tmp_path: Path) -> None:
    path = made["plain"]
    data = Path(path).read_bytes()
    archive = tmp_path / "archive.tar"
    archive.write_bytes(b"x" * 512 + data + b"y" * 100)
    odd = tmp_path / "http:__a%b:c.mp4"
    odd.write_bytes(data)
    cells = [
        Path(path),
        str(odd),
        Item("plain.mp4", path, 0, len(data)),
        Item("plain.mp4", str(archive), 512, len(data), whole=False),
        {"bytes": data, "path": "plain.mp4"},
        {"bytes": None, "path": path},
    ]
    with open_video(path) as video:
        expected = video.read([3, 33])
    for cell in cells:
        with open_video(cell) as video:
            assert np.array_equal(video.read([3, 33]), expected)


def test_a_relative_name_that_looks_like_an_address_is_a_file(
    made: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe:0.mp4", "clip_0:01:09.633.mp4", "concat:a|b.mp4"):
        shutil.copy(made["plain"], name)
        with open_video(name) as video:
            assert video.frames == FRAMES


def test_there_is_no_other_backend(made: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="'cv2' is none of auto, pyav"):
        open_video(made["plain"], backend="cv2")


# ---- a video that comes as pictures


def test_a_list_of_pictures_is_a_video_without_times() -> None:
    frames = [example_data.picture(seed, "PNG") for seed in range(4)]
    with open_video(frames) as video:
        assert (video.frames, video.coded_frames, video.fps, video.duration) == (4, 4, None, None)
        assert (video.height, video.width, video.rotation, video.backend) == (64, 96, 0, "pictures")
        pictures = video.read([3, 0, 3])
        assert pictures.shape == (3, 64, 96, 3)
        assert np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[0], pictures[1])
        with pytest.raises(MediaError, match="no times"):
            video.times([0])
        with pytest.raises(IndexError, match="frame 4 of a video of 4"):
            video.read([4])


def test_a_picture_that_breaks_the_video_is_named() -> None:
    frames = [example_data.picture(0), example_data.picture(1)[:300], _picture(32, 32)]
    with open_video(frames) as video:
        assert len(video.read([0])) == 1
        with pytest.raises(MediaError, match="frame 1: "):
            video.read([0, 1])
        with pytest.raises(MediaError, match="frame 2 has 32 × 32 pixels, the first 64 × 96"):
            video.read([0, 2])
    with pytest.raises(MediaError, match="no frames"):
        open_video([])


def _picture(height: int, width: int) -> bytes:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


# ---- hostile and hopeless files


def test_what_is_no_video_is_an_error_of_one_line(tmp_path: Path) -> None:
    example_data.sound(str(tmp_path / "tone.wav"), 1)
    shutil.copy(tmp_path / "tone.wav", tmp_path / "tone.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "page.mp4").write_text("<html>404: not found</html>\n" * 50)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "join.mp4").write_text("ffconcat version 1.0\nfile secret.ts\n")
    for name in ("tone.mp4", "empty.mp4", "page.mp4", "list.m3u8", "join.mp4", "not there.mp4", "."):
        with pytest.raises(MediaError) as caught:
            open_video(tmp_path / name)
        assert "\n" not in str(caught.value) and str(caught.value)
    with pytest.raises(MediaError, match="neither bytes nor path"):
        open_video({"bytes": None, "path": None})


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="no plain file"):
        open_video(tmp_path / "pipe.mp4")


def test_a_missing_header_is_an_error(made: dict[str, str]) -> None:
    data = Path(made["plain"]).read_bytes()
    with pytest.raises(MediaError):
        open_video(data[: data.index(b"moov") - 4])


def test_a_playlist_does_not_read_the_files_it_names(made: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(made["mpeg-ts"], tmp_path / "secret.ts")
    for text in (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.ts\n",
    ):
        (tmp_path / "clip.mp4").write_text(text)
        with pytest.raises(MediaError):
            open_video(tmp_path / "clip.mp4")


def test_a_size_out_of_bounds_is_refused_before_it_is_allocated(made: dict[str, str]) -> None:
    data = bytearray(Path(made["gif"]).read_bytes())
    data[6:10] = b"\xff\xff\xff\xff"  # 65,535 pixels high and wide
    with pytest.raises(MediaError):
        open_video(bytes(data))
    with open_video(made["plain"]) as video, pytest.raises(MediaError, match="over 4 GiB"):
        video.read([0] * (4 * 2**30 // (HEIGHT * WIDTH * 3) + 1))


@pytest.mark.parametrize("trait", ["plain", "mpeg-ts"])
def test_time_is_bounded(made: dict[str, str], trait: str) -> None:
    with pytest.raises(MediaError, match="given up"):
        open_video(made[trait], seconds=0)


def test_random_damage_never_gives_anything_but_pictures_or_an_error(made: dict[str, str]) -> None:
    random = np.random.default_rng(5)
    for trait in ("plain", "mkv", "mpeg-ts", "gif", "vp9", "fragmented", "avi with B-frames"):
        whole = np.frombuffer(Path(made[trait]).read_bytes(), np.uint8)
        for _ in range(8):
            data = whole.copy()
            places = random.integers(0, len(data), 1 + len(data) // 500)
            data[places] = random.integers(0, 256, len(places), np.uint8)
            try:
                with open_video(data.tobytes(), seconds=5) as video:
                    pictures = video.read(range(min(video.frames, 8)))
                    assert pictures.shape == (min(video.frames, 8), video.height, video.width, 3)
            except MediaError:
                pass


def test_a_thousand_opens_leave_nothing_behind(made: dict[str, str]) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    data = Path(made["plain"]).read_bytes()
    for source in (made["plain"], data):
        for count in range(600):
            with open_video(source) as video:
                video.read([5])
            if count == 99:
                before, files = resident(), len(os.listdir("/proc/self/fd"))
        assert resident() - before < 8 << 20
        assert len(os.listdir("/proc/self/fd")) == files


# ---- the index alone


def _packets(*given: tuple[int, bool]) -> list[Packet]:
    return [Packet(pts, key, False, 100 * i, 1) for i, (pts, key) in enumerate(given)]


def test_the_index_sorts_by_time_and_finds_the_keyframe_to_begin_at() -> None:
    index = make(
        _packets((0, True), (3, False), (1, False), (2, False), (6, True), (4, False), (5, False), (9, False)),
        Fraction(1),
    )
    assert index is not None
    assert index.pts == [0, 1, 2, 3, 4, 5, 6, 9]
    assert index.position == [0, 2, 3, 1, 5, 6, 4, 7]
    assert index.start == [0, 0, 0, 0, 0, 0, 4, 4]
    assert has_leading(index)
    assert runs(index, [7]) == [(4, 7, [7])]
    assert runs(index, [0, 7]) == [(0, 0, [0]), (4, 7, [7])]
    assert runs(index, [4, 7]) == [(0, 7, [4, 7])]


def test_the_index_knows_if_packets_do_not_give_the_frames() -> None:
    headless = _packets((2, True), (0, False), (1, False))
    assert make(headless, Fraction(1)) is None  # frames before the first keyframe: does the decoder give them?
    counted = make(headless, Fraction(1), leading=True)
    assert counted is not None and counted.pts == [0, 1, 2]
    assert make(_packets((0, True), (1, False), (1, False)), Fraction(1)) is None  # a time stamp twice


def test_missing_bytes_are_counted_from_the_boxes(made: dict[str, str]) -> None:
    for trait in ("plain", "mkv", "vp9", "fragmented", "mjpeg", "edit list"):
        data = Path(made[trait]).read_bytes()
        assert missing_bytes(data) == missing_bytes(made[trait]) == 0
        if trait != "fragmented":
            assert missing_bytes(data[:-20]) == 20
    assert missing_bytes(b"") == missing_bytes(b"\x1a\x45\xdf\xa3") == missing_bytes(b"\0\0\0\0ftyp") == 0
