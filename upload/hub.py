"""What a push needs of the Hub: the owner of the token, and the repository with its card."""

from __future__ import annotations

from typing import Any

from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from ..builders.core.errors import HubError
from ..builders.pipeline.hub_client import CARD, DATASET, Head, Repository


def owner(repository: Repository) -> str:
    """The name of the owner of the token.

    Raises:
        HubError: there is no token, it is not valid, or it may only read.
    """
    if not repository.token:
        raise HubError("there is no token: run hf auth login, or set HF_TOKEN")
    try:
        who: dict[str, Any] = repository.api.whoami()
    except HfHubHTTPError as error:
        if getattr(getattr(error, "response", None), "status_code", None) == 401:
            raise HubError("the Hub does not know this token; run hf auth login again") from None
        raise
    if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError(f"this token may only read; create one that may write to {repository.name}")
    return str(who.get("name", ""))


def create(repository: Repository, private: bool | None) -> None:
    """Creates the repository; one that somebody has created meanwhile is accepted.

    Raises:
        huggingface_hub.errors.HfHubHTTPError: the Hub refuses.
    """
    try:
        repository.api.create_repo(repository.name, repo_type=DATASET, private=private)
    except HfHubHTTPError as error:
        # `exist_ok` of the client takes any 409 for this one, and breaks on those that do not say where it is
        if getattr(getattr(error, "response", None), "status_code", None) != 409:
            raise


def is_public(repository: Repository) -> bool | None:
    """Whether the repository is public; None if it does not exist, is still being created, or this token may not see it."""
    try:
        return not repository.api.repo_info(repository.name, repo_type=DATASET).private
    except (RepositoryNotFoundError, RevisionNotFoundError):  # the latter for a moment, while its first branch is made
        return None


def card(repository: Repository, head: Head) -> str | None:
    """The text of the card at a revision; None if there is none."""
    if CARD not in head:
        return None
    try:
        text: bytes = repository.read(CARD, head.commit)
    except EntryNotFoundError:
        return None
    return text.decode("utf-8", "replace")
