"""Errors that a person can mend: each is one line for the terminal."""

from __future__ import annotations


class DataError(ValueError):
    """The data named by the user cannot be read as asked; one line that quotes what was seen and how to mend it."""
