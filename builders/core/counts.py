"""Counts: the outcomes of the records; they add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from .findings import Finding


class Counts(msgspec.Struct):
    """The outcomes of the records: ``read == sum(written) + rejected + not_selected``.

    Attributes:
        written: rows by mix.
        findings: findings of every severity by code (a record may have several).
        formats: records by format.
    """

    read: int = 0
    rejected: int = 0
    not_selected: int = 0
    written: dict[str, int] = {}
    findings: dict[str, int] = {}
    formats: dict[str, int] = {}

    def add(self, other: Counts) -> None:
        """Adds the counts of another slice."""
        self.read += other.read
        self.rejected += other.rejected
        self.not_selected += other.not_selected
        for name in ("written", "findings", "formats"):
            setattr(self, name, dict(Counter(getattr(self, name)) + Counter(getattr(other, name))))

    def note(self, findings: Sequence[Finding]) -> None:
        """Counts findings by code."""
        for finding in findings:
            self.findings[finding.code] = self.findings.get(finding.code, 0) + 1
