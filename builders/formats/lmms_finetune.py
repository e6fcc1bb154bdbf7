"""lmms-finetune: conversations over images, videos, both or neither, for fine-tuning on one's own data.

lmms-finetune (https://github.com/zjysteven/lmms-finetune) trains LLaVA, Qwen-VL, Phi-3-V and others on files that
users write themselves; there is no dataset of that name, and no licence but that of the user's data.  A file is one
JSON array:

::

    train.json          [{"system_prompt": "…",                       optional
                          "video": ["a.mp4", "b.mp4"],                optional; a path or a list of paths
                          "image": "c.jpg",                           optional; likewise
                          "conversations": [{"from": "human", "value": "<video><video>What are these about?"},
                                            {"from": "gpt", "value": "…"}, …]}, …]
    images/  videos/    two folders that the paths are relative to

Its tags are ours: ``<image>`` and ``<video>``.  The names of the two speakers are options of the trainer (``user_key``,
``assistant_key``), so they are options here: `Roles`.

What is known to be broken, all in ``datasets.py`` of the project:

- ``"image": null`` stops the run (``Invalid image source type: <class 'NoneType'>``), likewise ``video``; leave the
  key out. ``"system_prompt": null`` is no system prompt.
- The number of tags is counted by most models, in the user's turns only, and must be that of the media
  (``Number of image tokens does not match the number of images``).
- Turns must alternate and be even in number (``Invalid conversation``, ``Odd number of conversations``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.findings import Finding, finding, quote
from ..core.sample import Recognition, Reference, Sample
from .base import Fix
from .extra import keep, keep_usual, restore
from .references import of_own_format, read_paths, text_of_id, write_paths
from .shape import CERTAIN, FITS, LIKELY, LISTS, NO, OBJECTS, POSSIBLE, UNLIKELY, Kinds, Shape
from .split_names import split_by_name
from .turns import ROLES, Roles, count_findings, read_turns, split, usual_turns, write_turns

NAME = "lmms_finetune"
TITLE = "lmms-finetune"
MODALITIES: tuple[str, ...] = ("image", "video")
RELEASE: str | None = None
FOLDERS: tuple[str, ...] = ()

OWN: Kinds = {}
NEVER: Kinds = {"image": OBJECTS, "video": OBJECTS}
PATH_WORDS: tuple[str, ...] = ()
READ_KEYS: frozenset[str] = frozenset({"id", "system_prompt", "image", "video", "conversations"})
CONTENT_KEYS: tuple[str, ...] = ()

ON_DEFECT: Mapping[str, str] = {
    "json-invalid": "parses the whole file at the start and stops there; one bad record costs all of them",
    "record-shape": "the run stops",
    "media-missing": "the run dies",
    "media-unreadable": "the run dies",
    "path-absolute": "takes it as it is",
    "turns-missing": "AssertionError or IndexError; the run dies",
    "turns-odd": "AssertionError",
    "turns-order": "AssertionError",
    "placeholder-count": "AssertionError in the collator",
    "placeholder-unseen": "counts the tags of questions alone: AssertionError",
}
"""What the trainer does with a finding, by the name of the finding, in Markdown."""

_ORDER = ("id", "system_prompt", "video", "image", "conversations")
"""The usual order of a record's keys (the example in the project's ``docs/dataset.md``)."""


def read(record: Mapping[str, Any], roles: Roles = ROLES) -> Sample:
    """The sample of a record.

    ``<image>`` is a placeholder in a record that has images, ``<video>`` in one that has videos.
    """
    images, videos, findings = _media(record)
    tags, conversations = _tags(images, videos), record.get("conversations")
    turns, found = usual_turns(conversations, tags, roles)
    if found is None:
        turns, more = read_turns(conversations, tags, roles, () if findings else ("image", "video"))
        findings += more
    system = record.get("system_prompt")
    if system is not None and not isinstance(system, str):
        findings.append(finding("record-shape", f"system_prompt is {quote(system)}, not a text", "/system_prompt"))
        system = None
    sample = Sample(text_of_id(record.get("id")), turns, system, images, [*videos], findings=findings)
    findings += count_findings(sample, found)
    extra = None if found is None else keep_usual(record, ("conversations",), ("id", "system_prompt"), _ORDER)
    sample.extra = keep(record, _columns(sample, roles), order=_ORDER) if extra is None else extra
    return sample


def write(sample: Sample, roles: Roles = ROLES) -> dict[str, Any]:
    """The record of a sample.

    A sample of another format is written with the paths of its media; sounds and masks are left
    out (compare its `Sample.mix` with `MODALITIES`).
    """
    extra = sample.extra
    images, videos, findings = _media(extra)
    if not of_own_format(sample, (images, videos), findings):
        extra = {key: value for key, value in extra.items() if key not in ("image", "video")}
        if sample.videos:
            extra["video"] = write_paths(sample.videos)
        if sample.images:
            extra["image"] = write_paths(sample.images)
    return restore(_columns(sample, roles), extra, _ORDER)


def fit(shape: Shape) -> Recognition:
    """How well a record fits, and why, apart from the keys that only one format has."""
    if shape.kinds.get("conversations") not in LISTS:
        return Recognition(NO, ["no conversations"])
    if "system_prompt" in shape.kinds:
        return Recognition(CERTAIN, ["has system_prompt, which only the trainer of lmms-finetune reads"])
    needless = next((key for key in ("id", "data_source") if key in shape.kinds), None)
    if shape.has("video"):
        if shape.tag == "video" or (shape.tag == "image" and shape.has("image")):
            reasons = ["the video's placeholder is <video>" if shape.tag == "video" else "has images and videos"]
            return Recognition(LIKELY, reasons) if needless else Recognition(CERTAIN, [*reasons, "has no id"])
        if shape.tag == "image":
            return Recognition(UNLIKELY, ["the video's placeholder is <image>, not <video>"])
        return Recognition(POSSIBLE, ["the video has no placeholder"])
    if not shape.has("image"):
        return Recognition(FITS, ["has conversations"])
    if needless:
        return Recognition(
            POSSIBLE, ["has images and conversations", f"has {needless}, which lmms-finetune does not need"]
        )
    return Recognition(FITS, ["has images and conversations"])


def split_of(file: str) -> str:
    """``train``, unless the file's name says ``test`` or ``validation`` (the trainer takes one file for each)."""
    return split_by_name(file)


def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterator[Finding]:
    """Placeholders in answers: the collators count those of the user's turns alone."""
    if sample.images or sample.videos:
        for i, turn in enumerate(sample.turns):
            if turn.role == "gpt" and "<" in turn.value and (tags := split(turn.value)[0]):
                yield finding("placeholder-unseen", f"<{tags[0]}> in an answer", f"/conversations/{i}/value")


def fixes(record: Mapping[str, Any]) -> Iterator[Fix]:
    """None."""
    return iter(())


def _media(record: Mapping[str, Any]) -> tuple[list[Reference], list[Reference], list[Finding]]:
    images: list[Reference] = []
    videos: list[Reference] = []
    findings: list[Finding] = []
    if "image" in record:
        images, findings = read_paths(record["image"], "image")
    if "video" in record:
        videos, more = read_paths(record["video"], "video")
        findings += more
    return images, videos, findings


def _tags(images: object, videos: object) -> dict[str, str]:
    tags: dict[str, str] = {}
    if images:
        tags["image"] = "image"
    if videos:
        tags["video"] = "video"
    return tags


def _columns(sample: Sample, roles: Roles) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if sample.id is not None:
        columns["id"] = sample.id
    if sample.system is not None:
        columns["system_prompt"] = sample.system
    if sample.turns:
        columns["conversations"] = write_turns(sample.turns, _tags(sample.images, sample.videos), roles)
    return columns
