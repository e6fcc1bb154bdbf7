"""A client process that imports everything once and forks for each call: a start takes seconds, a fork almost no time.

Calls come as lines of JSON on the standard input, ``{"job": path, "do": name, "given": {…}}``; each runs in a child of its
own, which can be killed at any time.  Lines on the standard output report events: ``{"job", "pid"}`` after the fork,
``{"job", "ended"}`` with the exit code, or minus the signal.  The result is in the file ``job``, the output in ``job.out`` and
``job.err``.  Every address but loopback is out of reach.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.pop(0)  # this folder: its modules must not shadow others


def _only_loopback(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
        if host and host not in ("127.0.0.1", "::1", "localhost"):
            print("REACHED OUT TO", address, file=sys.stderr, flush=True)
            os._exit(99)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", None):
        raise OSError(f"no such host: {arguments[0]}")


sys.addaudithook(_only_loopback)

import datasets  # noqa: E402
import fsspec.implementations.http  # noqa: E402, F401  it imports aiohttp, which costs more than a push
import huggingface_hub  # noqa: E402
import msgspec  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import yaml  # noqa: E402
from huggingface_hub.utils import _http, httpx  # noqa: E402

import modalmix.builders  # noqa: E402
from modalmix import upload  # noqa: E402
from modalmix.builders.cli.demo_run import _digests  # noqa: E402
from modalmix.builders.cli.main import main as command_line  # noqa: E402

datasets.config.USE_PARQUET_EXPORT = False
datasets.config.STREAMING_READ_MAX_RETRIES, datasets.config.STREAMING_READ_RETRY_INTERVAL = 5, 0.05
datasets.disable_progress_bars()
_wait = _http._http_backoff_base
_http._http_backoff_base = lambda *given, **named: _wait(
    *given, **{**named, "base_wait_time": 0.01, "max_wait_time": 0.1}
)
upload.Patience.__new__.__defaults__ = (0.02, 0.2, 20)
PATIENCE = upload.Patience()


def push(**given: Any) -> Any:
    return upload.push(patience=PATIENCE, **given)


def verify(**given: Any) -> Any:
    return upload.verify(patience=PATIENCE, **given)


def download(**given: Any) -> Any:
    return upload.download(patience=PATIENCE, **given)


def modalmix(arguments: list[str]) -> int:
    """The command line; its exit code."""
    return command_line(arguments)


def defined(code: str, **names: Any) -> Any:
    """Runs code of a test; the result is the value of ``found``."""
    exec(code, names)
    return names["found"]


def load(where: str, name: str | None = None, streaming: bool = False, revision: str | None = None) -> Any:
    """Digests of the rows, and the features, of each split."""
    rows = datasets.load_dataset(where, name, streaming=streaming, revision=revision)
    return _digests(rows), {split: repr(part.features) for split, part in rows.items()}


def view(where: str, streaming: bool = False) -> Any:
    """The samples of the training view, arrays as digests; and the number of arrays."""
    from modalmix.builders import views

    rows = datasets.load_dataset(where, split="train", streaming=streaming)
    arrays: list[Any] = []
    samples = [_plain(sample, arrays) for sample in views.training(rows, num_frames=4, on_error="raise")]
    return samples, len(arrays)


def _plain(value: Any, arrays: list[Any]) -> Any:
    if hasattr(value, "tobytes") and hasattr(value, "shape"):
        arrays.append(value.shape)
        return [list(value.shape), str(value.dtype), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, dict):
        return {str(key): _plain(inner, arrays) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner, arrays) for inner in value]
    return str(value)


def read_repeatedly(name: str, until: str) -> Any:
    """Reads a dataset again and again, as a trainer does, until the file `until` exists.

    Each time it reads the newest commit, its files, its card, and the ids in the shards that the card's patterns match.  It
    returns the different states in the order in which it saw them, ``[rows of the card, ids]``, and how often it read.  Its
    requests have the header ``X-Reader``, so that no fault meets it.
    """
    huggingface_hub.set_client_factory(lambda: httpx.Client(headers={"X-Reader": "1"}, follow_redirects=True))
    seen: list[Any] = []
    reads, last = 0, False
    while not last:
        last = os.path.exists(until)
        state = _state(name)
        reads += 1
        if state not in seen:
            seen.append(state)
        time.sleep(0.2)
    return seen, reads


def _state(name: str) -> Any:
    api = huggingface_hub.HfApi(token=False)
    try:
        commit = api.repo_info(name, repo_type="dataset").sha
    except huggingface_hub.errors.RepositoryNotFoundError:
        return None
    files = huggingface_hub.HfFileSystem(token=False, skip_instance_cache=True)
    root = f"datasets/{name}@{commit}/"
    if not files.exists(root + "README.md"):
        return [0, list(files.glob(root + "**/*.parquet"))]
    front = yaml.safe_load(files.cat_file(root + "README.md").decode().split("---\n")[1])
    default = next(one for one in front["configs"] if one.get("default"))
    infos = front["dataset_info"]
    info = next(one for one in infos if one["config_name"] == default["config_name"])
    ids: list[str] = []
    for split in default["data_files"]:
        patterns = split["path"] if isinstance(split["path"], list) else [split["path"]]
        for path in sorted({path for pattern in patterns for path in files.glob(root + pattern)}):
            with files.open(path, "rb") as file, pq.ParquetFile(file) as parquet:
                ids += parquet.read(columns=["id"], use_threads=False)["id"].to_pylist()
    return [sum(split["num_examples"] for split in info["splits"]), ids]


def _child(job: str, do: str, given: dict[str, Any]) -> None:
    for name, stream in (("out", 1), ("err", 2)):
        descriptor = os.open(f"{job}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, stream)
    try:
        call: Callable[..., Any] = globals()[do]
        answer = {"done": call(**given)}
    except upload.HubError as error:
        answer = {"refused": str(error)}
    except BaseException as error:
        import traceback

        traceback.print_exc()
        answer = {"failed": f"{type(error).__name__}: {error}"}
    sys.stdout.flush()
    sys.stderr.flush()
    with open(f"{job}.tmp", "wb") as file:
        file.write(msgspec.json.encode(answer))
    os.replace(f"{job}.tmp", job)


def _report(**event: Any) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


def main() -> None:
    """Runs calls until the standard input ends; the first argument is code that defines more calls."""
    exec(sys.argv[1], globals())
    signalled, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    jobs: dict[int, str] = {}
    kept = b""
    while True:
        ready, _, _ = select.select([0, signalled], [], [])
        if signalled in ready:
            os.read(signalled, 4096)
            for pid in list(jobs):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    _report(job=jobs.pop(pid), ended=os.waitstatus_to_exitcode(status))
        if 0 in ready:
            read = os.read(0, 1 << 16)
            if not read:
                break
            *lines, kept = (kept + read).split(b"\n")
            for line in lines:
                call = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    _child(**call)
                    os._exit(0)
                jobs[pid] = call["job"]
                _report(job=call["job"], pid=pid)
    for pid in jobs:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
