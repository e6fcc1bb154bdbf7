"""Sources: the collection that the arguments of ``modalmix preview`` name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..pipeline.options import DEFAULTS, Options
from .annotation_collection import AnnotationCollection
from .entries import Collection
from .parquet_collection import folder, repository

_REPOSITORY = re.compile(r"(?:(?:hf://)?datasets/)?([\w.-]+/[\w.-]+)")
_ANNOTATIONS = (".json", ".jsonl", ".yaml", ".yml", ".gz", ".zst")


def open_collection(data: Sequence[str], options: Options = DEFAULTS, *, seed: int = 42) -> Collection:
    """Annotation files, a built folder, or a repository of the Hub.

    Args:
        data: annotation files (see `modalmix.builders.pipeline.inputs`); or one built folder; or the name of one repository,
            ``namespace/name``, if no such file exists here.
        options: how annotation records become rows.
        seed: for ``random:N`` of a mixture.

    Raises:
        DataError: there is nothing to show.
    """
    if len(data) == 1:
        only = data[0]
        if os.path.isdir(only) and _is_built(only):
            return folder(only)
        name = _REPOSITORY.fullmatch(only)
        if name and not os.path.exists(only) and not only.endswith(_ANNOTATIONS):
            return repository(name[1])
    return AnnotationCollection(list(data), options, seed=seed)


def _is_built(path: str) -> bool:
    """Whether a folder is a dataset in Parquet: it has a report and data, or Parquet files in it or in ``data``."""
    if os.path.exists(os.path.join(path, "report.json")) and os.path.isdir(os.path.join(path, "data")):
        return True
    folders = [path, os.path.join(path, "data")]
    names = [name for place in folders if os.path.isdir(place) for name in os.listdir(place)]
    return any(name.endswith(".parquet") for name in names)
