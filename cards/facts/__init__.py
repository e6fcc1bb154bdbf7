"""Facts: what is known of the upstream datasets, one file each beside this module, with the source of what it says.

A value that nobody has seen is ``unknown`` (null); nothing is guessed.
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
    """Where a release lies on the Hub.

    Attributes:
        repo: dataset repository.
        files: patterns of the files that every subset needs.
        subsets: name → patterns; none where the release comes in one piece.
        default: subsets taken where none is named; all where this is empty.
        open_subsets: any other name is the pattern ``NAME/*``, for the repository's folders are its subsets.
        steps: what follows, as arguments of ``modalmix``: ``{to}`` is the folder downloaded to, ``{out}`` and ``{media}`` are
            folders beside it, ``{data}`` are the annotation files and ``{subset}`` is the name of a subset; where one of these
            two stands, the steps are taken for each subset that is chosen.
    """

    repo: str
    files: list[str] = []
    subsets: dict[str, list[str]] = {}
    default: list[str] = []
    open_subsets: bool = False
    steps: tuple[str, ...] = ("build {to} --media-root {to} --out {out}",)


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one upstream dataset.

    Attributes:
        name: as on the command line.
        title: as its makers call it.
        formats: of its records.
        home: address of the dataset.
        holds: what is in it.
        license: the Hub's identifier, or None where it is unknown.
        license_note: what else is to be heeded.
        language: ISO codes.
        citation: BibTeX.
        sizes: in words.
        layout: the folder tree.
        defects: what is known to be broken or surprising.
        sources: which of these fields is from where; what stands in none of them is not claimed.
        recognise: patterns of the names of its annotation files.
        download: where to get it; None for one's own data.
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


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where libyaml is there


@lru_cache(maxsize=1)
def all_facts() -> dict[str, Facts]:
    """Every facts file: name → facts, in alphabetical order."""
    found = {}
    for entry in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if entry.name.endswith(".yaml"):
            raw: Any = yaml.load(entry.read_text("utf-8"), _LOADER)
            one = msgspec.convert(raw, Facts)
            found[one.name] = one
    return found


def facts_of(sources: Iterable[str], formats: Iterable[str]) -> list[Facts]:
    """The upstream datasets that annotation files are from, by the files' names, and the generic facts for the rest.

    Args:
        sources: annotation files, relative to their roots.
        formats: of the records in them.
    """
    every, present = all_facts(), set(formats)
    chosen: dict[str, Facts] = {}
    rest = False
    for source in sources:
        name = source.replace("\\", "/").lower()
        hits = [
            one
            for one in every.values()
            if set(one.formats) & present and any(fnmatch.fnmatchcase(name, pattern) for pattern in one.recognise)
        ]
        chosen.update((one.name, one) for one in hits)
        rest = rest or not hits
    if rest or not chosen:
        known = {name for one in chosen.values() for name in one.formats}
        chosen.update(
            (one.name, one) for one in every.values() if not one.recognise and set(one.formats) & (present - known)
        )
    return list(chosen.values())
