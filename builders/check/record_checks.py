"""Records: what one record says about itself that the row pipeline lets pass, but a trainer stumbles over.

The pipeline finds what keeps a record from being a row; here are warnings and notes about those that are; and of those whose
media are missing, all that is missing, and what it is called here.  Nothing here opens a media file.
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
    """What is to say about a record that is a row."""
    found: list[Finding] = []
    if sample.masks:
        found += empty_masks(sample)
    groups = (("image", sample.images), ("video", sample.videos), ("audio", sample.audios), ("audio_q", sample.audio_q))
    for key, group in groups:
        for i, one in enumerate(group):
            if isinstance(one, Reference) and "\\" in one.path:  # a learned rule has found it; the trainer knows none
                found.append(_backslash(one, f"/{key}/{i}" if len(group) > 1 else f"/{key}"))
    if format_ is not None:
        found += formats()[format_].trainer_findings(record, sample)
    return found


def empty_masks(sample: Sample) -> list[Finding]:
    """Masks without a pixel: RLE of one run, polygons without an area."""
    return [
        finding("mask-empty", f"object {i}, frame {mask.frame}: no pixel is set")
        for i, masks in enumerate(sample.masks)
        for mask in masks
        if (mask.counts is not None or mask.polygons is not None) and _is_empty(mask)
    ]


def _is_empty(mask: Mask) -> bool:
    if mask.counts is not None:
        # a run is written in 5-bit digits, the last without the bit 0x20: one run, of zeros, is all there is
        return len(mask.counts) < 8 and all((ord(char) - 48) & 0x20 for char in mask.counts[:-1])
    return not any(_area(polygon) for polygon in mask.polygons or ())


def _area(polygon: Sequence[float]) -> float:
    xs, ys = polygon[::2], polygon[1::2]
    return sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))


# ---- media that are not there


def lookups(sample: Sample, rewriter: Rewriter) -> list[Finding]:
    """Everything that is wrong with where the media of a sample are: the row pipeline stops at the first."""
    found: list[Finding] = []
    for kind, key, group in (
        ("image", "/image", sample.images),
        ("audio", "/audio", sample.audios),
        ("audio", "/audio_q", sample.audio_q),
    ):
        for i, one in enumerate(group):
            at = f"{key}/{i}" if len(group) > 1 else key
            item = rewriter.item(one, kind, at)
            if isinstance(item, Finding):
                found.append(item)
                found += hints(one, item, at, rewriter.roots, partial(_item, rewriter, kind))
    for i, video in enumerate(sample.videos):
        at = f"/video/{i}" if len(sample.videos) > 1 else "/video"
        items = rewriter.video(video, at)
        if isinstance(items, Finding):
            found.append(items)
            if isinstance(video, Reference):
                found += hints(video, items, at, rewriter.roots, partial(rewriter.video, at=at))
            else:  # the other frames that are missing
                others = (rewriter.item(one, "video", f"{at}/{j}") for j, one in enumerate(video))
                found += [one for one in others if isinstance(one, Finding) and one.pointer != items.pointer]
    return found


def _item(rewriter: Rewriter, kind: str, reference: Reference) -> object:
    return rewriter.item(reference, kind, "")


def hints(
    reference: Reference, missed: Finding, at: str, roots: Sequence[str], look: Callable[[Reference], object]
) -> list[Finding]:
    """Whether a path that was missed is there with slashes, or in other letters.

    Args:
        reference: as written.
        missed: the finding that it was not found.
        at: its JSON pointer.
        roots: the media roots.
        look: gives a finding for a reference that is not there.
    """
    if missed.code not in ("MX101", "MX109"):
        return []
    if "\\" in reference.path:
        other = with_slashes(reference)
        if not isinstance(look(other), Finding):
            return [_backslash(reference, at)]
    there = other_case(reference.path, roots)
    return [finding("path-case", f"{reference.path!r} is there as {there!r}", at)] if there else []


def _backslash(reference: Reference, at: str) -> Finding:
    return finding("path-backslash", f"{reference.path!r} is there as {with_slashes(reference).path!r}", at)


def with_slashes(reference: Reference) -> Reference:
    """The reference with slashes instead of backslashes, without a drive."""
    path = re.sub(r"^[A-Za-z]:", "", reference.path).replace("\\", "/")
    return Reference(path, reference.sizes, reference.start, reference.base64)


def other_case(written: str, roots: Sequence[str]) -> str | None:
    """A file under the roots whose path ends like the one written but for upper and lower case; None where there is none."""
    steps = [step for step in written.split("/") if step not in ("", ".")]
    if not steps or ".." in steps:
        return None
    for first in range(len(steps)):
        for root in roots:
            folder: str | None = root
            for step in steps[first:]:
                folder = _entry(folder, step) if folder is not None else None
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
