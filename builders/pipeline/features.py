"""Columns: what a dataset of each modality mix looks like, before a byte is read.

A **mix** is a set of modalities; its columns are a subset of `COLUMNS`, in this order and with these types, so that mixes
interleave and concatenate.  Only stock feature types of `datasets` are used: what is built here loads without modalmix.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from datasets import Audio, Features, Image, List, Value, Video

from ..core.names import MODALITIES
from .metadata_columns import FIELDS, SUFFIX

ALL = "all"
"""The config that holds every mix."""

MEDIA_COLUMNS = ("images", "videos", "frames", "audios", "audio_q")
"""Columns whose leaves are media; `frames` is a list of lists."""

_COLUMNS_OF = {
    "image": ("images",),
    "video": ("videos", "frames", "num_frames"),
    "audio": ("audios",),
    "audio_q": ("audio_q", "text_q"),
    "masks": ("masks",),
}

_MASK = {
    "frame": Value("int64"),
    "height": Value("int32"),
    "width": Value("int32"),
    "counts": Value("string"),
    "polygons": List(List(Value("float64"))),
}


def of_media(column: str) -> bool:
    """Whether a column holds media, or what their headers say: what is equal for all records that show them."""
    return column.removesuffix(SUFFIX) in MEDIA_COLUMNS


def decodes_audio_and_video() -> bool:
    """Whether `datasets` can decode sound and video here; without torchcodec its features raise on iteration."""
    return importlib.util.find_spec("torchcodec") is not None


def columns(decode: bool = True, metadata: bool = False) -> Features:
    """All columns in their order.

    Args:
        decode: whether sound and video decode on access; else rows carry ``{"path", "bytes"}``.
        metadata: with what the headers of media say, each right behind its media column
            (`modalmix.builders.pipeline.metadata_columns`).
    """
    without_metadata = Features(
        {
            "id": Value("string"),
            "source": {"file": Value("string"), "row": Value("int64")},
            "system": Value("string"),
            "conversations": List({"from": Value("string"), "value": Value("string")}),
            "images": List(Image()),
            "videos": List(Video(decode=decode)),
            "frames": List(List(Image())),
            "audios": List(Audio(decode=decode)),
            "audio_q": List(Audio(decode=decode)),
            "text_q": Value("string"),
            "masks": List(List(_MASK)),
            "num_frames": Value("int32"),
            "extra": Value("string"),
        }
    )
    if not metadata:
        return without_metadata
    all_columns: dict[str, Any] = {}
    for name, kind in without_metadata.items():
        all_columns[name] = kind
        if name in FIELDS:
            of_header = {field: Value(dtype) for field, dtype in FIELDS[name].items()}
            all_columns[f"{name}{SUFFIX}"] = List(List(of_header)) if name == "frames" else List(of_header)
    return Features(all_columns)


def features(modalities: Iterable[str], decode: bool = True, metadata: bool = False) -> Features:
    """The columns of a mix.

    Args:
        modalities: some of `MODALITIES`; none for text alone.
        decode: see `columns`.
        metadata: see `columns`.

    Raises:
        KeyError: a name is no modality.
    """
    of_mix = {column for modality in modalities for column in _COLUMNS_OF[modality]}
    optional = {column for group in _COLUMNS_OF.values() for column in group}
    all_columns = columns(decode, metadata)
    of = {name: name.removesuffix(SUFFIX) for name in all_columns}
    return Features(
        {name: kind for name, kind in all_columns.items() if of[name] in of_mix or of[name] not in optional}
    )


def mixes(modalities: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Every mix of these modalities: its name → its modalities, the smaller first."""
    ordered = [modality for modality in MODALITIES if modality in modalities]
    return {
        "_".join(chosen) or "text": chosen for size in range(len(ordered) + 1) for chosen in combinations(ordered, size)
    }
