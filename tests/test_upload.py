from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hub.client import RefusedError
from hub.world import World, build

from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders.cli import example_data
from modalmix.builders.pipeline.options import Options


@pytest.fixture(scope="module")
def ola(tmp_path_factory: pytest.TempPathFactory, example_folders: dict[str, str]) -> Path:
    """A build of several mixes, with media of all kinds."""
    folder = tmp_path_factory.mktemp("built") / "ola"
    building.build(example_folders["ola"], str(folder), Options(media_root=(example_folders["ola"],)), card=cards.write)
    return folder


def test_what_is_pushed_loads_as_it_does_here_and_is_not_sent_twice(world: World, ola: Path) -> None:
    name = world.new()
    done = world.call("push", folder=str(ola), repository=name, private=True)
    assert done["committed"] and not done["verification"]["wrong"]
    assert world.hub.store.repos[name]["private"]
    assert set(done["verification"]["rows"]) >= {"all", "image", "video_audio"}.intersection(
        done["verification"]["rows"]
    )
    local = world.call("load", where=str(ola))
    assert len(local[0]) > 4
    assert world.call("load", where=name) == world.call("load", where=name, streaming=True) == local
    samples, arrays = world.call("view", where=name, streaming=True)
    assert arrays > len(samples) > 4 and [samples, arrays] == world.call("view", where=str(ola)), "the training view"
    sent = [one["path"] for one in world.hub.log if one["method"] == "PUT"]
    assert sent and all(("/grant/" in path) == (world.clients.mode == "xet") for path in sent)
    assert world.commits(name) == 1
    world.hub.log.clear()
    again = world.call("push", folder=str(ola), repository=name)
    assert not again["committed"] and again["commit"] == done["commit"] and world.hub.sent() == 0
    assert world.commits(name) == 1


def test_only_the_shard_that_changed_is_sent(world: World, tmp_path: Path) -> None:
    name = world.new()
    first = build(tmp_path)
    world.call("push", folder=str(first), repository=name)
    whole = world.hub.sent()
    world.hub.log.clear()
    done = world.call("push", folder=str(build(tmp_path, changed=3)), repository=name)
    (sent,) = (path for path in done["plan"]["send"] if path.endswith(".parquet"))
    assert sent == world.shards(name)[0] and len(world.shards(name)) >= 3
    assert 0 < world.hub.sent() < whole / 2
    assert done["verification"]["rows"] == {"image": "0"}


def test_shards_that_are_no_longer_in_the_build_are_not_read_and_are_deleted_only_on_request(
    world: World, tmp_path: Path
) -> None:
    name = world.new()
    world.call("push", folder=str(build(tmp_path, 30)), repository=name)
    before = world.shards(name)
    fewer = build(tmp_path, 10, shards=1)
    stale = {path for path in before if not (fewer / path).exists()}
    assert len(stale) >= 2
    kept = world.call("push", folder=str(fewer), repository=name)
    assert set(kept["plan"]["stale"]) == stale and stale < set(world.shards(name))
    assert len(world.call("load", where=name)[0]) == 10, "the card must not read what is no longer in the build"
    world.hub.log.clear()
    planned = world.call("push", folder=str(fewer), repository=name, prune=True, dry_run=True)
    assert set(planned["plan"]["stale"]) == stale and planned["commit"] is None
    assert world.commits(name) == 2 and not [one for one in world.hub.log if one["path"].endswith("/commit/main")]
    world.call("push", folder=str(fewer), repository=name, prune=True)
    assert set(world.shards(name)) == set(before) - stale and world.commits(name) == 3
    assert len(world.call("load", where=name)[0]) == 10


def test_two_pushes_at_once_leave_both_configs_there(world: World, ola: Path, tmp_path: Path) -> None:
    name = world.new()
    world.call("push", folder=str(build(tmp_path)), repository=name)
    copy = tmp_path / "copy"
    shutil.copytree(ola, copy)
    world.hub.fault("POST", rf"/{name}/commit/", "meet", times=2)
    jobs = {
        config: world.call.start("push", folder=str(folder), repository=name, config=config)
        for config, folder in (("one", ola), ("two", copy))
    }
    results = {config: job.answer() for config, job in jobs.items()}
    assert all(not results[config]["verification"]["wrong"] for config in ("one", "two"))
    front = yaml.safe_load(world.card(name).split("---\n")[1])
    names = [config["config_name"] for config in front["configs"]]
    assert {"image", "one", "two", "one-image_audio_q"} <= set(names) and len(names) == len(set(names))
    assert [config["config_name"] for config in front["configs"] if config.get("default")] == ["image"]
    local = world.call("load", where=str(ola))[0]
    assert world.call("load", where=name, name="two", streaming=True)[0] == local
    assert len(world.call("load", where=name)[0]) == 30
    assert any(one["status"] == 412 for one in world.hub.log), "the commits did not meet"


def test_a_pull_request_holds_the_build_and_main_does_not(world: World, tmp_path: Path) -> None:
    name = world.new()
    out = build(tmp_path)
    world.call("push", folder=str(out), repository=name)
    same = world.call("push", folder=str(out), repository=name, create_pr=True)
    assert not same["committed"] and same["verification"]["rows"] and world.hub.store.repos[name]["prs"] == []
    changed = build(tmp_path, changed=29)
    before = dict(world.hub.files(name))
    world.hub.fault("POST", f"{name}/commit/", times=100, status=503)
    with pytest.raises(RefusedError, match="503"):
        world.call("push", folder=str(changed), repository=name, create_pr=True)
    world.hub.clear()
    done = world.call("push", folder=str(changed), repository=name, create_pr=True)
    assert done["revision"] == "refs/pr/1" and done["url"].endswith("/discussions/1"), "the one that was begun"
    assert len(world.hub.store.repos[name]["prs"]) == 1
    assert world.hub.store.repos[name]["prs"][0]["status"] == "open"
    assert world.hub.files(name) == before and world.hub.files(name, "refs/pr/1") != before
    assert world.call("load", where=name, revision="refs/pr/1") == world.call("load", where=str(changed))
    assert not world.call("verify", folder=str(changed), repository=name, revision="refs/pr/1")["wrong"]
    wrong = world.call("verify", folder=str(changed), repository=name)["wrong"]
    assert [path for path in wrong if path.endswith(".parquet")] == [world.shards(name)[-1]]


def test_what_a_person_wrote_into_the_card_goes_along_and_stays(world: World, tmp_path: Path) -> None:
    name = world.new()
    out = build(tmp_path)
    text = (out / "README.md").read_text().replace("made anew. -->\n", "made anew. -->\nWhat *I* know.\n")
    (out / "README.md").write_text(text.replace("---\n", "---\npretty_name: Mine\nlicense: cc-by-4.0\n", 1))
    world.call("push", folder=str(out), repository=name)
    card = world.card(name)
    assert "What *I* know." in card and "pretty_name: Mine" in card and "license: cc-by-4.0" in card
    store = world.hub.store
    edited = store.regular(card.replace("What *I* know.", "What *we* know.").encode())
    files = {**world.hub.files(name), "README.md": edited}
    store.commit(name, "main", files, "by hand", "tester", store.repos[name]["refs"]["main"])
    world.call("push", folder=str(build(tmp_path, changed=2)), repository=name)
    assert "What *we* know." in world.card(name) and "pretty_name: Mine" in world.card(name)
    assert f'load_dataset("{name}", split="train")' in world.card(name)


def test_a_branch_is_made(world: World, tmp_path: Path) -> None:
    name = world.new()
    done = world.call("push", folder=str(build(tmp_path)), repository=name, revision="v2")
    assert done["revision"] == "v2" and world.shards(name) == [] and len(world.shards(name, "v2")) >= 3


def test_a_permanent_fault_is_an_error_in_one_line(world: World, tmp_path: Path) -> None:
    name = world.new()
    world.hub.fault("POST", rf"{name}/commit/", times=100, status=503)
    with pytest.raises(RefusedError, match="503") as reported:
        world.call("push", folder=str(build(tmp_path)), repository=name)
    assert "\n" not in str(reported.value) and 50 < world.hub.pending() < 99
    world.hub.clear()
    assert world.shards(name) == []


def test_refusals_are_one_clear_line(world: World, ola: Path, tmp_path: Path) -> None:
    name = world.new()

    def refusal(folder: Path = ola, repository: str = name, **given: Any) -> str:
        with pytest.raises(RefusedError) as reported:
            world.call("push", folder=str(folder), repository=repository, **given)
        text = str(reported.value)
        assert "\n" not in text and "hf_" not in text
        return text

    assert "may only read" in refusal(token="hf_reader")
    assert "does not know this token" in refusal(token="hf_wrong")
    assert "may not write" in refusal(repository="somebody/else")
    assert "namespace/name" in refusal(repository="nothing")
    assert "no finished build" in refusal(tmp_path)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / ".build").mkdir()
    assert "not finished" in refusal(unfinished)
    assert "not a valid name for a config" in refusal(config="../x")
    out = build(tmp_path)
    assert "viewer" in refusal(out, row_group_limit=1000)
    shard = sorted(out.rglob("*.parquet"))[1]
    data = shard.read_bytes()
    shard.write_bytes(data[:-10])
    assert shard.name in refusal(out)
    shard.unlink()
    assert "missing" in refusal(out)
    public = name + "-public"
    world.hub.store.create(public, False, "tester")
    assert "public" in refusal(repository=public, private=True)
    bad = tmp_path / "bad"
    shutil.copytree(ola, bad)
    bad.joinpath("README.md").write_text("---\ntags: [1]\n---\n")
    assert "must be a list of strings" in refusal(bad, repository=public)
    assert name not in world.hub.store.repos, "nothing may be made before it is checked"


def test_a_repository_that_holds_something_else_is_left_alone(world: World, tmp_path: Path) -> None:
    name = world.new()
    store = world.hub.store
    store.create(name, False, "tester")
    files = {**world.hub.files(name), "model.bin": store.regular(b"mine")}
    store.commit(name, "main", files, "mine", "tester", store.repos[name]["refs"]["main"])
    with pytest.raises(RefusedError, match=r"other files \('model\.bin'"):
        world.call("push", folder=str(build(tmp_path)), repository=name)
    assert set(world.hub.files(name)) == {".gitattributes", "model.bin"}


def test_a_text_that_names_a_folder_of_this_machine_is_not_sent(world: World, tmp_path: Path) -> None:
    name = world.new()
    data = tmp_path / "data"
    data.mkdir()
    home = world.clients.home
    record = {"id": "a", "conversations": example_data.turns("Hello?", "Yes."), "note": f"made in {home}/secret"}
    (data / "a.json").write_text(json.dumps([record]))
    building.build(str(data), str(tmp_path / "out"), card=cards.write)
    with pytest.raises(RefusedError, match=r"column 'extra' contains"):
        world.call("push", folder=str(tmp_path / "out"), repository=name)
    done = world.call("push", folder=str(tmp_path / "out"), repository=name, private_paths=True)
    assert done["committed"]


def test_neither_the_token_nor_this_machine_is_in_what_was_sent_or_written(world: World, tmp_path: Path) -> None:
    name = world.new()
    out = build(tmp_path)
    done = world.call.modalmix("push", str(out), name)
    assert done.code == 0, done.err
    reported = done.out + done.err
    assert "rows read back" in " ".join(reported.split()) and "hf_test" not in reported
    for path in out.rglob("*"):
        assert path.is_dir() or b"hf_test" not in path.read_bytes(), path
    for path, entry in world.hub.files(name).items():
        sent = Path(world.hub.store.blob(entry["blob"])).read_bytes()
        assert b"hf_test" not in sent and str(tmp_path).encode() not in sent, path
    shard = world.shards(name)[0]
    table = pq.read_table(out / shard, columns=["source"])
    assert {row["file"] for row in table["source"].to_pylist()} == {"train.json"}
    os.remove(out / ".push.json")
    files = world.hub.store.at(world.hub.store.repos[name], "main")["files"]
    files[shard] = world.hub.store.regular(b"PAR1")
    checked = world.call.modalmix("verify", str(out), name)
    assert checked.code == 1 and shard in checked.out


def test_the_command_line_says_what_it_does_and_refuses_in_one_line(world: World, tmp_path: Path) -> None:
    name = world.new()
    out = build(tmp_path, 8, shards=2)

    def push(*arguments: str) -> str:
        done = world.call.modalmix("push", str(out), *arguments)
        assert done.code == 0, done.err
        return " ".join(done.out.split())

    assert "would push" in push(name, "--dry-run") and name not in world.hub.store.repos
    assert "All 8 files" in push(name, "--private") and world.hub.store.repos[name]["private"]
    assert "Nothing has changed" in push(name) and world.commits(name) == 1
    assert "/tree/v2" in push(name, "--revision", "v2")
    before = world.shards(name)
    out = build(tmp_path, 4, shards=1)
    gone = set(before) - set(map(str, (path.relative_to(out) for path in out.rglob("*.parquet"))))
    assert gone
    planned = push(name, "--prune", "--dry-run")
    assert all(f"delete {path}" in planned for path in gone) and world.shards(name) == before
    assert json.loads(world.call.modalmix("push", str(out), name, "--prune", "--json").out)["committed"]
    assert not gone & set(world.shards(name))
    out = build(tmp_path, 5, shards=1)
    assert "/discussions/1" in push(name, "--create-pr") and world.hub.store.repos[name]["prs"][0]["status"] == "open"
    for arguments, reason in (
        ((str(out), "nothing"), "namespace/name"),
        ((str(tmp_path / "nowhere"), name), "no finished build"),
        ((str(out), "somebody/else"), "may not write"),
        ((str(out), name, "--create-pr", "--revision", "v2"), "not both"),
        ((str(out), name, "--config", "../x"), "not a valid name for a config"),
        ((str(out), name, "--row-group-limit", "10"), "row groups"),
    ):
        refused = world.call.modalmix("push", *arguments)
        assert refused.code == 2 and refused.err.startswith("modalmix push: ") and reason in refused.err, arguments
        assert refused.err.count("\n") == 1 and "Traceback" not in refused.err
