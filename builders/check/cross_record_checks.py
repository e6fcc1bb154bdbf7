"""Checks across records, on columns of numbers.  Each is a pure function that gives places of records."""

from __future__ import annotations

import numpy as np

from ..core.int_columns import Columns, Numbers, repeats
from ..core.mask_payloads import is_out_of_range
from ..core.parquet_limits import ROW_BYTES


def contradictions(sizes: Columns) -> tuple[Numbers, Numbers]:
    """Places of records that give another size for a picture or video than the first record does, and the places of that one."""
    values, places = sizes["size"], sizes["place"]
    again, first = repeats(sizes["path"])
    differ = values[again] != values[first]
    return places[again[differ]], places[first[differ]]


def mask_mismatches(masks: Columns, facts: Columns) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Records with masks beyond the end of their video, or of another size than it.

    Args:
        masks: ``medium``, ``place``, ``frame``, ``size`` of each record with masks.
        facts: ``medium``, ``frames`` (-1 for a picture), ``size`` (0 where unknown) of each medium.

    Returns:
        For each record: its place, the medium, and the frames and size of the medium.
    """
    media, places = masks["medium"], masks["place"]
    has_facts, frames, sizes = _of(facts, media)
    beyond = (frames >= 0) & is_out_of_range(masks["frame"], frames)
    # only the first mask is kept: the format itself reports several sizes in one record
    other = (masks["size"] != 0) & (sizes != 0) & (masks["size"] != sizes)
    wrong = has_facts & (beyond | other)
    return places[wrong], media[wrong], frames[wrong], sizes[wrong]


def too_many_frames(requested: Columns, facts: Columns) -> tuple[Numbers, Numbers, Numbers]:
    """Places of records that ask for more frames than their video has, the frames it has, and the frames they ask for."""
    has_facts, frames, _ = _of(facts, requested["medium"])
    wrong = has_facts & (frames > 0) & (requested["frames"] > frames)
    return requested["place"][wrong], frames[wrong], requested["frames"][wrong]


def too_large(large: Columns) -> tuple[Numbers, Numbers]:
    """Places of records whose media do not fit a row of a build, and the bytes of these media."""
    if not len(large):
        return large["place"], large["bytes"]
    wrong = large["bytes"] > ROW_BYTES
    return large["place"][wrong], large["bytes"][wrong]


def _of(facts: Columns, media: Numbers) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], Numbers, Numbers]:
    """Whether has_facts are facts about each medium, its frames, and its size."""
    with_facts = facts["medium"]
    if not len(with_facts):
        return np.zeros(len(media), dtype=bool), media * 0, media * 0
    order = np.argsort(with_facts)
    ordered = with_facts[order]
    at = np.minimum(np.searchsorted(ordered, media), len(ordered) - 1)
    return ordered[at] == media, facts["frames"][order][at], facts["size"][order][at]
