"""The cache: what can be made again, and is kept because making it takes time.

Indexes of media roots (``paths``), seek points of archives (``seek``) and headers of media (``headers.sqlite``) lie in one
folder; to remove it costs nothing but time.
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
