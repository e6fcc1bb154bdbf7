"""Scanning a root: every file and folder under a root, fast, as plain columns.

GNU find walks a tree faster than Python can, and in a process of its own; where there is none, `os.scandir` does the same.
Names are bytes throughout, as a Linux file name is any bytes but ``/`` and NUL: newlines and other encodings come through.

What is listed: files, folders, and links to files that stay under the root (a Hub cache is made of such).  What is not: hidden
files and folders (``.cache``, ``.git``, ``.x.mp4.part``: never media), links that lead out, linked folders (what they lead to is
listed where it is), pipes and devices.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

FOLDER = -1
"""In place of the size of a folder."""

_CHUNK = 1 << 20
_PIPE = 1 << 20  # bytes that find may write before they are read, the most that Linux grants
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ; the fcntl module names it from Python 3.10 on Linux alone
_FIND = (
    *("-name", ".?*", "-prune", "-o"),
    *("-type", "d", "-printf", r"d\0%T@\0%h\0%f\0", "-o"),
    *("-type", "f", "-printf", r"f\0%s\0%h\0%f\0", "-o"),
    *("-type", "l", "-printf", r"l\0\0%h\0%f\0"),
)


class Batch(NamedTuple):
    """Some entries of a tree, as columns of equal length.

    Attributes:
        paths: paths of folders, relative to the root; empty for the root.
        folders: position in `paths` of the folder each entry is in.
        names: their names.
        sizes: in bytes; `FOLDER` for a folder.
        listed: folders whose content is listed → modification time in nanoseconds.
    """

    paths: list[bytes]
    folders: list[int]
    names: list[bytes]
    sizes: list[int]
    listed: dict[bytes, int]


def tree(root: str, start: bytes = b"") -> Iterator[Batch]:
    """The entries under a root, in no order.

    Args:
        root: real path of a folder.
        start: folder under it to begin at.
    """
    yield from _found(root, start) if _has_find() else _walked(root, start)


def folder(root: str, path: bytes) -> Batch:
    """The entries directly in one folder under a root; folders that have gone or cannot be read are empty."""
    names: list[bytes] = []
    sizes: list[int] = []
    here = os.path.join(os.fsencode(root), path)
    try:
        modified = os.stat(here).st_mtime_ns
        with os.scandir(here) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith(b"."):
                    continue
                if entry.is_symlink():
                    size = _linked(root, entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    size = FOLDER
                else:
                    status = entry.stat(follow_symlinks=False)
                    size = status.st_size if stat.S_ISREG(status.st_mode) else None
                if size is not None:
                    names.append(name)
                    sizes.append(size)
    except OSError:
        return Batch([path], [], [], [], {})
    return Batch([path], [0] * len(names), names, sizes, {path: modified})


def _walked(root: str, start: bytes) -> Iterator[Batch]:
    pending = [start]
    while pending:
        path = pending.pop()
        batch = folder(root, path)
        pending += [
            b"%s/%s" % (path, name) if path else name
            for name, size in zip(batch.names, batch.sizes, strict=True)
            if size < 0
        ]
        yield batch


def _found(root: str, start: bytes) -> Iterator[Batch]:
    command = ["find", b"./" + start if start else ".", *_FIND]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        rest = b""
        with suppress(OSError):
            fcntl.fcntl(process.stdout, _SET_PIPE_SIZE, _PIPE)
        try:
            while data := process.stdout.read(_CHUNK):
                parts = (rest + data).split(b"\0")
                whole = (len(parts) - 1) // 4 * 4
                rest = b"\0".join(parts[whole:])
                yield _batch(root, parts[:whole], start)
        finally:
            process.kill()  # nobody reads any more: find would wait for ever on a full pipe


def _batch(root: str, parts: list[bytes], start: bytes) -> Batch:
    kinds, texts, folders, names = parts[0::4], parts[1::4], parts[2::4], parts[3::4]
    listed: dict[bytes, int] = {}
    if kinds.count(b"f") < len(kinds):
        dropped = set()
        for i, kind in enumerate(kinds):
            if kind == b"f":
                continue
            if kind == b"d":
                whole, _, part = texts[i].partition(b".")
                path = b"%s/%s" % (folders[i], names[i])
                top = names[i] == b"." or path == b"./" + start
                listed[start if top else path[2:]] = int(whole) * 10**9 + int(part[:9].ljust(9, b"0") or 0)
                size = None if top else FOLDER
            else:
                size = _linked(root, os.path.join(os.fsencode(root), folders[i], names[i]))
            if size is None:
                dropped.add(i)
            else:
                texts[i] = b"%d" % size
        if dropped:
            texts, folders, names = (
                [value for i, value in enumerate(column) if i not in dropped] for column in (texts, folders, names)
            )
    numbers = {path: i for i, path in enumerate(dict.fromkeys(folders))}
    return Batch(
        [path[2:] for path in numbers], [numbers[path] for path in folders], names, list(map(int, texts)), listed
    )


def _linked(root: str, path: bytes) -> int | None:
    """The size of the file a link leads to, where it is one under the root."""
    target = os.path.realpath(path)
    try:
        status = os.stat(target)
    except OSError:
        return None
    inside = target.startswith(os.fsencode(root if root.endswith("/") else f"{root}/"))
    return status.st_size if inside and stat.S_ISREG(status.st_mode) else None


@cache
def _has_find() -> bool:
    """Whether ``find`` is GNU's, the one with ``-printf``."""
    if not shutil.which("find"):
        return False
    version = subprocess.run(["find", "--version"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    return b"GNU findutils" in version.stdout
