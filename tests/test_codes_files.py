"""Each finding that a record by itself cannot have: JSON, archives, media as files, and records told by each other."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from encoded_videos import FPS, cut, encode, remux, two_streams

from defects import (
    FIRST,
    FRAMES,
    SECOND,
    THIRD,
    FileDefect,
    check_file,
    finding_lines,
    headers_of,
    image,
    names,
    patch,
    video,
)
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.check import DEPTHS
from modalmix.builders.cli import example_data
from modalmix.builders.core.findings import CATALOGUE, CODE
from modalmix.builders.pipeline.options import Options

Record = dict[str, Any]


def write(folder: Path, records: Any) -> None:
    (folder / "data.json").write_bytes(records if isinstance(records, bytes) else json.dumps(records).encode())


def record(i: int = 0, **more: Any) -> Record:
    return image("a.jpg", f"<image>\nWhat is {i}?", id=f"r{i}", **more)


def picture(folder: Path, name: str = "a.jpg", seed: int = 1) -> bytes:
    data = example_data.picture(seed)
    (folder / name).write_bytes(data)
    return data


# ---- JSON


def text(broken: bytes, sound: bytes | None = None) -> Callable[[Path, bool], None]:
    """Plants bytes between two sound records."""

    def plant(folder: Path, wrong: bool) -> None:
        picture(folder)
        first, last = (json.dumps(record(i)).encode() for i in (0, 9))
        middle = broken if wrong else sound if sound is not None else json.dumps(record(1)).encode()
        write(folder, b"[" + b",\n".join((first, middle, last)) + b"]")

    return plant


def ends_early(folder: Path, wrong: bool) -> None:
    picture(folder)
    whole = json.dumps([record(0), record(1)]).encode()
    write(folder, whole[:-40] if wrong else whole)


def mark(folder: Path, wrong: bool) -> None:
    picture(folder)
    write(folder, b"\xef\xbb\xbf" * wrong + json.dumps([record()]).encode())


def damaged_gzip(folder: Path, wrong: bool) -> str:
    picture(folder)
    lines = "".join(f"{json.dumps({**record(i), 'x': os.urandom(500).hex()})}\n" for i in range(200))
    data = gzip.compress(lines.encode())
    (folder / "data.jsonl.gz").write_bytes(data[: len(data) // 2] if wrong else data)
    return "data.jsonl.gz"


def several(*records: Record, sound: tuple[Record, ...] = ()) -> Callable[[Path, bool], None]:
    """Plants records that have a finding together, instead of such as have none."""

    def plant(folder: Path, wrong: bool) -> None:
        picture(folder)
        (folder / "patch").write_bytes(b"".join(FRAMES))
        write(folder, list(records if wrong else sound))

    return plant


# ---- media


def ambiguous(folder: Path, wrong: bool) -> None:
    for i, name in enumerate(("one", "two")[: 1 + wrong]):
        (folder / name / "set").mkdir(parents=True)
        (folder / name / "set" / "x7Qk2.jpg").write_bytes(example_data.picture(i) * (1 + i))
    write(folder, [image("elsewhere/set/x7Qk2.jpg", id=0)])


def pipe(folder: Path, wrong: bool) -> None:
    if wrong:
        os.mkfifo(folder / "a.jpg")
    else:
        picture(folder)
    write(folder, [record()])


def huge(folder: Path, wrong: bool) -> None:
    data = picture(folder)
    if wrong:
        os.truncate(folder / "a.jpg", 1 << 31)  # a hole, which takes no room
    assert (folder / "a.jpg").stat().st_size == (1 << 31 if wrong else len(data))
    write(folder, [record()])


def orphan(folder: Path, wrong: bool) -> None:
    picture(folder)
    if wrong:
        picture(folder, "b.jpg", 2)
    write(folder, [record()])


def clip(folder: Path, wrong: Callable[[str], None] | None) -> None:
    path = encode(str(folder / "v.mp4"), container={"movflags": "faststart"})
    if wrong:
        wrong(path)
    write(folder, [video("v.mp4", id=0)])


def cut_clip(folder: Path, wrong: bool) -> None:
    clip(folder, (lambda path: str(cut(path, path, 0.6)) and None) if wrong else None)


def damaged_clip(folder: Path, wrong: bool) -> None:
    def damage(path: str) -> None:
        data = bytearray(Path(path).read_bytes())
        middle = len(data) // 2
        data[middle : middle + 1500] = bytes(1500)
        Path(path).write_bytes(data)

    clip(folder, damage if wrong else None)


def hidden_frames(folder: Path, wrong: bool) -> None:
    def hide(path: str) -> None:
        os.replace(path, f"{path}.whole.mp4")
        remux(f"{path}.whole.mp4", path, -17 / FPS, avoid_negative_ts="disabled")
        os.unlink(f"{path}.whole.mp4")

    clip(folder, hide if wrong else None)


def second_video(folder: Path, wrong: bool) -> None:
    def replace(path: str) -> None:
        two_streams(path)

    clip(folder, replace if wrong else None)


def no_frames(folder: Path, wrong: bool) -> None:
    """An MP4 whose tables list no samples."""

    def empty(path: str) -> None:
        data = bytearray(Path(path).read_bytes())
        for box, count in ((b"stsz", 12), (b"stts", 8), (b"stsc", 8), (b"stco", 8), (b"stss", 8), (b"ctts", 8)):
            if (at := data.find(box)) >= 0:
                data[at + count : at + count + 4] = bytes(4)
        Path(path).write_bytes(data)

    clip(folder, empty if wrong else None)


def contradicting(folder: Path, wrong: bool) -> None:
    picture(folder)
    masks = [{"0": {"segmentation": [[4, 20, 24, 20, 24, 40]]}}]
    one = image("a.jpg", "<image>\nWhat is <region>?", annotation=masks, width=96)
    write(folder, [{**one, "id": "r0", "height": 64}, {**one, "id": "r1", "height": 90 if wrong else 64}])


# ---- archives


def member(name: str, data: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, io.BytesIO(data)


def tarred(*more: tuple[str, Record], cut: int = 0) -> Callable[[Path, bool], None]:
    """Plants members besides the one that is referred to; or cuts bytes off."""

    def plant(folder: Path, wrong: bool) -> None:
        data = example_data.picture(1)
        with tarfile.open(folder / "media.tar.gz", "w:gz") as tar:
            tar.addfile(*member("set/x7Qk2.jpg", data))
            for name, kind in more if wrong else ():
                tar.addfile(*member(name, b"" if "type" in kind else data, **kind))
            tar.addfile(*member("set/y8Rm3.jpg", os.urandom(50_000)))
        if wrong and cut:
            os.truncate(folder / "media.tar.gz", (folder / "media.tar.gz").stat().st_size - cut)
        write(folder, [image("elsewhere/set/x7Qk2.jpg", id=0)])

    return plant


def bomb(folder: Path, wrong: bool) -> None:
    tarred()(folder, False)
    if wrong:
        with zstandard.open(folder / "other.tar.zst", "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            tar.addfile(*member("set/zeros.jpg", bytes(80 << 20)))


def lying_zip(folder: Path, wrong: bool) -> None:
    data = example_data.picture(1)
    with zipfile.ZipFile(folder / "media.zip", "w") as file:
        file.writestr("set/x7Qk2.jpg", data)
        file.writestr("set/y8Rm3.jpg", data)
    if wrong:
        raw = bytearray((folder / "media.zip").read_bytes())
        entry = raw.rindex(b"PK\x01\x02")
        raw[entry + 24 : entry + 28] = (len(data) * 2).to_bytes(4, "little")
        (folder / "media.zip").write_bytes(raw)
    write(folder, [image("elsewhere/set/x7Qk2.jpg", id=0)])


def nameless_cells(folder: Path, wrong: bool) -> None:
    tarred()(folder, False)
    data = [example_data.picture(i) for i in range(2)]
    cells = pa.array([{"bytes": one, "path": None if wrong else f"{i}.jpg"} for i, one in enumerate(data)])
    pq.write_table(pa.table({"image": cells}), folder / "cells.parquet")


PARTS = [image(patch(at, size), id=str(i)) for i, (at, size) in enumerate(((0, FIRST), (FIRST, SECOND), (10, 100)))]
CLIP = video(patch(0, [FIRST, SECOND, THIRD]), "<image>\nWhat moves?", id="clip")

ANYWHERE = -1
"""A row that the library that unpacks decides."""

DEFECTS = [
    FileDefect("json-invalid", text(b'{"id": 1, "conversations": tru}'), row=1, reject="MX001"),
    FileDefect("json-truncated", ends_early, row=1, reject="MX002"),
    FileDefect("json-bom", mark),
    FileDefect("json-duplicate-key", text(json.dumps(record(1)).encode()[:-1] + b', "id": 2}'), row=1, reject="MX004"),
    FileDefect("json-encoding", text(b'{"id": "\xff\xfe", "conversations": []}'), row=1, reject="MX010"),
    FileDefect("record-too-large", text(b'{"id": "' + b"a" * (65 << 20) + b'"}'), row=1),
    FileDefect("record-not-an-object", text(b"7"), row=1, reject="MX008"),
    FileDefect("format-unknown", text(b'{"question": "What?", "img": "a.jpg"}'), row=1, format=None, reject="MX009"),
    FileDefect("file-damaged", damaged_gzip, row=ANYWHERE, reject="MX011"),
    FileDefect("id-duplicate", several(record(0), {**record(1), "id": "r0"}, sound=(record(0), record(1))), row=1),
    FileDefect(
        "record-duplicate", several(record(0), record(0), sound=(record(0), record(1))), row=1, also=("id-duplicate",)
    ),
    FileDefect(
        "type-change",
        several(record(0), {**record(1), "image": ["a.jpg"]}, sound=(record(0), record(1))),
        row=1,
    ),
    FileDefect("patch-overlap", several(*PARTS, sound=(*PARTS[:2], {**PARTS[0], "id": "2"})), row=2, format="ola"),
    FileDefect("patch-overlap", several(CLIP, PARTS[2], sound=(CLIP, *PARTS[:2])), row=1, format="ola"),
    FileDefect("media-ambiguous", ambiguous, row=0, reject="MX102"),
    FileDefect("media-unreadable", pipe, row=0, reject="MX104"),
    FileDefect("media-too-large", huge, row=0, reject="MX106"),
    FileDefect("media-orphan", orphan),
    FileDefect("media-contradiction", contradicting, row=1, format="videorefer"),
    FileDefect("video-truncated", cut_clip, row=0, depth="headers"),
    FileDefect("video-damaged", damaged_clip, row=0, depth="full"),
    FileDefect("video-edit-list", hidden_frames, row=0, depth="full"),
    FileDefect("video-streams", second_video, row=0, depth="headers"),
    FileDefect("duration-zero", no_frames, row=0, depth="headers"),
    FileDefect("archive-damaged", tarred(cut=2_000)),
    FileDefect("archive-bomb", bomb),
    FileDefect("member-name", tarred(("../../x.jpg", {}))),
    FileDefect("member-kind", tarred(("set/link.jpg", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}))),
    FileDefect("member-duplicate", tarred(("set/x7Qk2.jpg", {}))),
    FileDefect("member-size", lying_zip),
    FileDefect("member-id", nameless_cells),
]


def checked(tmp_path: Path, defect: FileDefect, *, broken: bool, depth: Any) -> tuple[Path, Path]:
    """The folder of a case, sound or broken, and its annotation file."""
    folder = tmp_path / f"{broken}"
    folder.mkdir(exist_ok=True)
    name = defect.plant(folder, broken) or "data.json" if not any(folder.iterdir()) else ""
    data = folder / (name or next(path.name for path in folder.iterdir() if path.name.startswith("data.json")))
    headers = headers_of(tmp_path)
    check_file(tmp_path, data, folder, defect.format, cache=headers, depth=depth)
    headers.close()
    return folder, data


@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_planted_defect_is_found_where_it_is_and_the_sound_twin_is_silent(tmp_path: Path, defect: FileDefect) -> None:
    checked(tmp_path, defect, broken=False, depth=defect.depth)
    assert not finding_lines(tmp_path, orphans=defect.format != "ola")
    checked(tmp_path, defect, broken=True, depth=defect.depth)
    lines = finding_lines(tmp_path, orphans=defect.name == "media-orphan")
    assert set(names(lines)) == {defect.name, *defect.also}
    found = [line for line in lines if line["name"] == defect.name]
    assert defect.row in [line["row"] for line in found] or defect.row == ANYWHERE
    assert all(line["message"] and line["mend"] and line["file"] for line in found)
    if defect.reject in ("MX001", "MX002", "MX004", "MX008", "MX010", "MX011"):
        assert any(line["offset"] is not None for line in found)
    if defect.depth != "quick":
        checked(tmp_path, defect, broken=True, depth=DEPTHS[DEPTHS.index(defect.depth) - 1])
        assert defect.name not in names(finding_lines(tmp_path))


ERRORS = [one for one in DEFECTS if CATALOGUE[CODE[one.name]].severity == "error" and one.name != "record-too-large"]
"""All but the one that a build reads 65 MB of several times; `test_annotations_broken` shows that it is passed over."""


@pytest.mark.parametrize("defect", ERRORS, ids=str)
def test_a_build_rejects_the_record_by_the_same_code_and_keeps_the_others(tmp_path: Path, defect: FileDefect) -> None:
    folder, data = checked(tmp_path, defect, broken=True, depth="quick")
    report = build.build(
        str(data), str(tmp_path / "out"), Options(format=defect.format, media_root=(str(folder),)), card=cards.write
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    rejected = [(line["code"], line["row"]) for line in lines if line["row"] is not None and line["row"] >= 0]
    row = rejected[0][1] if defect.row == ANYWHERE else defect.row
    assert rejected == ([(defect.reject, row)] if defect.reject else [])
    counts = report.counts
    assert counts.rejected == len(rejected) and counts.read == sum(counts.written.values()) + counts.rejected
    assert sum(counts.written.values()) == (0 if defect.row == 0 and defect.reject else counts.read - len(rejected))
