"""What a user may name as data, and the one line he gets when it is wrong."""

import json
import logging
import os
import pickle
import random

import pytest

from modalmix.builders.annotations import Source, Take, sources
from modalmix.builders.core.errors import DataError


@pytest.fixture
def write(tmp_path):
    def written(name: str, content: object) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return written


def records(number: int) -> list[dict]:
    return [{"id": one, "conversations": []} for one in range(number)]


def named(data, **options) -> list[str]:
    return [one.file for one in sources(data, **options)]


def test_files_globs_and_brace_groups_are_expanded_in_order(tmp_path, write):
    for name in ("b.json", "a.json", "sub/c.jsonl"):
        write(name, records(2))
    root = str(tmp_path)
    assert sources(f"{root}/a.json") == [Source(f"{root}/a.json", "a.json", Take())]
    assert named([f"{root}/b.json", f"{root}/a.json"]) == ["b.json", "a.json"]
    assert named(f"{root}/*.json") == ["a.json", "b.json"]
    assert named(f"{root}/**/*.json*") == ["a.json", "b.json", "sub/c.jsonl"]
    assert named(f"{root}/{{b,a}}.json") == ["b.json", "a.json"]
    assert named(f"{root}/sub/c.jsonl", root=root) == ["sub/c.jsonl"]


def test_names_are_unique_in_one_expansion(tmp_path, write):
    paths = [write("one/x.json", records(1)), write("two/x.json", records(1))]
    assert named(paths) == ["one/x.json", "two/x.json"]
    assert named([paths[0], paths[0]]) == ["x.json", "x.json#2"]


def test_a_folder_gives_its_annotation_files_and_nothing_else(tmp_path, write, caplog):
    caplog.set_level(logging.INFO, "modalmix")
    for name, content in {
        "z.json": records(2),
        "deep/1/2/3/x.jsonl": '{"a": 1}\n{"a": 2}\n',
        "deep/1/2/3/4/too_deep.json": records(1),
        ".hidden/x.json": records(1),
        "patch_mapping.json": {"a.jpg": {"image": {"patch": "p", "size": [1]}}, "b.jpg": {}},
        "config.json": '{"model": 1}',
        "names.json": ["a", "b"],
        "nothing.json": "",
        "one.json": {"id": 1, "conversations": []},
        "one.jsonl": '{"video": "a.mp4"}\n',
        "pretty.json": '{\n "a": 1\n}\n{\n "a": 2\n}\n',
        "first_is_broken.json": '[{"id": 1, x}, {"id": 2}]',
        "a.txt": "no",
        "image.jpg": "no",
    }.items():
        write(name, content)
    assert named(str(tmp_path)) == [
        "first_is_broken.json", "one.json", "one.jsonl", "pretty.json", "z.json", "deep/1/2/3/x.jsonl",
    ]  # fmt: skip
    skipped = "\n".join(caplog.messages)
    for name in ("patch_mapping.json", "config.json", "names.json", "nothing.json"):
        assert f"{name}: it" in skipped


def test_a_folder_of_very_many_files_is_not_listed_to_its_end(tmp_path, write, caplog):
    write("x.json", records(1))
    (tmp_path / "media").mkdir()
    for number in range(20_001):
        (tmp_path / "media" / f"{number}.jpg").touch()
    assert named(str(tmp_path)) == ["x.json"]
    assert [one for one in caplog.messages if "stopped listing" in one and "media" in one]


STRATEGIES = {
    "all": list(range(11)),
    "first:3": [0, 1, 2],
    "first:0": [],
    "first:99": list(range(11)),
    "end:3": [8, 9, 10],
    "end:99": list(range(11)),
    "first:50%": list(range(6)),
    "end:10%": [9, 10],
    "random:4": sorted(random.Random(7).sample(range(11), 4)),
    "random:20%": sorted(random.Random(7).sample(range(11), 3)),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_mixture_selects_what_its_strategies_say(write, strategy):
    write("data/x.json", records(11))
    mixture = write("m.yaml", f"datasets:\n  - json_path: /mnt/team/data/x.json\n    sampling_strategy: '{strategy}'\n")
    (source,) = sources(mixture, seed=7)
    assert source.file == "data/x.json"
    take = pickle.loads(pickle.dumps(source.take))
    assert [row for row in range(11) if take.selects(row)] == STRATEGIES[strategy]


def test_a_random_take_of_a_large_file_travels_as_a_few_bytes():
    take = Take("random", 500_000, 1_000_000, 3)
    assert sum(map(take.selects, range(1_000_000))) == 500_000
    assert len(pickle.dumps(take)) < 200


def test_a_mixture_finds_the_longest_end_of_a_foreign_path_under_its_own_folder(tmp_path, write):
    write("mix/x.json", records(1))
    write("mix/data/x.json", records(2))
    outside = write("elsewhere/y.json", records(3))
    mixture = write("mix/m.yaml", "datasets: [{json_path: /mnt/bn/data/x.json}, {json_path: other/x.json}]")
    assert named(mixture) == ["data/x.json", "x.json"]
    for path in (outside, "../elsewhere/y.json"):
        refused = write("mix/n.yaml", f"datasets: [{{json_path: {path}}}]")
        with pytest.raises(DataError, match="is a file under"):
            sources(refused)
    os.symlink(outside, tmp_path / "mix" / "y.json")
    with pytest.raises(DataError, match="is a file under"):
        sources(refused)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("datasets: [", "is no YAML"),
        ("a: 1", "expected a list 'datasets'"),
        ("datasets: []", "expected a list 'datasets'"),
        ("datasets: [x.json]", r"datasets\[0\]: expected a json_path, found 'x.json'"),
        ("datasets: [{json_path: no.json}]", "no part of 'no.json'"),
        ("datasets: [{json_path: x.json, sampling_strategy: 'last:3'}]", "'last:3' is none of all, first:N"),
        ("datasets: [{json_path: x.json, sampling_strategy: 'first:1.5%'}]", "'first:1.5%' is none of"),
    ],
)
def test_an_invalid_mixture_is_an_error_in_one_line(write, content, message):
    write("x.json", records(2))
    with pytest.raises(DataError, match=message) as caught:
        sources(write("m.yaml", content))
    assert "\n" not in str(caught.value)


def test_invalid_names_are_an_error_in_one_line(tmp_path, write):
    write("train.jsonl", records(1))
    (tmp_path / "bare").mkdir()
    for data, reported in {
        str(tmp_path / "trian.jsonl"): "did you mean 'train.jsonl'",
        str(tmp_path / "no" / "x.json"): "its folder does not exist",
        str(tmp_path / "*.parquet"): "no file matches",
        str(tmp_path / "{train,test}.jsonl"): "no such file: .*test.jsonl",
        str(tmp_path / "bare"): "no annotation file in",
        write("empty.json", ""): "is empty",
        write("blank.json", " \n"): "is empty",
    }.items():
        with pytest.raises(DataError, match=reported) as caught:
            sources(data)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="no data named"):
        sources([])
    assert named(write("array.json", "[]")) == ["array.json"]
