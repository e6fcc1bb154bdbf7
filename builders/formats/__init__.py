"""Formats: one module of facts for each shape that upstream projects write their samples in."""

from ..core.names import FORMATS as NAMES
from .base import Fix, Format, MaskFormat
from .registry import formats, formats_with_masks

__all__ = ["NAMES", "Fix", "Format", "MaskFormat", "formats", "formats_with_masks"]
