"""The Hub's client: what a repository holds at one revision, with errors in one line and without the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import msgspec
from huggingface_hub import HfApi, RepoFile, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..annotations import LocalCopy
from ..annotations.sources import is_annotation
from ..core.errors import DataError, HubError, one_line
from .hub_retry import Patience, retry
from .hub_urls import COMMIT, Place, is_inside, place_of

DATASET = "dataset"
CARD = "README.md"

PATIENCE = Patience(first=0.25)
"""For single requests and for an archive's connection, whose patience begins anew with every byte that arrives."""


class RemoteEntry(msgspec.Struct, frozen=True):
    """A file of a repository.

    Attributes:
        size: in bytes.
        sha256: of its bytes, where it is stored outside git.
        git_sha1: the git digest of what git holds.
    """

    size: int
    sha256: str | None
    git_sha1: str


class Head(dict[str, RemoteEntry]):
    """The files of a revision: path → file.

    Attributes:
        commit: its commit; None where the repository does not exist yet.
        private: whether it is private.
    """

    commit: str | None = None
    private: bool = False


class Repository:
    """One dataset repository on the Hub, with the token that is used for it."""

    def __init__(self, name: str, token: str | None = None) -> None:
        """A repository by its name, ``namespace/name``.

        Raises:
            HubError: the name is not of that form.
        """
        if name.count("/") != 1 or not all(name.split("/")):
            raise HubError(f"{name!r} is no repository; write namespace/name")
        self.name = name
        self.token = token or get_token()
        self.api = HfApi(token=self.token or False)
        self.endpoint: str = self.api.endpoint

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns what the clients raise into one line.

        Raises:
            HubError: instead of an error of the Hub, of the connection or of a name.
        """
        try:
            yield
        except RepositoryNotFoundError:
            raise HubError(f"{self.name} is not on {self.endpoint}, or this token may not see it") from None
        except RevisionNotFoundError as error:
            raise HubError(f"{self.name} has no such revision: {one_line(error, self.token)}") from None
        except HfHubHTTPError as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status in (401, 403):
                raise HubError(f"this token may not write to {self.name} (the Hub says {status})") from None
            raise HubError(f"{self.endpoint}: {one_line(error, self.token)}") from None
        except OfflineModeIsEnabled:
            raise HubError("HF_HUB_OFFLINE is set; unset it to reach the Hub") from None
        except HFValidationError as error:
            raise HubError(one_line(error, self.token)) from None
        except HubError:
            raise
        except (OSError, RuntimeError) as error:
            raise HubError(f"{self.endpoint}: {one_line(error, self.token)}") from None
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "hf_xet"):
                raise
            raise HubError(f"{self.endpoint}: {one_line(error, self.token)}") from None

    def head(self, revision: str | None) -> Head:
        """What the repository holds at a revision; empty where the repository does not exist.

        Raises:
            huggingface_hub.errors.HfHubHTTPError: the Hub answers otherwise.
        """
        head = Head()
        try:
            info = self.api.repo_info(self.name, repo_type=DATASET, revision=revision)
        except RevisionNotFoundError:
            raise
        except RepositoryNotFoundError:
            return head
        head.commit, head.private = info.sha, bool(info.private)
        for entry in self.api.list_repo_tree(self.name, repo_type=DATASET, revision=info.sha, recursive=True):
            if isinstance(entry, RepoFile):
                lfs = entry.lfs
                head[entry.path] = RemoteEntry(entry.size, lfs.sha256 if lfs else None, entry.blob_id)
        return head

    def read(self, path: str, revision: str | None) -> bytes:
        """A small file's bytes, straight from the Hub and not by way of a cache."""
        from huggingface_hub import HfFileSystem

        where = f"datasets/{self.name}@{revision}/{path}" if revision else f"datasets/{self.name}/{path}"
        data: bytes = self.filesystem(HfFileSystem).cat_file(where)
        return data

    def filesystem(self, kind: Any) -> Any:
        """A file system over the Hub, new, so that no listing of an earlier moment is in it."""
        return kind(endpoint=self.endpoint, token=self.token or False, skip_instance_cache=True)


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


def annotations_of(url: str, token: str | None = None) -> Iterator[LocalCopy]:
    """Copies of the annotation files at a place, which the client keeps in its cache.

    Raises:
        DataError: there are none, or the Hub does not give them.
    """
    place = place_of(url)
    head = listed(place.repository, place.revision, token)
    files = [path for path in sorted(head) if is_annotation(path) and is_inside(path, place.path)]
    if not files:
        raise DataError(f"no annotation file in {url!r}: looked for .json, .jsonl and .ndjson (also .gz, .zst)")
    for path in files:
        file = Place(place.repository, head.commit, path)
        copy = fetched(file, token)
        yield LocalCopy(copy, copy.removesuffix(path), file.url)


def gated(repository: str) -> HubError:
    """The error for a repository whose terms were not agreed to."""
    return HubError(f"{repository} is gated: agree to its terms on its page, then run hf auth login")


def _quietly(line: str) -> None:
    pass
