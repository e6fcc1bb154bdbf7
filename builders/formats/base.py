"""Formats: how each upstream project writes a sample.

A format is a module that holds everything the project knows of it, as plain functions (`Format`); this module lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

from ..core.names import FORMATS
from ..core.sample import Recognition, Sample
from .turns import Roles

NAMES = FORMATS


class Format(Protocol):
    """What a format module offers.

    ``write(read(record)) == record`` for every JSON object, key order included; `read` never raises: what it cannot
    express is in the sample's findings, and verbatim in its ``extra``.
    """

    NAME: str
    MODALITIES: tuple[str, ...]
    """The modalities its records may hold, in the order of `modalmix.builders.core.sample.MODALITIES`."""

    @staticmethod
    def read(record: Mapping[str, Any], roles: Roles = ...) -> Sample:
        """The sample of a record."""

    @staticmethod
    def write(sample: Sample, roles: Roles = ...) -> dict[str, Any]:
        """The record of a sample."""

    @staticmethod
    def recognise(record: Mapping[str, Any]) -> Recognition:
        """How well a record fits, and why."""

    @staticmethod
    def split_of(file: str) -> str:
        """The split an annotation file belongs to by its name."""


@cache
def formats() -> dict[str, Format]:
    """The format modules by name."""
    return {name: cast("Format", import_module(f".{name}", __package__)) for name in NAMES}
