"""Sample page: one sample as the page draws it, in JSON: its *sheet*.

::

    {"n": 12, "id": …, "turns": [{"role": "human", "parts": [{"medium": {…}}, {"text": "What is "}, {"region": 0}]}, …],
     "objects": [{"colour": "#e64b3c", …}], "findings": […], …}

A medium is ``{"kind": "image" | "video" | "audio" | "frames", "name", "url", …}``; a medium that does not exist has ``missing``
in place of ``url``.  Masks belong to the picture under them: an image or a frame has ``masks`` and ``absent`` (objects that
are annotated as not visible), a video has ``annotated`` frames.

All text is data: the page puts it into text nodes, and nothing here is markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..core.findings import CATALOGUE, Finding
from ..core.sample import Mask
from ..formats.turns import plain_text, split
from .entries import KINDS, Cell, SampleDetails
from .thumbnails import colour

Json = dict[str, Any]


def sheet(details: SampleDetails, n: int) -> Json:
    """The sheet of the sample with the number `n`."""
    media = {
        column: [_medium(cell, n, column, i) for i, cell in enumerate(cells)] for column, cells in details.media.items()
    }
    pictured = next((media[column][0] for column in ("images", "videos", "frames") if media.get(column)), None)
    if pictured is not None and details.masks:
        _add_masks(details.masks, pictured, n)
    chat, unplaced = _chat(details, media)
    return {
        "n": n,
        "id": details.id,
        "mix": details.mix,
        "state": details.state,
        "file": details.file,
        "row": details.row,
        "format": details.format,
        "system": details.system,
        "text_q": None if details.text_q is None else plain_text(details.text_q),
        "num_frames": details.num_frames,
        "raw": details.raw,
        "turns": [{"role": role, "parts": parts} for role, parts in chat],
        "unplaced": unplaced,
        "objects": [_object(k, frames) for k, frames in enumerate(details.masks)],
        "findings": [_finding(found) for found in details.findings],
    }


def _chat(details: SampleDetails, media: dict[str, list[Json]]) -> tuple[list[tuple[str, list[Json]]], list[Json]]:
    """The role and the parts of each turn, and the media that no placeholder stands for."""
    turns = [(turn.role, *split(turn.value)) for turn in details.turns]
    tags = [tag for _, found, _ in turns for tag in found]
    audios, spoken = media.get("audios", []), media.get("audio_q", [])
    if tags.count("audio") == len(audios) + len(spoken):
        audios, spoken = audios + spoken, []
    supply = {
        "image": iter(media.get("images", [])),
        "video": iter(media.get("videos", []) + media.get("frames", [])),
        "audio": iter(audios),
        "region": ({"region": k} for k in range(tags.count("region"))),
    }
    rejected = details.state == "rejected"
    missing = (
        "The record is rejected, so the dataset does not have it." if rejected else "The sample has no such medium."
    )
    chat = [(role, list(_parts(found, texts, supply, missing))) for role, found, texts in turns]
    question = next((parts for role, parts in chat if role == "human"), None)
    if question is not None:
        question[:0] = [{"medium": medium} for medium in spoken]
        spoken = []
    return chat, [*spoken, *(medium for kind in ("image", "video", "audio") for medium in supply[kind])]


def _parts(
    tags: Sequence[str], texts: Sequence[str], supply: dict[str, Iterator[Json]], missing: str
) -> Iterator[Json]:
    """The parts of a turn in order: the media of its placeholders, and the texts around them."""
    if texts[0]:
        yield {"text": plain_text(texts[0])}
    for tag, text in zip(tags, texts[1:], strict=True):
        found = next(supply[tag], None)
        if tag == "region":
            assert found is not None
            yield found
        else:
            yield {"medium": found or {"kind": tag, "name": "", "missing": missing, "code": ""}}
        if text:
            yield {"text": plain_text(text)}


def _medium(cell: Cell | Sequence[Cell], n: int, column: str, *at: int) -> Json:
    kind = KINDS[column]
    if isinstance(cell, Finding):
        return {"kind": kind, "name": "", "missing": cell.message, "code": cell.code}
    if column == "frames" and len(at) == 1:
        assert not isinstance(cell, str)
        frames = [_medium(frame, n, column, *at, j) for j, frame in enumerate(cell)]  # type: ignore[arg-type]
        return {"kind": "frames", "name": "", "frames": frames}
    size = getattr(cell, "size", None)
    place = "/".join(map(str, at))
    name = cell.name  # type: ignore[union-attr]
    return {
        "kind": "image" if column == "frames" else kind,
        "name": name,
        "size": size,
        "url": f"media/{n}/{column}/{place}",
    }


def _add_masks(masks: Sequence[Sequence[Mask]], medium: Json, n: int) -> None:
    """Adds the masks of all objects to the medium they are drawn on."""
    by_frame: dict[int, Json] = {}
    for k, frames in enumerate(masks):
        for i, mask in enumerate(frames):
            on_frame = by_frame.setdefault(mask.frame, {"frame": mask.frame, "masks": [], "absent": []})
            if mask.counts is None and mask.polygons is None:
                on_frame["absent"].append(k)
            else:
                on_frame["masks"].append({"object": k, "url": f"mask/{n}/{k}/{i}"})
    if medium["kind"] == "image":
        for on_frame in by_frame.values():
            medium.setdefault("masks", []).extend(on_frame["masks"])
            medium.setdefault("absent", []).extend(on_frame["absent"])
    elif medium["kind"] == "frames":
        for index, on_frame in by_frame.items():
            if 0 <= index < len(medium["frames"]):
                medium["frames"][index].update(on_frame)
    elif "url" in medium:
        medium["annotated"] = [
            {"kind": "image", "name": f"frame {index}", "url": f"frame/{n}/0/{index}", **by_frame[index]}
            for index in sorted(by_frame)
        ]


def _object(k: int, frames: Sequence[Mask]) -> Json:
    visible = sum(1 for mask in frames if mask.counts is not None or mask.polygons is not None)
    return {"colour": "#{:02x}{:02x}{:02x}".format(*colour(k)), "frames": len(frames), "visible": visible}


def _finding(found: Finding) -> Json:
    kind = CATALOGUE[found.code]
    return {"code": found.code, "name": kind.name, "severity": kind.severity, "pointer": found.pointer,
            "message": found.message, "meaning": kind.meaning, "fix": kind.fix, "offset": found.offset}  # fmt: skip
