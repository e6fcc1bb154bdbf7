"""Guessing where the last whole record at hand ends, where the joints of a file's first records do not show it."""

from __future__ import annotations

import re

TAILS = (8 << 10, 128 << 10)
"""How many bytes before the end are read, first and then."""
BETWEEN_LINES = re.compile(rb"\}[ \t\r]*\n\s*(?=\{)")
"""Between two pretty-printed objects: a raw line break stands in no string."""

_SURE = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*(?=\{[ \t\r\n]*"[^",:\]} \t\r\n])')
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{}]', re.DOTALL)


def shallowest(buf: bytearray, low: int, high: int) -> tuple[int, int] | None:
    """The last sure place between two objects of an array at the least depth met in ``buf[low:high]``.

    A brace, a comma, a brace and a key's quote in a row cannot begin inside of a string, so that after the first such
    place it is certain which text is inside of a string.
    """
    first = _SURE.search(buf, low, high)
    if first is None:
        return None
    places = {match.start(): match.end() for match in _SURE.finditer(buf, first.start(), high)}
    depth = least = 0
    best: tuple[int, int] | None = None
    for token in _TOKEN.finditer(buf, first.start(), high):
        at = token.start()
        byte = buf[at]
        if byte == 0x22:
            if not token[1]:
                break
            continue
        depth += 1 if byte in b"[{" else -1
        if at in places and (best is None or depth <= least):
            least, best = depth, (at + 1, places[at])
    return best
