"""DATA: what a person points at, as annotation files in splits.

DATA is an annotation file, several, a glob, a ``{a,b}.json`` group, a YAML mixture, a folder, or a place on the Hub
(``hf://datasets/namespace/name[@revision][/path]``).  In a folder the names of the files decide the splits, as each format has
it; files that are named go where they are named for: ``train``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..annotations import LocalCopy, Source, sources
from ..annotations.sources import is_annotation
from ..core.errors import DataError
from ..formats import NAMES, formats
from .hub_client import annotations_of
from .hub_urls import is_remote
from .recognise_files import format_of, why_unrecognised

TRAIN = "train"


def annotation_files(
    data: str | Sequence[str], *, seed: int = 42, root: str | None = None, token: str | None = None
) -> list[Source]:
    """The annotation files of DATA, in a fixed order; those on the Hub are fetched into the client's cache.

    Args:
        data: see the module.
        seed: for ``random:N`` of a mixture.
        root: files under it are named relative to it; else relative to the folder, or the repository, they were named under.
        token: for the Hub, instead of the one that is logged in.

    Raises:
        DataError: there is nothing to read, it cannot be read, or the Hub does not give it.
    """
    items: list[str | LocalCopy] = []
    for name in [data] if isinstance(data, (str, os.PathLike)) else data:
        items += annotations_of(name, token) if is_remote(name) else [name]
    return sources(items, seed=seed, root=root)


def splits(data: str | Sequence[str], *, format: str | None = None, seed: int = 42) -> dict[str, list[Source]]:
    """The annotation files of DATA by split.

    Args:
        data: see the module.
        format: the format of the files, where it is known; else the first record of each file tells it.
        seed: for ``random:N`` of a mixture.

    Raises:
        DataError: there is nothing to read, or no format recognises any of it.
    """
    found = annotation_files(data, seed=seed)
    if format is None:
        reasons = [why_unrecognised(source.path) for source in found]
        if reasons[0] and all(reasons):
            raise DataError(f"no format recognises {found[0].file!r}: {reasons[0]}")
    folder = data if isinstance(data, str) else data[0] if len(data) == 1 else ""
    if not os.path.isdir(folder) and not (is_remote(folder) and not is_annotation(folder)):
        return {TRAIN: found}
    by_split: dict[str, list[Source]] = {}
    for source in found:
        name = format or format_of(source.path)
        by_split.setdefault(formats()[name].split_of(source.file) if name else TRAIN, []).append(source)
    return dict(sorted(by_split.items(), key=lambda item: (item[0] != TRAIN, item[0])))


def known_format(name: str | None) -> str | None:
    """Checks a format's name as a person gave it; ``modalmix`` and None mean: recognise each record.

    Raises:
        DataError: there is no such format.
    """
    if name is None or name == "modalmix":
        return None
    if name not in NAMES:
        raise DataError(f"there is no format {name!r}: it is one of {', '.join(NAMES)}, or modalmix for any")
    return name
