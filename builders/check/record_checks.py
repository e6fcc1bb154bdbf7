"""Checks of one record, beyond what keeps it from being a row.

The row pipeline finds what rejects a record.  Here are the warnings and notes about records that are rows; and for records whose
media are missing, all that is missing, and similar names that exist.  Nothing here opens a media file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from ..core.findings import Finding, finding
from ..core.sample import Mask, Reference, Sample
from ..formats import formats
from ..paths import Rewriter


def notes(format_: str | None, sample: Sample, record: Mapping[str, Any]) -> list[Finding]:
    """The warnings and notes about a record that is a row."""
    findings: list[Finding] = []
    if sample.masks:
        findings += empty_masks(sample)
    groups = (("image", sample.images), ("video", sample.videos), ("audio", sample.audios), ("audio_q", sample.audio_q))
    for key, group in groups:
        for i, reference in enumerate(group):
            if (
                isinstance(reference, Reference) and "\\" in reference.path
            ):  # a learned rule finds it; the trainer has no rules
                findings.append(_backslash(reference, f"/{key}/{i}" if len(group) > 1 else f"/{key}"))
    if format_ is not None:
        findings += formats()[format_].trainer_findings(record, sample)
    return findings


def empty_masks(sample: Sample) -> list[Finding]:
    """Masks without a pixel: RLE of one run, or polygons without an area."""
    return [
        finding("mask-empty", f"object {i}, frame {mask.frame}: no pixel is set")
        for i, masks in enumerate(sample.masks)
        for mask in masks
        if (mask.counts is not None or mask.polygons is not None) and _is_empty(mask)
    ]


def _is_empty(mask: Mask) -> bool:
    if mask.counts is not None:
        # a run is written in 5-bit digits, the last without the bit 0x20: here there is one run, of zeros
        return len(mask.counts) < 8 and all((ord(char) - 48) & 0x20 for char in mask.counts[:-1])
    return not any(_area(polygon) for polygon in mask.polygons or ())


def _area(polygon: Sequence[float]) -> float:
    xs, ys = polygon[::2], polygon[1::2]
    return sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))


# ---- missing media


def lookups(sample: Sample, rewriter: Rewriter) -> list[Finding]:
    """All findings of looking up the media of a sample; the row pipeline stops at the first."""
    findings: list[Finding] = []
    for kind, key, group in (
        ("image", "/image", sample.images),
        ("audio", "/audio", sample.audios),
        ("audio", "/audio_q", sample.audio_q),
    ):
        for i, reference in enumerate(group):
            at = f"{key}/{i}" if len(group) > 1 else key
            item = rewriter.item(reference, kind, at)
            if isinstance(item, Finding):
                findings.append(item)
                findings += hints(reference, item, at, rewriter.roots, partial(_item, rewriter, kind))
    for i, video in enumerate(sample.videos):
        at = f"/video/{i}" if len(sample.videos) > 1 else "/video"
        items = rewriter.video(video, at)
        if isinstance(items, Finding):
            findings.append(items)
            if isinstance(video, Reference):
                findings += hints(video, items, at, rewriter.roots, partial(rewriter.video, at=at))
            else:  # the other missing frames
                others = (rewriter.item(reference, "video", f"{at}/{j}") for j, reference in enumerate(video))
                findings += [
                    reference
                    for reference in others
                    if isinstance(reference, Finding) and reference.pointer != items.pointer
                ]
    return findings


def _item(rewriter: Rewriter, kind: str, reference: Reference) -> object:
    return rewriter.item(reference, kind, "")


def hints(
    reference: Reference, missing: Finding, at: str, roots: Sequence[str], look_up: Callable[[Reference], object]
) -> list[Finding]:
    """Findings about a missing path that exists with slashes, or in another case.

    Args:
        reference: the reference as written.
        missing: the finding that it is missing.
        at: its JSON pointer.
        roots: the media roots.
        look_up: gives a finding for a reference that is missing.
    """
    if missing.code not in ("MX101", "MX109"):
        return []
    if "\\" in reference.path:
        other = with_slashes(reference)
        if not isinstance(look_up(other), Finding):
            return [_backslash(reference, at)]
    existing = other_case(reference.path, roots)
    return [finding("path-case", f"{reference.path!r} exists as {existing!r}", at)] if existing else []


def _backslash(reference: Reference, at: str) -> Finding:
    return finding("path-backslash", f"{reference.path!r} exists as {with_slashes(reference).path!r}", at)


def with_slashes(reference: Reference) -> Reference:
    """The reference with slashes instead of backslashes, without a drive."""
    path = re.sub(r"^[A-Za-z]:", "", reference.path).replace("\\", "/")
    return Reference(path, reference.sizes, reference.start, reference.base64)


def other_case(written: str, roots: Sequence[str]) -> str | None:
    """A file under the roots whose path ends as written but for upper and lower case; None where there is none."""
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return None
    for first in range(len(parts)):
        for root in roots:
            folder: str | None = root
            for part in parts[first:]:
                folder = _entry(folder, part) if folder is not None else None
            if folder is not None:
                return folder
    return None


def _entry(folder: str, name: str) -> str | None:
    real = _listing(folder).get(name.casefold())
    return None if real is None else f"{folder}/{real}"


@lru_cache(maxsize=16)
def _listing(folder: str) -> dict[str, str]:
    try:
        return {entry.name.casefold(): entry.name for entry in os.scandir(folder)}
    except OSError:
        return {}
