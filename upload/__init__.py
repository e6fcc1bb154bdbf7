"""Upload: sends a built dataset to the Hub in one verified commit, and downloads upstream releases from it."""

from __future__ import annotations

from ..builders.core.errors import HubError
from ..builders.pipeline.hub_retry import Patience
from .downloading import Downloaded, download
from .pushing import Push, push
from .verification import Verification, verify

__all__ = ["Downloaded", "HubError", "Patience", "Push", "Verification", "download", "push", "verify"]
