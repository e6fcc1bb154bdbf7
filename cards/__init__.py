"""Cards: the README of a built dataset, whose YAML describes its configs to `datasets` and the Hub."""

from __future__ import annotations

from .front import CardError
from .rendering import render
from .writing import for_hub, is_current, write

__all__ = ["CardError", "for_hub", "is_current", "render", "write"]
