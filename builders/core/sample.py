r"""Samples: the format-neutral form of a record.

A **record** is one parsed JSON object of an annotation file, untouched.  A **sample** says the same in one vocabulary for
all formats: turns with canonical placeholders, references to media as they were written, masks, and in `extra` every key
whose value the other fields do not give back exactly, so that ``write(read(record)) == record``.

::

    record  {"id": 7, "video": "/mnt/x/a.mp4", "source": "web",
             "conversations": [{"from": "human", "value": "<image>\nWhat?"}, …]}
       │ read
       ▼
    sample  id "7" · turns [("human", "<video>\nWhat?"), …] · videos [Reference("/mnt/x/a.mp4")]
            extra {"id": 7, "video": "/mnt/x/a.mp4", "source": "web"}

**Placeholders** in turns are ``<image>``, ``<video>``, ``<audio>`` and ``<region>``, one per media item or object in
order.  Where a text holds such a tag that stands for nothing, it is escaped with a backslash;
see `modalmix.builders.formats.turns`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from .findings import Finding
from .names import MODALITIES

NOTES = "modalmix"
"""Key in ``extra`` under which a format notes what it needs to write the record again (any JSON object)."""


_MIXES = [
    "_".join(name for i, name in enumerate(MODALITIES) if present >> i & 1) or "text"
    for present in range(1 << len(MODALITIES))
]
"""Mix by which modalities are present, a bit each in their order."""


class Turn(NamedTuple):
    """One turn: who speaks (``human`` or ``gpt``) and the text with canonical placeholders."""

    role: str
    value: str


class Reference(msgspec.Struct, frozen=True, gc=False):
    """Where a record says the bytes of one media item are, exactly as written, before any rewriting.

    Attributes:
        path: the path as written, of the file or of the patch.
        sizes: None for a whole file; for a patch the byte lengths of the items that follow each other from `start`:
            one for an image or a sound, one per frame for a video.
        start: byte offset of the first item in the patch.
        base64: the items of the patch are base64 text.
    """

    path: str
    sizes: tuple[int, ...] | None = None
    start: int = 0
    base64: bool = False


Video = Reference | list[Reference]
"""One ``<video>``: a container file, a folder of frames or a patch of frames (`Reference`), or the frames one by one."""


class Mask(msgspec.Struct, frozen=True, gc=False):
    """One object in one frame.

    Attributes:
        frame: 0-based index of the ORIGINAL video's decoded frames; 0 for images.
        height: of the picture the mask belongs to, in pixels; None only for "annotated as not there".
        width: likewise.
        counts: compressed COCO RLE (the text of pycocotools' ``counts``).
        polygons: flat ``[x, y, x, y, …]`` lists, in pixels; their union is the mask.
        Both None: the object is annotated as not there in this frame.
    """

    frame: int
    height: int | None = None
    width: int | None = None
    counts: str | None = None
    polygons: list[list[float]] | None = None


class Sample(msgspec.Struct, gc=False):
    """One training sample, whatever format it came in.

    Attributes:
        id: upstream id as text; None where the record has none (the pipeline then names it ``<file stem>:<ordinal>``).
        turns: the conversation, placeholders canonical.
        system: system prompt.
        images: one per ``<image>`` in order.
        videos: one per ``<video>`` in order.
        audios: one per ``<audio>`` in order.
        audio_q: spoken questions; they have no placeholder of their own in `turns` unless the record had one.
        text_q: the text that upstream trains on in place of the first turn, placeholders canonical.
        masks: outer: object, in ``<region>`` order; inner: its annotated frames.
        num_frames: frames the annotation asks for.
        extra: keys of the record that the fields above do not give back exactly, verbatim; the key ``modalmix`` holds
            what `write` needs besides (see each format).
        findings: what `read` has noticed; a sample with an error is rejected by the pipeline, but can be written back.
    """

    id: str | None = None
    turns: list[Turn] = []
    system: str | None = None
    images: list[Reference] = []
    videos: list[Video] = []
    audios: list[Reference] = []
    audio_q: list[Reference] = []
    text_q: str | None = None
    masks: list[list[Mask]] = []
    num_frames: int | None = None
    extra: dict[str, Any] = {}
    findings: list[Finding] = []

    @property
    def mix(self) -> str:
        """The name of the modality mix: its modalities joined by ``_`` in the order of `MODALITIES`, or ``text``."""
        return _MIXES[
            bool(self.images)
            | bool(self.videos) << 1
            | bool(self.audios) << 2
            | bool(self.audio_q) << 3
            | bool(self.masks) << 4
        ]


class Recognition(NamedTuple):
    """How well a record fits a format: 0 (impossible) to 1 (certain), and why, in words."""

    confidence: float
    reasons: list[str]


def notes_of(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What a format has noted in ``extra``."""
    notes = extra.get(NOTES)
    return notes if isinstance(notes, dict) else {}
