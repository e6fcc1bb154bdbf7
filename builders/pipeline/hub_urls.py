"""URLs of places on the Hub: ``hf://datasets/ns/name[@revision][/path]``.

Nothing here asks the Hub; `hub_client` does.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, unquote

from ..core.errors import DataError

HUB = "hf://"
"""What the URL of a place on the Hub begins with."""

COMMIT = re.compile(r"[0-9a-f]{40}")
_URL = re.compile(r"hf://datasets/([^/@\s]+/[^/@\s]+)(?:@([^/\s]+))?(?:/(.*))?", re.DOTALL)


class Place(NamedTuple):
    """A repository, or a folder or file in it.

    Attributes:
        repository: ``namespace/name``.
        revision: branch or commit; None for the newest.
        path: relative to the repository; empty for all of it.
    """

    repository: str
    revision: str | None
    path: str

    @property
    def url(self) -> str:
        """The place as a URL."""
        at = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return f"{HUB}datasets/{self.repository}{at}{'/' if self.path else ''}{self.path}"

    def __str__(self) -> str:
        at = f"@{self.revision[:7]}" if self.revision else ""
        return f"{HUB}datasets/{self.repository}{at}/{self.path}"


def is_remote(text: object) -> bool:
    """Whether somebody names a place on the Hub."""
    return isinstance(text, str) and text.startswith(HUB)


def place_of(url: str) -> Place:
    """The place a URL names.

    Raises:
        DataError: it is none.
    """
    match = _URL.fullmatch(url)
    if match is None or ".." in (match[3] or "").split("/"):
        raise DataError(f"{url!r} is no place on the Hub; write hf://datasets/namespace/name[@revision][/path]")
    return Place(match[1], unquote(match[2]) if match[2] else None, (match[3] or "").strip("/"))


def is_inside(path: str, folder: str) -> bool:
    """Whether a file of a repository is a place, or in a folder that is."""
    return not folder or path == folder or path.startswith(f"{folder}/")
