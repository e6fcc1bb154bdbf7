"""World: a Hub with a client that uploads in one of the two ways, and small builds to push there."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from modalmix import cards
from modalmix.builders import build as building
from modalmix.builders.cli import example_data

from .client import Clients, Job, Worker
from .server import Hub

_numbers = count()


class World(NamedTuple):
    """A Hub and its client, which uploads in one of the two ways."""

    hub: Hub
    clients: Clients
    call: Worker

    @property
    def mode(self) -> str:
        return self.clients.mode

    def new(self) -> str:
        """A new name for a repository; faults and the log are cleared."""
        self.hub.clear()
        self.hub.log.clear()
        return f"tester/set-{next(_numbers)}"

    def shards(self, name: str, revision: str = "main") -> list[str]:
        return [path for path in self.hub.files(name, revision) if path.endswith(".parquet")]

    def card(self, name: str, revision: str = "main") -> str:
        entry = self.hub.files(name, revision)["README.md"]
        return Path(self.hub.store.blob(entry["blob"])).read_text()

    def commits(self, name: str) -> int:
        """The number of commits after the first, which creates the repository."""
        return len(self.hub.store.repos[name]["commits"]) - 1


@contextmanager
def running_world(folder: Path, mode: str, *, page: int = 3, part: int = 1 << 30) -> Iterator[World]:
    """A world that keeps its files below a folder."""
    with Hub(str(folder / "hub"), page=page, part=part) as hub:
        clients = Clients(hub, folder / "home", mode)
        worker = Worker(clients)
        try:
            yield World(hub, clients, worker)
        finally:
            worker.close()


class Reader:
    """A client that reads a dataset again and again; see `hub.worker.read_repeatedly`."""

    def __init__(self, world: World, name: str, folder: Path) -> None:
        self._until = folder / f"until-{next(_numbers)}"
        self._job: Job = world.call.start("read_repeatedly", name=name, until=str(self._until))

    def stop(self) -> list[Any]:
        """Stops it: the different states it saw, each ``[rows of the card, ids of the rows]``; None before the first."""
        self._until.touch()
        seen, _ = self._job.answer()
        return list(seen)


def build(folder: Path, rows: int = 30, *, changed: int = -1, shards: int = 3, name: str = "out") -> Path:
    """A build of pictures in several shards; the row `changed` has another text.  Each folder has bytes of its own."""
    data = folder / f"data-{name}"
    data.mkdir(exist_ok=True, parents=True)
    records = []
    for row in range(rows):
        noise = random.Random(f"{folder} {row}").randbytes(20_000)
        (data / f"{row}.jpg").write_bytes(example_data.picture(row % 5) + noise)
        answer = "Another answer." if row == changed else "A square."
        records.append(
            {"id": str(row), "image": f"{row}.jpg", "conversations": example_data.turns("<image>\nWhat?", answer)}
        )
    (data / "train.json").write_text(json.dumps(records))
    size = sum(path.stat().st_size for path in data.glob("*.jpg"))
    out = folder / name
    shutil.rmtree(out, ignore_errors=True)
    settings = building.Settings(row_group_bytes=size // (2 * shards), shard_bytes=size // shards)
    building.build(str(data), str(out), settings=settings, card=cards.write)
    return out


def shard_bytes(out: Path) -> int:
    """The size of a build's shards in bytes."""
    return sum(path.stat().st_size for path in out.rglob("*.parquet"))
