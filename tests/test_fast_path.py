"""The fast path of a check finds, counts and measures exactly what the row pipeline does."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies_turns import copied, damaged, json_values

from modalmix.builders.annotations import plan, sources
from modalmix.builders.check.fast_path import FastPath, Run
from modalmix.builders.check.path_cache import PathCache
from modalmix.builders.check.scan_slice import scan_slice
from modalmix.builders.check.slice_result import Depth, SliceResult
from modalmix.builders.cli import example_data
from modalmix.builders.core.counts import Counts
from modalmix.builders.formats import formats
from modalmix.builders.pipeline.options import Options
from modalmix.builders.pipeline.rewriters import Rewriters

FORMATS = tuple(formats())
STRATEGIES = {name: importlib.import_module(f"strategies_{name}") for name in FORMATS}
THERE = ("a.jpg", "/mnt/x/a.jpg", "b.png", "v.mp4", "shareVideoGPTV/v.mp4", "s.wav", "walk")
PATHS = (*THERE, *THERE, "nowhere.jpg", "x\\a.jpg", "../a.jpg", "", "empty.jpg")
UNREAD = {
    "source": ("web", "coco/train", "a.jpg", "walk", "x/walk", "", None, 7),
    "thumbnail": ("", "nowhere.jpg", "b", ["a.jpg"]),
    "system": ("", None, "Be brief."),
    "start": (0, None, "", "00:01", "web"),
    "speech": ("web", "s.wav", {"path": "s.wav"}),
}
"""Keys that no format reads, and values that give a finding or none."""
MEDIA_KEYS = ("image", "images", "video", "audio", "audio_q")
quickly = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    media = folder / "media"
    for name in ("", "shareVideoGPTV", "walk"):
        (media / name).mkdir(exist_ok=True, parents=True)
    (media / "a.jpg").write_bytes(example_data.picture(1))
    (media / "b.png").write_bytes(example_data.picture(2, "PNG"))
    (media / "walk" / "0.png").write_bytes(example_data.picture(3, "PNG"))
    (media / "empty.jpg").write_bytes(b"")
    for name in ("v.mp4", "shareVideoGPTV/v.mp4", "s.wav"):
        (media / name).write_bytes(b"a medium")
    return folder


@st.composite
def alike(draw: st.DrawFn, records: st.SearchStrategy[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records, most of whose media are there, and others like them: with other ids, other paths and other words."""
    chosen: list[dict[str, Any]] = []
    for record in draw(st.lists(records, min_size=1, max_size=3)):
        for _ in range(draw(st.integers(1, 3))):
            chosen.append(copied(record))
    for record in chosen:
        for key in MEDIA_KEYS:
            value = record.get(key)
            if isinstance(value, str):
                record[key] = draw(st.sampled_from(PATHS))
            elif isinstance(value, list):
                record[key] = [draw(st.sampled_from(PATHS)) if isinstance(one, str) else one for one in value]
        if draw(st.booleans()):
            key = draw(st.sampled_from(sorted(UNREAD)))
            record[key] = draw(st.sampled_from(UNREAD[key]))
        if isinstance(record.get("id"), int) and draw(st.booleans()):
            record["id"] = draw(st.integers(-3, 3))
        turns = record.get("conversations")
        for turn in turns if isinstance(turns, list) else ():
            if isinstance(turn, dict) and isinstance(turn.get("value"), str) and draw(st.booleans()):
                turn["value"] += draw(
                    st.sampled_from([" And?", " <b>", "\\", "é\n", "<image>", "\\<image>", "<speech>"])
                )
    return list(draw(st.permutations(chosen)))


def scanned(path: Path, options: Options, depth: Depth, *, fast: bool, warm: bool = False) -> dict[str, Any]:
    """All that the scan of a file gives, as JSON-like values."""
    spool = io.BytesIO()
    (source,) = sources(str(path))
    (slice_,) = plan(source)
    paths = PathCache(Rewriters(options).of(slice_))
    if warm:  # another slice has looked its media up
        scan_slice(slice_, 2, options, paths, io.BytesIO(), depth=depth, fast=fast)
    part = scan_slice(slice_, 3, options, paths, spool, depth=depth, fast=fast)
    reported: dict[str, Any] = {"spool": spool.getvalue().splitlines()}
    for name in SliceResult.__struct_fields__:
        value = getattr(part, name)
        reported[name] = (
            {column: value[column].tolist() for column in value.names} if hasattr(value, "names") else value
        )
    reported["spreads"] = {name: (s.count, s.total, s.least, s.most, s.histogram) for name, s in part.spreads.items()}
    return reported


def assert_same(root: Path, records: list[dict[str, Any]], options: Options, depth: Depth) -> None:
    path = root / "data.json"
    path.write_text(json.dumps(records))
    options = Options(format=options.format, media_root=(str(root / "media"),))
    whole = scanned(path, options, depth, fast=False)
    assert scanned(path, options, depth, fast=True) == whole
    assert scanned(path, options, depth, fast=True, warm=True) == whole


@pytest.mark.parametrize("format", [*FORMATS, None])
def test_the_fast_path_reports_counts_and_measures_what_the_full_path_does(root: Path, format: str | None) -> None:
    every = [STRATEGIES[format]] if format else list(STRATEGIES.values())
    usual = st.one_of(*(one.records for one in every), *(st.sampled_from(one.EXAMPLES) for one in every))
    keys = sorted(
        {key for one in every for record in one.EXAMPLES for key in record} | {"id", "image", "stream", "masks"}
    )
    any_object = st.dictionaries(st.sampled_from(keys), json_values, max_size=6)
    options = Options(format=format)

    @quickly
    @given(alike(usual | damaged(usual) | any_object), st.sampled_from(("quick", "headers")))
    def holds(records: list[dict[str, Any]], depth: Depth) -> None:
        assert_same(root, records, options, depth)

    holds()


@pytest.mark.parametrize("format", ["ola", "lmms_finetune", "llava_video", "videorefer", None])
def test_most_sound_records_take_the_short_way(root: Path, format: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    class Counting(FastPath):
        def __init__(self, rewriter: Any, take: Any, done: Any, unread_media: Any) -> None:
            def counted(run: Run) -> None:
                taken.append(len(run.records))
                take(run)

            super().__init__(rewriter, counted, done, unread_media)

    monkeypatch.setattr("modalmix.builders.check.scan_slice.FastPath", Counting)
    tag = "<image>" if format in ("ola", "llava_video") else "<video>"
    records = [
        {"id": i, "video": "v.mp4", "conversations": example_data.turns(f"{tag}\nWhat is {i}?", f"It is <{i}>.")}
        for i in range(50)
    ]
    records[20] = {"id": 20, "video": "nowhere.mp4", "conversations": example_data.turns(f"{tag}\nWhat?", "That.")}
    records += [
        {"id": i, "image": "a.jpg", "conversations": example_data.turns("<image>\nWhat?", "b")} for i in range(50)
    ]
    assert_same(root, records, Options(format=format), "headers")
    assert sum(taken) == 3 * (
        100 - 3
    )  # three looks; not the first of each likeness, and the one whose video is missing
    assert max(taken) >= 29


def test_a_selection_takes_the_whole_way(root: Path) -> None:
    records = [{"id": i, "image": "a.jpg", "conversations": example_data.turns("<image>", "b")} for i in range(9)]
    (root / "some.json").write_text(json.dumps(records))
    options = Options(format="ola", mixes=frozenset({"video"}), media_root=(str(root / "media"),))
    counts = scanned(root / "some.json", options, "quick", fast=True)["counts"]
    assert counts == Counts(read=9, not_selected=9)
