"""Trials: every request of a push, every fault that can meet it, and a push that must succeed.

::

    the Hub has a small build ─► a reader starts to read ─► a larger build is pushed over it, with faults or kills
                                       │                              │
                       sees the small or the large one,         ends verified, in one commit;
                              nothing in between                after a kill nothing is sent twice
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from .client import Job
from .world import Reader, World, build, shard_bytes

_folders = count()


class Endpoint(NamedTuple):
    """A request that a push makes: its name, method, and a pattern of its path."""

    name: str
    method: str
    path: str


BOTH = (
    Endpoint("whoami", "GET", "/api/whoami-v2"),
    Endpoint("repository", "GET", r"/api/datasets/[^/]+/[^/]+$"),
    Endpoint("create", "POST", "/api/repos/create"),
    Endpoint("revision", "GET", "/revision/main"),
    Endpoint("tree", "GET", "/tree/"),
    Endpoint("card", "GET", "/resolve/.*README"),
    Endpoint("text of the card", "GET", "/resolve-cache/"),
    Endpoint("validate-yaml", "POST", "/validate-yaml"),
    Endpoint("preupload", "POST", "/preupload/"),
    Endpoint("commit", "POST", "/commit/"),
    Endpoint("resolve", "GET", r"/resolve/.*parquet"),
    Endpoint("blob", "GET", "/blob/"),
)
ONLY = {
    "lfs": (
        Endpoint("lfs batch", "POST", "/objects/batch"),
        Endpoint("lfs PUT", "PUT", "/lfs/[0-9a-f]+$"),
        Endpoint("lfs part", "PUT", "/lfs/[0-9a-f]+/part/"),
        Endpoint("lfs complete", "POST", "/lfs/[0-9a-f]+/complete"),
        Endpoint("lfs verify", "POST", "/lfs/verify"),
    ),
    "xet": (
        Endpoint("xet token", "GET", "/xet-write-token/"),
        Endpoint("xorb grant", "POST", "/v1/xorb-grants/"),
        Endpoint("xorb PUT", "PUT", "/grant/"),
        Endpoint("xorb commit", "POST", "/v1/xorb-commits/"),
        Endpoint("xet shard", "POST", "/v2/shards"),
    ),
}
PULL_REQUEST = (
    Endpoint("list of pull requests", "GET", r"/discussions(\?|$)"),
    Endpoint("pull request", "POST", "/discussions$"),
    Endpoint("state of it", "GET", r"/discussions/\d+(\?|$)"),
    Endpoint("opening it", "POST", r"/discussions/\d+/status"),
)
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "0"}},
    "409": {"status": 409},
    "412": {"status": 412},
    "dropped": {"kind": "drop"},
    "lost": {"kind": "lost"},
    "truncated": {"kind": "truncate", "bytes": 40},
    "delayed": {"kind": "delay", "seconds": 0.2},
}
_NO_BODY = ("card", "resolve", "lfs PUT", "lfs part", "xorb PUT")
NEVER = {(name, "truncated") for name in _NO_BODY}
"""Faults that cannot happen: an answer without a body cannot be truncated."""


def endpoints(mode: str) -> list[Endpoint]:
    """The requests of a push, roughly in the order in which each first occurs."""
    before, after = BOTH[:-3], BOTH[-3:]
    return [*before, *ONLY[mode], *after]


class Trial:
    """A larger build that is pushed over a smaller one while a client reads.

    Args:
        world: the Hub and its client.
        folder: for the builds.
        onto: whether the Hub has the smaller build; else the push creates the repository.
    """

    def __init__(self, world: World, folder: Path, *, onto: bool = True) -> None:
        self.world, self.name = world, world.new()
        self.folder = folder / f"trial-{next(_folders)}"
        self.small, self.large = 0, 12
        if onto:
            self.small = 4
            world.call("push", folder=str(build(self.folder, 4, shards=1, name="small")), repository=self.name)
        self.out = build(self.folder, 12, shards=3, name="large")
        self.bytes = shard_bytes(self.out)
        world.hub.log.clear()
        self.reader = Reader(world, self.name, self.folder)

    def push(self, **given: Any) -> Job:
        """Starts a push."""
        return self.world.call.start("push", folder=str(self.out), repository=self.name, **given)

    def killed_at(self, endpoint: Endpoint, when: str = "arrives", skip: int = 0) -> bool:
        """Pushes, and kills the client when a request ``"arrives"`` or ``"is done"``; whether it was killed."""
        jobs: list[Job] = []
        self.world.hub.fault(
            endpoint.method, endpoint.path, when, skip=skip, call=lambda: (jobs[0].kill(), jobs[0].wait())
        )
        jobs.append(self.push())
        killed = jobs[0].wait() < 0
        self.world.hub.clear()
        return killed

    def problem(self, done: Any, *, pull_request: bool = False) -> str | None:
        """What is wrong after a push or a pull request that succeeded; None if nothing is."""
        if done["verification"]["wrong"] or not done["verification"]["rows"]:
            return f"not verified: {done['verification']}"
        commits = self.world.commits(self.name) - (1 if self.small else 0)
        if commits != 1:
            return f"{commits} commits"
        allowed: list[Any] = [[rows, [str(row) for row in range(rows)]] for rows in (self.small, self.large) if rows]
        allowed += [] if self.small else [None, [0, []]]
        seen = self.reader.stop()
        partial = [state for state in seen if state not in allowed]
        if partial:
            return f"a reader saw {partial}"
        if pull_request:
            return None if len(seen) == 1 and len(self.world.hub.store.repos[self.name]["prs"]) == 1 else f"{seen}"
        if seen[-1] != allowed[1 if self.small else 0]:
            return f"a reader saw {seen} at the end"
        return None
