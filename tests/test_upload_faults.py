from __future__ import annotations

from pathlib import Path

import pytest
from hub.trials import FAULTS, NEVER, PULL_REQUEST, Trial, endpoints
from hub.world import World, build

# the rest of what can happen, one request at a time, and kills at every request and at random times: campaigns/hub.py
CHOSEN = ("503", "dropped", "lost", "truncated")
KILLED = {"create", "preupload", "lfs batch", "lfs part", "lfs complete", "xorb PUT", "xet shard", "commit", "blob"}


@pytest.mark.parametrize("fault", CHOSEN)
def test_whatever_happens_to_each_request_the_push_gets_through(world: World, tmp_path: Path, fault: str) -> None:
    trial = Trial(world, tmp_path, onto=fault != "503")
    for one in endpoints(world.mode):
        if (one.name, fault) not in NEVER:
            world.hub.fault(one.method, one.path, **FAULTS[fault])
    done = trial.push().answer()
    assert trial.problem(done) is None
    assert world.hub.waiting() == ["/api/repos/create" if trial.small else "/resolve/.*README"], "a fault was not met"


def test_killed_at_one_request_after_the_other_the_same_command_goes_on(world: World, tmp_path: Path) -> None:
    trial = Trial(world, tmp_path, onto=False)
    chosen = [one for one in endpoints(world.mode) if one.name in KILLED]
    assert all(trial.killed_at(one, "is done") for one in chosen), "it was not killed"
    sent = world.hub.sent()
    done = trial.push().answer()
    assert trial.problem(done) is None
    assert world.hub.sent() == sent and world.hub.sent_again() == 0, "what the Hub has was sent again"
    # LFS cannot go on within a file, and a block of Xet that was under way is not there
    assert sent < (2.5 if world.mode == "lfs" else 2) * trial.bytes


def test_a_pull_request_whose_answer_was_lost_is_found_again(world: World, tmp_path: Path) -> None:
    name = world.new()
    world.call("push", folder=str(build(tmp_path, 4, shards=1)), repository=name)
    out = build(tmp_path, 6, shards=1, name="more")
    for one in PULL_REQUEST:
        world.hub.fault(one.method, one.path, "lost")
    done = world.call("push", folder=str(out), repository=name, create_pr=True)
    assert world.hub.waiting() == [] and done["revision"] == "refs/pr/1"
    assert [one["status"] for one in world.hub.store.repos[name]["prs"]] == ["open"], "an empty draft was left behind"
    assert not done["verification"]["wrong"]
