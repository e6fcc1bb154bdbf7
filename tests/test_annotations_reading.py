"""Sound files in every form: array, JSON Lines, objects without an array; indented, mixed, compressed, large."""

import gzip
import json
import pickle
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from modalmix.builders.annotations import Block, Slice, Source, count, first_row, plan, read, sources

RECORDS = [
    {
        "id": n,
        "video": f"v{n}.mp4",
        "conversations": [{"from": "human", "value": f'}}, {{"id": {n}\\'}, {"from": "gpt", "value": "é"}],
    }
    for n in range(40)
]


def whole(path) -> Slice:
    return Slice(str(path), path.name, 0, -1, 0)


def blocks_of(tmp_path, text, name="x.json", **options) -> list[Block]:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(whole(path), **options))


def records_of(blocks) -> list[dict]:
    return [record for block in blocks for record in block.records]


def quiet(blocks) -> bool:
    return not any(block.findings or block.raw for block in blocks)


FORMS = {
    "array": json.dumps(RECORDS),
    "compact array": json.dumps(RECORDS, separators=(",", ":")),
    "indented array": json.dumps(RECORDS, indent=4),
    "array of lines": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "comma first": "[\n  " + "\n, ".join(map(json.dumps, RECORDS)) + "\n]",
    "white space everywhere": json.dumps(RECORDS, separators=("\n\t ,\r\n ", " \t: "), indent=1).replace("[", " [ "),
    "lines": "".join(json.dumps(one) + "\n" for one in RECORDS),
    "lines without the last break": "\n".join(map(json.dumps, RECORDS)),
    "lines of Windows": "".join(json.dumps(one) + "\r\n" for one in RECORDS),
    "lines with blank ones": "\n \n" + "\n\n\t\n".join(map(json.dumps, RECORDS)) + "\n\n",
    "two on a line": "".join(json.dumps(one) + " \n"[n % 2] for n, one in enumerate(RECORDS)),
    "pretty objects": "\n".join(json.dumps(one, indent=2) for one in RECORDS),
    "objects without a break": "".join(map(json.dumps, RECORDS)),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("block_bytes", [1, 100, 1000, 1 << 19])
def test_every_form_gives_the_same_records_whatever_the_file_is_called(tmp_path, form, block_bytes):
    for name in ("x.json", "x.jsonl"):
        blocks = blocks_of(tmp_path, FORMS[form], name, block_bytes=block_bytes)
        assert records_of(blocks) == RECORDS
        assert quiet(blocks)
        assert count(str(tmp_path / name)) == len(RECORDS)


@pytest.mark.parametrize("form", FORMS)
def test_compressed_files_are_read_like_plain_ones(tmp_path, form):
    data = FORMS[form].encode()
    half = len(data) // 2
    for name, packed in {
        "x.json.gz": gzip.compress(data),
        "members.json.gz": gzip.compress(data[:half]) + gzip.compress(data[half:]) + b"\0" * 512,
        "x.jsonl.zst": zstandard.compress(data),
        "frames.json.zst": zstandard.compress(data[:half]) + zstandard.compress(data[half:]),
    }.items():
        blocks = blocks_of(tmp_path, packed, name, block_bytes=700)
        assert records_of(blocks) == RECORDS
        assert quiet(blocks)
        source = Source(str(tmp_path / name), name)
        assert plan(source, slice_bytes=100) == [Slice(source.path, name, 0, -1, 0)]


@pytest.mark.parametrize("text", ["", " \n\t", "[]", " [ \n ] ", "[\n]\n"])
def test_nothing_is_no_record_and_no_finding(tmp_path, text):
    assert blocks_of(tmp_path, text) == []
    assert count(str(tmp_path / "x.json")) == 0


def test_records_that_nest_objects_like_themselves_are_not_cut_inside(tmp_path):
    records = [{"id": n, "parts": [{"id": 10 * n + m, "parts": []} for m in range(n % 7)]} for n in range(60)]
    for indent in (None, 2):
        for block_bytes in (1, 50, 400, 4000):
            assert (
                records_of(blocks_of(tmp_path, json.dumps(records, indent=indent), block_bytes=block_bytes)) == records
            )


def test_records_with_one_key_or_none_or_other_keys_each_are_read(tmp_path):
    records = (
        [{"a": {"a": [{"a": n}]}} for n in range(30)]
        + [{}, {}, {"": 1}]
        + [{f"k{n}": n, "x": [[{}]]} for n in range(30)]
    )
    for block_bytes in (1, 64, 500):
        assert records_of(blocks_of(tmp_path, json.dumps(records), block_bytes=block_bytes)) == records


def test_a_record_larger_than_the_block_is_read(tmp_path):
    records = [
        *RECORDS[:3],
        {"id": "large", "masks": [{"id": n, "counts": "}, {" * 50} for n in range(500)]},
        *RECORDS[3:6],
    ]
    for text in (json.dumps(records), json.dumps(records, indent=1), "\n".join(map(json.dumps, records))):
        blocks = blocks_of(tmp_path, text, block_bytes=256)
        assert records_of(blocks) == records
        assert quiet(blocks)


def test_ordinals_are_consecutive_over_blocks(tmp_path):
    row = 0
    for block in blocks_of(tmp_path, FORMS["array"], block_bytes=300):
        assert block.row == row
        row += len(block.records)
    assert row == len(RECORDS)


def test_keys_spaces_and_quotes_before_colons_do_not_look_like_duplicates(tmp_path):
    records = [{"k": 'say "x": y', 'q"': ":", ":": {"a : b": [' :"', "\\", {"k": '\\":'}]}} for _ in range(50)]
    for text in (json.dumps(records), json.dumps(records, separators=(" ,", "\t :"))):
        blocks = blocks_of(tmp_path, text)
        assert records_of(blocks) == records
        assert quiet(blocks)


# ---- slices


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exact", [False, True])
def test_slices_of_any_size_together_are_the_file(tmp_path, form, exact):
    path = tmp_path / "x.json"
    path.write_text(FORMS[form], newline="")
    for size in (1, 60, 500, 2500, 1 << 30):
        slices = plan(Source(str(path), "x.json"), slice_bytes=size, exact=exact)
        assert (slices[0].start, slices[0].row, slices[-1].stop) == (0, 0, path.stat().st_size)
        assert [one.stop for one in slices[:-1]] == [one.start for one in slices[1:]]
        assert all(one.row is not None for one in slices) or not exact
        got = []
        for one in pickle.loads(pickle.dumps(slices)):
            assert first_row(one) == len(got)
            for block in read(one, block_bytes=200):
                assert block.row == len(got)
                assert not block.findings
                got += block.records
        assert got == RECORDS
        if size == 500:
            assert len(slices) > 5


def test_slices_can_be_read_and_counted_in_any_order(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(FORMS["indented array"])
    slices = plan(Source(str(path), "x.json"), slice_bytes=900)
    rows = {one.start: first_row(one) for one in reversed(slices)}
    assert [rows[one.start] for one in slices] == sorted(rows.values())
    assert [next(iter(read(one))).row for one in reversed(slices)] == sorted(rows.values(), reverse=True)


def test_a_file_whose_records_nest_their_like_is_cut_exactly(tmp_path):
    records = [{"id": n, "related": [{"id": m, "related": []} for m in range(30)]} for n in range(50)]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(records))
    slices = plan(Source(str(path), "x.json"), slice_bytes=3000)
    assert len(slices) > 5
    assert all(one.row is not None for one in slices)
    assert [record for one in slices for block in read(one) for record in block.records] == records


def test_a_slice_that_ends_inside_of_a_record_raises_one_line(tmp_path):
    from modalmix.builders.core.errors import DataError

    text = json.dumps(RECORDS)
    path = tmp_path / "x.json"
    path.write_text(text)
    inside = text.index('{"from": "gpt"', 2000)
    with pytest.raises(DataError, match=r"x\.json: byte [\d,]+ lies inside of a record; .*exact=True"):
        list(read(Slice(str(path), "x.json", 0, inside, 0)))
    with pytest.raises(DataError):
        list(read(Slice(str(path), "x.json", inside, len(text), None)))


def test_objects_that_look_like_records_deep_in_a_file_never_give_wrong_records_silently(tmp_path):
    from modalmix.builders.core.errors import DataError

    sly = {"id": 0, "video": "", "conversations": [dict(one) for one in RECORDS * 20]}
    records = [*RECORDS, *RECORDS, sly, *RECORDS]
    path = tmp_path / "x.json"
    # the head looks harmless only if it does not reach the sly record
    text = "[" + ", ".join(map(json.dumps, RECORDS * 80)) + ", " + json.dumps(records)[1:]
    path.write_text(text)
    slices = plan(Source(str(path), "x.json"), slice_bytes=20_000)
    with pytest.raises(DataError, match="exact=True"):
        for one in slices:
            list(read(one))
    exact = plan(Source(str(path), "x.json"), slice_bytes=20_000, exact=True)
    assert len(exact) > 10
    assert [record for one in exact for block in read(one) for record in block.records] == json.loads(text)


def test_the_count_follows_a_file_that_is_changed(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\n')
    assert count(str(path)) == 1
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert count(str(path)) == 2


@pytest.mark.parametrize("form", ["array", "indented", "lines", "objects", "gz", "zst", "broken", "marked"])
def test_a_block_knows_where_its_records_start(tmp_path: Path, form: str) -> None:
    records = [{"id": i, "conversations": [{"from": 'é"{', "value": f"[{{,\n{i}" * (i % 7)}]} for i in range(400)]
    texts = [json.dumps(one, ensure_ascii=False) for one in records]
    if form in ("array", "marked"):
        text = "[" + ", ".join(texts) + "]\n"
    elif form == "indented":
        text = json.dumps(records, indent=2)
    elif form == "objects":
        text = "\n".join(json.dumps(one, indent=1) for one in records)
    elif form == "broken":
        texts[200] = texts[200].replace('conversations":', 'conversations"')
        text = "[" + " ,\n\n ".join(texts) + ","
    else:
        text = "\r\n".join(texts)
    data = text.encode("utf-8-sig" if form == "marked" else "utf-8")
    path = tmp_path / {"gz": "a.jsonl.gz", "zst": "a.jsonl.zst"}.get(form, "a.json")
    if form == "zst":
        path.write_bytes(zstandard.compress(data))
    else:
        path.write_bytes(gzip.compress(data) if form == "gz" else data)
    (source,) = sources(str(path))
    seen = 0
    for slice_ in plan(source, slice_bytes=9_000):
        for block in read(slice_, block_bytes=2_000):
            assert block.starts is not None or not block.records
            starts = block.starts() if block.starts is not None else []
            assert len(starts) == len(block.records)
            for start, record in zip(starts, block.records, strict=True):
                assert json.JSONDecoder().raw_decode(data[start:].decode())[0] == record
                seen += 1
    assert seen == 400 - (form == "broken")


def test_a_freed_block_does_not_give_the_starts_of_another(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"id": {i}}}\n' for i in range(100)))
    (source,) = sources(str(tmp_path / "a.jsonl"))
    first, _ = islice(read(plan(source)[0], block_bytes=100), 2)
    assert first.starts is not None
    with pytest.raises(RuntimeError):
        first.starts()
