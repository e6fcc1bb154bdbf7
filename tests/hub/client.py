"""Real clients in processes of their own: they use a Hub on loopback, and every other address is out of reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

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
            "HF_XET_CLIENT_RETRY_BASE_DELAY": "20ms",
            # ``modalmix push`` sets these itself: if it is killed, the Hub knows all that it sent
            "HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_INTERVAL": "500ms",
            "HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_MAX_COUNT": "1",
            "HF_XET_DATA_MAX_CONCURRENT_FILE_INGESTION": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Starts a process with Python code."""
        return subprocess.Popen(
            [sys.executable, "-c", _PROLOGUE + code, *arguments],
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs Python code to its end; it must connect to loopback alone."""
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
cli.NAMES = tuple(name for name in cli.NAMES if name in ("push", "verify", "card", "download"))  # the commands under test
from modalmix.builders.cli.main import main
sys.exit(main(sys.argv[1:]))
"""

PUSH = """
import json, msgspec
from modalmix.upload import HubError, Patience, push
done = push(sys.argv[1], sys.argv[2], patience=Patience(0.05, 0.5, 8))
print(msgspec.json.encode(done).decode())
"""


class RefusedError(Exception):
    """The `HubError` of a call in a worker."""


class Job:
    """A running call in a process of its own.

    Attributes:
        pid: of the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pid = 0
        self.started, self.finished = threading.Event(), threading.Event()
        self.code = 0

    def kill(self) -> None:
        """Sends SIGKILL, unless the process has ended."""
        assert self.started.wait(30), "the call has not started"
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float = 120) -> int:
        """Waits for the end: the exit code, or minus the signal that ended it."""
        assert self.finished.wait(timeout), "the call does not end"
        assert self.code != 99, self.path.with_name(self.path.name + ".err").read_text()
        return self.code

    def answer(self) -> Any:
        """The result of the call.

        Raises:
            RefusedError: it raised a `HubError`.
        """
        self.wait()
        printed = self.path.with_name(self.path.name + ".err")
        assert self.path.exists(), f"ended with {self.code}: {printed.read_text()}"
        answer = json.loads(self.path.read_text())
        if "refused" in answer:
            raise RefusedError(answer["refused"])
        assert "done" in answer, printed.read_text()
        return answer["done"]


class CommandResult(NamedTuple):
    """The exit code of a command line, and what it printed."""

    code: int
    out: str
    err: str


class Worker:
    """A client process that forks for each call, because starting one takes seconds; see `hub.worker`."""

    def __init__(self, clients: Clients, more: str = "") -> None:
        """Starts the process; `more` is code that defines more calls."""
        self.clients = clients
        self.jobs: dict[str, Job] = {}
        self.folder = clients.home / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("worker.py")), more],
            env=clients.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, do: str, **given: Any) -> Job:
        """Starts a call."""
        assert self.process.stdin
        job = Job(self.folder / str(len(self.jobs)))
        self.jobs[str(job.path)] = job
        print(json.dumps({"job": str(job.path), "do": do, "given": given}), file=self.process.stdin, flush=True)
        return job

    def __call__(self, do: str, **given: Any) -> Any:
        """The result of ``push``, ``verify``, ``download``, ``load`` or ``view``.

        Raises:
            RefusedError: it raised a `HubError`.
        """
        return self.start(do, **given).answer()

    def modalmix(self, *arguments: str) -> CommandResult:
        """The result of a command line."""
        job = self.start("modalmix", arguments=arguments)
        code = job.answer()
        out, err = (job.path.with_name(f"{job.path.name}.{name}").read_text() for name in ("out", "err"))
        return CommandResult(code, out, err)

    def close(self) -> None:
        for job in self.jobs.values():
            if not job.finished.is_set():
                job.kill()
        self.process.kill()
        self.process.wait()

    def _listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            event = json.loads(line)
            job = self.jobs[event["job"]]
            if "pid" in event:
                job.pid = event["pid"]
                job.started.set()
            else:
                job.code = event["ended"]
                job.finished.set()
        for job in self.jobs.values():
            if not job.finished.is_set():
                job.code = -1
                job.started.set()
                job.finished.set()
