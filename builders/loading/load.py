"""`load_dataset` of this package: the call of `datasets`, for folders and mixtures too."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from ..formats import NAMES, formats
from ..pipeline.hub_urls import HUB
from .registry import BUILDERS

DataFiles = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None


def load_dataset(
    path: str,
    name: str | None = None,
    *,
    data_dir: str | None = None,
    data_files: DataFiles = None,
    **kwargs: Any,
) -> Any:
    """`datasets.load_dataset` for the builders of this package, for folders and mixtures too.

    The call of `datasets` lists every file below ``data_dir``, and reads neither ``{a,b}.json`` nor YAML mixtures.  This call
    finds the annotation files first, and assigns them to splits by their names.

    Args:
        path: name of a builder; with any other name, this is the call of `datasets`.
        name: config: ``all``, a mix, or a folder of the upstream dataset (of ``llava_video``).
        data_dir: folder with annotation files; also the media root, unless ``media_root`` is given.
        data_files: annotation files, globs, ``{a,b}.json`` groups, YAML mixtures; or a mapping from split to those.
        **kwargs: options of the builder (`modalmix.builders.loading.builder.AnnotationConfig`) and of `datasets.load_dataset`.

    Returns:
        What `datasets.load_dataset` returns.

    Raises:
        modalmix.builders.core.errors.DataError: there are no annotation files, or one cannot be read.
    """
    if path not in BUILDERS or (data_files is None and data_dir is None):
        return datasets.load_dataset(path, name, data_dir=data_dir, data_files=data_files, **kwargs)
    from ..pipeline.inputs import TRAIN, splits

    if data_files is not None:
        by_split = data_files if isinstance(data_files, Mapping) else {TRAIN: data_files}
        files = {
            split: [file for entry in _as_list(entries) for file in _annotation_files(entry)]
            for split, entries in by_split.items()
        }
    else:
        assert data_dir is not None
        folder = os.path.join(data_dir, name) if name and name in _folders(path) else data_dir
        found = splits(folder, format=path if path in NAMES else None)
        files = {split: [source.path for source in sources] for split, sources in found.items()}
        kwargs.setdefault("media_root", data_dir)
    escaped = {
        split: [file if file.startswith(HUB) else glob.escape(file) for file in paths] for split, paths in files.items()
    }
    return datasets.load_dataset(path, name, data_dir=data_dir, data_files=escaped, **kwargs)


def _as_list(entries: str | Sequence[str]) -> Sequence[str]:
    return [entries] if isinstance(entries, str) else entries


def _annotation_files(entry: str) -> list[str]:
    """The annotation files of an entry of ``data_files``; a mixture is kept as it is."""
    from ..annotations import sources

    if entry.startswith(HUB):
        return [entry]
    if entry.endswith((".yaml", ".yml")):
        return [os.path.abspath(entry)]
    return [source.path for source in sources(entry)]


def _folders(builder: str) -> Sequence[str]:
    """The configs of a builder that are folders of the upstream dataset."""
    return formats()[builder].FOLDERS if builder in NAMES else ()
