"""modalmix builders: importing this registers them with `datasets`.

>>> import modalmix.builders
>>> from datasets import load_dataset
>>> ds = load_dataset("ola", "video_audio", data_files="annotations.json", media_root="media", split="train")

The builders are ``ola``, ``videorefer``, ``lmms_finetune``, ``aria``, ``llava_video``, and ``modalmix``, which recognises the
format of each record.  `load_dataset` of this package is the same call, but finds the annotation files of a folder without
listing its media.

Nothing is imported before it is needed, `datasets` least of all: see `modalmix.builders.loading.registry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .loading.registry import register

if TYPE_CHECKING:
    from .loading.load import load_dataset

__all__ = ["load_dataset"]

_FOLDERS = frozenset(
    {
        "annotations",
        "build",
        "check",
        "cli",
        "core",
        "formats",
        "loading",
        "media",
        "paths",
        "pipeline",
        "preview",
        "views",
    }
)


def __getattr__(name: str) -> Any:
    """Gives `load_dataset` and the subpackages, which are imported when they are asked for."""
    from importlib import import_module

    if name == "load_dataset":
        return import_module(".loading.load", __name__).load_dataset
    if name in _FOLDERS:
        return import_module(f".{name}", __name__)
    if name == "turns":  # the place of `views.plain_text` in version 0.1: turns.plain
        return import_module(".formats.turns", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names that `__getattr__` gives, too."""
    return sorted({*globals(), *__all__, *_FOLDERS})


register()
