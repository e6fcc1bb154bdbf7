"""Planning: what a push changes, decided from plain values.

::

    the build's files (path, size, digests)  ──┐
    the repository's files (path, size, digest) ├─► Plan: send · same · stale (deleted only when asked)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from ..builders.pipeline.hub_client import CARD, RemoteEntry
from .journal import Hashed

_OURS = re.compile(r"data/[^/]+/[^/]+-\d{5,}\.parquet|plots/[^/]+\.png")
_NEUTRAL = frozenset((".gitattributes", ".gitignore", CARD, "LICENSE", "LICENSE.md", "LICENSE.txt", "CITATION.cff"))


class Plan(msgspec.Struct):
    """What a push changes.

    Attributes:
        send: files whose content the repository does not have under this path: path → bytes.
        same: files it has: path → bytes.
        stale: shards and plots of this part that are no longer in the build: path → bytes.
        prune: whether `stale` is deleted.
    """

    send: dict[str, int]
    same: dict[str, int]
    stale: dict[str, int]
    prune: bool

    @property
    def delete(self) -> list[str]:
        """The files that the commit deletes."""
        return sorted(self.stale) if self.prune else []

    @property
    def changes(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.send or self.delete)


def plan(local: Mapping[str, Hashed], remote: Mapping[str, RemoteEntry], prefix: str, prune: bool) -> Plan:
    """Decides what to send.

    Args:
        local: path in the repository → the file of the build.
        remote: what the repository holds.
        prefix: of this part's paths, ``""`` or ``"NAME/"``.
        prune: delete shards and plots that are no longer in the build.
    """
    send: dict[str, int] = {}
    same: dict[str, int] = {}
    for path, file in local.items():
        (same if path in remote and is_same(file, remote[path]) else send)[path] = file.size
    return Plan(send, same, stale(local, remote, prefix), prune)


def stale(local: Iterable[str], remote: Mapping[str, RemoteEntry], prefix: str) -> dict[str, int]:
    """Shards and plots of a part that are in the repository but not in the build: path → bytes."""
    present = set(local)
    return {
        path: file.size
        for path, file in remote.items()
        if path.startswith(prefix) and _OURS.fullmatch(path[len(prefix) :]) and path not in present
    }


def is_same(local: Hashed, remote: RemoteEntry) -> bool:
    """Whether the repository's file has the content of the local one."""
    if remote.sha256 is not None:
        return remote.sha256 == local.sha256 and remote.size == local.size
    return remote.git_sha1 == local.git_sha1


def foreign(remote: Iterable[str], card: str | None) -> str | None:
    """A file that no push has made; None if there is none.

    If the card has a section of modalmix, the repository is one of ours, whatever else it holds.
    """
    if card is not None and "<!-- modalmix: part " in card:
        return None
    return next((path for path in sorted(remote) if path not in _NEUTRAL), None)


def part_prefix(part: str | None) -> str:
    """The folder of a part in the repository, with its slash; the only or first part has none."""
    return f"{part}/" if part else ""
