"""Each sampler chooses the frames that the upstream trainer chooses.

``upstream_frames.jsonl`` holds numbers, computed by upstream's own functions, run over a video reader that only counts::

    ola            github.com/Ola-Omni/Ola            f681820  ola/train/train.py       process_video
    videorefer     github.com/DAMO-NLP-SG/VideoRefer  cbd4207  videorefer/mm_utils.py   frame_sample
    llava_video    github.com/LLaVA-VL/LLaVA-NeXT     df17966  llava/utils.py           process_video_with_decord
    lmms_finetune  github.com/zjysteven/lmms-finetune a62d87a  datasets.py              __getitem__
    aria           github.com/rhymes-ai/Aria          9b25fec  aria/load_video.py       load_video

``chosen`` is null where upstream fails.  The digests are of the same functions over every pair of a larger table.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from modalmix.builders.core.findings import CODE
from modalmix.builders.views import frame_sampling

TRAINERS = ("ola", "videorefer", "llava_video", "lmms_finetune", "aria")

DIGESTS = {
    "ola": "7451e61d65e99e2ea6fa55ae761f4aeeb7f89d7348e7fa19985c74fa7a314149",
    "videorefer": "a01fc8c0dbfb57992883521013dfe2c89bb23c370cab97a54f1629197533b0ed",
    "lmms_finetune": "7942f48ad98cc3f6f4e2f717d406517c0326623e67c7b8233f2f1158dafa158e",
    "aria": "21e32e4fcd7b9484973fdb8bc2e24ac816f15a50f2d13c7719734aa48ebc2f6d",
}
"""SHA-256 of ``[frames, num_frames, chosen]``, as compact JSON, for 1 to 400 frames and each ``num_frames`` from 1 to 64."""

LLAVA_VIDEO_DIGEST = "a5a287918e26658d0e61a7b9dcc28c360424d32b5cb222c1c712d50bcbaec294"
"""The same of ``[frames, fps, rate, num_frames, force_sample, chosen]``: 57,600 cases."""


def chosen(
    trainer: str, frames: int, num_frames: int, fps: float | None = None, rate: float = 1, force_sample: bool = False
) -> list[int]:
    """The frames that the sampler of a trainer chooses, with the options that docs/trainers.md names for it."""
    if trainer == "llava_video" and force_sample and num_frames:
        return frame_sampling.indices("linspace", frames, fps, num_frames, repeat=True)
    name, options = {
        "ola": ("linspace", {}),
        "videorefer": ("midpoint", {}),
        "llava_video": ("stride_fps", {"rate": rate}),
        "lmms_finetune": ("arange", {"repeat": False}),
        "aria": ("aria", {}),
    }[trainer]
    return frame_sampling.indices(name, frames, fps, num_frames, **options)


def table(trainer: str) -> list[dict[str, Any]]:
    lines = Path(__file__).with_name("upstream_frames.jsonl").read_text().splitlines()
    return [case for case in map(json.loads, lines) if case.pop("trainer") == trainer]


def digest(cases: Iterator[list[Any]]) -> str:
    found = hashlib.sha256()
    for case in cases:
        found.update(json.dumps(case, separators=(",", ":")).encode())
    return found.hexdigest()


@pytest.mark.parametrize("trainer", TRAINERS)
def test_the_frames_are_upstreams(trainer: str) -> None:
    cases = table(trainer)
    assert len(cases) > 50
    for case in cases:
        upstream = case.pop("chosen")
        if upstream is not None:
            assert chosen(trainer, **case) == upstream, case


@pytest.mark.parametrize("trainer", DIGESTS)
def test_the_frames_are_upstreams_for_every_pair(trainer: str) -> None:
    pairs = product(range(1, 401), range(1, 65))
    assert digest([frames, number, chosen(trainer, frames, number)] for frames, number in pairs) == DIGESTS[trainer]


def test_the_frames_are_llava_videos_at_every_rate() -> None:
    speeds = (10, 12.5, 15, 23.976, 24, 25, 29.97, 30, 50, 59.94, 60, 120)
    cases = product(range(1, 401), speeds, (1, 2), (0, 8, 32), (False, True))
    assert (
        digest(
            [frames, fps, rate, number, force, chosen("llava_video", frames, number, fps, rate, force)]
            for frames, fps, rate, number, force in cases
        )
        == LLAVA_VIDEO_DIGEST
    )


def test_the_page_on_trainers_names_samplers_options_and_codes_that_exist() -> None:
    page = (Path(__file__).parents[1] / "docs" / "trainers.md").read_text(encoding="utf-8")
    named = re.findall(r'sampling="(\w+)"(?:, sampling_options=(\{.*?\}))?', page)
    assert {name for name, _ in named} == {"uniform", "linspace", "midpoint", "stride_fps", "arange", "starts", "aria"}
    for name, options in named:
        values = ast.literal_eval(options.replace("video_fps", "2") or "{}")
        assert frame_sampling.indices(name, 50, 25.0, 4, **values)
    codes = set(re.findall(r"MX\d{3}", page))
    assert codes and codes <= set(CODE.values())


def test_a_video_on_which_llava_video_fails_gives_all_its_frames() -> None:
    failing = [case for case in table("llava_video") if case["chosen"] is None]
    assert Counter(case["rate"] for case in failing).keys() == {2, 4}
    for case in failing:
        if not case["num_frames"]:
            assert chosen("llava_video", case["frames"], 0, case["fps"], case["rate"]) == list(range(case["frames"]))
