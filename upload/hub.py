"""The Hub as a push sees it: one repository at one revision, with errors told in one line and without the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from huggingface_hub import HfApi, RepoFile, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .errors import HubError, one_line
from .planning import CARD, Remote

DATASET = "dataset"


class Head(dict[str, Remote]):
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

    def owner(self) -> str:
        """The name of whom the token belongs to.

        Raises:
            HubError: there is none, it is not valid, or it may only read.
        """
        if not self.token:
            raise HubError("there is no token: run hf auth login, or set HF_TOKEN")
        try:
            who: dict[str, Any] = self.api.whoami()
        except HfHubHTTPError as error:
            if getattr(getattr(error, "response", None), "status_code", None) == 401:
                raise HubError("the Hub does not know this token; run hf auth login again") from None
            raise
        if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
            raise HubError(f"this token may only read; make one that may write to {self.name}")
        return str(who.get("name", ""))

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
                head[entry.path] = Remote(entry.size, lfs.sha256 if lfs else None, entry.blob_id)
        return head

    def create(self, private: bool | None) -> None:
        """Makes the repository; one that somebody has made meanwhile is as good.

        Raises:
            huggingface_hub.errors.HfHubHTTPError: the Hub does not make it.
        """
        try:
            self.api.create_repo(self.name, repo_type=DATASET, private=private)
        except HfHubHTTPError as error:
            # `exist_ok` of the client takes any 409 for this one, and breaks on those that do not say where it is
            if getattr(getattr(error, "response", None), "status_code", None) != 409:
                raise

    def is_public(self) -> bool | None:
        """Whether everybody may see it; None where it does not exist, or hides from this token."""
        try:
            return not self.api.repo_info(self.name, repo_type=DATASET).private
        except RepositoryNotFoundError:
            return None

    def card(self, head: Head) -> str | None:
        """The text of the card at a revision; None where there is none."""
        if CARD not in head:
            return None
        try:
            text: bytes = self.read(CARD, head.commit)
        except EntryNotFoundError:
            return None
        return text.decode("utf-8", "replace")

    def read(self, path: str, revision: str | None) -> bytes:
        """A small file's bytes, straight from the Hub and not by way of a cache."""
        from huggingface_hub import HfFileSystem

        where = f"datasets/{self.name}@{revision}/{path}" if revision else f"datasets/{self.name}/{path}"
        data: bytes = self.filesystem(HfFileSystem).cat_file(where)
        return data

    def filesystem(self, kind: Any) -> Any:
        """A file system over the Hub, new, so that no listing of an earlier moment is in it."""
        return kind(endpoint=self.endpoint, token=self.token or False, skip_instance_cache=True)
