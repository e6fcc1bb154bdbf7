"""Facts about the upstream datasets: one YAML file each beside this module, which names its sources.

A value that no source gives is null.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
import yaml


class Download(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a release is on the Hub, and how to build it.

    Attributes:
        repo: dataset repository.
        files: patterns of the files that every subset needs.
        subsets: name → patterns; empty if the release has no subsets.
        default: subsets to download if none is named; empty for all.
        open_subsets: the folders of the repository are its subsets; a name stands for the pattern ``NAME/*``.
        steps: the next commands, as arguments of ``modalmix``.  ``{to}`` is the folder of the download, ``{out}`` and ``{media}``
            are folders beside it.  ``{data}`` are the annotation files of a subset and ``{subset}`` is its name; with either,
            the steps are repeated for each subset.
    """

    repo: str
    files: list[str] = []
    subsets: dict[str, list[str]] = {}
    default: list[str] = []
    open_subsets: bool = False
    steps: tuple[str, ...] = ("build {to} --media-root {to} --out {out}",)


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The facts about one upstream dataset.

    Attributes:
        name: name on the command line.
        title: name that its authors use.
        formats: formats of its records.
        home: address of the dataset.
        holds: its content, in a sentence.
        license: identifier of the Hub, or None if it is not known.
        license_note: further terms.
        language: ISO codes.
        citation: BibTeX.
        sizes: its sizes, in words.
        layout: its folder tree.
        defects: known defects and surprises.
        sources: address → the fields that it is the source of.
        recognise: patterns of the names of its annotation files.
        download: where to get it; None for data of your own.
    """

    name: str
    title: str
    formats: list[str]
    home: str | None
    holds: str
    license: str | None
    license_note: str
    language: list[str]
    citation: str | None
    sizes: str
    layout: str
    defects: list[str]
    sources: dict[str, str]
    recognise: list[str]
    download: Download | None = None


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, if libyaml is installed


@lru_cache(maxsize=1)
def all_facts() -> dict[str, Facts]:
    """Every facts file: name → facts, in alphabetical order."""
    found = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if entry.name.endswith(".yaml"):
            raw: Any = yaml.load(entry.read_text("utf-8"), _LOADER)
            dataset = msgspec.convert(raw, Facts)
            found[dataset.name] = dataset
    return found


def facts_of(sources: Iterable[str], formats: Iterable[str]) -> list[Facts]:
    """The upstream datasets of annotation files, by the names of the files, and generic facts for the other files.

    Args:
        sources: annotation files, relative to their roots.
        formats: formats of their records.
    """
    every, present = all_facts(), set(formats)
    chosen: dict[str, Facts] = {}
    rest = False
    for source in sources:
        name = source.replace("\\", "/").lower()
        hits = [
            dataset
            for dataset in every.values()
            if set(dataset.formats) & present
            and any(fnmatch.fnmatchcase(name, pattern) for pattern in dataset.recognise)
        ]
        chosen.update((dataset.name, dataset) for dataset in hits)
        rest = rest or not hits
    if rest or not chosen:
        covered = {name for dataset in chosen.values() for name in dataset.formats}
        chosen.update(
            (dataset.name, dataset)
            for dataset in every.values()
            if not dataset.recognise and set(dataset.formats) & (present - covered)
        )
    return list(chosen.values())
