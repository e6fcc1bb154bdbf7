"""Dataset rows: bytes of cells, undecoded rows, ids, and the files and media roots of the example."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets

from modalmix.builders.media.cells import data_of
from modalmix.builders.pipeline import features

Folders = dict[str, str]


def bytes_of(cell: dict[str, Any]) -> bytes:
    data = data_of(cell)
    return Path(data).read_bytes() if isinstance(data, str) else data


def undecoded(rows: Any) -> Any:
    def off(kind: Any) -> Any:
        return datasets.List(off(kind.feature)) if isinstance(kind, datasets.List) else type(kind)(decode=False)

    return rows.cast(
        datasets.Features({k: off(v) if k in features.MEDIA_COLUMNS else v for k, v in rows.features.items()})
    )


def ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def annotation_files(folder: str) -> list[str]:
    return sorted(
        str(path) for path in Path(folder).rglob("*") if path.suffix in (".json", ".jsonl") and "test" not in path.name
    )


def modalmix_roots(folder: str) -> list[str]:
    return [folder, *sorted(entry.path for entry in os.scandir(folder) if entry.is_dir())]
