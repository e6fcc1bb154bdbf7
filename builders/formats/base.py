"""What a format is: a module that holds everything the project knows of how one upstream project writes a sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from ..core.findings import Finding
from ..core.sample import Recognition, Sample
from .shape import Kinds, Shape
from .turns import Roles


class Fix(NamedTuple):
    """One change to a record that alters how something is written, never what it says.

    Attributes:
        code: of the finding that it removes.
        pointer: JSON pointer to the value.
        was: the value.
        now: the value in its place.
    """

    code: str
    pointer: str
    was: Any
    now: Any


class Format(Protocol):
    """What a format module offers.

    ``write(read(record)) == record`` for every JSON object, key order included; `read` never raises: what it cannot
    express is in the sample's findings, and verbatim in its ``extra``.
    """

    NAME: str
    """The name of the module and of the builder."""
    TITLE: str
    """The name of the upstream project, for people."""
    MODALITIES: tuple[str, ...]
    """The modalities its records may hold, in the order of `modalmix.builders.core.sample.MODALITIES`."""
    RELEASE: str | None
    """The upstream release (see `modalmix.cards.facts`) that the builder's folders belong to."""
    FOLDERS: tuple[str, ...]
    """The folders of `RELEASE`, each a config of the builder."""

    # ---- recognition

    OWN: Kinds
    """Keys that only this format has, where their values are of these kinds (`modalmix.builders.formats.shape.kind_of`)."""
    NEVER: Kinds
    """Keys that this format cannot read when their values are of these kinds."""
    PATH_WORDS: tuple[str, ...]
    """Words in the path of a video by which `fit` recognises a record."""
    READ_KEYS: frozenset[str]
    """Keys of a record that `read` reads; it keeps the others in ``extra`` as they are."""

    @staticmethod
    def fit(shape: Shape) -> Recognition:
        """How well a record fits, and why, apart from the keys that only one format has."""

    @staticmethod
    def split_of(file: str) -> str:
        """The split an annotation file belongs to by its name."""

    # ---- records and samples

    @staticmethod
    def read(record: Mapping[str, Any], roles: Roles = ...) -> Sample:
        """The sample of a record."""

    @staticmethod
    def write(sample: Sample, roles: Roles = ...) -> dict[str, Any]:
        """The record of a sample."""

    # ---- the trainer

    ON_DEFECT: Mapping[str, str]
    """What the trainer does with a finding, by the name of the finding, in Markdown."""
    CONTENT_KEYS: tuple[str, ...]
    """Keys whose values can give findings beyond their types: a record that has one is always read in full."""

    @staticmethod
    def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterable[Finding]:
        """Warnings and notes about a record that `read` accepts but the trainer reads differently, or not at all."""

    @staticmethod
    def fixes(record: Mapping[str, Any]) -> Iterable[Fix]:
        """The changes that remove what the trainer stumbles over, without guessing."""


class MaskFormat(Format, Protocol):
    """What a format module offers whose records have masks."""

    @staticmethod
    def mask_pointer(sample: Sample, number: int, mask: int) -> str:
        """The JSON pointer to a mask of a sample in its record: the number of the object, and of the mask among its masks."""
