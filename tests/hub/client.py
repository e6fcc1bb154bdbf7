"""Real clients in processes of their own, against a Hub on loopback and with every other address out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from .server import Hub

_PROLOGUE = """
import os, socket, sys
def _loopback(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
        if host and host not in ("127.0.0.1", "::1", "localhost"):
            print("REACHED OUT TO", address, file=sys.stderr, flush=True)
            os._exit(99)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", None):
        raise OSError(f"no such host: {arguments[0]}")
sys.addaudithook(_loopback)
import datasets
datasets.config.USE_PARQUET_EXPORT = False
datasets.config.STREAMING_READ_MAX_RETRIES, datasets.config.STREAMING_READ_RETRY_INTERVAL = 5, 0.1
datasets.disable_progress_bars()
"""

MODES = ("xet", "lfs")


class Clients:
    """Runs clients with one token and one cache.

    Attributes:
        mode: ``"xet"``, the clients' default, or ``"lfs"``.
    """

    def __init__(self, hub: Hub, home: Path, mode: str, token: str = "hf_test") -> None:
        self.hub, self.home, self.mode, self.token = hub, home, mode, token

    def env(self) -> dict[str, str]:
        kept = {
            name: os.environ[name]
            for name in ("PATH", "PYTHONPATH", "LANG", "TMPDIR", "COVERAGE_PROCESS_START")
            if name in os.environ
        }
        return {
            **kept,
            "HOME": str(self.home),
            "HF_HOME": str(self.home / "hf"),
            "HF_ENDPOINT": self.hub.url,
            "HF_TOKEN": self.token,
            "HF_HUB_DISABLE_XET": "1" if self.mode == "lfs" else "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_XET_TELEMETRY_ENABLED": "0",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Begins to run Python code."""
        return subprocess.Popen(
            [sys.executable, "-c", _PROLOGUE + code, *arguments],
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs Python code to its end; it must not reach out."""
        process = self.start(code, *arguments)
        try:
            out, error = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert process.returncode != 99, error
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def modalmix(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the command line."""
        return self.run(MODALMIX, *arguments)


MODALMIX = """
from modalmix.builders import cli
cli.NAMES = tuple(name for name in cli.NAMES if name in ("push", "verify", "card", "download"))  # what is tested here
sys.exit(cli.main(sys.argv[1:]))
"""

PUSH = """
import json, msgspec
from modalmix.upload import HubError, Patience, push
done = push(sys.argv[1], sys.argv[2], patience=Patience(0.05, 0.5, 8))
print(msgspec.json.encode(done).decode())
"""

_WORKER = """
import hashlib, json, msgspec
from modalmix.builders.demo import _digests
from modalmix import upload
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)
PATIENCE = upload.Patience(0.02, 0.1, 8)
def push(**given):
    return upload.push(patience=PATIENCE, **given)
def verify(**given):
    return upload.verify(patience=PATIENCE, **given)
def download(**given):
    return upload.download(patience=PATIENCE, **given)
def load(where, name=None, streaming=False, revision=None):
    rows = datasets.load_dataset(where, name, streaming=streaming, revision=revision)
    return _digests(rows), {split: repr(part.features) for split, part in rows.items()}
def view(where, streaming=False):
    from modalmix.builders import views
    rows = datasets.load_dataset(where, split="train", streaming=streaming)
    arrays = []
    samples = [_plain(sample, arrays) for sample in views.training(rows, num_frames=4, on_error="raise")]
    return samples, len(arrays)
def _plain(value, arrays):
    if hasattr(value, "tobytes") and hasattr(value, "shape"):
        arrays.append(value.shape)
        return [list(value.shape), str(value.dtype), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, dict):
        return {str(key): _plain(one, arrays) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, arrays) for one in value]
    return str(value)
"""

_CALLS = """
for line in sys.stdin:
    asked = json.loads(line)
    try:
        answer = {"done": globals()[asked.pop("do")](**asked)}
    except upload.HubError as error:
        answer = {"refused": str(error)}
    except Exception as error:
        answer = {"failed": f"{type(error).__name__}: {error}"}
    print(msgspec.json.encode(answer).decode(), file=answers)
"""


class RefusedError(Exception):
    """What a worker's `HubError` says."""


class Worker:
    """A client process that takes one call after another, for starting one takes seconds."""

    def __init__(self, clients: Clients, more: str = "") -> None:
        """Starts it; `more` defines what else it can be called for."""
        self.clients = clients
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROLOGUE + _WORKER + more + _CALLS],
            env=clients.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, do: str, **given: Any) -> Any:
        """The answer of ``push``, ``verify``, ``download`` or ``load``.

        Raises:
            RefusedError: it is refused.
        """
        assert self.process.stdin and self.process.stdout
        print(json.dumps({"do": do, **given}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        assert "done" in answer, answer
        return answer["done"]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
