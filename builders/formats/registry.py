"""The format modules, by the names in `modalmix.builders.core.names.FORMATS`: a name there is all that registers a format."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..core.names import FORMATS
from .base import Format, MaskFormat


def _module(name: str) -> Any:  # a `Format`: tests/test_format_contract.py compares each module with the protocol
    return import_module(f".{name}", __package__)


_BY_NAME: dict[str, Format] = {name: _module(name) for name in FORMATS}
_WITH_MASKS: dict[str, MaskFormat] = {name: _module(name) for name in FORMATS if "masks" in _BY_NAME[name].MODALITIES}


def formats() -> dict[str, Format]:
    """The format modules by name, the plainest first."""
    return _BY_NAME


def formats_with_masks() -> dict[str, MaskFormat]:
    """Those of `formats` whose records may have masks."""
    return _WITH_MASKS
