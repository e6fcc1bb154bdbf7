from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub
from hub.client import MODES, Clients, RefusedError, Worker

from modalmix.cards.facts import all_facts
from modalmix.upload import HubError
from modalmix.upload.downloading import chosen, names
from modalmix.upload.planning import Remote

REPO = "lmms-lab/LLaVA-Video-178K"
SUBSET = "0_30_s_academic_v0_1"


@pytest.fixture(scope="module", params=MODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hub, Worker]]:
    folder = tmp_path_factory.mktemp("world")
    with Hub(str(folder / "hub"), page=2) as hub:
        worker = Worker(Clients(hub, folder / "home", request.param))
        yield hub, worker
        worker.close()


@pytest.fixture
def release(world: tuple[Hub, Worker]) -> Iterator[dict[str, bytes]]:
    """A small repository of the shape of LLaVA-Video-178K."""
    hub, _ = world
    files = {
        f"{SUBSET}/{SUBSET}_cap_processed.json": b"[]",
        f"{SUBSET}/{SUBSET}_videos_1.tar.gz": b"\x1f\x8b" + bytes(range(256)) * 2000,
        "1_2_m_youtube_v0_1/1_2_m_youtube_v0_1_videos_1.tar.gz": b"another",
        "README.md": b"# LLaVA-Video",
    }
    hub.store.repos.pop(REPO, None)
    hub.store.create(REPO, False, "lmms-lab")
    put(hub, files)
    hub.log.clear()
    yield files
    hub.clear()


def put(hub: Hub, files: dict[str, bytes]) -> None:
    store = hub.store
    entries = {
        path: store.large(store.put([data])) if path.endswith(".gz") else store.regular(data)
        for path, data in files.items()
    }
    before = hub.files(REPO)
    store.commit(REPO, "main", {**before, **entries}, "more", "lmms-lab", store.repos[REPO]["refs"]["main"])


def test_only_the_files_of_a_subset_are_downloaded(
    world: tuple[Hub, Worker], release: dict[str, bytes], tmp_path: Path
) -> None:
    _, call = world
    done = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    wanted = {path: data for path, data in release.items() if not path.startswith("1_2_m")}
    assert set(done["files"]) == set(wanted) == set(done["missing"])
    for path, data in wanted.items():
        assert (tmp_path / "to" / path).read_bytes() == data
    assert done["command"].startswith(f"modalmix build {tmp_path}/to/{SUBSET} --media-root")
    again = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    assert again["missing"] == {}


def test_the_same_folder_goes_on_with_the_same_commit(
    world: tuple[Hub, Worker], release: dict[str, bytes], tmp_path: Path
) -> None:
    hub, call = world
    to = str(tmp_path / "to")
    first = call("download", name="llava-video-178k", to=to, subsets=[SUBSET])
    put(hub, {f"{SUBSET}/{SUBSET}_cap_processed.json": b"[1, 2, 3]"})
    archive = tmp_path / "to" / SUBSET / f"{SUBSET}_videos_1.tar.gz"
    archive.unlink()
    second = call("download", name="llava-video-178k", to=to, subsets=[SUBSET])
    assert second["commit"] == first["commit"] and list(second["missing"]) == [f"{SUBSET}/{archive.name}"]
    assert (tmp_path / "to" / SUBSET / f"{SUBSET}_cap_processed.json").read_bytes() == b"[]"
    third = call("download", name="llava-video-178k", to=to, subsets=[SUBSET], revision="main")
    assert third["commit"] != first["commit"]
    assert (tmp_path / "to" / SUBSET / f"{SUBSET}_cap_processed.json").read_bytes() == b"[1, 2, 3]"


def test_broken_connections_are_survived(world: tuple[Hub, Worker], release: dict[str, bytes], tmp_path: Path) -> None:
    hub, call = world
    hub.fault("GET", f"/api/datasets/{REPO}$", status=503)
    hub.fault("GET", "/tree/", "drop")
    hub.fault("GET", "/blob/", "truncate", bytes=1000)
    done = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    assert hub.pending() == 0
    archive = f"{SUBSET}/{SUBSET}_videos_1.tar.gz"
    assert done["files"][archive] == len(release[archive])
    assert (tmp_path / "to" / archive).read_bytes() == release[archive]


def test_what_cannot_be_downloaded_is_told_before_anything_is(
    world: tuple[Hub, Worker], release: dict[str, bytes], tmp_path: Path
) -> None:
    hub, call = world
    to = str(tmp_path / "to")

    def refusal(**given: object) -> str:
        with pytest.raises(RefusedError) as told:
            call("download", **{"name": "llava-video-178k", "to": to, **given})
        return str(told.value)

    assert "it is one of finevideo, llava-video-178k" in refusal(name="llava")
    assert f"holds {SUBSET}, 1_2_m_youtube_v0_1" in refusal()
    assert "there is no subset '9_m'" in refusal(subsets=["9_m"])
    assert "is not on" in refusal(name="finevideo")
    entry = hub.files(REPO)[f"{SUBSET}/{SUBSET}_videos_1.tar.gz"]
    entry["size"] = 10**15
    assert "are free" in refusal(subsets=[SUBSET])
    assert not (tmp_path / "to").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused() -> None:
    release = all_facts()["ola-video"].download
    assert release is not None
    listed = {"video_data/../../.bashrc": Remote(1, None, "")}
    with pytest.raises(HubError, match="leads out"):
        chosen(release, listed, [])


def test_every_subset_of_every_release_has_patterns() -> None:
    assert set(names()) >= {
        "ola-audio",
        "ola-video",
        "ola-cross-modality-llava",
        "llava-video-178k",
        "videorefer-700k",
        "finevideo",
    }
    for facts in names().values():
        release = facts.download
        assert release and (release.files or release.subsets or release.open_subsets), facts.name
        assert facts.sources and facts.home, facts.name
