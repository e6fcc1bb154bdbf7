"""Provenance: what a build was made from and how, in Markdown, as far as it says nothing of anybody's machine.

Rewriting rules are learned from paths that somebody wrote; of such a path only its last folder is shown.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from ..builders.core.report import Report
from .markdown import escape, shortened, table

_FILES = 200
_RULES = 50


def sources(report: Report) -> str:
    """The annotation files, with what the report knows of each: bytes, and digests where it has them."""
    digests: Mapping[str, str] = getattr(report, "checksums", None) or {}
    rows = [
        (escape(shortened(name, 300)), f"{size:,}", *((f"`{escape(digests.get(name, ''))}`",) if digests else ()))
        for name, size in sorted(report.sources.items())[:_FILES]
    ]
    head = ("annotation file", "bytes", *(("SHA-256",) if digests else ()))
    more = len(report.sources) - len(rows)
    return table(head, rows, right=(1,)) + (f"\n\nand {more:,} more, in `report.json`" if more > 0 else "")


def chosen(report: Report) -> str:
    """What was chosen of the sources and how it was dealt out, where that was not left as it is."""
    options = report.options
    said = [f"only rows where {escape(str(text))}" for text in options.get("where") or ()]
    if options.get("mixes"):
        said.append(f"only the mixes {', '.join(f'`{mix}`' for mix in options['mixes'])}")
    if options.get("sample", 1.0) < 1:
        said.append(f"a sample of {options['sample']:g} of the records, seed {options.get('seed')}")
    if options.get("limit"):
        said.append(f"the first {options['limit']:,} rows")
    if options.get("splits"):
        dealt = ", ".join(f"`{name}` {fraction:g}" for name, fraction in options["splits"].items())
        said.append(f"dealt into splits by {escape(str(options.get('split_by')))}, seed {options.get('seed')}: {dealt}")
    return "\n".join(["Chosen:", "", *(f"- {one}" for one in said), ""]) if said else ""


def read_as(report: Report) -> str:
    """How records were read: format, roles, masks, order, seed, and how written paths became files."""
    options = report.options
    if not options:
        return ""
    named = str(options.get("format") or "modalmix")
    said = [f"format: {'each record for what it is' if named == 'modalmix' else escape(named)}"]
    roles = options.get("roles")
    if roles and list(roles) != ["human", "gpt"]:
        said.append(f"roles: {' and '.join(escape(str(role)) for role in roles)}")
    if "verify_masks" in options:
        said.append(f"masks: {'each one decoded and checked' if options['verify_masks'] else 'not decoded'}")
    if options.get("order"):
        said.append(f"order of the rows: by {escape(str(options['order']))}")
    if options.get("seed") is not None:
        said.append(f"seed: {options['seed']}")
    return "\n".join(
        ["Read with:", "", *(f"- {one}" for one in said), "", *_rules(options.get("rules") or [])]
    ).rstrip()


def _rules(rules: list[Any]) -> list[str]:
    if not rules:
        return []
    rows = [
        (escape(str(rule.get("kind", ""))), _ending(rule.get("from")), _ending(rule.get("to")))
        for rule in rules[:_RULES]
        if isinstance(rule, dict)
    ]
    more = [f"and {len(rules) - _RULES:,} more", ""] if len(rules) > _RULES else []
    head = ("rule", "as written", "below the media root")
    return ["Paths were rewritten:", "", table(head, rows), "", *more]


def _ending(path: Any) -> str:
    """The last part of a path: what stands above it is somebody's machine."""
    text = str(path or "").replace("\\", "/").rstrip("/")
    if not text:
        return "–"
    name = escape(shortened(posixpath.basename(text), 100))
    return f"…/{name}" if "/" in text else name
