"""Decode errors: whatever goes wrong while a sample is decoded becomes a finding with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.findings import Finding, finding
from ..core.mask_payloads import frame_finding, is_out_of_range
from ..media.errors import MediaError

Row = Mapping[str, Any]


class CannotDecodeError(ValueError):
    """A sample cannot be decoded; `finding` says what is wrong and where."""

    def __init__(self, found: Finding) -> None:
        super().__init__(str(found))
        self.finding = found

    def __reduce__(self) -> tuple[type[CannotDecodeError], tuple[Finding]]:
        return type(self), (self.finding,)


class MaskError(ValueError):
    """A mask does not belong to its picture; `errors_at` turns it into a `CannotDecodeError`."""

    def __init__(self, found: Finding) -> None:
        super().__init__(found.message)
        self.finding = found


@contextmanager
def errors_at(row: Row, pointer: str) -> Iterator[None]:
    """Turns any exception inside into a `CannotDecodeError` with the place of the row and the JSON pointer in it.

    It catches every `Exception`: decoders meet arbitrary bytes and may raise anything.  One bad file
    must reject one sample; it must not end the training.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MaskError):
            found = error.finding
        else:
            missing = isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)
            message = str(error) if isinstance(error, (MediaError, OSError)) else f"{type(error).__name__}: {error}"
            found = finding("media-missing" if missing else "media-unreadable", message, pointer)
        raise CannotDecodeError(placed(found, row)) from error


def placed(found: Finding, row: Row) -> Finding:
    """The finding with the place of a row: its annotation file and its ordinal."""
    source = row.get("source") or {}
    return found.placed(source.get("file") or "", source.get("row", -1))


def check_mask_frames(mask_frames: Sequence[int], frames: int) -> None:
    """Raises `MaskError` if a mask is in a frame that a video of that many coded frames does not have."""
    for frame in mask_frames:
        if is_out_of_range(frame, frames):
            raise MaskError(frame_finding(frame, frames, "/masks"))
