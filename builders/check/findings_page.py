"""The page of findings: each with what the trainers do about it, and an example.

What a finding is stands in `modalmix.builders.core.findings`.  What the trainer of a format does with it stands in the module of
the format (``ON_DEFECT``), what all trainers do, and the example, in ``upstream.yaml`` beside this file.

python -m modalmix.builders.check.findings_page > docs/findings.md
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec
import yaml

from ..core.findings import CATALOGUE, Kind
from ..formats import formats


class Upstream(NamedTuple):
    """What the trainers do with a finding, and an example of it; both Markdown."""

    upstream: str
    example: str


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of ``upstream.yaml``; `upstream` is what all trainers do, empty where each does something else."""

    example: str
    upstream: str = ""


@lru_cache(maxsize=1)
def upstream() -> dict[str, Upstream]:
    """What the trainers do with each finding, by its name."""
    with open(os.path.join(os.path.dirname(__file__), "upstream.yaml"), encoding="utf-8") as file:
        entries = msgspec.convert(yaml.safe_load(file), dict[str, _Entry])
    return {name: Upstream(_of_all_trainers(name, entry.upstream), entry.example) for name, entry in entries.items()}


def _of_all_trainers(finding: str, by_all: str) -> str:
    """What all trainers do with a finding, then what each does; those that do the same stand together."""
    titles: dict[str, list[str]] = {}
    for format_ in formats().values():
        if (does := format_.ON_DEFECT.get(finding)) is not None:
            titles.setdefault(does, []).append(format_.TITLE)
    return " ".join([*([by_all] if by_all else []), *(f"{', '.join(who)}: {does}." for does, who in titles.items())])


class Section(NamedTuple):
    """Findings under one heading: its title, and their codes from the first to the last."""

    title: str
    first: str
    last: str


SECTIONS = (
    Section("Reading files and records", "MX001", "MX099"),
    Section("Paths and files", "MX101", "MX110"),
    Section("Patches", "MX111", "MX114"),
    Section("Archives", "MX121", "MX127"),
    Section("Videos", "MX131", "MX134"),
    Section("Contents of media", "MX115", "MX199"),
    Section("Turns and placeholders", "MX201", "MX220"),
    Section("Keys that the format does not read", "MX221", "MX299"),
    Section("Masks", "MX301", "MX399"),
)
"""A finding belongs to the first section whose codes include its own."""

_FOLLOWS = {"MX115": "MX110", "MX116": "MX110", "MX145": "MX114", "MX147": "MX114"}
"""Codes of a later date → the code they follow on the page."""


def catalogue() -> str:
    """The page, as Markdown."""
    lines = [
        "# Findings",
        "",
        "All findings about records and files, by code. A code is never reused. A record with an **error** is rejected: it goes",
        "into the rejects with all its findings; it is never replaced and never dropped. A **warning** deserves a look. An",
        "**info** needs no action.",
        "",
        "This page is generated: `python -m modalmix.builders.check.findings_page > docs/findings.md`.",
    ]
    groups = _grouped()
    lines += ["", *(f"- [{title}](#{title.lower().replace(' ', '-')})" for title, _ in groups)]
    for title, kinds in groups:
        lines += ["", f"## {title}", *_table(kinds)]
        for kind in kinds:
            lines += _entry(kind)
    return "\n".join(lines) + "\n"


def _grouped() -> list[tuple[str, list[Kind]]]:
    groups: dict[str, list[Kind]] = {section.title: [] for section in SECTIONS}
    for kind in sorted(CATALOGUE.values(), key=lambda kind: (_FOLLOWS.get(kind.code, kind.code), kind.code)):
        code = _FOLLOWS.get(kind.code, kind.code)
        groups[next(section.title for section in SECTIONS if section.first <= code <= section.last)].append(kind)
    return list(groups.items())


def _table(kinds: Iterable[Kind]) -> list[str]:
    rows = [
        f"| [{kind.code}](#{kind.code.lower()}) | `{kind.name}` | {kind.severity} | {_tags_as_code(kind.meaning)} |"
        for kind in kinds
    ]
    return ["", "| code | name | severity | meaning |", "|---|---|---|---|", *rows]


def _entry(kind: Kind) -> list[str]:
    entry = upstream()[kind.name]
    return [
        "",
        f'<a id="{kind.code.lower()}"></a>',
        "",
        f"### {kind.code} `{kind.name}` · {kind.severity}",
        "",
        _tags_as_code(kind.meaning),
        "",
        f"- **Upstream:** {entry.upstream}",
        f"- **Example:** {entry.example}",
        f"- **Fix:** {_tags_as_code(kind.fix)}",
    ]


def _tags_as_code(text: str) -> str:
    """A text with its tags as Markdown code: a browser takes a bare tag for HTML and shows nothing."""
    return re.sub(r"<\w+>", r"`\g<0>`", text)


if __name__ == "__main__":
    sys.stdout.write(catalogue())
