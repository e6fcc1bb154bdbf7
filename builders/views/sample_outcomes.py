"""Outcomes: samples that can be decoded are given and counted; the others are rejected, counted, logged and written down."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ..core.findings import Finding
from ..pipeline import rejects
from .decode_errors import CannotDecodeError, Row
from .decode_row import Sample
from .shared_counter import SharedCounter

logger = logging.getLogger("modalmix")

_LOGGED = 3
"""Rejected samples that are logged one by one; after these, only the 10th, 100th, 1,000th …"""


class SampleRejected(CannotDecodeError):  # noqa: N818  what happened, as in FileExistsError
    """Raised for a sample that cannot be decoded: by ``view[i]``, and everywhere with ``on_error="raise"``."""


class Failure(msgspec.Struct):
    """A row that cannot be decoded, and why."""

    row: Row
    error: CannotDecodeError


class Outcomes:
    """Counts, logs and writes down what becomes of the samples of a view.

    Attributes:
        raises: raise `SampleRejected` for the first rejected sample.
        file: path of the file to which rejected samples are appended; None for no file.
        counter: the counts, shared by all processes.
    """

    def __init__(self, raises: bool, file: str | None) -> None:
        """See the attributes."""
        self.raises = raises
        self.file = None if file is None else os.path.abspath(file)
        self.counter = SharedCounter()
        self._warnings = 0

    def given(self, results: Iterable[Sample | Failure]) -> Iterator[Sample]:
        """The samples among the results; failures are rejected."""
        for result in results:
            if isinstance(result, Failure):
                self.reject(result)
                if self.raises:
                    raise SampleRejected(result.error.finding) from result.error
            else:
                self.counter.add(1, 0)
                self._log_warnings(result.get("findings") or ())
                yield result

    def reject(self, failure: Failure) -> None:
        """Counts, logs and writes down a rejected sample."""
        number = self.counter.add(0, 1)
        found = failure.error.finding
        if self.file is not None:
            entry = {
                "file": found.file,
                "row": found.row,
                "id": failure.row.get("id"),
                "code": found.code,
                "name": found.kind.name,
                "pointer": found.pointer,
                "message": found.message,
                "mend": found.kind.fix,
            }
            rejects.append(self.file, [msgspec.json.encode(entry) + b"\n"])
        if number <= _LOGGED or str(number).strip("0") == "1":
            logger.warning("sample rejected (%d so far): %s", number, found)

    def _log_warnings(self, findings: Sequence[Finding]) -> None:
        """Logs the first warnings about samples that are given nevertheless; the samples hold all of them."""
        for found in findings:
            self._warnings += 1
            if self._warnings <= _LOGGED:
                logger.warning("sample decoded in part: %s", found)
