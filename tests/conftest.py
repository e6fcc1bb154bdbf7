from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from hub import Hub
from hub.client import MODES, Clients, Worker
from hub.streams import CALLS
from hub.world import World, running_world

from build_data import object_store
from defects import write_media
from modalmix.builders.cli import example_data


@pytest.fixture(scope="session")
def example_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The built-in example: format → folder.  Tests do not change it."""
    return example_data.write(str(tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="session", params=MODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub on loopback with a client process, for each way of uploading."""
    with running_world(tmp_path_factory.mktemp("world"), request.param, part=70_000) as world:
        yield world


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An object store with the S3 interface, which processes of the test can reach, too."""
    pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    with object_store() as url:
        yield url


@pytest.fixture(scope="session")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Worker]]:
    """A Hub on loopback with short pages in its listings, and a client process that streams from it."""
    folder = tmp_path_factory.mktemp("streaming")
    with Hub(str(folder / "hub"), page=3) as hub:
        worker = Worker(Clients(hub, folder / "home", "lfs"), CALLS)
        yield hub, worker
        worker.close()


@pytest.fixture
def call(streaming: tuple[Hub, Worker], tmp_path: Path) -> Any:
    """A function that calls the client process, with a cache of the test's own."""
    _, worker = streaming

    def call_worker(do: str, **given: Any) -> Any:
        return worker(do, **{"cache": str(tmp_path / "cache"), **given})

    return call_worker


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of intact and broken media, see `defects`.  Tests do not change it."""
    return write_media(tmp_path_factory.mktemp("media"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test has caches of its own, `datasets`' and ours."""
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "modalmix-cache"))
    cache = tmp_path / "datasets-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    datasets.disable_progress_bars()
    yield cache
