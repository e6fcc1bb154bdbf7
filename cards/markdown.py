"""Markdown: escaped text, and tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;"}
_MARKUP = re.compile(r"([\\`*_{}\[\]|#$~^!])")


def escape(text: str) -> str:
    """A text as Markdown that shows exactly that text, in one line.

    Markup, HTML, mathematics, mentions and bare links are escaped.  Invisible characters, and those that change the direction of
    writing, become ``�``.
    """
    seen = "".join(_visible(one) for one in " ".join(text.split()))
    marked = _MARKUP.sub(r"\\\1", re.sub(r"[&<>@:]", lambda one: _ENTITIES[one[0]], seen).replace("&#", "&\0"))
    return re.sub(r"(?i)\bwww\.", lambda one: one[0][:-1] + "&#46;", marked.replace("&\0", "&#"))


def shortened(text: str, limit: int) -> str:
    """The first `limit` characters of a text, with an ellipsis if there are more."""
    return text if len(text) <= limit else text[:limit].rstrip() + " …"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table; the cells are Markdown already.

    Args:
        head: names of the columns.
        rows: cells of each row.
        right: indices of the columns that are aligned to the right.
    """
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---:" if i in right else "---" for i in range(len(head))) + "|"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines)


def _visible(character: str) -> str:
    return "�" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character
