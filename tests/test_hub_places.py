"""Archives that repeat the names of their members: streamed and read in place, a path is never another archive's clip."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub.client import Worker
from hub.streams import create_repository, requested_files, speech, tar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.xdist_group("streaming")  # one Hub, not one in each process

REPO = "o/places"
Layout = dict[str, list[str]]
"""Path of each archive → its members; no two members have the same bytes."""


@pytest.fixture
def hub(streaming: tuple[Hub, Worker]) -> Iterator[Hub]:
    yield streaming[0]
    streaming[0].clear()


def sound(archive: str, member: str) -> bytes:
    """The bytes of a member."""
    return f"{archive} {member} ".encode() * 40


class Trial:
    """A layout on the Hub and on this disk, and what becomes of records there."""

    def __init__(self, hub: Hub, call: Any, folder: Path, layout: Layout, paths: list[str]) -> None:
        self.hub, self.call, self.folder, self.paths = hub, call, folder, paths
        files = {archive: tar({name: sound(archive, name) for name in names}) for archive, names in layout.items()}
        create_repository(hub, REPO, files)
        for archive, data in files.items():
            (folder / "media" / archive).parent.mkdir(parents=True, exist_ok=True)
            (folder / "media" / archive).write_bytes(data)
        (folder / "ola.json").write_text(json.dumps([speech(i, path) for i, path in enumerate(paths)]))
        self.digests = {
            hashlib.sha256(sound(archive, name)).hexdigest(): f"{archive}: {name}"
            for archive, names in layout.items()
            for name in names
        }

    def rows(self, root: str, **more: Any) -> tuple[dict[str, str], dict[str, str]]:
        """By path: the member that its row has, and the code of its reject."""
        rejected = self.folder / "rejected.jsonl"
        rejected.unlink(missing_ok=True)
        found = self.call("rows", path="ola", split="train", data_files=str(self.folder / "ola.json"), media_root=root,
                          rejected=str(rejected), cache=str(self.folder / "cache"), **more)["rows"]  # fmt: skip
        lines = [json.loads(line) for line in rejected.read_text().splitlines()] if rejected.exists() else []
        of_records = [(line["record"]["audio"], line["name"]) for line in lines if line["row"] >= 0]
        assert len(of_records) == len(dict(of_records)), "a record is rejected once"
        assert len(found) == len({row["id"] for row in found}), "a record is given once"
        given_ = {self.paths[int(row["id"][1:])]: self.digests[row["audios"][0][0][0]] for row in found}
        return given_, dict(of_records)

    def streamed(self) -> dict[str, str]:
        """By path: the member of its row, or the code of its reject, once all archives were read."""
        given_, codes = self.rows(f"hf://datasets/{REPO}", streaming=True)
        first = given_ | codes  # a reject takes a row back
        for again in (True, False):
            given_, codes = self.rows(f"hf://datasets/{REPO}", streaming=True, again=again)
            assert not given_.keys() & codes.keys()
            assert given_ | codes == first
        return first

    def in_place(self) -> dict[str, str]:
        """As `streamed`, of the files on this disk."""
        given_, codes = self.rows(str(self.folder / "media"), streaming=True, stock=False)
        return given_ | codes


REPEATED = {f"30s/shard-{i:06}.tar": ["000000.wav", "000001.wav"] for i in range(2)}
NAMED = {
    f"{start}30s/shard-{i:06}/00000{j}.wav": f"30s/shard-{i:06}.tar: 00000{j}.wav"
    for i, j, start in ((1, 0, ""), (0, 0, "/mnt/"), (0, 1, ""), (1, 1, "/mnt/"))
}


def test_a_path_is_of_the_archive_that_it_names(hub: Hub, call: Any, tmp_path: Path) -> None:
    trial = Trial(hub, call, tmp_path, REPEATED, [*NAMED, "30s/shard-000001/000002.wav"])
    wanted = NAMED | {"30s/shard-000001/000002.wav": "media-missing"}
    assert trial.streamed() == wanted
    assert trial.in_place() == wanted
    assert trial.rows(f"hf://datasets/{REPO}", streaming=True)[0] == NAMED


def test_a_named_archive_is_waited_for_whatever_comes_before(hub: Hub, call: Any, tmp_path: Path) -> None:
    path = "30s/shard-000001/000000.wav"
    trial = Trial(hub, call, tmp_path, REPEATED, [path])
    assert trial.rows(f"hf://datasets/{REPO}", streaming=True) == ({path: NAMED[path]}, {})
    hub.log.clear()
    assert trial.rows(f"hf://datasets/{REPO}", streaming=True) == ({path: NAMED[path]}, {})
    assert requested_files(hub, REPO) == ["30s/shard-000001.tar"]


def test_a_path_that_names_no_archive_and_fits_two_is_rejected(hub: Hub, call: Any, tmp_path: Path) -> None:
    trial = Trial(hub, call, tmp_path, REPEATED, ["30s/000000.wav"])
    assert trial.streamed() == trial.in_place() == {"30s/000000.wav": "media-ambiguous"}
    assert trial.rows(f"hf://datasets/{REPO}", streaming=True)[0] == {}


def test_nodes_with_one_cache_reject_an_ambiguous_row_once_in_every_epoch(hub: Hub, call: Any, tmp_path: Path) -> None:
    path = "30s/000000.wav"
    trial = Trial(hub, call, tmp_path, REPEATED, [path])
    root, rejected = f"hf://datasets/{REPO}", {path: "media-ambiguous"}
    epochs = [[trial.rows(root, streaming=True, node=node, world=2) for node in range(2)] for _ in range(3)]
    assert epochs[0] == [({path: "30s/shard-000000.tar: 000000.wav"}, {}), ({}, rejected)]  # taken back
    assert epochs[1] == epochs[2] == [({}, rejected), ({}, {})]


FOLDERS = ("", "30s/", "60s/")
STEMS = ("s-0", "s-1")
MEMBERS = ("0.wav", "1.wav", "v/0.wav", "v/1.wav")


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Layout, list[str]]:
    """A layout, and paths as records may write them: beside an archive or under its name, whole or from another machine."""
    archives = draw(st.lists(st.sampled_from([f"{f}{s}" for f in FOLDERS for s in STEMS]), min_size=1, max_size=4,
                             unique=True))  # fmt: skip
    layout = {f"{one}.tar": sorted(draw(st.sets(st.sampled_from(MEMBERS), min_size=1, max_size=3))) for one in archives}
    folders = [start + folder for start in ("", "/mnt/x/") for folder in FOLDERS]
    places = [f"{folder}{stem}" for folder in folders for stem in ("", *(f"{stem}/" for stem in STEMS))]
    paths = st.sampled_from([f"{place}{member}" for place in places for member in MEMBERS])
    return layout, draw(st.lists(paths, min_size=1, max_size=6, unique=True))


@given(given_=layouts())
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_streaming_and_reading_in_place_give_the_same(
    hub: Hub, call: Any, tmp_path: Path, given_: tuple[Layout, list[str]]
) -> None:
    folder = tmp_path / f"{next(_trials)}"
    trial = Trial(hub, call, folder, *given_)
    streamed, in_place = trial.streamed(), trial.in_place()
    shutil.rmtree(folder)
    stems = {archive.rpartition("/")[2].removesuffix(".tar") for archive in given_[0]}
    for path in given_[1]:
        outcomes = {streamed[path], in_place[path]}
        if path.startswith("/") or stems.isdisjoint(path.split("/")):
            # in place, rules decide on the first folders, and what is as it is written comes first; never another clip
            outcomes -= {"media-missing", "media-ambiguous"}
        assert len(outcomes) <= 1, (path, streamed[path], in_place[path])


_trials = count()
