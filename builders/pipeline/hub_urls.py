"""Repositories: what is meant by ``hf://datasets/ns/name[@revision][/path]``, and what is there at one commit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from huggingface_hub.errors import GatedRepoError

from ...upload.hub import DATASET, Head, Repository
from ...upload.retrying import Patience, retry
from ..annotations import HUB
from ..annotations.sources import is_annotation
from ..core.errors import DataError

PATIENCE = Patience(first=0.25)
"""For single requests and for an archive's connection, whose patience begins anew with every byte that arrives."""

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


def listed(repository: str, revision: str | None = None, token: str | None = None) -> Head:
    """What a repository holds at a revision; its `commit` says which that is.

    Raises:
        DataError: the Hub does not give it.
    """
    if revision and COMMIT.fullmatch(revision):  # which never changes
        return _listed_once(repository, revision, token)
    return _listed(repository, revision, token)


def _listed(repository: str, revision: str | None, token: str | None) -> Head:
    target = Repository(repository, token)
    with target.errors():
        try:
            head = retry(lambda: target.head(revision), PATIENCE, _quietly, repository)
        except GatedRepoError:
            raise gated(repository) from None
    if head.commit is None:
        raise DataError(f"{repository} is not on {target.endpoint}, or this token may not see it")
    return head


_listed_once = lru_cache(maxsize=16)(_listed)


def fetched(place: Place, token: str | None = None) -> str:
    """The local path of a small file, which the client keeps in its cache.

    Raises:
        DataError: the Hub does not give it.
    """
    target = Repository(place.repository, token)
    with target.errors():
        try:
            return retry(
                lambda: target.api.hf_hub_download(
                    place.repository, place.path, repo_type=DATASET, revision=place.revision
                ),
                PATIENCE,
                _quietly,
                place.path,
            )
        except GatedRepoError:
            raise gated(place.repository) from None


def annotations_of(url: str, token: str | None = None) -> Iterator[tuple[str, str, str]]:
    """The annotation files at a place: each one's local path, the local folder that stands for the repository, and its URL.

    Raises:
        DataError: there are none, or the Hub does not give them.
    """
    place = place_of(url)
    head = listed(place.repository, place.revision, token)
    files = [path for path in sorted(head) if is_annotation(path) and is_inside(path, place.path)]
    if not files:
        raise DataError(f"no annotation file in {url!r}: looked for .json, .jsonl and .ndjson (also .gz, .zst)")
    for path in files:
        one = Place(place.repository, head.commit, path)
        at = fetched(one, token)
        yield at, at.removesuffix(path), one.url


def is_inside(path: str, folder: str) -> bool:
    """Whether a file of a repository is a place, or in a folder that is."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def gated(repository: str) -> DataError:
    """The error for a repository whose terms were not agreed to."""
    return DataError(f"{repository} is gated: agree to its terms on its page, then run hf auth login")


def _quietly(line: str) -> None:
    pass
