"""The catalogue as a page: every finding with what upstream does with it and one as it is met.

What a finding is stands in `modalmix.builders.core.findings`, what the trainers do with it in ``upstream.yaml`` beside this file.

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


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a finding besides what it is, as Markdown.

    Attributes:
        upstream: what the trainers of Ola, VideoRefer, lmms-finetune, Aria and LLaVA-NeXT do with it.
        example: one of it, as it is met.
    """

    upstream: str
    example: str


@lru_cache(maxsize=1)
def upstream() -> dict[str, Upstream]:
    """What the trainers do with each finding, by its name."""
    with open(os.path.join(os.path.dirname(__file__), "upstream.yaml"), encoding="utf-8") as file:
        return msgspec.convert(yaml.safe_load(file), dict[str, Upstream])


class Section(NamedTuple):
    """Findings that stand together on the page: their title, and the codes from the first to the last."""

    title: str
    first: str
    last: str


SECTIONS = (
    Section("Reading files and records", "MX001", "MX099"),
    Section("Paths and files", "MX101", "MX110"),
    Section("Patches", "MX111", "MX114"),
    Section("Archives", "MX121", "MX127"),
    Section("Videos", "MX131", "MX133"),
    Section("What the files themselves tell", "MX115", "MX199"),
    Section("Turns and placeholders", "MX201", "MX299"),
    Section("Masks", "MX301", "MX399"),
)
"""A finding stands in the first that holds its code."""

_ODD = {"MX115": "MX110", "MX116": "MX110", "MX145": "MX114", "MX147": "MX114"}
"""Codes that were given late, and the code they stand behind."""


def catalogue() -> str:
    """The page, as Markdown."""
    lines = [
        "# Findings",
        "",
        "Everything modalmix has to say about a record or a file, by code. Codes are never reused. A record with an **error**",
        "is rejected: it is written to the rejects with all its findings, never replaced and never dropped. A **warning** is",
        "worth a look; **info** is said and nothing more.",
        "",
        "This page is made from the source: `python -m modalmix.builders.check.findings_page > docs/findings.md`.",
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
    for kind in sorted(CATALOGUE.values(), key=lambda kind: (_ODD.get(kind.code, kind.code), kind.code)):
        code = _ODD.get(kind.code, kind.code)
        groups[next(one.title for one in SECTIONS if one.first <= code <= one.last)].append(kind)
    return list(groups.items())


def _table(kinds: Iterable[Kind]) -> list[str]:
    rows = [
        f"| [{one.code}](#{one.code.lower()}) | `{one.name}` | {one.severity} | {_shown(one.meaning)} |"
        for one in kinds
    ]
    return ["", "| code | name | severity | meaning |", "|---|---|---|---|", *rows]


def _entry(kind: Kind) -> list[str]:
    known = upstream().get(kind.name)
    told = [f"- **Upstream:** {known.upstream}", f"- **Example:** {known.example}"] if known else []
    return [
        "",
        f'<a id="{kind.code.lower()}"></a>',
        "",
        f"### {kind.code} `{kind.name}` · {kind.severity}",
        "",
        _shown(kind.meaning),
        "",
        *told,
        f"- **Mend:** {_shown(kind.mend)}",
    ]


def _shown(text: str) -> str:
    """A text in Markdown: its tags as code, for a browser would take them for its own and show nothing."""
    return re.sub(r"<\w+>", r"`\g<0>`", text)


if __name__ == "__main__":
    sys.stdout.write(catalogue())
