"""The cache folder: data that can be computed again, and is kept because that takes time.

Indexes of media roots (``paths``), seek points of archives (``seek``) and headers of media (``headers.sqlite``) lie in one
folder.  It can be removed at any time.
"""

from __future__ import annotations

import os


def cache_folder(cache: str | None = None) -> str:
    """The folder: `cache`, or ``$MODALMIX_CACHE``, or ``modalmix`` in the user's cache folder."""
    if cache is None:
        cache = os.environ.get("MODALMIX_CACHE")
    if cache:
        return os.path.abspath(cache)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "modalmix")
