"""Errors that a person can fix: each is one line for the terminal."""

from __future__ import annotations


class DataError(ValueError):
    """An input or an option of the user is wrong; one line that quotes it and says how to fix it."""


class HubError(DataError):
    """A push, a verification or a download has failed; one line that says why."""


def one_line(error: BaseException, token: str | None = None) -> str:
    """An error in one line of at most 400 characters.

    Args:
        error: what was raised.
        token: a secret, which the text shows as ``***``.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if token:
        text = text.replace(token, "***")
    return text if len(text) <= 400 else text[:399] + "…"
