"""The report of a build: what it read, what it wrote, and that the counts add up."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from .counts import Counts

REPORT = "report.json"
"""File of a build: its report."""

REJECTED = "rejected.jsonl"
"""File of a build: every record that is not in the shards, with its findings."""

STATE = ".build"
"""Folder, in an output, of an unfinished build: its plan, journals and locks.  The build removes it at its end."""


class Shard(msgspec.Struct, frozen=True):
    """One file of a built dataset: path relative to its folder, rows, and size in bytes."""

    path: str
    rows: int
    bytes: int


class Rejects(msgspec.Struct, frozen=True):
    """The rejected records whose first error is of one code: how many, and the first of them."""

    records: int
    file: str
    row: int
    pointer: str
    message: str


class Report(msgspec.Struct):
    """What a build did; ``report.json``.

    Attributes:
        version: of modalmix.
        counts: the outcomes of the records.
        shards: mix → split → shards.
        sources: annotation file → its size in bytes.
        checksums: annotation file → its SHA-256.
        options: the options that decided the rows, without any path of the machine.
        rejects: code → the records that were rejected for it.
    """

    version: str
    counts: Counts
    shards: dict[str, dict[str, list[Shard]]]
    sources: dict[str, int]
    checksums: dict[str, str] = {}
    options: dict[str, Any] = {}
    rejects: dict[str, Rejects] = {}

    def all_shards(self) -> list[Shard]:
        """Every shard, mix by mix and split by split."""
        return [shard for by_split in self.shards.values() for shards in by_split.values() for shard in shards]

    @property
    def rows(self) -> int:
        """Rows of all shards; where rows are grouped, fewer than the records that are written."""
        return sum(shard.rows for shard in self.all_shards())

    @property
    def grouped(self) -> bool:
        """Whether rows are grouped by their media; see `modalmix.builders.pipeline.grouped_rows`."""
        return self.options.get("group_by") == "media"

    def text(self) -> str:
        """The text of ``report.json``."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"


def modalmix_version() -> str:
    """The installed version of modalmix."""
    try:
        return version("modalmix")
    except PackageNotFoundError:
        return "unknown"
