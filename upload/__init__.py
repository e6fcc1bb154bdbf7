"""The Hub side of modalmix: putting a built dataset there in one verified commit, and getting upstream archives from there."""

from __future__ import annotations

from .downloading import Downloaded, download
from .errors import HubError
from .pushing import Push, push
from .retrying import Patience
from .verification import Verification, verify

__all__ = ["Downloaded", "HubError", "Patience", "Push", "Verification", "download", "push", "verify"]
