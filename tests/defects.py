"""Defects for the tests of findings: intact and broken media, records of each format, and one defect at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modalmix.builders.check import CheckResult, Depth, check
from modalmix.builders.cli import example_data
from modalmix.builders.media.header_cache import HeaderCache
from modalmix.builders.pipeline.options import Options

Record = dict[str, Any]


class Defect(NamedTuple):
    """A record with a defect, and the same record without it.

    Attributes:
        name: of the finding.
        depth: the first depth that finds it.
        pointer: of the finding; None for any.
        also: names of the record's other findings.
    """

    name: str
    format: str
    sound: Record
    broken: Record
    pointer: str | None = None
    depth: Depth = "quick"
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}-{self.format}"


class FileDefect(NamedTuple):
    """A defect of a file: annotations, an archive, or several records together.

    Attributes:
        name: of the finding.
        plant: writes ``data.json``, or another annotation file whose name it returns, and media to a folder; with the defect
            if its second argument is true.
        row: of the finding; None for a file as a whole.
        depth: the first depth that finds it.
        also: names of the other findings.
        format: the records are read as.
        reject: code of the record in the build's rejects; None if no record is rejected.
    """

    name: str
    plant: Callable[[Path, bool], str | None]
    row: int | None = None
    depth: Depth = "quick"
    also: tuple[str, ...] = ()
    format: str | None = "lmms_finetune"
    reject: str | None = None

    def __str__(self) -> str:
        return self.name


# ---- records


def image(path: Any, text: str = "<image>\nWhat?", **more: Any) -> Record:
    return {"image": path, "conversations": example_data.turns(text, "A square."), **more}


def video(path: Any, text: str = "<video>\nWhat moves?", **more: Any) -> Record:
    return {"video": path, "conversations": example_data.turns(text, "A square."), **more}


def audio(path: Any, text: str = "<speech>\nWhat sounds?", **more: Any) -> Record:
    return {"audio": path, "conversations": example_data.turns(text, "A tone."), **more}


def region(masks: Any, **more: Any) -> Record:
    text = "<video>\nWhat is <region>?" if "video" in more else "<image>\nWhat is <region>?"
    if "video" not in more:
        more.setdefault("image", "a.jpg")
    return {**more, "conversations": example_data.turns(text, "A square."), "annotation": masks}


def mask(payload: Any, frame: Any = "0", **more: Any) -> Record:
    """A record of one object with one mask."""
    return region([{frame: {"segmentation": payload}}], **more)


def aria(*images: str, video: Record | None = None) -> Record:
    parts = [{"type": "video" if video else "image", "text": None}] * (1 if video else len(images))
    question = [*parts, {"type": "text", "text": "What?"}]
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "text": "A square."}]},
    ]
    return {"messages": messages, **({"video": video} if video else {"images": list(images)})}


def patch(start: Any, size: Any, path: str = "patch", **more: Any) -> Record:
    return {"patch": path, "start_num": start, "size": size, **more}


RLE = example_data.rle(0)
SQUARE = [[4.0, 20.0, 24.0, 20.0, 24.0, 40.0, 4.0, 40.0]]


# ---- media


def png(width: int, height: int) -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def noise() -> bytes:
    """A JPEG of noise: half of its bytes hold half of its pixels."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


FRAMES = [example_data.picture(20 + i, "PNG") for i in range(3)]
"""The pictures at the start of the file ``patch``."""
FIRST, SECOND, THIRD = map(len, FRAMES)


def write_media(root: Path) -> Path:
    """Writes intact and broken media to a folder."""
    from base64 import b64encode

    for name in ("a", "b"):
        (root / f"{name}.jpg").write_bytes(example_data.picture(ord(name)))
    (root / "Mixed.jpg").write_bytes(example_data.picture(5))
    example_data.video(str(root / "v.mp4"), 1)
    example_data.sound(str(root / "s.wav"), 1)
    example_data.sound(str(root / "none.wav"), 1, seconds=0)
    (root / "deep").mkdir()
    (root / "deep" / "d.jpg").write_bytes(example_data.picture(6))
    (root / "empty.jpg").write_bytes(b"")
    (root / "noise.jpg").write_bytes(bytes(range(256)) * 9)
    (root / "pointer.jpg").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    (root / "page.mp4").write_bytes(b"<!DOCTYPE html><title>404</title>")
    (root / "really.png").write_bytes(example_data.picture(7))
    (root / "tiny.png").write_bytes(png(4, 4))
    (root / "tone.jpg").write_bytes((root / "s.wav").read_bytes())
    (root / "cut.wav").write_bytes((root / "s.wav").read_bytes()[:-4000])
    whole = noise()
    (root / "whole.jpg").write_bytes(whole)
    (root / "half.jpg").write_bytes(whole[: len(whole) // 2])
    for folder, names, sizes in (
        ("walk", ("0", "1"), (64, 64)),
        ("stumble", ("0", "1"), (64, 48)),
        ("counted", ("1", "2", "10"), (64, 64, 64)),
        ("padded", ("01", "02", "10"), (64, 64, 64)),
    ):
        (root / folder).mkdir()
        for name, height in zip(names, sizes, strict=True):
            (root / folder / f"{name}.png").write_bytes(png(64, height))
    (root / "patch").write_bytes(b"".join(FRAMES) + b"no picture" * 10)
    (root / "sharegpt4o").mkdir()
    (root / "sharegpt4o" / "patch").write_bytes(b"".join(FRAMES))
    text = b64encode(FRAMES[0])
    (root / "text.patch").write_bytes(text + b"!" * len(text))
    clip = (root / "v.mp4").read_bytes()
    (root / "cut.mp4").write_bytes(clip[: len(clip) * 2 // 3])
    return root


# ---- running


def run(
    folder: Path,
    media: Path | tuple[Path, ...],
    records: Any,
    format: str | None,
    *,
    name: str = "data.json",
    **more: Any,
) -> CheckResult:
    """Checks records, or the bytes of a file; the findings are then in ``folder/findings.jsonl``."""
    text = records if isinstance(records, bytes) else json.dumps(records).encode()
    (folder / name).write_bytes(text)
    return check_file(folder, folder / name, media, format, **more)


def check_file(
    folder: Path, data: Path, media: Path | tuple[Path, ...], format: str | None, **more: Any
) -> CheckResult:
    roots = tuple(str(root) for root in (media if isinstance(media, tuple) else (media,)))
    findings = str(folder / "findings.jsonl")
    return check(str(data), Options(format=format, media_root=roots), findings=findings, threads=2, **more)


def finding_lines(folder: Path, *, orphans: bool = False) -> list[dict[str, Any]]:
    """The findings of the last run, without unreferenced media: the folder holds the media of all tests."""
    lines = [json.loads(line) for line in (folder / "findings.jsonl").read_text().splitlines()]
    return [line for line in lines if orphans or line["name"] != "media-orphan"]


def names(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["name"] for line in lines)


def headers_of(folder: Path) -> HeaderCache:
    return HeaderCache(str(folder / "cache" / "headers.sqlite"))
