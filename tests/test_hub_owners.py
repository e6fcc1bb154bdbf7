"""A file in two archives: who gives its rows, and what can be told where nobody knows all archives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from hub.client import Worker
from hub.streams import create_repository, noise, requested_files, speech, tar

from modalmix.builders.loading.hub.path_owners import PathOwners

pytestmark = pytest.mark.xdist_group("streaming")  # one Hub, not one in each process

REPO = "o/twice"
SOUNDS = {f"x/{i}.wav": noise(2_000 + i) for i in range(6)}


@pytest.fixture
def hub(streaming: tuple[Hub, Worker]) -> Iterator[Hub]:
    """Three archives; each sound but the last lies in two, and 5 nowhere."""
    names = list(SOUNDS)
    parts = (names[:3], names[2:5], [names[0], names[1], names[3], names[4]])
    create_repository(
        streaming[0],
        REPO,
        {f"{i}.tar.gz": tar({name: SOUNDS[name] for name in part}) for i, part in enumerate(parts)},
    )
    yield streaming[0]
    streaming[0].clear()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    annotations = tmp_path / "ola.json"
    annotations.write_text(json.dumps([speech(i, name) for i, name in enumerate(SOUNDS)]))
    return {
        "path": "ola",
        "split": "train",
        "streaming": True,
        "data_files": str(annotations),
        "media_root": f"hf://datasets/{REPO}",
    }


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["id"] for row in rows)


ALL = [f"s{i}" for i in range(5)]


@pytest.mark.parametrize("seed", range(3))
def test_a_shuffled_stream_gives_a_file_in_two_archives_once(
    hub: Hub, call: Any, given: dict[str, Any], seed: int
) -> None:
    for epoch in range(2):
        rows = call("rows", shuffle=seed + epoch, again=not epoch, **given)["rows"]
        assert ids(rows) == ALL
        assert all(
            row["audios"][0][0][0] == hashlib.sha256(SOUNDS[f"x/{row['id'][1]}.wav"]).hexdigest() for row in rows
        )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_nodes_with_one_cache_give_a_file_in_two_archives_once_in_every_epoch(
    hub: Hub, call: Any, given: dict[str, Any], order: tuple[int, ...]
) -> None:
    epochs = []
    for _ in range(2):
        epochs.append({node: ids(call("rows", node=node, world=3, **given)["rows"]) for node in order})
        assert sorted(one for given_here in epochs[-1].values() for one in given_here) == ALL
    assert epochs[0] == epochs[1]
    assert epochs[0][order[0]] == ids([{"id": f"s{i}"} for i in ((0, 1, 2), (2, 3, 4), (0, 1, 3, 4))[order[0]]])


def test_the_second_file_is_reported_with_its_place(hub: Hub, call: Any, given: dict[str, Any], tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.jsonl"
    call("rows", rejected=str(rejected), **given)
    reported = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert sum(line["name"] == "media-ambiguous" for line in reported) == 4 + 1
    assert any("'x/2.wav' fits 'x/2.wav' in hf://" in line["message"] for line in reported)
    assert [line["record"]["id"] for line in reported if line["name"] == "media-missing"] == ["s5"]


def test_an_archive_whose_files_others_have_given_is_not_requested_again(
    hub: Hub, call: Any, given: dict[str, Any]
) -> None:
    call("rows", **given)
    hub.log.clear()
    assert ids(call("rows", **given)["rows"]) == ALL
    assert requested_files(hub, REPO) == ["0.tar.gz", "1.tar.gz"]


def test_unseen_records_are_reported_if_no_cache_is_shared(
    hub: Hub, call: Any, given: dict[str, Any], tmp_path: Path
) -> None:
    reported = []
    for node in range(3):
        reported += call("rows", node=node, world=3, cache=str(tmp_path / f"cache-{node}"), **given)["warnings"]
    (line,) = [line for line in reported if "not seen" in line]
    assert "the media of 2 record(s) were not seen: they are in none of the 1 archive(s) known on this machine" in line
    assert "2 more are others' to read" in line


def _claimed(archive: int) -> list[int | None]:
    claims = PathOwners("k")
    return [claims.claim(path, archive) for path in range(300)]


def test_of_several_processes_one_has_a_claim() -> None:
    with get_context("fork").Pool(4) as pool:
        owners = pool.map(_claimed, range(8), chunksize=1)
    assert all(one == owners[0] for one in owners)
    assert PathOwners("k").all() == dict(enumerate(owners[0]))
    assert PathOwners("k").claim(300, None) is None and PathOwners("other").claim(0, 7) == 7


def test_claims_hold_in_a_process_whose_cache_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODALMIX_CACHE", "/dev/null")
    claims = PathOwners("k")
    assert (claims.claim(3, 1), claims.claim(3, 2), claims.all()) == (1, 1, {3: 1})
