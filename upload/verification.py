"""Verification: the Hub holds what the build holds, and it loads.

The size and hash of every file on the Hub are compared with those of the local file.  The first row of each config is read as
a trainer reads it: `datasets` finds the files by the card, ranges of the first file are downloaded, and the row must equal the
local one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow.parquet as pq

from ..builders.core.errors import HubError
from ..builders.pipeline.hub_client import RemoteEntry, Repository
from ..builders.pipeline.hub_retry import Patience, retry
from ..cards.front import configs
from . import build as builds
from .build import Build
from .journal import Hashed, Journal
from .planning import is_same, part_prefix


class Verification(msgspec.Struct):
    """The result of a comparison.

    Attributes:
        files: number of files that were compared.
        bytes: their bytes.
        wrong: path → how the file differs.
        rows: config → id of the row that was read.
    """

    files: int = 0
    bytes: int = 0
    wrong: dict[str, str] = {}
    rows: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether everything is the same."""
        return not self.wrong


def verify(
    folder: str,
    repository: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    token: str | None = None,
    patience: Patience | None = None,
) -> Verification:
    """Compares a build with a repository of the Hub.

    Args:
        folder: folder of the build.
        repository: ``namespace/name``.
        config: the config that it was pushed as.
        revision: branch, pull request or commit; ``main`` by default.
        token: token to use instead of the stored one; a public repository needs none.
        patience: how long to retry.

    Raises:
        HubError: the folder holds no finished build, the repository does not exist, or the Hub cannot be reached.
    """
    build = builds.finished_build(folder)
    target = Repository(repository, token)
    journal = Journal(folder)
    prefix = part_prefix(config)
    local = {prefix + path: journal.hashed(path) for path in build.files}

    def compare() -> Verification:
        head = target.head(revision)
        if head.commit is None:
            raise HubError(f"{repository} is not on {target.endpoint}, or this token may not see it")
        result = verify_files(local, head)
        if not result.wrong:
            result.rows = verify_rows(build, target, config, head.commit)
        return result

    with target.errors():
        return retry(compare, patience or Patience(), lambda line: None, "comparing")


def verify_files(local: Mapping[str, Hashed], remote: Mapping[str, RemoteEntry]) -> Verification:
    """Compares sizes and hashes."""
    result = Verification()
    for path, file in local.items():
        result.files += 1
        result.bytes += file.size
        there = remote.get(path)
        if there is None:
            result.wrong[path] = "it is not on the Hub"
        elif there.size != file.size:
            result.wrong[path] = f"it has {there.size} bytes on the Hub, and {file.size} here"
        elif not is_same(file, there):
            result.wrong[path] = "its content differs on the Hub"
    return result


def verify_rows(build: Build, target: Repository, part: str | None, commit: str) -> dict[str, str]:
    """Reads the first row of each config from the Hub.

    Returns:
        Config → id of the row.

    Raises:
        HubError: a config does not load, or its first row differs from the local one.
    """
    from datasets import load_dataset_builder
    from huggingface_hub import HfFileSystem

    read = {}
    for name, (kinds, by_split) in configs(build.report, part).items():
        loader = load_dataset_builder(target.name, name, revision=commit, token=target.token or False)
        for split, shards in by_split.items():
            found = [str(path) for path in loader.config.data_files[split]]
            if len(found) != len(shards) or loader.info.features != kinds:
                raise HubError(
                    f"{target.name}: config {name!r}, split {split}: {len(found)} shards, not {len(shards)}, or other features"
                )
        split, shards = next(iter(by_split.items()))
        place = str(loader.config.data_files[split][0])
        prefix = part_prefix(part)
        path = place.partition("@" + commit + "/")[2]
        with target.filesystem(HfFileSystem).open(place, "rb") as file:
            there = _first_row(file, list(kinds))
        here = _first_row(os.path.join(build.folder, path.removeprefix(prefix)), list(kinds))
        if there != here:
            raise HubError(f"{target.name}: the first row of config {name!r} differs from the local one")
        read[name] = str(there["id"])
    return read


def _first_row(file: Any, columns: list[str]) -> dict[str, Any]:
    with pq.ParquetFile(file) as parquet:
        row: dict[str, Any] = next(
            parquet.iter_batches(1, row_groups=[0], columns=columns, use_threads=False)
        ).to_pylist()[0]
        return row
