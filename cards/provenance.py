"""Provenance: the sources and options of a build, in Markdown, without paths of any machine.

Path rules are learned from written paths; only the last folder of such a path is shown.
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
    """The annotation files, with their bytes, and their digests if the report has them."""
    digests: Mapping[str, str] = getattr(report, "checksums", None) or {}
    rows = [
        (escape(shortened(name, 300)), f"{size:,}", *((f"`{escape(digests.get(name, ''))}`",) if digests else ()))
        for name, size in sorted(report.sources.items())[:_FILES]
    ]
    head = ("annotation file", "bytes", *(("SHA-256",) if digests else ()))
    more = len(report.sources) - len(rows)
    return table(head, rows, right=(1,)) + (f"\n\nand {more:,} more, in `report.json`" if more > 0 else "")


def chosen(report: Report) -> str:
    """The options that selected rows and assigned splits, if there were any."""
    options = report.options
    items = [f"only rows where {escape(str(text))}" for text in options.get("where") or ()]
    if options.get("mixes"):
        items.append(f"only the mixes {', '.join(f'`{mix}`' for mix in options['mixes'])}")
    if options.get("sample", 1.0) < 1:
        items.append(f"a sample of {options['sample']:g} of the records, seed {options.get('seed')}")
    if options.get("limit"):
        items.append(f"the first {options['limit']:,} rows")
    if options.get("splits"):
        fractions = ", ".join(f"`{name}` {fraction:g}" for name, fraction in options["splits"].items())
        items.append(f"split by {escape(str(options.get('split_by')))}, seed {options.get('seed')}: {fractions}")
    return "\n".join(["Selection:", "", *(f"- {item}" for item in items), ""]) if items else ""


def read_as(report: Report) -> str:
    """How records were read: format, roles, masks, order, seed, and path rules."""
    options = report.options
    if not options:
        return ""
    named = str(options.get("format") or "modalmix")
    items = [f"format: {'recognised for each record' if named == 'modalmix' else escape(named)}"]
    roles = options.get("roles")
    if roles and list(roles) != ["human", "gpt"]:
        items.append(f"roles: {' and '.join(escape(str(role)) for role in roles)}")
    if "verify_masks" in options:
        items.append(f"masks: {'decoded and checked' if options['verify_masks'] else 'not decoded'}")
    if options.get("ignore_key"):
        items.append(f"keys ignored: {', '.join(f'`{escape(str(key))}`' for key in options['ignore_key'])}")
    if options.get("order"):
        items.append(f"order of rows: by {escape(str(options['order']))}")
    if options.get("seed") is not None:
        items.append(f"seed: {options['seed']}")
    return "\n".join(
        ["Read with:", "", *(f"- {item}" for item in items), "", *_rules(options.get("rules") or [])]
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
    head = ("rule", "written path", "under the media root")
    return ["Path rules:", "", table(head, rows), "", *more]


def _ending(path: Any) -> str:
    """The last part of a path, without the folders of a machine."""
    text = str(path or "").replace("\\", "/").rstrip("/")
    if not text:
        return "–"
    name = escape(shortened(posixpath.basename(text), 100))
    return f"…/{name}" if "/" in text else name
