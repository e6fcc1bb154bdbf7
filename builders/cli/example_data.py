"""A small example in all five formats: real encoded pictures, videos and sounds, annotated as upstream does it.

It is what the demo builds and what the tests read.  Everything is drawn and synthesised here; the paths in the annotations are
those of another machine, as in the real thing, and two rows are broken on purpose::

    ola/            Ola_audio.json, Ola_cross_modality.json, video-data.json (a patch), images.json (a patch), audio_q.json
    videorefer/     annotation.json (masks on a video, a picture and a folder of frames), masks.jsonl
    lmms_finetune/  train.json (lists of media, system prompt, text alone)
    aria/           train.jsonl, test.jsonl
    llava_video/    0_30_s_academic_v0_1/*_{cap,oe,mc}_*.json, mixture.yaml
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np

FOREIGN = "/mnt/elsewhere/projects/omni/data"
"""Prefix of the paths in the annotations: a folder of some other machine."""

_WIDTH, _HEIGHT = 96, 64


def write(folder: str) -> dict[str, str]:
    """Writes the example below a folder.

    Returns:
        Name of the format → its folder.
    """
    made = {
        "ola": _ola,
        "videorefer": _videorefer,
        "lmms_finetune": _lmms_finetune,
        "aria": _aria,
        "llava_video": _llava_video,
    }
    roots = {name: os.path.join(folder, name) for name in made}
    for name, make in made.items():
        os.makedirs(roots[name], exist_ok=True)
        make(roots[name])
    return roots


def picture(seed: int, kind: str = "JPEG") -> bytes:
    """An encoded picture of 96 × 64 pixels; another seed gives another one."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(_pixels(seed, 0)).save(file, kind)
    return file.getvalue()


def video(path: str, seed: int, frames: int = 24, fps: int = 12) -> None:
    """Encodes a video of 96 × 64 pixels: a square that moves over a coloured ground (H.264 in the container of the suffix)."""
    import av

    _parent(path)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(_pixels(seed, index), format="rgb24")))
        container.mux(stream.encode(None))


def sound(path: str, seed: int, seconds: float = 0.5, rate: int = 16_000) -> None:
    """Writes a tone as 16-bit wav; its pitch depends on the seed."""
    import soundfile

    _parent(path)
    time = np.arange(int(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * (220 + 55 * seed) * time), rate)


def square(index: int) -> tuple[int, int, int, int]:
    """Where the moving square is in frame `index`: top, left, bottom, right in pixels (the last two excluded)."""
    left = 4 + (index * 3) % (_WIDTH - 28)
    return 20, left, 40, left + 20


def rle(index: int) -> dict[str, Any]:
    """The square of frame `index` as compressed COCO RLE, as it stands in annotations."""
    from pycocotools import mask

    top, left, bottom, right = square(index)
    pixels = np.zeros((_HEIGHT, _WIDTH), np.uint8, order="F")
    pixels[top:bottom, left:right] = 1
    return {"size": [_HEIGHT, _WIDTH], "counts": mask.encode(pixels)["counts"].decode()}


def turns(question: str, answer: str, *more: str) -> list[dict[str, str]]:
    """Turns in the ``from``/``value`` form, user first."""
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate((question, answer, *more))]


def _pixels(seed: int, index: int) -> Any:
    ground = np.linspace(40, 200, _WIDTH, dtype=np.float32)[None, :, None] * np.ones((_HEIGHT, 1, 3), np.float32)
    ground *= np.array([[[1.0, 0.4 + 0.1 * (seed % 6), 0.9 - 0.1 * (seed % 7)]]], np.float32)
    pixels = ground.clip(0, 255).astype(np.uint8)
    top, left, bottom, right = square(index)
    pixels[top:bottom, left:right] = (250, 220, 30 * (seed % 8))
    return pixels


def _ola(root: str) -> None:
    for i in range(3):
        sound(f"{root}/ola_audio/AudioCaps/{i}.wav", i)
    _json(
        f"{root}/ola_audio/Ola_audio.json",
        [
            {"id": i, "audio": f"{FOREIGN}/ola_audio/AudioCaps/{i}.wav", "conversations": turns("<speech>\nWhat is it?", "A tone.")}
            for i in range(4)  # the fourth was never downloaded
        ],
    )  # fmt: skip
    video(f"{root}/cross/videos/lltmlYR56dI.mp4", 1)
    sound(f"{root}/cross/audios/lltmlYR56dI.wav", 4)
    _json(
        f"{root}/cross/Ola_cross_modality.json",
        [
            {
                "id": "fv0",
                "video": f"{FOREIGN}/videos/lltmlYR56dI.mp4",
                "audio": f"{FOREIGN}/audios/lltmlYR56dI.wav",
                "conversations": turns("<speech><image>\nWhat moves, and what sounds?", "A square; a tone."),
            }
        ],
    )
    frames = [picture(20 + i, "PNG") for i in range(4)]
    _bytes(f"{root}/video_data/patch_000000", b"\0" * 100 + b"".join(frames))
    _json(
        f"{root}/video_data/video-data.json",
        [
            {
                "id": "v0",
                "video": {"patch": f"{FOREIGN}/video_data/patch_000000", "size": [len(one) for one in frames], "start_num": 100},
                "conversations": turns("<image>\nDescribe the video.", "A square moves.", "Which colour?", "Yellow."),
            }
        ],
    )  # fmt: skip
    first, second = picture(3), picture(4)
    _bytes(f"{root}/image_data/patch_00000", first + second)
    patch = f"{FOREIGN}/image_data/patch_00000"
    _json(
        f"{root}/image_data/images.json",
        [
            {"id": 0, "image": {"patch": patch, "start_num": 0, "size": len(first)}, "conversations": turns("<image>\nWhat?", "A square.")},
            {"id": 1, "image": {"patch": patch, "start_num": len(first), "size": [len(second)]}, "conversations": turns("<image>\nWhat?", "A square.")},
        ],
    )  # fmt: skip
    sound(f"{root}/audio_q/q0.wav", 6)
    _bytes(f"{root}/audio_q/p0.jpg", picture(5))
    _json(
        f"{root}/audio_q/audio_q.json",
        [
            {
                "id": "q0",
                "image": f"{FOREIGN}/audio_q/p0.jpg",
                "audio_q": f"{FOREIGN}/audio_q/q0.wav",
                "text_q": "How many squares are there?",
                "conversations": turns("<image>\nUser's question in speech: <speech>\n", "One."),
            }
        ],
    )


def _videorefer(root: str) -> None:
    video(f"{root}/videos/clip_0:01:09.633.mp4", 7)
    _bytes(f"{root}/images/p.jpg", picture(8))
    for i in range(6):
        _bytes(f"{root}/frames/walk/{i:05d}.jpg", picture(9 + i))
    left, top, right, bottom = 4.0, 20.0, 24.0, 40.0
    polygon = [[left, top, right, top, right, bottom, left, bottom]]
    _json(
        f"{root}/annotation.json",
        [
            {
                "id": 0,
                "video": "videos/clip_0:01:09.633.mp4",
                "conversations": turns("<video>\nWhere does <region> go?", "To the right."),
                "annotation": [{str(i): {"segmentation": rle(i)} for i in (0, 8, 16)}],
            },
            {
                "id": 1,
                "image": "images/p.jpg",
                "height": _HEIGHT,
                "width": _WIDTH,
                "conversations": turns("<image>\nWhat are <region> and <region>?", "The same square."),
                "annotation": [{"0": {"segmentation": polygon}}, {"0": {"segmentation": rle(0)}}],
            },
            {
                "id": 2,
                "video": "frames/walk",
                "conversations": turns("<video>\nIs <region> there?", "At first."),
                "annotation": [{"0": {"segmentation": rle(0)}, "5": {"segmentation": None}}],
            },
            {
                "id": "two regions, one object",
                "image": "images/p.jpg",
                "conversations": turns("<image>\nCompare <region> and <region>.", "They differ."),
                "annotation": [{"0": {"segmentation": rle(0)}}],
            },
        ],
    )
    _lines(
        f"{root}/masks.jsonl",
        [
            {
                "video": ["videos/clip_0:01:09.633.mp4"],
                "height": _HEIGHT,
                "width": _WIDTH,
                "conversations": turns("<video>\nWhat is <region>?", "A square."),
                "masks": [{"4": rle(4)}],
            }
        ],
    )


def _lmms_finetune(root: str) -> None:
    for name in ("a", "b"):
        video(f"{root}/videos/{name}.mp4", 20 + ord(name))
        _bytes(f"{root}/images/{name}.jpg", picture(30 + ord(name)))
    _json(
        f"{root}/train.json",
        [
            {
                "system_prompt": "Answer questions about the video and the picture.",
                "video": ["videos/a.mp4", "videos/b.mp4"],
                "image": "images/a.jpg",
                "conversations": turns("<video><video>What moves?", "Squares.", "<image>And here?", "Nothing."),
            },
            {
                "image": ["images/a.jpg", "images/b.jpg"],
                "conversations": turns("<image><image>Compare.", "Two colours."),
            },
            {"conversations": turns("What does the <video> tag do in HTML?", "It embeds a video.")},
        ],
    )


def _aria(root: str) -> None:
    video(f"{root}/video_folder/v.mp4", 40)
    _bytes(f"{root}/image_folder/p.jpg", picture(41))

    def messages(*question: dict[str, Any]) -> list[dict[str, Any]]:
        answer = [{"type": "text", "text": "A square."}]
        return [{"role": "user", "content": list(question)}, {"role": "assistant", "content": answer}]

    text = {"type": "text", "text": "What is it?"}
    _lines(
        f"{root}/train.jsonl",
        [
            {"messages": messages({"type": "image", "text": None}, text), "images": ["image_folder/p.jpg"]},
            {"messages": messages({"type": "video", "text": None}, text), "video": {"path": "video_folder/v.mp4", "num_frames": 8}},
        ],
    )  # fmt: skip
    _lines(f"{root}/test.jsonl", [{"messages": messages(text)}])


def _llava_video(root: str) -> None:
    folder = "0_30_s_academic_v0_1"
    videos = [
        "academic_source/Charades/Q04US.mp4",
        "liwei_youtube_videos/videos/youtube_video_2024/ytb_7nRmsEw7nsE.mp4",
    ]
    for i, name in enumerate(videos):
        video(f"{root}/{name}", 50 + i)
    questions = {
        f"{folder}_cap_processed.json": ("Describe the video.", "A square moves to the right."),
        f"{folder.replace('_v0_1', '')}_oe_v0_1_qa_processed.json": (
            "What moves?",
            "A square.",
            "Where to?",
            "To the right.",
        ),
        f"{folder.replace('_v0_1', '')}_mc_v0_1_qa_processed.json": ("What moves?\nA. a square\nB. a disc", "A"),
    }
    for file, (question, *rest) in questions.items():
        _json(
            f"{root}/{folder}/{file}",
            [
                {
                    "id": os.path.basename(name)[:-4],
                    "conversations": turns(f"<image>\n{question}", *rest),
                    "data_source": folder,
                    "video": name,
                }
                for name in videos
            ],
            indent=4,
        )
    strategies = zip(questions, ("all", "first:50%", "random:1"), strict=True)
    entries = "".join(
        f'  - json_path: {FOREIGN}/{folder}/{file}\n    sampling_strategy: "{strategy}"\n'
        for file, strategy in strategies
    )
    _bytes(f"{root}/mixture.yaml", f"datasets:\n{entries}".encode())


def _parent(path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)


def _bytes(path: str, data: bytes) -> None:
    _parent(path)
    with open(path, "wb") as file:
        file.write(data)


def _json(path: str, records: Iterable[dict[str, Any]], indent: int | None = None) -> None:
    _bytes(path, json.dumps(list(records), indent=indent).encode())


def _lines(path: str, records: Iterable[dict[str, Any]]) -> None:
    _bytes(path, "".join(f"{json.dumps(record)}\n" for record in records).encode())
