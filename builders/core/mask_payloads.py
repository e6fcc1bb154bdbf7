"""Masks: every payload a mask is written as, read into one form without drawing it.

A mask is one object in one frame (`modalmix.builders.core.sample.Mask`).  Annotation files write it as

::

    {"size": [h, w], "counts": "…"}           compressed RLE, the text of pycocotools     kept as it is
    {"size": [h, w], "counts": "b'…'"}        the same, printed as Python bytes           unwrapped
    {"size": [h, w], "counts": [9, 3, …]}     run lengths                                 compressed
    [{"size": …, "counts": [9, 3, …]}, …]     several of those, meaning their union       united, compressed
    [[x, y, x, y, x, y, …], …]                polygons, meaning their union               kept; needs the picture's size
    null                                      annotated as not there                      kept, without size

and everything else is a finding that says what it looks like.  RLE itself is in `rle`, drawing in
`modalmix.builders.media.mask_arrays`: nothing here allocates a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from . import rle
from .findings import Finding, finding, quote
from .sample import Mask

_FAR = 100_000
"""Pixels; no picture format reaches this far, and COCO's rasteriser allocates by the length of the boundary."""


def parse_mask(
    payload: object, frame: int, height: int | None, width: int | None, at: str
) -> tuple[Mask | None, list[Finding]]:
    """The mask of one payload, and what is wrong with it.

    Compressed counts are not read: `counts_findings` reads those of all masks of a record at once.

    Args:
        payload: the JSON value.
        frame: index of the frame, for the mask.
        height: of the picture in pixels, where the record says it.
        width: likewise.
        at: JSON pointer to the payload.

    Returns:
        The mask, or None where the payload cannot be one, and the findings: at most one.
    """
    if payload is None:
        return Mask(frame), []
    if type(payload) is dict and "counts" in payload:
        return _rle(payload, frame, height, width, at)
    if type(payload) is list and payload:
        if type(payload[0]) is dict:
            return _union(payload, frame, height, width, at)
        if type(payload[0]) is list:
            return _polygons(payload, frame, height, width, at)
    return None, [finding("mask-payload", _looks(payload), at)]


def counts_findings(masks: Sequence[tuple[Mask, str]]) -> list[Finding]:
    """Whether compressed counts can be read and fill their pictures.

    Args:
        masks: each with the JSON pointer to its payload; masks without counts are passed over.

    Returns:
        One finding for each mask that is wrong.
    """
    known = [
        (mask.counts, mask.height, mask.width, at)
        for mask, at in masks
        if mask.counts is not None and mask.height is not None and mask.width is not None
    ]
    if rle.all_fit([counts for counts, _, _, _ in known], [h * w for _, h, w, _ in known]):
        return []
    looked = [(rle.misfit(counts, h, w), at) for counts, h, w, at in known]
    return [finding("mask-counts", wrong, at) for wrong, at in looked if wrong]


def is_out_of_range(frame: Any, frames: Any) -> Any:
    """Whether a video of that many frames has no frame of that index; both may be numbers or arrays of them."""
    return (frame < 0) | (frame >= frames)


def frame_finding(frame: int, frames: int, at: str) -> Finding:
    """The finding that a mask is in a frame that its video does not have (`is_out_of_range`)."""
    return finding("mask-frame-out-of-range", f"frame {frame} of a video of {frames} frames", at)


def size_finding(mask: Mask, against: str, at: str) -> Finding:
    """The finding that a mask has another size than its picture."""
    return finding("mask-size-differs", f"the mask has {mask.height} × {mask.width} pixels, {against}", at)


# ---- payloads, one kind each


def _rle(
    payload: dict[str, Any], frame: int, height: int | None, width: int | None, at: str
) -> tuple[Mask | None, list[Finding]]:
    size, counts = payload.get("size"), payload["counts"]
    if type(size) is not list or len(size) != 2 or type(size[0]) is not int or type(size[1]) is not int:
        return None, [finding("mask-payload", f"RLE whose size is {quote(size)}, not [height, width]", at)]
    h, w = size
    if not 0 < h < 2**31 or not 0 < w < 2**31 or h * w >= rle.PIXELS:
        return None, [finding("mask-payload", f"RLE of {quote(h)} × {quote(w)} pixels", at)]
    if type(counts) is list:
        if not {*map(type, counts)} <= {int}:
            return None, [finding("mask-payload", f"RLE whose counts are {quote(counts)}, not whole numbers", at)]
        if wrong := rle.misfit_runs(counts, h, w):
            return None, [finding("mask-counts", wrong, at)]
        counts = rle.compress(counts)
    elif type(counts) is not str:
        return None, [finding("mask-payload", f"RLE whose counts are {quote(counts)}", at)]
    elif counts[:2] in ("b'", 'b"'):
        # str(bytes): a quote is no RLE character, so it is nothing else; the only character it escapes is the backslash
        counts = counts[2:-1].replace("\\\\", "\\")
    mask = Mask(frame, h, w, counts)
    if height is not None and width is not None and (h != height or w != width):
        return mask, [size_finding(mask, f"the record says {height} × {width}", at)]
    return mask, []


def _union(
    payload: list[Any], frame: int, height: int | None, width: int | None, at: str
) -> tuple[Mask | None, list[Finding]]:
    for i, part in enumerate(payload):
        if type(part) is not dict or type(part.get("counts")) is not list:
            message = f"a list that holds {quote(part)}, not RLE with a list of counts"
            return None, [finding("mask-payload", message, at)]
        mask, findings = _rle(part, frame, height, width, f"{at}/{i}")
        if findings or mask is None:
            return None, findings
        if part["size"] != payload[0]["size"]:
            return None, [finding("mask-payload", "a list of RLE of different sizes", at)]
    h, w = payload[0]["size"]
    return Mask(frame, h, w, rle.compress(rle.union([part["counts"] for part in payload], h * w))), []


def _polygons(
    payload: list[Any], frame: int, height: int | None, width: int | None, at: str
) -> tuple[Mask | None, list[Finding]]:
    try:
        polygons = msgspec.convert(payload, list[list[float]])
    except (
        msgspec.ValidationError,
        OverflowError,
        UnicodeEncodeError,
    ):  # a lone surrogate has no place in a message of msgspec
        return None, [finding("mask-payload", _looks(payload), at)]
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            return None, [finding("mask-payload", _looks(payload), at)]
        if not math.isfinite(sum(polygon)) or min(polygon) < -_FAR or max(polygon) > _FAR:
            return None, [finding("mask-payload", f"a polygon that reaches {max(polygon, key=_distance)}", at)]
    if height is None or width is None:
        message = f"{len(polygons)} polygons, but the record has no height and width"
        return None, [finding("mask-size-missing", message, at)]
    return Mask(frame, height, width, None, polygons), []


def _distance(number: float) -> float:
    return abs(number) if number == number else math.inf


def _looks(payload: object) -> str:
    """What a payload that is no mask looks like."""
    if isinstance(payload, dict):
        keys = ", ".join(map(quote, list(payload)[:6]))
        return f"an object with the keys {keys}, not size and counts" if keys else "an empty object"
    if not isinstance(payload, list):
        return f"{quote(payload)} is no mask"
    if not payload:
        return "an empty list"
    if all(_is_number(item) for item in payload):
        return f"a flat list of numbers, {quote(payload)}: a polygon stands in a list of polygons"
    return next(_odd_polygons(payload), f"a list that is no polygons: {quote(payload)}")


def _odd_polygons(payload: list[Any]) -> Iterator[str]:
    """What the members of a list look like that is not a list of polygons."""
    for polygon in payload:
        if not isinstance(polygon, list):
            continue
        if polygon and isinstance(polygon[0], list):
            yield f"nested deeper than polygons are: {quote(payload)}"
        elif all(_is_number(item) for item in polygon):
            n = len(polygon)
            if n == 2:
                yield f"points as pairs, {quote(payload)}: a polygon is flat, [x, y, x, y, …]"
            elif n == 4:
                yield f"4 numbers, {quote(polygon)}: a box [x, y, w, h] is no mask"
            elif n < 6 or n % 2:
                yield f"a polygon of {n} numbers, {quote(polygon)}: it takes an even number of them, at least 6"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
