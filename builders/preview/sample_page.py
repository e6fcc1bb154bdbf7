"""Sheets: one sample as the page draws it.

::

    {"n": 12, "id": …, "turns": [{"role": "human", "parts": [{"medium": {…}}, {"text": "What is "}, {"region": 0}]}, …],
     "objects": [{"colour": "#e64b3c", …}], "findings": […], …}

A medium is ``{"kind": "image" | "video" | "audio" | "frames", "name", "url", …}``; one that is not there has ``missing`` instead
of ``url``.  Masks hang on what they lie over: an image or a frame has ``masks`` and ``absent``, a video has ``annotated`` frames.
All text is data: the page puts it into text nodes, and nothing here is markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..core.findings import CATALOGUE, Finding
from ..core.sample import Mask
from ..formats.turns import plain_text, split
from .entries import KINDS, Cell, Shown
from .thumbnails import colour

Json = dict[str, Any]


def sheet(shown: Shown, n: int) -> Json:
    """The sheet of a sample with the number `n`."""
    media = {
        column: [_medium(cell, n, column, i) for i, cell in enumerate(cells)] for column, cells in shown.media.items()
    }
    on = next((media[column][0] for column in ("images", "videos", "frames") if media.get(column)), None)
    if on is not None and shown.masks:
        _lay(shown.masks, on, n)
    turns = [(turn.role, *split(turn.value)) for turn in shown.turns]
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
    why = "it is not in the dataset, as the record was rejected" if shown.state == "rejected" else "there is none"
    chat = [(role, list(_parts(found, texts, supply, why))) for role, found, texts in turns]
    asked = next((parts for (role, _, _), (_, parts) in zip(turns, chat, strict=True) if role == "human"), None)
    if asked is not None:
        asked[:0] = [{"medium": medium} for medium in spoken]
        spoken = []
    return {
        "n": n,
        "id": shown.id,
        "mix": shown.mix,
        "state": shown.state,
        "file": shown.file,
        "row": shown.row,
        "format": shown.format,
        "system": shown.system,
        "text_q": shown.text_q,
        "num_frames": shown.num_frames,
        "raw": shown.raw,
        "turns": [{"role": role, "parts": parts} for role, parts in chat],
        "unplaced": [*spoken, *(medium for kind in ("image", "video", "audio") for medium in supply[kind])],
        "objects": [_object(k, frames) for k, frames in enumerate(shown.masks)],
        "findings": [_finding(one) for one in shown.findings],
    }


def _parts(tags: Sequence[str], texts: Sequence[str], supply: dict[str, Iterator[Json]], why: str) -> Iterator[Json]:
    """The parts of a turn in order: what its placeholders stand for, and the texts around them."""
    if texts[0]:
        yield {"text": plain_text(texts[0])}
    for tag, text in zip(tags, texts[1:], strict=True):
        found = next(supply[tag], None)
        if tag == "region":
            assert found is not None
            yield found
        else:
            yield {"medium": found or {"kind": tag, "name": "", "missing": why, "code": ""}}
        if text:
            yield {"text": plain_text(text)}


def _medium(cell: Cell | Sequence[Cell], n: int, column: str, *at: int) -> Json:
    kind = KINDS[column]
    if isinstance(cell, Finding):
        return {"kind": kind, "name": "", "missing": cell.message, "code": cell.code}
    if column == "frames" and len(at) == 1:
        assert not isinstance(cell, str)
        frames = [_medium(one, n, column, *at, j) for j, one in enumerate(cell)]  # type: ignore[arg-type]
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


def _lay(masks: Sequence[Sequence[Mask]], on: Json, n: int) -> None:
    """Hangs the masks of all objects on the medium they were drawn for."""
    by_frame: dict[int, Json] = {}
    for k, frames in enumerate(masks):
        for i, mask in enumerate(frames):
            held = by_frame.setdefault(mask.frame, {"frame": mask.frame, "masks": [], "absent": []})
            if mask.counts is None and mask.polygons is None:
                held["absent"].append(k)
            else:
                held["masks"].append({"object": k, "url": f"mask/{n}/{k}/{i}"})
    if on["kind"] == "image":
        for held in by_frame.values():
            on.setdefault("masks", []).extend(held["masks"])
            on.setdefault("absent", []).extend(held["absent"])
    elif on["kind"] == "frames":
        for index, held in by_frame.items():
            if 0 <= index < len(on["frames"]):
                on["frames"][index].update(held)
    elif "url" in on:
        on["annotated"] = [
            {"kind": "image", "name": f"frame {index}", "url": f"frame/{n}/0/{index}", **by_frame[index]}
            for index in sorted(by_frame)
        ]


def _object(k: int, frames: Sequence[Mask]) -> Json:
    there = sum(1 for mask in frames if mask.counts is not None or mask.polygons is not None)
    return {"colour": "#{:02x}{:02x}{:02x}".format(*colour(k)), "frames": len(frames), "there": there}


def _finding(one: Finding) -> Json:
    kind = CATALOGUE[one.code]
    return {"code": one.code, "name": kind.name, "severity": kind.severity, "pointer": one.pointer, "message": one.message,
            "meaning": kind.meaning, "mend": kind.mend, "offset": one.offset}  # fmt: skip
