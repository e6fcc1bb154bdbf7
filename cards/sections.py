"""Sections: which lines of a card modalmix writes, and which belong to a person.

::

    front matter                                 ours by key: see `front`
    <!-- modalmix: yours begins … -->            between these lines, and outside all sections: the text of a person, kept
    <!-- modalmix: yours ends -->
    <!-- modalmix: part NAME begins -->          written again each time; one per part, as a repository may hold several builds
    <!-- modalmix: part NAME ends -->
"""

from __future__ import annotations

import re

YOURS = (
    "<!-- modalmix: yours begins. What you write between these two lines stays when the card is made anew. -->\n\n"
    "<!-- modalmix: yours ends -->\n"
)
_FRONT = re.compile(r"\A﻿?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.S | re.M)


def split_front(text: str) -> tuple[str, str]:
    """The YAML of a card, and the text after it; the YAML is empty if there is none."""
    found = _FRONT.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def put(rest: str | None, part: str | None, body: str) -> str:
    """Puts the section of a part into the text of a card.

    Args:
        rest: text of the card after its front matter; None for a new card.
        part: name of the part; None for the part without a name.
        body: Markdown of the section.

    Returns:
        The text with the section in place of the former one, or at the end; all other text is unchanged.
    """
    begins, ends = _marks(part)
    section = f"{begins}\n{body.strip()}\n{ends}\n"
    if rest is None or not rest.strip():
        return f"\n{YOURS}\n{section}"
    start = rest.find(begins)
    stop = rest.find(ends, start)
    if start < 0 or stop < 0:
        return f"{rest.rstrip()}\n\n{section}"
    return rest[:start] + section + rest[stop + len(ends) :].removeprefix("\n")


def has(rest: str, part: str | None) -> bool:
    """Whether a card has a section of this part."""
    return _marks(part)[0] in rest


def yours(rest: str) -> str:
    """The text of a person between the markers."""
    found = re.search(r"<!-- modalmix: yours begins[^\n]*-->\n(.*?)<!-- modalmix: yours ends -->", rest, re.S)
    return found[1].strip() if found else ""


def with_yours(rest: str, text: str) -> str:
    """The card with another text between the markers; unchanged if it has no markers."""

    def place(found: re.Match[str]) -> str:
        return f"{found[1]}\n{text}\n\n{found[2]}"

    return re.sub(
        r"(<!-- modalmix: yours begins[^\n]*-->)\n.*?(<!-- modalmix: yours ends -->)", place, rest, count=1, flags=re.S
    )


def _marks(part: str | None) -> tuple[str, str]:
    name = part or "main"
    return f"<!-- modalmix: part {name} begins -->", f"<!-- modalmix: part {name} ends -->"
