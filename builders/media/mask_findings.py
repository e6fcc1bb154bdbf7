"""What the header of a video or picture says about a sample's masks: their frames and their size."""

from __future__ import annotations

from collections.abc import Callable

from ..core.findings import Finding
from ..core.mask_payloads import frame_finding, is_out_of_range, size_finding
from ..core.sample import Sample


def media_findings(
    sample: Sample,
    *,
    frames: int | None,
    height: int | None,
    width: int | None,
    pointer_of: Callable[[Sample, int, int], str],
) -> list[Finding]:
    """What is wrong between a sample's masks and the video or picture they belong to.

    Args:
        sample: the sample; its masks as `read` gave them.
        frames: number of frames of the video; None where unknown, and for a picture.
        height: of the video or picture, in pixels; None where unknown.
        width: likewise.
        pointer_of: gives the JSON pointer to a mask of the sample in its record: number of the object, number of the mask.

    Returns:
        One finding for each mask of a frame that is not there, and one for the first mask of another size, unless the
        record itself was found to contradict its masks' sizes already.
    """
    if frames is None and (height is None or width is None):
        return []
    findings: list[Finding] = []
    is_reported = any(f.code == "MX306" for f in sample.findings)
    for i, masks in enumerate(sample.masks):
        for j, mask in enumerate(masks):
            if frames is not None and is_out_of_range(mask.frame, frames):
                findings.append(frame_finding(mask.frame, frames, pointer_of(sample, i, j)))
            elif not is_reported and mask.height is not None and height is not None and width is not None:
                is_reported = (mask.height, mask.width) != (height, width)
                if is_reported:
                    findings.append(size_finding(mask, f"its picture {height} × {width}", pointer_of(sample, i, j)))
    return findings
