"""Errors: what an upload or a download refuses, and a failure in one line without the token in it."""

from __future__ import annotations

from ..builders.core.errors import DataError


class HubError(DataError):
    """A push, a verification or a download that is not done, and why, in one line."""


def one_line(error: BaseException, token: str | None = None) -> str:
    """An error in one line of at most 400 characters.

    Args:
        error: what was raised.
        token: replaced by ``***`` wherever it stands in the text.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if token:
        text = text.replace(token, "***")
    return text if len(text) <= 400 else text[:399] + "…"
