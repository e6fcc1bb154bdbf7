"""The one error of decoding: bytes that are not the medium they should be, in one line."""

from __future__ import annotations


class MediaError(ValueError):
    """A medium that cannot be opened or decoded; the message says what was seen, in one line."""
