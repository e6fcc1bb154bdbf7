"""Registration: makes the builders known to `datasets` under their plain names.

`datasets` looks builders up in the table of its packaged modules: name → module and a hash of its code, which is part of the
cache's path.  That table is not a documented extension point, so everything that touches it is in this one module.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
from datasets import load, packaged_modules
from datasets.data_files import DataFilesDict

from ..annotations.sources import HUB
from ..formats import NAMES, llava_video

BUILDERS = (*NAMES, "modalmix")

DataFiles = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None


def register() -> None:
    """Registers the builders with `datasets`; calling it again changes nothing."""
    code = _hash_of_code()
    for name in BUILDERS:
        packaged_modules._PACKAGED_DATASETS_MODULES[name] = (f"{__package__}.{name}", code)
    load.PackagedDatasetModuleFactory = _Factory


class _Factory(load.PackagedDatasetModuleFactory):  # type: ignore[misc]
    """Where neither files nor a folder are named, gives a builder of ours none.

    `datasets` would take all files below the working directory for its data; with none, the builder streams its upstream release
    or says what is missing.
    """

    def get_module(self) -> Any:
        if self.name not in BUILDERS or self.data_files is not None or self.data_dir is not None:
            return super().get_module()
        module, code = packaged_modules._PACKAGED_DATASETS_MODULES[self.name]
        nothing = {"data_files": DataFilesDict(), "dataset_name": self.name}
        return load.DatasetModule(module, code, nothing)


def _hash_of_code() -> str:
    """A hash over the package's modules: a cached dataset made by other code is made anew."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    digest = hashlib.sha256()
    for path in sorted(glob.glob(os.path.join(glob.escape(here), "**", "*.py"), recursive=True)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def load_dataset(
    path: str,
    name: str | None = None,
    *,
    data_dir: str | None = None,
    data_files: DataFiles = None,
    **kwargs: Any,
) -> Any:
    """`datasets.load_dataset` for the builders of this package, for folders and mixtures too.

    Stock `load_dataset` lists every file below ``data_dir``, and knows neither ``{a,b}.json`` nor YAML mixtures.  This call
    finds the annotation files first, puts them into splits by their names, and passes them on.

    Args:
        path: name of a builder; any other is passed on unchanged.
        name: config: ``all``, a mix, or (``llava_video``) a folder of the upstream dataset.
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
        files = {split: [file for one in _listed(given) for file in _files(one)] for split, given in by_split.items()}
    else:
        assert data_dir is not None
        folder = os.path.join(data_dir, name) if name and path == "llava_video" and name in _folders() else data_dir
        found = splits(folder, format=path if path in NAMES else None)
        files = {split: [source.path for source in sources] for split, sources in found.items()}
        kwargs.setdefault("media_root", data_dir)
    escaped = {
        split: [file if file.startswith(HUB) else glob.escape(file) for file in named] for split, named in files.items()
    }
    return datasets.load_dataset(path, name, data_dir=data_dir, data_files=escaped, **kwargs)


def _listed(given: str | Sequence[str]) -> Sequence[str]:
    return [given] if isinstance(given, str) else given


def _files(one: str) -> list[str]:
    """The annotation files one entry of ``data_files`` stands for; a mixture stands for itself."""
    from ..annotations import sources

    if one.startswith(HUB):
        return [one]
    return [os.path.abspath(one)] if one.endswith((".yaml", ".yml")) else [source.path for source in sources(one)]


def _folders() -> Sequence[str]:
    """The configs of ``llava_video`` that are folders of the upstream dataset."""
    return llava_video.FOLDERS
