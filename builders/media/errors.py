"""The one error that decoding raises: the file is there, and its content cannot be made into what was asked for."""

from __future__ import annotations


class MediaError(ValueError):
    """A picture, sound or video that cannot be decoded, or not within its bounds; the message quotes what was seen.

    It is a `ValueError`, so that code which knows nothing of modalmix can catch it; a file that is missing or may not be
    read raises `OSError` as everywhere else.
    """
