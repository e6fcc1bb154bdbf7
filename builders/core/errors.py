"""Errors that a person can mend: each is one line for the terminal."""

from __future__ import annotations


class DataError(ValueError):
    """The data named by the user cannot be read as asked; one line that quotes what was seen and how to mend it."""


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
