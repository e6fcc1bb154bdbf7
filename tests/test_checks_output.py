"""What a check gives: summary, findings file, page, clean copies, statistics, the cache of headers, the catalogue."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modalmix.builders.annotations import plan, read, sources
from modalmix.builders.check import check
from modalmix.builders.check.findings_page import SECTIONS, catalogue, upstream
from modalmix.builders.check.fixes import fixed
from modalmix.builders.check.html_report import page
from modalmix.builders.check.statistics import Spread
from modalmix.builders.check.write_clean import write_clean
from modalmix.builders.cli import example_data
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.findings import CATALOGUE, CODE
from modalmix.builders.core.int_columns import Columns, hashed, place, placed, repeats
from modalmix.builders.media.header_cache import HeaderCache, key_of
from modalmix.builders.media.items import Item
from modalmix.builders.media.read_header import read_header
from modalmix.builders.media.sniff import sniffed
from modalmix.builders.pipeline.options import Options

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a cache of headers of its own."""
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "modalmix-cache"))
    return tmp_path / "modalmix-cache" / "headers.sqlite"


def modalmix(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modalmix.builders.cli.main", *arguments], capture_output=True, text=True
    )


def records_of(path: Path) -> list[dict[str, Any]]:
    return [record for slice_ in plan(sources(str(path))[0]) for block in read(slice_) for record in block.records]


# ---- the command


def test_the_command_prints_the_worst_first_and_writes_the_requested_files(
    example_folders: dict[str, str], tmp_path: Path
) -> None:
    done = modalmix("check", example_folders["videorefer"], "--json", str(tmp_path / "f.jsonl"), "--html",
                    str(tmp_path / "p.html"), "--report", str(tmp_path / "r.json"))  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "5 records = 4 usable + 1 rejected + 0 not selected" in done.stdout
    assert "MX301" in done.stdout and "masks a row" in done.stdout
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert [(line["code"], line["row"], line["id"]) for line in lines if line["severity"] == "error"] == [
        ("MX301", 3, "two regions, one object")
    ]
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["counts"]["written"] == {"image_masks": 1, "video_masks": 3} and report["complete"]
    assert "MX301" in (tmp_path / "p.html").read_text()


def test_sound_data_gives_zero_and_bad_arguments_two(example_folders: dict[str, str], tmp_path: Path) -> None:
    sound = modalmix("check", example_folders["aria"], "--quiet")
    assert (sound.returncode, sound.stdout) == (0, "")
    for arguments in (["--fix"], ["--max-errors", "0"], ["--depth", "deepest"]):
        done = modalmix("check", example_folders["aria"], *arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr


def test_any_number_of_readers_says_the_same(
    tmp_path: Path, own_headers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(example_data.picture(1))
    records = [
        {
            "id": i % 900,
            "image": ("a.jpg", "b.jpg")[i % 50 == 7],
            "conversations": example_data.turns("<image>\nWell?", "b" * 400),
        }
        for i in range(1_000)
    ]
    records[600]["image"] = ["a.jpg"]
    (tmp_path / "in").mkdir()
    for name in ("x.json", "y.json"):
        (tmp_path / "in" / name).write_text(json.dumps(records))
    monkeypatch.setattr("modalmix.builders.check.run_check._SLICE_BYTES", 100_000)
    options = Options(media_root=(str(tmp_path),))
    reported = []
    for workers in (1, 2):
        out = tmp_path / f"{workers}.jsonl"
        found = check(str(tmp_path / "in"), options, findings=str(out), workers=workers)
        lines = sorted(line for line in out.read_text().splitlines() if "type-change" not in line)
        changes = [line for line in out.read_text().splitlines() if "type-change" in line]
        reported.append((found.diagnosis.text(), found.bad.tolist(), lines, changes))
    assert reported[0] == reported[1]
    assert (
        len(reported[0][2]) == 2 * 20 + 2 * 100 + 1_100 and len(reported[0][3]) == 2 and reported[0][1][:2] == [7, 57]
    )
    assert len(records) == 1_000 and not list(tmp_path.glob("part-*"))


# ---- clean copies


@pytest.mark.parametrize("form", ["array", "lines", "gz"])
def test_a_clean_copy_is_checked_clean_and_keeps_the_rest_as_it_was(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.jpg").write_bytes(example_data.picture(1))
    good = {"id": 2**70, "x": [1.0, None, "é"], "image": "a.jpg", "conversations": example_data.turns("<image>", "b")}
    records = [good, {**good, "id": 1, "image": "b.jpg"}, {**good, "id": 2}]
    name = {"array": "d.json", "lines": "d.jsonl", "gz": "d.json.gz"}[form]
    text = "".join(f"{json.dumps(one)}\n" for one in records) if form == "lines" else json.dumps(records)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(gzip.compress(text.encode()) if form == "gz" else text.encode())
    options = Options(media_root=(str(tmp_path),))
    result = check(str(tmp_path / "in" / name), options)
    copied = write_clean(result, str(tmp_path / "out"), options)[name]
    assert (copied.read, copied.written, copied.left_out) == (3, 2, 1)
    assert records_of(tmp_path / "out" / name) == [records[0], records[2]]
    assert check(str(tmp_path / "out" / name), options).diagnosis.errors == 0
    before = (tmp_path / "out" / name).read_bytes()
    write_clean(result, str(tmp_path / "out"), options)
    assert (tmp_path / "out" / name).read_bytes() == before


def test_fix_corrects_what_needs_no_guess_and_lists_it(tmp_path: Path) -> None:
    picture = example_data.picture(1)
    (tmp_path / "patch").write_bytes(picture)
    (tmp_path / "a.jpg").write_bytes(picture)
    example_data.sound(str(tmp_path / "s.wav"), 1)
    example_data.video(str(tmp_path / "v.mp4"), 1)
    turns = example_data.turns("<image>\na", "b")
    ola = [
        {"id": 0, "image": {"patch": "patch", "start_num": 0, "size": [len(picture)]}, "conversations": turns},
        {"id": 1, "image": "x\\a.jpg", "conversations": turns},
        {"id": 2, "image": "x\\nowhere.jpg", "conversations": turns},
        {
            "id": 3,
            "video": "v.mp4",
            "audio": "s.wav",
            "conversations": example_data.turns("<image>Well? <speech>", "b"),
        },
        {"id": 4, "image": "a.jpg", "conversations": turns},
    ]
    pictured = {
        "image": "a.jpg",
        "height": 64,
        "width": 96,
        "conversations": example_data.turns("<image> <region>", "b"),
    }
    refer = [
        {**pictured, "annotation": [{"0": {"segmentation": payload}}]}
        for payload in ([4, 4, 9, 4, 9, 9], [[4, 4], [9, 4], [9, 9]], [[4, 4, 9, 4, 9, 9]], [1, 2, 3, 4])
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ola.json").write_text(json.dumps(ola))
    (tmp_path / "in" / "refer.json").write_text(json.dumps(refer))
    options = Options(media_root=(str(tmp_path),))
    result = check(str(tmp_path / "in"), options)
    copied = write_clean(result, str(tmp_path / "out"), options, fix=True)
    assert (copied["ola.json"].written, copied["ola.json"].left_out, copied["ola.json"].fixed) == (4, 1, 3)
    assert (copied["refer.json"].written, copied["refer.json"].fixed) == (3, 2)
    mends = [json.loads(line) for line in (tmp_path / "out" / "mends.log").read_text().splitlines()]
    assert [(one["file"], one["row"], CATALOGUE[one["code"]].name, one["now"]) for one in mends] == [
        ("ola.json", 0, "patch-size-list", len(picture)),
        ("ola.json", 1, "path-backslash", "x/a.jpg"),
        ("ola.json", 3, "placeholder-order", "<speech><image>\nWell?"),
        ("refer.json", 0, "mask-payload", [[4, 4, 9, 4, 9, 9]]),
        ("refer.json", 1, "mask-payload", [[4, 4, 9, 4, 9, 9]]),
    ]
    assert records_of(tmp_path / "out" / "ola.json")[-1] == ola[4]
    assert check(str(tmp_path / "out"), options).diagnosis.errors == 0


def test_a_record_that_needs_no_fix_is_returned_itself() -> None:
    record = {"image": "a\\b.jpg" * 0 + "a.jpg", "conversations": example_data.turns("<image>", "b")}
    for format_ in ("ola", "videorefer", "lmms_finetune", "aria", "llava_video"):
        same, mends = fixed(format_, record)
        assert same is record and not mends


def test_nothing_is_written_over_itself_nor_after_a_check_that_stopped(tmp_path: Path) -> None:
    records = [{"image": "x.jpg", "conversations": example_data.turns("<image>", "b")}] * 5
    (tmp_path / "d.json").write_text(json.dumps(records))
    result = check(str(tmp_path / "d.json"), Options(), depth="quick")
    with pytest.raises(DataError, match="another folder"):
        write_clean(result, str(tmp_path), Options())
    stopped = check(str(tmp_path / "d.json"), Options(), depth="quick", max_errors=2)
    with pytest.raises(DataError, match="stopped"):
        write_clean(stopped, str(tmp_path / "out"), Options())
    assert json.loads((tmp_path / "d.json").read_text()) == records


# ---- the page


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href") or name.startswith("on")]


def test_text_of_the_data_is_text_on_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    records = [{"id": evil, "image": f"{evil}.jpg", "conversations": example_data.turns("<image>", "b"), evil: 1}]
    records += [{**records[0], evil: "text"}]
    name = "<b>&x.json"
    (tmp_path / name).write_text(json.dumps(records))
    result = check(str(tmp_path / name), Options(format="lmms_finetune"), depth="quick")
    text = page(result.diagnosis, evil)
    parser = _Tags()
    parser.feed(text)
    assert "script" not in parser.tags and "img" not in parser.tags and "b" in parser.tags
    assert not parser.links and "http" not in re.sub(r'http-equiv="', "", text)
    assert "&lt;script&gt;" in text and text.count("default-src 'none'") == 1


def test_the_page_of_nothing_wrong_says_so(example_folders: dict[str, str]) -> None:
    diagnosis = check(example_folders["aria"], depth="quick").diagnosis
    assert not diagnosis.counts.findings and "Nothing is wrong" in page(diagnosis, "aria")


# ---- statistics and columns


def test_a_spread_knows_its_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = (rng.pareto(1.0, 20_000) * 50).astype(np.int64)
    whole, first = Spread(), Spread()
    whole.add(values)
    first.add(values[:7_000])
    second = Spread()
    second.add(values[7_000:])
    first.merge(second)
    assert first == whole
    assert (whole.count, whole.total, whole.least, whole.most) == (
        20_000,
        int(values.sum()),
        int(values.min()),
        int(values.max()),
    )
    for part in (0.05, 0.5, 0.95):
        exact = int(np.quantile(values, part, method="inverted_cdf"))
        assert exact * 0.99 - 1 <= whole.quantile(part) <= exact
    for spread in (whole, Spread()):
        bins = spread.bins()
        assert sum(count for _, _, count in bins) == spread.count
        assert all(low <= high for low, high, _ in bins)


@pytest.mark.parametrize("values", [[0], [5, 5], [3, 900], [0, 10**12], [1000, 1100, 1350], list(range(40))])
def test_bins_hold_every_value_once(values: list[int]) -> None:
    spread = Spread()
    spread.add(values)
    bins = spread.bins()
    assert sum(count for _, _, count in bins) == len(values)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(bins))


def test_repeats_are_the_later_ones(tmp_path: Path) -> None:
    again, first = repeats(np.array([7, 3, 7, 9, 3, 7], np.int64))
    assert again.tolist() == [2, 4, 5] and first.tolist() == [0, 1, 0]
    assert placed(place(3, 12_345_678_901)) == (3, 12_345_678_901)
    columns = Columns("a", "b")
    columns.add(1, -(2**63))
    columns.append(np.array([2], np.int64), np.array([hashed(b"x")], np.int64))
    assert columns["a"].tolist() == [1, 2] and len(columns) == 2


# ---- headers


def whole(path: Path) -> Item:
    return Item(path.name, str(path), 0, path.stat().st_size)


def test_a_header_says_what_the_file_is(tmp_path: Path) -> None:
    example_data.video(str(tmp_path / "v.mp4"), 1, frames=24, fps=12)
    example_data.sound(str(tmp_path / "s.wav"), 1, seconds=0.5, rate=8_000)
    (tmp_path / "p.png").write_bytes(example_data.picture(1, "PNG"))
    video = read_header(whole(tmp_path / "v.mp4"), "video")
    assert (video.medium, video.content, video.frames, video.height, video.width) == ("video", "mp4", 24, 64, 96)
    assert video.fps == pytest.approx(12) and video.seconds == pytest.approx(2, abs=0.1) and not video.rate
    sound = read_header(whole(tmp_path / "s.wav"), "audio")
    assert (sound.medium, sound.rate, sound.channels, sound.seconds) == ("audio", 8_000, 1, pytest.approx(0.5))
    picture = read_header(whole(tmp_path / "p.png"), "image")
    assert (picture.medium, picture.content, picture.height, picture.width) == ("image", "png", 64, 96)
    part = read_header(Item("x", str(tmp_path / "p.png"), 0, whole(tmp_path / "p.png").size, whole=False), "image")
    assert part == picture
    assert read_header(Item("gone", str(tmp_path / "gone"), 0, 0), "image").error


def test_a_kept_header_counts_until_the_file_changes(tmp_path: Path, own_headers: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(example_data.picture(1, "PNG"))
    key = key_of(whole(path), "image")
    assert key is not None
    cache = HeaderCache()
    header = read_header(whole(path), "image")
    cache.put([(key, header)])
    cache.close()
    again = HeaderCache(create=False)
    assert again.get([key, ("image\0other", "1")]) == [header, None]
    path.write_bytes(example_data.picture(1, "BMP"))
    changed = key_of(whole(path), "image")
    assert changed is not None and again.get([changed]) == [None]
    again.close()


def test_a_cache_that_cannot_be_used_stops_nothing(tmp_path: Path, own_headers: Path) -> None:
    own_headers.parent.mkdir()
    own_headers.write_bytes(b"this is no database, and long enough to be looked at as one" * 40)
    cache = HeaderCache()
    assert cache.get([("image\0x", "1")]) == [None]
    cache.put([(("image\0x", "1"), read_header(Item("x", "x", 0, 0), "image"))])
    cache.close()


def test_what_a_check_has_learned_opens_nothing_a_second_time(tmp_path: Path, own_headers: Path) -> None:
    example_data.video(str(tmp_path / "v.mp4"), 1)
    record = {"video": "v.mp4", "conversations": example_data.turns("<video>\nWhat?", "b")}
    (tmp_path / "d.json").write_text(json.dumps([record]))
    first = check(str(tmp_path / "d.json"), Options(format="lmms_finetune")).diagnosis
    assert first.errors == 0 and first.spreads["video frames"].most == 24
    key = key_of(whole(tmp_path / "v.mp4"), "video")
    assert key is not None
    cache = HeaderCache()
    cache.put(
        [(key, read_header(whole(tmp_path / "v.mp4"), "video")._replace(frames=77))]
    )  # who opens the file sees 24
    cache.close()
    second = check(str(tmp_path / "d.json"), Options(format="lmms_finetune")).diagnosis
    assert second.spreads["video frames"].most == 77
    script = "from modalmix.builders.media.read_header import video_header; "
    script += f"print(video_header({str(tmp_path / 'v.mp4')!r}).frames)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "77\n"


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (b"", ""),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav"),
        (b"\0\0\0\x18ftypisom", "mp4"),
        (b"\xff\xfb\x90\x00", "mp3"),
        (b"  <!DOCTYPE HTML>", "html"),
        (b'{"error": 404}', "json"),
        (b"version https://git-lfs.github.com/spec/v1", "lfs"),
    ],
)
def test_the_first_bytes_give_the_content(head: bytes, content: str) -> None:
    assert sniffed(head) == content


# ---- the catalogue


def test_the_page_of_findings_is_up_to_date() -> None:
    written = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert written == catalogue(), "python -m modalmix.builders.check.findings_page > docs/findings.md"


def test_the_page_says_of_every_finding_what_trainers_do_with_it() -> None:
    assert set(upstream()) == set(CODE)
    assert all(one.upstream.endswith(".") and one.example for one in upstream().values())
    assert all(kind.meaning.endswith(".") and kind.fix.endswith(".") for kind in CATALOGUE.values())


def test_every_finding_is_on_the_page_once_and_is_linked() -> None:
    page = catalogue()
    for code, kind in CATALOGUE.items():
        assert page.count(f"\n### {code} `{kind.name}` · {kind.severity}\n") == 1
        assert page.count(f'<a id="{code.lower()}"></a>') == 1 and page.count(f"(#{code.lower()})") == 1
    assert all(page.count(f"\n## {section.title}\n") == 1 for section in SECTIONS)
