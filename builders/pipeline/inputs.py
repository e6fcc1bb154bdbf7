"""DATA: what a person points at, as annotation files in splits.

DATA is an annotation file, several, a glob, a ``{a,b}.json`` group, a YAML mixture, a folder, or a place on the Hub
(``hf://datasets/namespace/name[@revision][/path]``).  In a folder the names of the files decide the splits, as each format has
it; files that are named go where they are named for: ``train``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..annotations import HUB, Source, sources
from ..annotations.sources import is_annotation
from ..core.errors import DataError
from ..formats import NAMES, formats
from ..formats.recognition import format_of, unrecognised

TRAIN = "train"


def splits(data: str | Sequence[str], *, format: str | None = None, seed: int = 42) -> dict[str, list[Source]]:
    """The annotation files of DATA by split.

    Args:
        data: see the module.
        format: the format of the files, where it is known; else the first record of each file tells it.
        seed: for ``random:N`` of a mixture.

    Raises:
        DataError: there is nothing to read, or no format recognises any of it.
    """
    found = sources(data, seed=seed)
    if format is None:
        reasons = [unrecognised(source.path) for source in found]
        if reasons[0] and all(reasons):
            raise DataError(f"no format recognises {found[0].file!r}: {reasons[0]}")
    folder = data if isinstance(data, str) else data[0] if len(data) == 1 else ""
    if not os.path.isdir(folder) and not (folder.startswith(HUB) and not is_annotation(folder)):
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
