from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import Hub
from hub.client import RefusedError
from hub.releases import releases
from hub.world import World

from modalmix.builders.pipeline.hub_client import RemoteEntry
from modalmix.cards.facts import all_facts
from modalmix.cards.facts.releases import all_releases, chosen_files
from modalmix.upload import HubError

REPO = "lmms-lab/LLaVA-Video-178K"
SUBSET = "0_30_s_academic_v0_1"


@pytest.fixture
def release(world: World) -> Iterator[dict[str, bytes]]:
    """A small repository of the shape of LLaVA-Video-178K."""
    hub = world.hub
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


def test_only_the_files_of_a_subset_are_downloaded(world: World, release: dict[str, bytes], tmp_path: Path) -> None:
    call = world.call
    done = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    expected = {path: data for path, data in release.items() if not path.startswith("1_2_m")}
    assert set(done["files"]) == set(expected) == set(done["missing"])
    for path, data in expected.items():
        assert (tmp_path / "to" / path).read_bytes() == data
    (command,) = done["commands"]
    assert command.startswith(f"modalmix build {tmp_path}/to/{SUBSET} --media-root")
    again = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    assert again["missing"] == {}


def test_the_same_folder_goes_on_with_the_same_commit(world: World, release: dict[str, bytes], tmp_path: Path) -> None:
    hub, call = world.hub, world.call
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


def test_broken_connections_are_survived(world: World, release: dict[str, bytes], tmp_path: Path) -> None:
    hub, call = world.hub, world.call
    hub.fault("GET", f"/api/datasets/{REPO}$", status=503)
    hub.fault("GET", "/tree/", "drop")
    hub.fault("GET", "/blob/", "truncate", bytes=1000)
    done = call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    assert hub.pending() == 0
    archive = f"{SUBSET}/{SUBSET}_videos_1.tar.gz"
    assert done["files"][archive] == len(release[archive])
    assert (tmp_path / "to" / archive).read_bytes() == release[archive]


def test_what_cannot_be_downloaded_is_reported_before_any_download(
    world: World, release: dict[str, bytes], tmp_path: Path
) -> None:
    hub, call = world.hub, world.call
    to = str(tmp_path / "to")

    def refusal(**given: object) -> str:
        with pytest.raises(RefusedError) as reported:
            call("download", **{"name": "llava-video-178k", "to": to, **given})
        return str(reported.value)

    assert "it is one of finevideo, llava-video-178k" in refusal(name="llava")
    assert f"has {SUBSET}, 1_2_m_youtube_v0_1" in refusal()
    assert "there is no subset '9_m'" in refusal(subsets=["9_m"])
    assert "is not on" in refusal(name="finevideo")
    entry = hub.files(REPO)[f"{SUBSET}/{SUBSET}_videos_1.tar.gz"]
    entry["size"] = 10**15
    assert "are free" in refusal(subsets=[SUBSET])
    assert not (tmp_path / "to").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused() -> None:
    release = all_facts()["ola-video"].download
    assert release is not None
    listed = {"video_data/../../.bashrc": RemoteEntry(1, None, "")}
    with pytest.raises(HubError, match="outside the folder"):
        chosen_files(release, listed, [])


def test_every_subset_of_every_release_has_patterns() -> None:
    assert set(all_releases()) >= {
        "ola-audio",
        "ola-video",
        "ola-cross-modality-llava",
        "llava-video-178k",
        "videorefer-700k",
        "finevideo",
    }
    for facts in all_releases().values():
        release = facts.download
        assert release and (release.files or release.subsets or release.open_subsets), facts.name
        assert facts.sources and facts.home, facts.name


@pytest.fixture(scope="module")
def miniatures(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The upstream repositories, on the Hub."""
    store = world.hub.store
    for name, files in releases(tmp_path_factory.mktemp("releases")).items():
        store.repos.pop(name, None)
        store.create(name, False, "upstream")
        entries = {
            path: store.regular(data) if path.endswith((".json", ".md")) else store.large(store.put([data]))
            for path, data in files.items()
        }
        store.commit(name, "main", {**world.hub.files(name), **entries}, "all", "upstream", None)


CHOSEN = {
    "ola-audio": ["AudioCaps"],
    "ola-video": [],
    "ola-cross-modality-finevideo": [],
    "ola-cross-modality-llava": [],
    "finevideo": [],
    "llava-video-178k": [SUBSET, "1_2_m_*"],
    "videorefer-700k": ["short-caption", "qa"],
    "videorefer-bench": ["d"],
}


@pytest.mark.parametrize("name", CHOSEN)
def test_the_commands_that_are_printed_build_what_was_downloaded(
    world: World, miniatures: None, tmp_path: Path, name: str
) -> None:
    to = tmp_path / "a folder" / name
    subsets = [f"--subset={subset}" for subset in CHOSEN[name]]
    result = world.call.modalmix("download", name, "--to", str(to), *subsets)
    assert result.code == 0, result.err
    commands = [line.strip() for line in result.out.partition("Next:")[2].splitlines() if line.strip()]
    builds = [command for command in commands if command.startswith("modalmix build")]
    assert len(builds) == (len(subsets) if name in ("llava-video-178k", "videorefer-700k") else 1)
    for command in commands:
        done = world.call.modalmix(*shlex.split(command)[1:])
        assert done.code == 0, (command, done.out, done.err)
    for build in builds:
        words = shlex.split(build)
        report = json.loads(Path(words[words.index("--out") + 1], "report.json").read_text())
        counts = report["counts"]
        assert counts["rejected"] == 0 and sum(counts["written"].values()) == counts["read"] > 0, build


def test_a_file_of_the_right_size_with_other_content_is_downloaded_anew(
    world: World, release: dict[str, bytes], tmp_path: Path
) -> None:
    to = tmp_path / "to"
    world.call("download", name="llava-video-178k", to=str(to), subsets=[SUBSET])
    for path in (f"{SUBSET}/{SUBSET}_cap_processed.json", f"{SUBSET}/{SUBSET}_videos_1.tar.gz"):
        bad = bytearray(release[path])
        bad[-1] ^= 1
        (to / path).write_bytes(bad)
        result = world.call.modalmix("download", "llava-video-178k", "--to", str(to), "--subset", SUBSET)
        assert result.code == 0 and "its content differs; it will be downloaded again" in result.err
        assert (to / path).read_bytes() == release[path]
    world.hub.log.clear()
    world.call("download", name="llava-video-178k", to=str(to), subsets=[SUBSET])
    assert not [one for one in world.hub.log if "/resolve/" in one["path"]], "it was downloaded again"


def test_what_comes_with_another_hash_is_refused(world: World, release: dict[str, bytes], tmp_path: Path) -> None:
    path = f"{SUBSET}/{SUBSET}_cap_processed.json"
    entry = world.hub.files(REPO)[path]
    entry["oid"] = "0" * 40
    with pytest.raises(RefusedError, match="its content differs"):
        world.call("download", name="llava-video-178k", to=str(tmp_path / "to"), subsets=[SUBSET])
    assert not (tmp_path / "to" / path).exists()


def test_killed_while_it_downloads_it_goes_on(world: World, release: dict[str, bytes], tmp_path: Path) -> None:
    to = tmp_path / "to"
    given = {"name": "llava-video-178k", "to": str(to), "subsets": [SUBSET]}
    jobs = []
    world.hub.fault("GET", "/blob/|/xorb/", "arrives", call=lambda: jobs[0].kill())
    jobs.append(world.call.start("download", **given))
    assert jobs[0].wait() < 0
    archive = f"{SUBSET}/{SUBSET}_videos_1.tar.gz"
    assert (to / SUBSET / f"{SUBSET}_cap_processed.json").exists() and not (to / archive).exists()
    done = world.call("download", **given)
    assert next(iter(done["missing"])) == archive and (to / archive).read_bytes() == release[archive]
