"""Broken files: each defect gives its finding at its place, and the records around it are kept."""

import gzip
import json
import os
import random
import re

import pytest
import zstandard

from modalmix.builders.annotations import Slice, count, read

BLOCKS = (1, 64, 333, 1 << 19)


def record(number: int) -> dict:
    turns = [{"from": "human", "value": f"q {number}"}, {"from": "gpt", "value": "a"}]
    return {"id": number, "video": f"v{number}.mp4", "conversations": turns}


GOOD = [json.dumps(record(number)) for number in range(5)]


def reading(path, **options):
    """Row → record, the findings as (code, row, offset), row → rejected bytes; the same at every block size."""
    seen = []
    for block_bytes in BLOCKS:
        rows, findings, raw, following = {}, [], {}, 0
        for block in read(Slice(str(path), "dir/x.json", 0, -1, 0), block_bytes=block_bytes, **options):
            assert block.row == following
            rows.update({block.row + at: one for at, one in enumerate(block.records)})
            findings += block.findings
            raw.update(block.raw)
            following += len(block.records) + len(block.raw)
            assert set(block.raw) <= {finding.row for finding in block.findings}
        assert all(finding.file == "dir/x.json" and finding.message for finding in findings)
        seen.append((rows, [(one.code, one.row, one.offset) for one in findings], raw))
    assert all(one == seen[0] for one in seen[1:])
    assert count(str(path)) == following
    return seen[0]


def written(tmp_path, data, name="x.json"):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
    return path


IN_THE_MIDDLE = {
    "a trailing comma": ("MX001", GOOD[2][:-1] + ",}"),
    "an unescaped quotation": ("MX001", GOOD[2].replace("q 2", 'he said "hi" to')),
    "an unescaped quote": ("MX001", GOOD[2].replace("q 2", '5" tall')),
    "a string that is not closed": ("MX001", GOOD[2].replace('q 2"', "q 2")),
    "an object that is not closed": ("MX001", GOOD[2][:-1]),
    "an array and an object that are not closed": ("MX001", GOOD[2][:-2]),
    "a bracket too many": ("MX001", GOOD[2] + "}"),
    "single quotes": ("MX001", "{'id': 2, 'conversations': []}"),
    "a constant of Python": ("MX001", '{"id": 2, "conversations": None}'),
    "a line break in a string": ("MX001", GOOD[2].replace("q 2", "q\n2")),
    "a control character": ("MX001", GOOD[2].replace("q 2", "q\x012")),
    "words": ("MX001", "### to do ###"),
    "an integer of 5,000 digits": ("MX001", '{"id": 2, "conversations": [], "n": ' + "9" * 5000 + "}"),
    "brackets 100,000 deep": ("MX001", '{"id": 2, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "a repeated key": ("MX004", '{"id": 2, "id": 3, "conversations": []}'),
    "a repeated key deep down": ("MX004", '{"id": 2, "masks": [{"0": {"7": 1, "8": 2, "7" : 3}}]}'),
    "a repeated key by its escape": ("MX004", '{"id": 2, "\\u0069d": 3, "x": "\\":"}'),
    "a lone surrogate": ("MX006", '{"id": 2, "conversations": [{"from": "x\\udc00"}]}'),
    "a lone surrogate in a key": ("MX006", '{"id": 2, "\\ud800": []}'),
    "a number": ("MX008", "5"),
    "a text": ("MX008", '"}, {\\"id\\""'),
    "an array": ("MX008", '[1, {"id": 1}]'),
    "null": ("MX008", "null"),
}


@pytest.mark.parametrize("defect", IN_THE_MIDDLE)
@pytest.mark.parametrize("form", ["array", "lines", "indented"])
def test_a_broken_record_is_one_finding_and_all_others_are_kept(tmp_path, defect, form):
    code, text = IN_THE_MIDDLE[defect]
    if form == "lines" and "\n" in text:
        pytest.skip("a line break in JSON Lines makes two lines")
    joint = {"array": ", ", "lines": "\n", "indented": ",\n  "}[form]
    front, back = {"array": ("[", "]"), "lines": ("", "\n"), "indented": ("[\n  ", "\n]\n")}[form]
    data = front + joint.join([*GOOD[:2], text, *GOOD[3:]]) + back
    rows, findings, raw = reading(written(tmp_path, data))
    assert findings == [(code, 2, data.index(text, len(front) + len(GOOD[0] + GOOD[1])))]
    assert rows == {number: record(number) for number in (0, 1, 3, 4)}
    assert raw == {2: text.encode()}


def test_a_broken_first_and_a_broken_last_record_leave_the_others(tmp_path):
    data = "[" + ", ".join([GOOD[0].replace("q 0", 'x" y'), *GOOD[1:4], '{"id": 4, x}']) + "]"
    rows, findings, raw = reading(written(tmp_path, data))
    assert findings == [("MX001", 0, 1), ("MX001", 4, data.index('{"id": 4'))]
    assert sorted(rows) == [1, 2, 3]
    assert raw[4] == b'{"id": 4, x}'


def test_broken_pretty_objects_leave_the_others(tmp_path):
    texts = [json.dumps(record(number), indent=2) for number in range(5)]
    texts[2] = texts[2].replace("q 2", 'x" y')
    data = "\n".join(texts)
    rows, findings, raw = reading(written(tmp_path, data))
    assert findings == [("MX001", 2, data.index(texts[2]))]
    assert sorted(rows) == [0, 1, 3, 4]
    assert raw == {2: texts[2].encode()}


def test_bytes_that_are_no_utf8_reject_their_record_only(tmp_path):
    data = ("[" + ", ".join(GOOD) + "]").encode().replace(b"q 2", b"q \xff2")
    rows, findings, raw = reading(written(tmp_path, data))
    assert findings == [("MX010", 2, data.index(b'{"id": 2'))]
    assert sorted(rows) == [0, 1, 3, 4]
    assert b"\xff" in raw[2]


def test_not_a_number_is_a_warning_and_the_record_is_as_python_reads_it(tmp_path):
    data = '[{"a": NaN, "b": [Infinity, -Infinity, 1e999]}, {"a": 1}]'
    rows, findings, raw = reading_of_not_a_number(tmp_path, data)
    assert findings == [("MX005", 0, 1)]
    assert repr(rows) == repr({0: {"a": float("nan"), "b": [float("inf"), -float("inf"), float("inf")]}, 1: {"a": 1}})
    assert raw == {}


def reading_of_not_a_number(tmp_path, data):
    path = written(tmp_path, data)
    blocks = list(read(Slice(str(path), "x", 0, -1, 0)))
    rows = {block.row + at: one for block in blocks for at, one in enumerate(block.records)}
    return rows, [(one.code, one.row, one.offset) for block in blocks for one in block.findings], {}


def test_a_truncated_array_gives_one_finding_and_keeps_the_records_before(tmp_path):
    whole = "[" + ", ".join(GOOD) + "]"
    start = whole.index(GOOD[4])
    for cut in range(start + 1, len(whole) - 1):
        rows, findings, raw = reading(written(tmp_path, whole[:cut]))
        assert findings == [("MX002", 4, start)]
        assert sorted(rows) == [0, 1, 2, 3]
        assert raw == {4: whole[start:cut].strip().encode()}


def test_an_array_that_ends_between_records_says_so_and_keeps_them_all(tmp_path):
    for end in ("", ", ", " "):
        data = "[" + ", ".join(GOOD) + end
        rows, findings, raw = reading(written(tmp_path, data))
        assert findings == [("MX002", -1, len(data))]
        assert (len(rows), raw) == (5, {})


def test_a_truncated_last_line_is_rejected_and_a_truncated_line_between_does_no_harm(tmp_path):
    data = "\n".join([*GOOD[:2], GOOD[2][:40], GOOD[3], GOOD[4][:-9]])
    rows, findings, raw = reading(written(tmp_path, data, "x.jsonl"))
    assert findings == [("MX001", 2, data.index(GOOD[2][:40])), ("MX002", 4, data.index(GOOD[4][:-9]))]
    assert sorted(rows) == [0, 1, 3]
    assert raw == {2: GOOD[2][:40].encode(), 4: GOOD[4][:-9].encode()}


def test_wrong_separators_are_findings_about_the_file_and_cost_no_record(tmp_path):
    for data, offset in {
        f"[{GOOD[0]} {GOOD[1]}]": len(GOOD[0]) + 2,
        f"[{GOOD[0]},, {GOOD[1]}]": len(GOOD[0]) + 2,
        f"[{GOOD[0]}, {GOOD[1]}, ]": len(GOOD[0] + GOOD[1]) + 3,
        f"[{GOOD[0]}]\n[{GOOD[1]}]": len(GOOD[0]) + 3,
        f"[{GOOD[0]}], {GOOD[1]}]": len(GOOD[0]) + 2,
        f"{GOOD[0]},\n{GOOD[1]}": len(GOOD[0]),
    }.items():
        rows, findings, raw = reading(written(tmp_path, data))
        assert findings == [("MX001", -1, offset)], data
        assert rows == {0: record(0), 1: record(1)}
        assert raw == {}


def test_a_stray_bracket_does_not_swallow_the_records_after_it(tmp_path):
    data = f"[{GOOD[0]}, [{GOOD[1]}, {GOOD[2]}]"
    rows, findings, raw = reading(written(tmp_path, data))
    assert findings == [("MX001", 1, data.index("[", 1 + len(GOOD[0])))]
    assert rows == {0: record(0), 2: record(1), 3: record(2)}
    assert raw == {1: b"["}


def test_a_byte_order_mark_is_noted_and_offsets_count_it(tmp_path):
    for data in (
        "\ufeff[" + ", ".join(GOOD) + ', {"id": 5, "id": 5}]',
        "\ufeff" + "\n".join(GOOD) + '\n{"id": 5, "id": 5}\n',
    ):
        rows, findings, _ = reading(written(tmp_path, data))
        at = data.encode().index(b'{"id": 5')
        assert findings == [("MX003", -1, 0), ("MX004", 5, at)]
        assert len(rows) == 5


def test_a_record_over_the_limit_is_passed_over(tmp_path):
    for payload in (
        '"' + '}, {\\"id\\": 1, ' * 100 + '"',
        "[" + '{"k": ["}]"]}, ' * 100 + "0]",
        "[" + "7, " * 400 + "7]",
    ):
        large = '{"id": 2, "conversations": [], "x": ' + payload + "}"
        for data in ("[" + ", ".join([*GOOD[:2], large, *GOOD[3:]]) + "]", "\n".join([*GOOD[:2], large, *GOOD[3:]])):
            rows, findings, raw = reading(written(tmp_path, data), max_record_bytes=600)
            assert findings == [("MX007", 2, data.index(large))]
            assert sorted(rows) == [0, 1, 3, 4]
            assert raw == {2: None}


def test_a_record_over_the_limit_is_never_in_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "x.json"
    with path.open("w") as file:
        file.write("[" + GOOD[0] + ', {"id": 1, "x": [')
        for _ in range(600):
            file.write('{"counts": "' + "ab\\\\" * 5_000 + '"}, ')
        file.write("0]}, " + GOOD[2] + "]")
    assert path.stat().st_size > 10_000_000
    tracemalloc.start()
    blocks = list(read(Slice(str(path), "x", 0, -1, 0), block_bytes=1 << 16, max_record_bytes=1 << 18))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [one for block in blocks for one in block.records] == [record(0), record(2)]
    assert [(one.code, one.row) for block in blocks for one in block.findings] == [("MX007", 1)]
    assert peak < 5_000_000


def test_compressed_files_that_end_early_or_are_corrupt_keep_what_came_before(tmp_path):
    r = random.Random(5)
    records = [{"id": number, "x": [r.random() for _ in range(40)]} for number in range(2000)]
    text = json.dumps(records).encode()
    gz, zst = gzip.compress(text, mtime=0), zstandard.compress(text)
    hurt = bytearray(gz)
    hurt[-5] ^= 0xFF  # the checksum
    for name, data in {
        "a.json.gz": gz[: len(gz) // 2],
        "b.json.zst": zst[: len(zst) // 2],
        "c.json.gz": bytes(hurt),
    }.items():
        rows, findings, raw = reading(written(tmp_path, data, name))
        codes = [code for code, _, _ in findings]
        assert codes == ["MX011"], name
        assert len(rows) > (1999 if name == "c.json.gz" else 600)
        assert all(rows[number] == records[number] for number in rows)
        (_, row, offset) = findings[0]
        if row >= 0:
            assert (row, raw[row][:6]) == (len(rows), b'{"id":')
            assert text[offset : offset + len(raw[row])] == raw[row]


def test_any_bytes_are_read_without_an_exception(tmp_path):
    r = random.Random(9)
    for number in range(150):
        data = bytes(r.choice(b'{}[]",:\\ \n0tn\xff\x00aNu') for _ in range(r.randrange(200)))
        path = written(tmp_path, data, "x.json")
        os.utime(path, ns=(number, number))
        reading_twice = [
            list(map(repr, read(Slice(str(path), "x", 0, -1, 0), block_bytes=size))) for size in (1, 1 << 19)
        ]
        assert count(str(path)) >= 0
        assert len(reading_twice) == 2


def test_one_damaged_place_costs_at_most_the_records_it_touches(tmp_path):
    """Random damage to random files: at every block size the same, records elsewhere are all kept, bytes are told."""
    damage = [b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\n", b":", b"\xff", b"NaN", b"x"]
    for seed in range(400):
        r = random.Random(seed)
        records = [record(number) for number in range(r.randrange(3, 14))]
        for one in records:
            one["conversations"][0]["value"] += r.choice(["", '}, {"id": 1', "\\", "é"])
        style = r.randrange(4)
        if style == 0:
            text = json.dumps(records)
        elif style == 1:
            text = json.dumps(records, indent=2)
        else:
            text = "\n".join(json.dumps(one, indent=style - 2 or None) for one in records)
        data = bytearray(text.encode())
        at = r.randrange(2, len(data))
        data[at : at + r.randrange(2)] = r.choice(damage)
        path = written(tmp_path, bytes(data))
        os.utime(path, ns=(seed, seed))
        try:
            rows, findings, raw = reading(path)
        except AssertionError:
            if b"NaN" in data:  # not equal to itself, and so never the same at two block sizes
                continue
            raise
        lost = [one for one in records if one not in rows.values()]
        assert len(lost) <= 1, (seed, bytes(data[at - 30 : at + 30]))
        for row, kept in raw.items():
            offset = next(offset for _, of, offset in findings if of == row)
            assert bytes(data[offset : offset + len(kept)]) == kept
        # all that is told nowhere is white space, commas and brackets between records
        reported = sum(len(kept) for kept in raw.values()) + sum(len(json.dumps(one)) for one in rows.values())
        assert len(re.sub(rb"\s", b"", data)) <= reported + 4 * len(records) + 60
