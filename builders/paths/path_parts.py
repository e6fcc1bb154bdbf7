r"""Path parts: a written path taken apart, and the ways it may have been spelled.

Everything here is a pure function over text.  A written path is a list of *parts*; a **spelling** is one thing that machines and
tools do to the same name: Windows' backslashes, the quoting of URLs, a colon that a file system could not hold, another
container for the same video, upper and lower case, the Unicode normal form.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

_FAMILIES = (
    frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".flv", ".wmv", ".ts"}),
    frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac"}),
    frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}),
)
"""Extensions that one medium may have in place of another: a sound is never looked up as the video it was cut from."""

_MAX_VARIANTS = 64

COLONS = ("_", "%3A", "")
"""What stands for a colon where a file system or a tool could not hold one (Panda-70M clips are named by their times)."""


def split_path(written: str) -> list[str] | None:
    """The parts of a written path with ``.`` and inner ``..`` resolved; None where it is no path at all."""
    if not written or (not written.isprintable() and any(ord(char) < 32 or ord(char) == 127 for char in written)):
        return None
    parts: list[str] = []
    for part in written.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts or None


def common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """How many parts two paths have in common at their ends."""
    common = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        common += 1
    return common


def extension(name: str) -> str:
    """The extension of a file name with its dot, as it is written; empty where there is none."""
    stem, dot, last = name.rpartition(".")
    return f".{last}" if dot and stem and len(last) <= 5 else ""


def same_family(first: str, second: str) -> bool:
    """Whether two extensions may stand for the same medium in another container or codec."""
    return any(first.lower() in family and second.lower() in family for family in _FAMILIES)


def is_medium(name: str) -> bool:
    """Whether a file holds a video, a sound or a picture, by its extension."""
    return any(extension(name).lower() in family for family in _FAMILIES)


def fold(name: str, case: bool, unicode: bool) -> str:
    """What two names have in common that differ by case, by normal form, or by both."""
    if name.isascii():
        return name.lower() if case else name
    if unicode:
        name = unicodedata.normalize("NFC", name)
    if case:
        name = name.casefold()
        return unicodedata.normalize("NFC", name) if unicode else name
    return name


def respelled(kind: str, before: str, to: str, written: str) -> str:
    """A path without the peculiarity of a spelling that shows in the text alone; the path itself where it has none.

    Args:
        kind: ``backslash``, ``url``, ``colon`` or ``extension``; any other changes nothing.
        before: the extension that is replaced.
        to: the extension in its place, or what stands for a colon.
        written: the path.
    """
    if kind == "backslash":
        if "\\" not in written:
            return written
        drive = written[1:3] == ":\\" and written[0].isalpha()
        return (written[2:] if drive else written).replace("\\", "/")
    if kind == "url":
        return unquote(written, errors="surrogateescape") if "%" in written else written
    if kind == "colon":
        return written.replace(":", to)
    if kind == "extension" and written.endswith(before) and not written.endswith(f"/{before}"):
        return written[: -len(before)] + to
    return written


def variants(written: str, spellings: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """The paths that come from a written one by undoing spellings: at index n those by n of them, each path once.

    Args:
        written: the path, which stands alone at index 0.
        spellings: kind, replaced and replacement as `respelled` has them, in the order in which they are undone.
    """
    changes_of = {written: 0}
    for kind, before, to in spellings:
        for path, changes in list(changes_of.items()):
            if len(changes_of) < _MAX_VARIANTS:
                changes_of.setdefault(respelled(kind, before, to, path), changes + 1)
    return [[path for path, count in changes_of.items() if count == n] for n in range(max(changes_of.values()) + 1)]
