"""Releases: upstream datasets in miniature, with the real names of repositories and files, and a clip or a tone in them."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modalmix.builders.cli import example_data

FOREIGN = "/mnt/private/data"  # where the authors had their media
CLIPS = ("lltmlYR56dI", "-oRLcD5z8jA", "a_B-9xYz012", "Q7wErTy-Uio")


def releases(folder: Path) -> dict[str, dict[str, bytes]]:
    """Repository → path → content."""
    clip, tone, spoken = folder / "clip.mp4", folder / "tone.wav", folder / "spoken.mp4"
    example_data.video(str(clip), 1)
    example_data.sound(str(tone), 2)
    _write_spoken_clip(spoken)
    video, sound, pictures = clip.read_bytes(), tone.read_bytes(), [example_data.picture(seed) for seed in range(3)]
    question = example_data.turns("<image>\nWhat moves?", "A square.")
    object_ = [{"2": {"segmentation": example_data.rle(2)}}]
    region = example_data.turns("<video>\nWhat is <region>?", "A square.")
    panda = _tar({"panda/a_0:00:01.000.mp4": video}, "w:gz")
    half = len(panda) // 2
    return {
        "THUdyh/Ola-Data": {
            "README.md": b"# Ola-Data",
            "Ola_audio_1169k.json": _json([
                {
                    "id": 1,
                    "audio": f"{FOREIGN}/AudioCaps/x/1.wav",
                    "conversations": example_data.turns("<speech>\nWhat?", "A tone."),
                }
            ]),
            "ola_audio/AudioCaps.tar": _tar({"AudioCaps/x/1.wav": sound}, "w"),
            "ola_audio/Clotho.tar": b"not asked for",
            "video_data/video-data.json": _json([
                {"id": "v", "video": {"patch": f"{FOREIGN}/patch_000000", "start_num": 0,
                                      "size": [len(one) for one in pictures]}, "conversations": question}
            ]),
            "video_data/patch_000000": b"".join(pictures),
            "Ola_cross_modality_finevideo_175k.json": _json([
                {"id": one, "video": f"{FOREIGN}/finevideo_videos/{one}.mp4", "audio": f"{FOREIGN}/finevideo_audios/{one}.wav",
                 "conversations": example_data.turns("<speech><image>\nWhat?", "A square.")} for one in CLIPS
            ]),
            "Ola_cross_modality_llava_123k.json": _json([
                {"id": one, "video": f"{FOREIGN}/llava_videos/{one}.mp4", "audio": f"{FOREIGN}/llava_audios/{one}.wav",
                 "conversations": example_data.turns("<speech><image>\nWhat?", "A square.")}
                for one in ("NextQA/n", "academic_source/Charades/Q04US")
            ]),
        },
        "HuggingFaceFV/finevideo": {
            "README.md": b"# FineVideo",
            "data/train-00000-of-00002.parquet": _finevideo(folder, spoken.read_bytes(), CLIPS[:2]),
            "data/train-00001-of-00002.parquet": _finevideo(folder, spoken.read_bytes(), CLIPS[2:]),
        },
        "lmms-lab/LLaVA-Video-178K": {
            "README.md": b"# LLaVA-Video",
            **_llava("0_30_s_academic_v0_1", "academic_source/Charades/Q04US.mp4", spoken.read_bytes()),
            **_llava("1_2_m_nextqa", "NextQA/n.mp4", spoken.read_bytes()),
        },
        "DAMO-NLP-SG/VideoRefer-700K": {
            "README.md": b"# VideoRefer-700K",
            "videorefer-short-caption-500k.json": _json([
                {"id": "s", "video": "panda/a_0:00:01.000.mp4", "conversations": region, "annotation": object_}
            ]),
            "videorefer-qa-75k.json": _json([{"id": "q", "conversations": example_data.turns("What?", "Nothing to see.")}]),
            "panda_videos_part/panda_70m_split.tar.gz.00": panda[:half],
            "panda_videos_part/panda_70m_split.tar.gz.01": panda[half:],
        },
        "DAMO-NLP-SG/VideoRefer-Bench": {
            "README.md": b"# VideoRefer-Bench",
            "VideoRefer-Bench-D.json": _json([
                {"id": "d", "video": "Panda-70M-part/a_0:00:01.000.mp4", "conversations": region, "annotation": object_}
            ]),
            "Panda-70M-part.zip": _zip({"Panda-70M-part/a_0:00:01.000.mp4": video}),
            "VideoRefer-Bench-Q.json": b"[]",
        },
    }  # fmt: skip


def _json(records: list[dict[str, Any]]) -> bytes:
    return json.dumps(records).encode()


def _llava(folder: str, path: str, video: bytes) -> dict[str, bytes]:
    record = {"id": "c", "video": path, "conversations": example_data.turns("<image>\nWhat moves?", "A square.")}
    return {
        f"{folder}/{folder}_cap_processed.json": _json([record]),
        f"{folder}/{folder}_videos_1.tar.gz": _tar({path: video}, "w:gz"),
    }


def _tar(members: dict[str, bytes], mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return out.getvalue()


def _finevideo(folder: Path, video: bytes, ids: Sequence[str]) -> bytes:
    path = folder / "finevideo.parquet"
    metadata = [{"content_fine_category": "Squares", "original_video_filename": f"{one}.mp4"} for one in ids]
    pq.write_table(pa.table({"mp4": [video] * len(ids), "json": metadata}), path)
    return path.read_bytes()


def _write_spoken_clip(path: Path) -> None:
    """A clip with a sound track."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=12)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        tone = container.add_stream("aac", rate=16_000, layout="mono")
        for index in range(12):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 20 * index, np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        wave = (0.3 * np.sin(np.arange(16_000) / 10)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux(tone.encode(frame))
        container.mux(pictures.encode(None))
        container.mux(tone.encode(None))
