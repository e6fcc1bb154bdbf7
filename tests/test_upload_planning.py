from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from modalmix.builders.core.errors import HubError, one_line
from modalmix.builders.pipeline.hub_client import RemoteEntry
from modalmix.builders.pipeline.hub_retry import Patience, retry, wait_after
from modalmix.upload.build import finished_build
from modalmix.upload.journal import Journal, Pushed, hashed_bytes
from modalmix.upload.planning import foreign, plan

A, B = hashed_bytes(b"a"), hashed_bytes(b"b")


def stored(data: bytes) -> RemoteEntry:
    one = hashed_bytes(data)
    return RemoteEntry(one.size, one.sha256, "of the pointer")


def in_git(data: bytes) -> RemoteEntry:
    one = hashed_bytes(data)
    return RemoteEntry(one.size, None, one.git_sha1)


@pytest.mark.parametrize("remote", [stored, in_git])
def test_a_file_is_sent_unless_its_content_is_there_under_its_path(remote: object) -> None:
    assert callable(remote)
    made = plan({"x": A, "y": B}, {"x": remote(b"a"), "y": remote(b"a"), "z": remote(b"b")}, "", False)
    assert set(made.send) == {"y"} and set(made.same) == {"x"}


def test_only_shards_and_plots_of_the_same_part_are_stale() -> None:
    shard = "data/image/train-00000-00001.parquet"
    remote = dict.fromkeys(
        [shard, f"one/{shard}", "plots/old.png", "data/notes.txt", "mine.parquet", "README.md"], stored(b"a")
    )
    assert set(plan({}, remote, "", True).stale) == {shard, "plots/old.png"}
    assert plan({}, remote, "one/", True).delete == [f"one/{shard}"]
    assert plan({}, remote, "one/", False).delete == [] and not plan({}, remote, "one/", False).changes


def test_a_repository_is_ours_when_its_card_has_a_section_of_ours() -> None:
    files = [".gitattributes", "README.md", "LICENSE"]
    assert foreign(files, None) is None and foreign(files, "# Title") is None
    assert foreign([*files, "data/train.csv"], "# Title") == "data/train.csv"
    assert foreign([*files, "data/train.csv"], "<!-- modalmix: part main begins -->") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": "9.9", "counts": {}, "shards": [1]}'])
def test_a_report_of_another_form_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(HubError, match=r"report\.json' cannot be read: ") as refused:
        finished_build(str(tmp_path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"hashes": 7}', '{"of": "another version"}'])
def test_a_journal_of_another_form_counts_as_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / ".push.json").write_text(text)
    (tmp_path / "a").write_bytes(b"a")
    journal = Journal(str(tmp_path))
    assert journal.pushed("somebody/name").commit is None
    assert journal.hashed("a").sha256 == A.sha256
    journal.note("somebody/name", Pushed(commit="abc"))
    assert Journal(str(tmp_path)).pushed("somebody/name").commit == "abc"


def test_patience_ends_and_begins_anew_with_progress() -> None:
    patience = Patience(0.0, 0.0, 3)
    calls: list[int] = []

    def always(until: int) -> int:
        calls.append(1)
        if len(calls) < until:
            raise ConnectionError("gone")
        return len(calls)

    with pytest.raises(ConnectionError):
        retry(lambda: always(10), patience, lambda line: None, "it")
    assert len(calls) == 3
    calls.clear()
    assert retry(lambda: always(10), patience, lambda line: None, "it", mark=lambda: len(calls)) == 10


def test_what_does_not_pass_is_not_tried_again() -> None:
    patience = Patience()
    assert wait_after(ValueError("no"), 0, patience) is None
    assert wait_after(FileNotFoundError("no"), 0, patience) is None
    waits = [wait_after(ConnectionError("gone"), number, patience) for number in range(10)]
    assert waits[-1] is None and all(wait is not None and 0.7 <= wait <= 75 for wait in waits[:-1])


def test_the_token_is_not_in_an_error_and_an_error_is_one_line() -> None:
    text = one_line(RuntimeError("Bearer hf_secret\nis not\tgood" + "!" * 1000), "hf_secret")
    assert text.startswith("Bearer *** is not good!") and len(text) == 400


def test_the_hub_says_how_long_to_wait() -> None:
    response = httpx.Response(429, headers={"Retry-After": "7"}, request=httpx.Request("POST", "http://127.0.0.1/"))
    error = HfHubHTTPError("too many", response=response)
    assert wait_after(error, 0, Patience()) == 7.0
    refused = httpx.Response(403, request=response.request)
    assert wait_after(HfHubHTTPError("no", response=refused), 0, Patience()) is None
