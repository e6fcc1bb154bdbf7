"""The catalogue of findings as a whole: none without a planted defect."""

from __future__ import annotations

import test_codes_files
import test_codes_records

from modalmix.builders.core.findings import CATALOGUE

WHILE_BUILT = {"media-changed"}
"""Findings that only a running build has; `test_shard_packer` tests them."""


def test_every_finding_has_a_planted_defect() -> None:
    planted = {defect.name for defect in (*test_codes_records.DEFECTS, *test_codes_files.DEFECTS)}
    assert planted | WHILE_BUILT == {kind.name for kind in CATALOGUE.values()}
    assert not planted & WHILE_BUILT
