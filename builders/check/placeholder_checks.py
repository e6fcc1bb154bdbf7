"""Placeholders in each trainer's terms: where it puts those of a turn, and where it does not look for any.

That there are as many as there are media is the formats' own matter (`modalmix.builders.formats.turns.count_findings`).
What follows is about records that are sound so far; the text of a row stays as it was written.

================  =======================================================================================================
Ola               takes a turn's tags out and puts them in front: ``<speech><image>`` and a line break, ``<speech>``, or all
                  ``<image>``; not those of a spoken question (``preprocess_multimodal``, ola/train/train.py, lines 299-323)
LLaVA             likewise, if a turn has exactly one ``<image>`` (llava/train/train.py, lines 381-398)
VideoRefer        likewise ``<image>`` or ``<video>`` (videorefer/train.py, lines 230-236); and of ``<region>`` it counts those
                  after the last of them alone (videorefer_arch.py, lines 244-266)
lmms-finetune     counts those of the user's turns alone (collators; the assistant's are left in the text)
================  =======================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.findings import Finding, finding
from ..core.sample import Sample
from ..formats.turns import split

_SPEECH, _IMAGE, _VIDEO = "<speech>", "<image>", "<video>"
_MOVING = frozenset({"ola", "llava_video", "videorefer"})
_FRONT = {tag: re.compile(rf"(?:\s*{tag})*") for tag in (_SPEECH, _IMAGE, _VIDEO)}
_BOTH = f"{_SPEECH}{_IMAGE}\n"


def placement(format_: str | None, sample: Sample, record: Mapping[str, Any]) -> Iterator[Finding]:
    """Placeholders of a record that its trainer moves, or does not see."""
    if format_ in _MOVING:
        for i, text, now in moved(format_, record):
            seen = f"the turn begins {text[:40]!r}, the trainer's {now[:40]!r}"
            yield finding("placeholder-order", seen, f"/conversations/{i}/value")
    if format_ == "videorefer" and sample.masks:
        yield from _early_regions(sample)
    elif format_ == "lmms_finetune" and (sample.images or sample.videos):
        for i, turn in enumerate(sample.turns):
            if turn.role == "gpt" and "<" in turn.value and (tags := split(turn.value)[0]):
                yield finding("placeholder-unseen", f"<{tags[0]}> in an answer", f"/conversations/{i}/value")


def moved(format_: str, record: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """The turns whose placeholders the trainer moves: index, text, and the text as the trainer has it."""
    tags = _tags(format_, record) if format_ in _MOVING else []
    turns = record.get("conversations")
    if not tags or not isinstance(turns, list):
        return
    for i, turn in enumerate(turns):
        text = turn.get("value") if isinstance(turn, dict) else None
        if isinstance(text, str) and "<" in text and (now := _fronted(format_, text, tags)) is not None:
            yield i, text, now


def _tags(format_: str, record: Mapping[str, Any]) -> list[str]:
    """The tags that are placeholders of media in a record, in the order they are put in front in."""
    image, video = record.get("image") is not None, record.get("video") is not None
    if format_ == "videorefer":
        return [_IMAGE] if image else [_VIDEO] if video else []
    shown = [_IMAGE] if image or video else []
    if format_ != "ola":
        return shown
    if "audio_q" in record:
        return []
    return [_SPEECH, *shown] if record.get("audio") is not None else shown


def _fronted(format_: str, text: str, tags: list[str]) -> str | None:
    there = [tag for tag in tags if tag in text]
    if not there:
        return None
    if len(there) == 2:
        if text.startswith(_BOTH) or text.count(_SPEECH) != 1 or text.count(_IMAGE) != 1:
            return None
        return _BOTH + text.replace(_SPEECH, "").replace(_IMAGE, "").strip()
    (tag,) = there
    found = _FRONT[tag].match(text)
    if found is None or tag not in text[found.end() :]:
        return None
    count = text.count(tag)
    if count > 1 and format_ == "llava_video":
        return None
    return f"{tag * count}\n{text.replace(tag, '').strip()}"


def _early_regions(sample: Sample) -> Iterator[Finding]:
    """Regions in a turn before the last one with a picture or video."""
    tags = [split(turn.value)[0] if "<" in turn.value else [] for turn in sample.turns]
    last = max((i for i, found in enumerate(tags) if "image" in found or "video" in found), default=0)
    for i, found in enumerate(tags[:last]):
        if "region" in found:
            message = f"<region> in turn {i}, before the picture or video of turn {last}"
            yield finding("placeholder-unseen", message, f"/conversations/{i}/value")
