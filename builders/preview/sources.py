"""What ``modalmix preview`` is pointed at, as a collection."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..pipeline.options import DEFAULTS, Options
from .annotation_collection import Annotated
from .entries import Collection
from .parquet_collection import folder, repository

_REPOSITORY = re.compile(r"(?:(?:hf://)?datasets/)?([\w.-]+/[\w.-]+)")


def open_collection(data: Sequence[str], options: Options = DEFAULTS, *, seed: int = 42) -> Collection:
    """Annotation files, a built folder, or a repository of the Hub.

    Args:
        data: annotation files (see `modalmix.builders.pipeline.inputs`); or one folder that a build has made; or the name of one
            repository, ``namespace/name``, where there is no such file here.
        options: how annotation records become rows.
        seed: for ``random:N`` of a mixture.

    Raises:
        DataError: there is nothing to look at.
    """
    if len(data) == 1:
        only = data[0]
        if os.path.isdir(only) and _is_built(only):
            return folder(only)
        name = _REPOSITORY.fullmatch(only)
        if name and not os.path.exists(only) and not only.endswith((".json", ".jsonl", ".yaml", ".yml", ".gz", ".zst")):
            return repository(name[1])
    return Annotated(list(data), options, seed=seed)


def _is_built(path: str) -> bool:
    """Whether a folder is a dataset in Parquet: it has a report, or Parquet files and no annotation files beside them."""
    if os.path.exists(os.path.join(path, "report.json")) and os.path.isdir(os.path.join(path, "data")):
        return True
    places = [path, os.path.join(path, "data")]
    names = [name for place in places if os.path.isdir(place) for name in os.listdir(place)]
    return any(name.endswith(".parquet") for name in names)
