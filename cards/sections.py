"""Sections: which lines of a card are made by modalmix and which are a person's.

::

    front matter                                 ours by key: see `front`
    <!-- modalmix: yours begins … -->            between these lines, and outside of all sections: a person's text, kept
    <!-- modalmix: yours ends -->
    <!-- modalmix: part NAME begins -->          made anew each time; one per part: a repository may hold several builds
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
    """The YAML of a card, and what follows it; the YAML is empty where there is none."""
    found = _FRONT.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def put(rest: str | None, part: str | None, body: str) -> str:
    """Puts the section of a part into the text of a card.

    Args:
        rest: the card after its front matter; None for a new card.
        part: whose section; None for the part without a name.
        body: its Markdown.

    Returns:
        The text with that section in place of the former one, or at the end; all other text is as it was.
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
    """What a person wrote between the markers."""
    found = re.search(r"<!-- modalmix: yours begins[^\n]*-->\n(.*?)<!-- modalmix: yours ends -->", rest, re.S)
    return found[1].strip() if found else ""


def with_yours(rest: str, text: str) -> str:
    """The card with another person's text between the markers; unchanged where it has no markers."""

    def place(found: re.Match[str]) -> str:
        return f"{found[1]}\n{text}\n\n{found[2]}"

    return re.sub(
        r"(<!-- modalmix: yours begins[^\n]*-->)\n.*?(<!-- modalmix: yours ends -->)", place, rest, count=1, flags=re.S
    )


def _marks(part: str | None) -> tuple[str, str]:
    name = part or "main"
    return f"<!-- modalmix: part {name} begins -->", f"<!-- modalmix: part {name} ends -->"
