"""The Hub side of modalmix: putting a built dataset there in one verified commit, and getting upstream archives from there."""

from __future__ import annotations

from ..builders.core.errors import HubError
from ..builders.pipeline.hub_retry import Patience
from .downloading import Downloaded, download
from .pushing import Push, push
from .verification import Verification, verify

__all__ = ["Downloaded", "HubError", "Patience", "Push", "Verification", "download", "push", "verify"]
