"""What the header of a video or picture says about a sample's masks: their frames and their size."""

from __future__ import annotations

from ..core.findings import Finding, finding, pointer
from ..core.mask_payloads import size_finding
from ..core.sample import Sample, notes_of


def media_findings(sample: Sample, *, frames: int | None, height: int | None, width: int | None) -> list[Finding]:
    """What is wrong between a sample's masks and the video or picture they belong to.

    Args:
        sample: the sample; its masks as `read` gave them.
        frames: number of frames of the video; None where unknown, and for a picture.
        height: of the video or picture, in pixels; None where unknown.
        width: likewise.

    Returns:
        One finding for each mask of a frame that is not there, and one for the first mask of another size, unless the
        record itself was found to contradict its masks' sizes already.
    """
    if frames is None and (height is None or width is None):
        return []
    findings: list[Finding] = []
    told = any(f.code == "MX306" for f in sample.findings)
    for i, masks in enumerate(sample.masks):
        for j, mask in enumerate(masks):
            if frames is not None and mask.frame >= frames:
                message = f"frame {mask.frame} of a video of {frames} frames"
                findings.append(finding("mask-frame-out-of-range", message, _place(sample, i, j)))
            elif not told and mask.height is not None and height is not None and width is not None:
                told = (mask.height, mask.width) != (height, width)
                if told:
                    findings.append(size_finding(mask, f"its picture {height} × {width}", _place(sample, i, j)))
    return findings


def _place(sample: Sample, i: int, j: int) -> str:
    """The JSON pointer to mask `j` of object `i`, by what the format has noted under ``masks`` of the record's layout.

    ``key``: the record's key if it is not ``annotation``; ``still``: there is no frame level; ``frames``: frame keys as
    written, per object; ``nested``: the key of one more level, per object.
    """
    layout = notes_of(sample.extra).get("masks") or {}
    place: list[str | int] = [layout.get("key", "annotation"), i]
    if layout.get("still"):
        return pointer(*place)
    if (nested := layout.get("nested")) and nested[i] is not None:
        place.append(nested[i])
    return pointer(*place, layout["frames"][i][j] if "frames" in layout else sample.masks[i][j].frame)
