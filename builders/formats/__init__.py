"""Formats: one module of facts for each shape that upstream projects write their samples in."""

from ..core.names import FORMATS as NAMES
from .base import Fix, Format
from .registry import formats

__all__ = ["NAMES", "Fix", "Format", "formats"]
