"""Formats: one module of facts for each shape that upstream projects write their samples in."""

from .base import NAMES, Format, formats

__all__ = ["NAMES", "Format", "formats"]
