"""What a row costs on its way from an annotation file to the trainer, format by format.

    python tests/benchmarks/streaming_formats.py
    python tests/benchmarks/streaming_formats.py --formats aria lmms_finetune --repeats 9

For each format two tables.  The first is the public door, ``load_dataset(…, streaming=True)`` with media undecoded:

floor    `datasets` alone: the same Arrow tables, ready-made, through its `ArrowExamplesIterable`
stream   ours, from the annotation file on, in the config ``all``; `load_dataset` itself comes before the clock starts
mix      ours in the config of one mix, and its own floor

The second is the row pipeline without Arrow: ``reading`` the records; ``rows``, their
format named; and ``recognised``, each record's format found out.  Every record has media of its own
(of patches, a place of its own), and their files are there; masks belong to one video file.  Each figure is processor time (user
and system) for a row, in microseconds, the median of repeats that take turns in one process; ``×`` is against the floor, or
against reading.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

TEXT = "the a dog runs across field while two people watch from behind fence answer question what happens in"
WORDS = TEXT.split()
FRAMES = 48


def words(chance: random.Random, number: int) -> str:
    return " ".join(chance.choices(WORDS, k=number))


def turns(chance: random.Random, front: str, rounds: int, length: int) -> list[dict[str, str]]:
    """Conversations in ``from``/``value`` form."""
    return [
        {"from": ("human", "gpt")[i % 2], "value": ("" if i else front) + words(chance, length)}
        for i in range(2 * rounds)
    ]


def touch(folder: Path, path: str, size: int = 100) -> str:
    at = folder / path
    at.parent.mkdir(parents=True, exist_ok=True)
    with open(at, "wb") as file:
        file.truncate(size)
    return path


# ---- one record of each format


def ola_picture(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    path = touch(folder, f"image_data/{i % 20:02}/{i:06}.jpg")
    return {"id": f"p{i}", "image": f"/mnt/lustre/{path}", "conversations": turns(chance, "<image>\n", 1, 25)}


def ola_patch(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    path = f"video_data/patch_{i // 1000:06}"
    if i % 1000 == 0:
        touch(folder, path, 1 << 40)
    sizes = [chance.randint(20_000, 90_000) for _ in range(39)]
    patch = {"patch": f"/mnt/data/{path}", "size": sizes, "start_num": i % 1000 * 4_000_000}
    return {"id": f"v{i}", "video": patch, "conversations": turns(chance, "<image>\n", 2, 45)}


def reading_patch(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    """As the records of ``reading.py``: 8 to 70 frames, one to three rounds."""
    path = f"video_data/patch_{i // 1000:06}"
    if i % 1000 == 0:
        touch(folder, path, 1 << 40)
    sizes = [chance.randint(20_000, 90_000) for _ in range(chance.randint(8, 70))]
    patch = {"patch": f"/mnt/data/{path}", "size": sizes, "start_num": i % 1000 * 7_000_000}
    said = turns(chance, "<image>\n", chance.randint(1, 3), 0)
    for one in said:
        one["value"] += words(chance, chance.randint(10, 80))
    return {"id": f"v{i}", "video": patch, "conversations": said}


def videorefer(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    from encoded_videos import encode

    from modalmix.builders.core.rle import compress

    if i == 0:
        encode(str(folder / "dog.mp4"), frames=FRAMES)
    counts = compress([1000, *[30, 98] * 40, 96 * 128 - 1000 - 128 * 40])
    mask = {"segmentation": {"size": [96, 128], "counts": counts}}
    objects = [{str(frame): mask for frame in chance.sample(range(FRAMES), 4)} for _ in range(2)]
    said = turns(chance, "<video>\n", 1, 40)
    said[0]["value"] += " <region> or <region>?"
    return {"id": f"r{i}", "video": "dog.mp4", "conversations": said, "annotation": objects}


def lmms_finetune(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    path = touch(folder, f"images/{i % 20:02}/{i:06}.jpg")
    return {"system_prompt": "You are helpful.", "image": path, "conversations": turns(chance, "<image>\n", 1, 25)}


def aria(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    path = touch(folder, f"image_folder/{i % 20:02}/{i:06}.jpg")
    asked = [{"type": "image", "text": None}, {"type": "text", "text": words(chance, 25)}]
    answer = [{"type": "text", "text": words(chance, 25)}]
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "images": [path], "video": None}


def llava_video(folder: Path, i: int, chance: random.Random) -> dict[str, Any]:
    path = touch(folder, f"academic_source/{i % 20:02}/{i:06}.mp4")
    said = turns(chance, "<image>\n", 1, 25)
    return {"id": f"l{i}", "conversations": said, "data_source": "0_30_s_academic_v0_1", "video": path}


FORMATS: dict[str, tuple[str, str, Callable[[Path, int, random.Random], dict[str, Any]]]] = {
    "ola pictures": ("ola", "image", ola_picture),
    "ola patches": ("ola", "video", ola_patch),
    "videorefer": ("videorefer", "video_masks", videorefer),
    "lmms_finetune": ("lmms_finetune", "image", lmms_finetune),
    "aria": ("aria", "image", aria),
    "llava_video": ("llava_video", "video", llava_video),
    "reading.py": ("ola", "video", reading_patch),
}
"""Name → builder, config of the one mix its records are of, and what makes a record."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--no-streams", action="store_true", help="rows only")
    options = parser.parse_args()
    made: dict[str, dict[str, float]] = {}
    for name in options.formats:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), name, options.rows)
            made[name] = measured(contenders(folder, name, not options.no_streams), options.repeats)
    if not options.no_streams:
        print(f"{'µs a row':15}{'floor':>8}{'stream':>8}{'×':>6}{'floor of mix':>14}{'mix':>8}{'×':>6}")
        for name, cost in made.items():
            of_all, of_mix = cost["stream"] / cost["floor"], cost["mix"] / cost["floor of mix"]
            print(
                f"{name:15}{cost['floor']:8.1f}{cost['stream']:8.1f}{of_all:6.2f}"
                f"{cost['floor of mix']:14.1f}{cost['mix']:8.1f}{of_mix:6.2f}"
            )
    print(f"\n{'µs a row':15}{'reading':>8}{'rows':>8}{'×':>6}{'recognised':>12}{'×':>6}")
    for name, cost in made.items():
        named, recognised = cost["rows"] / cost["reading"], cost["recognised"] / cost["reading"]
        print(
            f"{name:15}{cost['reading']:8.2f}{cost['rows']:8.2f}{named:6.1f}{cost['recognised']:12.2f}{recognised:6.1f}"
        )


def make(folder: Path, name: str, rows: int) -> None:
    """An annotation file of one format, and its media."""
    chance = random.Random(1)
    _, _, record = FORMATS[name]
    with open(folder / "train.json", "w", encoding="utf-8") as file:
        json.dump([record(folder, i, chance) for i in range(rows)], file)


def contenders(folder: str, name: str, streams: bool) -> dict[str, Callable[[], int]]:
    """What is measured; each gives the number of its rows."""
    from datasets import IterableDataset, load_dataset, load_dataset_builder
    from datasets.info import DatasetInfo
    from datasets.iterable_dataset import ArrowExamplesIterable

    import modalmix.builders  # noqa: F401  registers the builders
    from modalmix.builders.annotations import Slice, read
    from modalmix.builders.core.counts import Counts
    from modalmix.builders.pipeline.options import Options
    from modalmix.builders.pipeline.rewriters import Rewriters
    from modalmix.builders.pipeline.rows import rows

    file = os.path.join(folder, "train.json")
    builder, mix, _ = FORMATS[name]
    part = Slice(file, "train.json", 0, -1, 0)

    def stream(config: str) -> Callable[[], int]:
        rows = load_dataset(builder, config, data_files=file, media_root=folder, streaming=True, split="train")
        undecoded = rows.decode(False)
        return lambda: sum(1 for _ in undecoded)

    def floor(config: str) -> Callable[[], int]:
        ours = load_dataset_builder(builder, config, data_files=file, media_root=folder)
        [generator] = ours._split_generators(type("Manager", (), {"is_streaming": True}))
        tables = [made for _, made in ours._generate_tables(streaming=True, **generator.gen_kwargs)]

        def ready() -> Iterator[tuple[int, Any]]:
            yield from enumerate(tables)

        info = DatasetInfo(features=ours.info.features)
        undecoded = IterableDataset(ArrowExamplesIterable(ready, {}), info=info).decode(False)
        return lambda: sum(1 for _ in undecoded)

    def reading() -> int:
        return sum(len(block.records) for block in read(part))

    def in_place(format_: str | None) -> Callable[[], int]:
        options = Options(format=format_, media_root=(folder,))
        return lambda: sum(1 for _ in rows(part, options, Counts(), Rewriters(options).of(part)))

    public = {"floor": floor("all"), "stream": stream("all"), "floor of mix": floor(mix), "mix": stream(mix)}
    return {**(public if streams else {}), "reading": reading, "rows": in_place(builder), "recognised": in_place(None)}


def measured(contenders: dict[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Microseconds of processor time for a row."""
    cost: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, run in contenders.items():
            gc.collect()
            began = time.process_time()
            number = run()
            if turn:  # the first fills caches
                cost[name].append((time.process_time() - began) / number * 1e6)
    return {name: statistics.median(some) for name, some in cost.items()}


if __name__ == "__main__":
    main()
