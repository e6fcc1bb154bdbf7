"""Locks: one holder, or several that share; released when the process is gone; refused in words where there are none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modalmix.builders.core.locks import LockedError, acquire, locked

HOLD = """
import sys, time
from modalmix.builders.core.locks import acquire
acquire(sys.argv[1], shared=sys.argv[2] == "shared")
print("held", flush=True)
time.sleep(600)
"""

WITHOUT_FLOCK = """
import ctypes, errno, platform, struct, sys
number = {"x86_64": 73, "aarch64": 32}[platform.machine()]
deny = 0x00050000 | errno.ENOLCK
program = b"".join(struct.pack("<HBBI", *one) for one in (
    (0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, deny), (0x06, 0, 0, 0x7FFF0000)))
text = ctypes.create_string_buffer(program, len(program))
class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
if libc.prctl(22, 2, ctypes.byref(Filter(4, ctypes.addressof(text))), 0, 0):
    sys.exit(77)
from modalmix.builders.core.locks import acquire
for shared in (False, True):
    try:
        acquire(sys.argv[1], shared=shared, wait=False)
    except OSError as error:
        print(error)
"""
"""A process in which the system refuses flock, as a network file system without a lock service does."""


@pytest.fixture(params=["file", "folder"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lock") if request.param == "file" else str(tmp_path)


@pytest.mark.parametrize("kind", ["shared", "exclusive"])
def test_a_lock_ends_with_a_process_that_is_killed(path: str, kind: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, path, kind], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match="another process holds the lock"):
            acquire(path, wait=False)
        if kind == "shared":
            os.close(acquire(path, shared=True, wait=False))
        else:
            with pytest.raises(LockedError):
                acquire(path, shared=True, wait=False)
        threading.Timer(0.1, os.kill, (holder.pid, signal.SIGKILL)).start()
        with locked(path):
            assert holder.wait() == -signal.SIGKILL


def test_threads_wait_for_each_other(tmp_path: Path) -> None:
    path, file = str(tmp_path / "lock"), tmp_path / "number"
    file.write_text("0")

    def count() -> None:
        for _ in range(50):
            with locked(path):
                file.write_text(str(int(file.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "200"


def test_a_file_that_is_not_to_be_made_is_missed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        acquire(str(tmp_path / "none"), create=False)
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_named_and_nothing_is_locked(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    done = subprocess.run([sys.executable, "-c", WITHOUT_FLOCK, path], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("the system lets nobody filter its calls")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and all("does not support locks (No locks available)" in line for line in lines)
    assert all(path in line for line in lines)
    os.close(acquire(path, wait=False))
