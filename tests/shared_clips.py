"""Shared clips: three annotation files refer to the same clips, each in its own order, as in LLaVA-Video."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders.build import Settings
from modalmix.builders.cli import example_data
from modalmix.builders.core.report import Report
from modalmix.builders.pipeline.options import Options

CLIPS, SIZE = 12, 40_000
SMALL = Settings(row_group_bytes=150_000, shard_bytes=400_000)


def clip(number: int) -> bytes:
    return random.Random(number).randbytes(SIZE + 100 * number)


def record(kind: str, number: int, turn: int = 0) -> dict[str, Any]:
    return {
        "id": f"{kind}-{number}-{turn}",
        "data_source": "x",
        "video": f"academic/{number}/clip.mp4",
        "conversations": example_data.turns("<image>\nWhat moves?", f"A square, {turn}. " * 10),
    }


def write_annotations(folder: Path, *, unusual: bool = False) -> None:
    """A caption, four questions and two multiple choices for each clip, in three files, each in its own order."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (kind, times) in enumerate({"cap": 1, "oe": 4, "mc": 2}.items()):
        records = [record(kind, number, turn) for number in range(CLIPS) for turn in range(times)]
        random.Random(seed).shuffle(records)
        if unusual:
            records[3]["video"] = "academic/nowhere/clip.mp4"
            records[5]["conversations"] = records[5]["conversations"][:1]
            records[6]["note"] = "\ud800 half"
            records[7]["number"] = 2**70
            records[8] = {"id": f"{kind}-text", "conversations": example_data.turns("Hello?", "Yes.")}
        (folder / f"{kind}.json").write_text(json.dumps(records))


def write(folder: Path) -> Path:
    """Writes the clips, all named clip.mp4, and annotations, some of them broken or unusual."""
    for number in range(CLIPS):
        path = folder / "academic" / str(number) / "clip.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(clip(number))
    write_annotations(folder, unusual=True)
    return folder


def files(folder: Path) -> list[str]:
    return [str(folder / f"{kind}.json") for kind in ("cap", "oe", "mc")]


def build(folder: Path, out: Path, settings: Settings = SMALL, **options: Any) -> Report:
    return building.build(
        files(folder), str(out), Options(media_root=(str(folder),)), settings, **options, card=cards.write
    )
