"""Cards: the README of a built dataset, whose YAML tells `datasets` and the Hub what is in it."""

from __future__ import annotations

from .front import CardError
from .rendering import render
from .writing import for_hub, is_current, write

__all__ = ["CardError", "for_hub", "is_current", "render", "write"]
