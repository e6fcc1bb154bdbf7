"""Checks: everything that is wrong with a dataset, told before a build or a GPU meets it.

`check` reads DATA once, opens each of its media at most once, and writes every finding down; a `Diagnosis` sums them up.
`write_clean` writes annotation files without the rejected records, `page` draws the sums, `findings_page` is the text about
each finding.
"""

from .diagnosis import CheckResult, Diagnosis, Example, FileDiagnosis
from .run_check import check
from .slice_result import DEPTHS, Depth

__all__ = ["DEPTHS", "CheckResult", "Depth", "Diagnosis", "Example", "FileDiagnosis", "check"]
