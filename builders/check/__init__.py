"""Checks: everything that is wrong with a dataset, found before a build or a training run meets it.

`check` reads DATA once, opens each of its media at most once, and writes all findings to a file; a `Diagnosis` sums them up.
`write_clean` writes annotation files without the rejected records, `html_report` draws the sums, `findings_page` makes the page
about all findings.
"""

from .diagnosis import CheckResult, Diagnosis, Example, FileDiagnosis
from .run_check import check
from .slice_result import DEPTHS, Depth

__all__ = ["DEPTHS", "CheckResult", "Depth", "Diagnosis", "Example", "FileDiagnosis", "check"]
