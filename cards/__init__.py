"""Cards: the README of a built dataset, whose YAML tells `datasets` and the Hub what is in it."""

from __future__ import annotations

from .rendering import render

__all__ = ["render"]
