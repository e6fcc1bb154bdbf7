r"""Tags in front: the turns of a record as a trainer has them that moves the tags of a turn to its start.

::

    written   Compare <image> with <image>.
    trained   <image><image>\nCompare  with .

A turn whose tags stand in front already is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.findings import CODE, Finding, finding, pointer
from .base import Fix

_FRONT = {tag: re.compile(rf"(?:\s*<{tag}>)*") for tag in ("image", "video", "speech")}


def front_tag_findings(record: Mapping[str, Any], tags: Sequence[str], most: int | None = None) -> Iterator[Finding]:
    """The turns whose tags the trainer moves; for the arguments see `_changed_turns`."""
    for i, text, front in _changed_turns(record, tags, most):
        message = f"the turn begins {text[:40]!r}, the trainer's {front[:40]!r}"
        yield finding("placeholder-order", message, f"/conversations/{i}/value")


def front_tag_fixes(record: Mapping[str, Any], tags: Sequence[str], most: int | None = None) -> Iterator[Fix]:
    """The turns with their tags in front; for the arguments see `_changed_turns`."""
    for i, text, front in _changed_turns(record, tags, most):
        yield Fix(CODE["placeholder-order"], pointer("conversations", i, "value"), text, front)


def _changed_turns(record: Mapping[str, Any], tags: Sequence[str], most: int | None) -> Iterator[tuple[int, str, str]]:
    """The turns whose tags the trainer moves: index, text, and the text as the trainer has it.

    Args:
        record: the record.
        tags: those that are placeholders of media in it, without brackets, in the order they are put in front; at most two.
        most: the trainer moves the tags of a turn that has at most so many of a kind; None for any number.
    """
    turns = record.get("conversations")
    if not tags or not isinstance(turns, list):
        return
    for i, turn in enumerate(turns):
        text = turn.get("value") if isinstance(turn, dict) else None
        if isinstance(text, str) and "<" in text and (front := _in_front(text, tags, most)) is not None:
            yield i, text, front


def _in_front(text: str, tags: Sequence[str], most: int | None) -> str | None:
    """A text with its tags in front; None where the trainer leaves it as it is."""
    present = [tag for tag in tags if f"<{tag}>" in text]
    if len(present) == 2:
        both = "".join(f"<{tag}>" for tag in present)
        if text.startswith(f"{both}\n") or any(text.count(f"<{tag}>") != 1 for tag in present):
            return None
        for tag in present:
            text = text.replace(f"<{tag}>", "")
        return f"{both}\n{text.strip()}"
    if not present:
        return None
    tag = f"<{present[0]}>"
    front = _FRONT[present[0]].match(text)
    if front is None or tag not in text[front.end() :]:
        return None
    count = text.count(tag)
    return None if most is not None and count > most else f"{tag * count}\n{text.replace(tag, '').strip()}"
