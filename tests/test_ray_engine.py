"""Builds on a Ray cluster: the same bytes, whatever is lost on the way.

The nodes are several on this machine, as Ray's own tests start them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from build_data import SMALL, digests, make_data
from modalmix import cards
from modalmix.builders import build
from modalmix.builders.build import Settings
from modalmix.builders.cli.main import main
from modalmix.builders.core.errors import DataError
from modalmix.builders.pipeline.rejects import RejectedRow

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
ray = pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("cluster")  # one cluster, not one in each process
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def cluster(bucket: str) -> Iterator[Any]:
    """Two nodes of one processor each."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=NODE)
    nodes.add_node(**{name: value for name, value in NODE.items() if name != "include_dashboard"})
    try:
        yield nodes
    finally:
        nodes.shutdown()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = str(tmp_path_factory.mktemp("undisturbed") / "built")
    build.build(str(data), out, settings=SMALL, card=cards.write)
    return digests(out)


def workers_of(cluster: Any) -> list[int]:
    """The processes of the cluster's nodes, of no other cluster's, that run a task of a build."""
    raylets = ",".join(str(node.all_processes["raylet"][0].process.pid) for node in cluster.list_all_nodes())
    found = subprocess.run(["pgrep", "-P", raylets, "-f", "ray::_run"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def test_a_worker_and_a_node_are_lost_and_the_bytes_are_the_same(cluster: Any, data: Path, tmp_path: Path) -> None:
    doomed = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    tiny = Settings(row_group_bytes=50_000, shard_bytes=50_000)
    build.build(str(data), str(tmp_path / "quiet" / "built"), settings=tiny, card=cards.write)
    out, killed, ended = str(tmp_path / "built"), [], threading.Event()
    standings: list[tuple[int, int]] = []

    def kill() -> None:
        while not ended.is_set() and not killed:
            for pid in workers_of(cluster)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        report = build.build(
            str(data),
            out,
            settings=tiny,
            engine="ray",
            address=cluster.address,
            progress=lambda standing: standings.append((standing.finished, standing.rows)),
            card=cards.write,
        )
    finally:
        ended.set()
        killer.join()
    assert killed and digests(out) == digests(str(tmp_path / "quiet" / "built"))
    assert standings[-1][1] == sum(report.counts.written.values()), "what is told twice is counted once"
    assert not ray.is_initialized()


def test_a_cluster_writes_into_an_object_store(
    cluster: Any, data: Path, bucket: str, undisturbed: dict[str, str]
) -> None:
    out = f"{bucket}/ray/built"
    build.build(str(data), out, settings=SMALL, engine="ray", address=cluster.address, workers=2, card=cards.write)
    assert digests(out) == undisturbed


def test_errors_of_workers_come_as_themselves(cluster: Any, data: Path, tmp_path: Path) -> None:
    strict = Settings(on_error="raise", row_group_bytes=150_000, shard_bytes=300_000)
    on_ray: dict[str, Any] = {"engine": "ray", "address": cluster.address}
    ray.init(cluster.address, log_to_driver=False)  # a driver's own connection is used, and stays
    try:
        with pytest.raises(RejectedRow, match="MX202") as reported:
            build.build(str(data), str(tmp_path / "a"), settings=strict, **on_ray, card=cards.write)
        assert type(reported.value) is RejectedRow and "\n" not in str(reported.value)
        with pytest.raises(DataError, match=r"nowhere") as missing:
            build.build(str(tmp_path / "nowhere.json"), str(tmp_path / "b"), **on_ray, card=cards.write)
        assert type(missing.value) is DataError
        assert ray.is_initialized()
    finally:
        ray.shutdown()


class Elsewhere(NamedTuple):
    """A cluster whose only node with a processor sees another content of a folder than we do: data."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def elsewhere(bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """Mounts are hidden from us as a disk of another machine is."""
    from ray.cluster_utils import Cluster

    script = 'mount -t tmpfs none "$0" && cp -r "$1" "$0/data" && shift && exec "$@"'
    folder, secret = tmp_path_factory.mktemp("elsewhere"), make_data(tmp_path_factory.mktemp("secret"))
    isolated = ["unshare", "-m", "sh", "-c", script, str(folder), str(secret)]
    if not shutil.which("unshare") or subprocess.run([*isolated, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0})
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={nodes.address}", "--num-cpus=1",
        f"--object-store-memory={80 << 20}", "--block", "--disable-usage-stats",
    ]  # fmt: skip
    node = subprocess.Popen([*isolated, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while sum(one["Alive"] for one in nodes.global_state.node_table()) < 2:
            assert node.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        yield Elsewhere(nodes.address, folder)
    finally:
        node.terminate()
        node.wait()
        nodes.shutdown()


def test_data_may_be_where_only_workers_see_them(
    elsewhere: Elsewhere, bucket: str, undisturbed: dict[str, str]
) -> None:
    there, out = elsewhere.folder / "data", f"{bucket}/elsewhere/built"
    assert not there.exists()
    build.build(str(there), out, settings=SMALL, engine="ray", address=elsewhere.address, card=cards.write)
    assert digests(out) == undisturbed


def test_an_output_that_a_node_does_not_see_is_an_error_before_the_work_starts(elsewhere: Elsewhere) -> None:
    out = elsewhere.folder / "built"
    with pytest.raises(DataError, match=r"does not see .*name a folder that all nodes share, or an object store"):
        build.build(
            str(elsewhere.folder / "data"),
            str(out),
            settings=SMALL,
            engine="ray",
            address=elsewhere.address,
            card=cards.write,
        )
    assert out.exists() and not list(out.rglob("*.parquet")) and not list(out.rglob("probe*"))


def test_a_cluster_that_cannot_be_reached_is_an_error_in_one_line(data: Path, tmp_path: Path) -> None:
    for address in ("127.0.0.1:1", "nowhere.invalid:6379"):
        with pytest.raises(DataError, match=f"no Ray cluster at '{address}'") as reported:
            build.build(str(data), str(tmp_path / "built"), engine="ray", address=address, card=cards.write)
        assert "\n" not in str(reported.value)
    with pytest.raises(DataError, match=r"an address .* needs the engine ray"):
        build.build(str(data), str(tmp_path / "built"), address="127.0.0.1:1", card=cards.write)
    with pytest.raises(DataError, match="there is no engine 'spark'"):
        build.build(str(data), str(tmp_path / "built"), engine="spark", card=cards.write)


def test_without_ray_the_engine_says_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["build", str(data), "--out", str(tmp_path / "built"), "--engine", "ray"]) == 2
    assert "pip install 'modalmix[ray]'" in capsys.readouterr().err


def test_the_command_starts_a_cluster_of_its_own_and_ends_it(
    data: Path, tmp_path: Path, undisturbed: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    usual = tmp_path / "usual"
    build.build(str(data), str(usual / "built"), card=cards.write)
    out = tmp_path / "built"
    arguments = ["build", str(data), "--out", str(out), "--engine", "ray", "--workers", "2", "--json"]
    assert main(arguments) == 1, "records were rejected"
    printed = capsys.readouterr().out
    assert printed == (out / "report.json").read_text(), "nothing of a worker comes between"
    assert digests(str(out)) == digests(str(usual / "built")) and not ray.is_initialized()
