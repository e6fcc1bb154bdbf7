"""Every finding about a record says where in its annotation file the record starts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from modalmix.builders.annotations import Source, plan, read
from modalmix.builders.check import check
from modalmix.builders.cli import example_data
from modalmix.builders.media.header_cache import HeaderCache
from modalmix.builders.pipeline.options import Options

FORMS = {"array": "d.json", "lines": "d.jsonl", "objects": "d.json", "gz": "d.json.gz", "zst": "d.jsonl.zst"}


def written(folder: Path, form: str, records: list[dict[str, Any]]) -> tuple[Path, bytes]:
    """The annotation file, and its text before compression."""
    if form == "array" or form == "gz":
        data = json.dumps(records, indent=1, ensure_ascii=False).encode()
    else:
        data = "\n".join(json.dumps(one, indent=1 if form == "objects" else None) for one in records).encode()
    path = folder / FORMS[form]
    compress = {"gz": gzip.compress, "zst": zstandard.compress}.get(form, lambda data: data)
    path.write_bytes(compress(data))
    return path, data


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_finding_has_the_offset_of_its_record(tmp_path: Path, form: str, workers: int) -> None:
    (tmp_path / "a.jpg").write_bytes(example_data.picture(1))
    (tmp_path / "noise.jpg").write_bytes(b"noise" * 99)
    turns = example_data.turns("<image>\nWhat is thé?", "b")
    records: list[dict[str, Any]] = [{"id": i, "image": "a.jpg", "conversations": turns} for i in range(3_000)]
    records[7] |= {"image": "nowhere.jpg"}
    records[1500] |= {"image": "noise.jpg"}
    records[1600] |= {"id": "text"}
    records[2000] |= {"id": 5}
    records[2001] |= {"conversations": turns[:1]}
    records[2999] |= {"id": 2998}
    path, data = written(tmp_path, form, records)
    cache = HeaderCache(str(tmp_path / "headers.sqlite"))
    out = tmp_path / "findings.jsonl"
    check(
        str(path), Options(format="ola", media_root=(str(tmp_path),)), findings=str(out), cache=cache, workers=workers
    )
    cache.close()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    reported = [(line["row"], line["name"]) for line in lines if line["row"] is not None]
    assert sorted(reported) == [
        (7, "media-missing"),
        (1500, "media-unreadable"),
        (1600, "type-change"),
        (2000, "id-duplicate"),
        (2000, "record-duplicate"),
        (2001, "turns-odd"),
        (2999, "id-duplicate"),
        (2999, "record-duplicate"),
    ]
    for line in lines:
        if line["row"] is not None:
            text = data[line["offset"] :].decode()
            assert json.JSONDecoder().raw_decode(text)[0] == records[line["row"]]


def test_offsets_of_records_around_a_broken_one_are_right(tmp_path: Path) -> None:
    texts = [json.dumps({"id": i, "conversations": [{"from": "cat", "value": "b"}]}) for i in range(40)]
    texts[20] = texts[20][:-9]
    (tmp_path / "d.json").write_text("[" + ",\n".join(texts) + "]")
    out = tmp_path / "findings.jsonl"
    check(str(tmp_path / "d.json"), Options(format="ola"), depth="quick", findings=str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["row"] for line in lines} == set(range(40))
    whole = (tmp_path / "d.json").read_text()
    assert all(whole.startswith(texts[line["row"]], line["offset"]) for line in lines)


def test_reading_with_offsets_gives_the_same_blocks(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "array", [{"id": i, "x": "é" * (i % 50)} for i in range(5_000)])
    (slice_,) = plan(Source(str(path), "d.json"))
    plainly = [block.records for block in read(slice_)]
    asking = []
    for block in read(slice_):
        assert block.starts is not None and len(block.starts()) == len(block.records) == len(block.starts())
        asking.append(block.records)
    assert plainly == asking
