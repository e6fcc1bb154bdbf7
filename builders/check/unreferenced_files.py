"""Unreferenced files: media files that no record refers to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice

from ..core.int_columns import Numbers, digested, members
from .media_store import SUFFIXES

_AT_ONCE = 4096


def unreferenced_files(roots: Sequence[str], referenced: Numbers) -> Iterator[tuple[str, str]]:
    """The media files below the roots that no record refers to.

    Args:
        roots: folders; one inside another is searched once.
        referenced: hashes of the paths that records refer to, sorted.

    Yields:
        The root and the path relative to it.
    """
    for root in roots:
        if any(root != other and root.startswith(f"{other.rstrip('/')}/") for other in roots):
            continue
        files = _media_files(root)
        while paths := list(islice(files, _AT_ONCE)):
            is_referenced = members((digested(path.encode("utf-8", "surrogateescape")) for path in paths), referenced)
            for path, is_used in zip(paths, is_referenced.tolist(), strict=True):
                if not is_used:
                    yield root, os.path.relpath(path, root)


def _media_files(root: str) -> Iterator[str]:
    """Files below a folder that are media by their names; links are not followed."""
    folders = [root]
    while folders:
        try:
            entries = sorted(os.scandir(folders.pop()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file(follow_symlinks=False):
                yield entry.path
