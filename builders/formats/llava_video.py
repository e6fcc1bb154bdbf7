r"""LLaVA-Video: conversations about one video (or images), as in LLaVA-Video-178K.

LLaVA-Video-178K (https://huggingface.co/datasets/lmms-lab/LLaVA-Video-178K) is read by the LLaVA-NeXT trainer
(https://github.com/LLaVA-VL/LLaVA-NeXT, ``llava/train/train.py``).  One folder per source and length, `FOLDERS`:

::

    0_30_s_academic_v0_1/   0_30_s_academic_v0_1_cap_processed.json       captions
                            0_30_s_academic_oe_v0_1_qa_processed.json     open-ended questions
                            0_30_s_academic_mc_v0_1_qa_processed.json     multiple choice
                            0_30_s_academic_v0_1_videos_{1..N}.tar.gz     some 5 GB each

    record  {"id": "Q04US", "conversations": [{"from": "human", "value": "<image>\n…"}, {"from": "gpt", …}, …],
             "data_source": "0_30_s_academic_v0_1", "video": "academic_source/Charades/Q04US.mp4"}

Paths are relative to the folder that the archives were extracted to; no index says which archive holds which
video.  Ids are texts or numbers and not unique: the same video stands in cap, oe and mc files.  Conversations have
several rounds.

What is known to be peculiar:

- The video's tag is ``<image>``, never ``<video>``.
- In a record with ``image`` and ``video`` the trainer takes the image and ignores the video (``image`` is asked for
  first); here both are read, with a note (MX213).  `modalmix.builders.formats.turns.read_image_turns` tells which tag is
  whose.
- A path that holds ``shareVideoGPTV`` is a folder of frames to the trainer; here every folder is.
- Videos are missing from the archives, files were uploaded anew with other contents: pin a revision.  For a video that
  cannot be read the trainer silently takes the next row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.findings import Finding, finding, quote
from ..core.sample import Recognition, Reference, Sample, notes_of
from .base import Fix
from .extra import keep, keep_usual, restore
from .front_tags import front_tag_findings, front_tag_fixes
from .references import of_own_format, read_paths, text_of_id, write_paths
from .shape import CERTAIN, FITS, LIKELY, LISTS, NO, OBJECTS, POSSIBLE, UNLIKELY, Kinds, Shape
from .split_names import words_of
from .turns import ROLES, Roles, count_findings, image_tag, read_image_turns, usual_turns, write_image_turns

NAME = "llava_video"
TITLE = "LLaVA-Video"
MODALITIES: tuple[str, ...] = ("image", "video")
RELEASE: str | None = "llava-video-178k"

FOLDERS: tuple[str, ...] = (
    *(
        f"{length}_{source}_v0_1"
        for length in ("0_30_s", "30_60_s", "1_2_m", "2_3_m")
        for source in ("academic", "youtube")
    ),
    *(f"{length}_nextqa" for length in ("0_30_s", "30_60_s", "1_2_m", "2_3_m")),
    *(f"{length}_activitynetqa" for length in ("0_30_s", "30_60_s", "1_2_m", "2_3_m")),
    *(f"{length}_perceptiontest" for length in ("0_30_s", "30_60_s")),
    "llava_hound",
)
"""The folders of LLaVA-Video-178K; its README says ``…_activitynet`` where a folder is ``…_activitynetqa``."""

OWN: Kinds = {}
NEVER: Kinds = {"image": OBJECTS}
PATH_WORDS: tuple[str, ...] = ("shareVideoGPTV",)
READ_KEYS: frozenset[str] = frozenset({"id", "image", "video", "conversations"})
CONTENT_KEYS: tuple[str, ...] = ()

ON_DEFECT: Mapping[str, str] = {
    "json-invalid": "parses the whole file at the start and stops there; one bad record costs all of them",
    "record-shape": "trains on another row instead",
    "media-missing": "takes the next row",
    "media-unreadable": "takes the next row",
    "path-absolute": "takes it as it is",
    "frames-order": "sorts the names as texts: `1`, `10`, `11`, `2`; masks and time then belong to other frames",
    "turn-role": "KeyError",
    "placeholder-literal": "splits the text at the tag and then misses its medium",
    "combination-unsupported": "takes the image and ignores the video",
    "placeholder-order": "puts the tags of a turn in front of it",
}
"""What the trainer does with a finding, by the name of the finding, in Markdown."""

_SPLITS = {"cap": "caption", "oe": "open_ended", "mc": "multi_choice"}
_ORDER = ("id", "image", "conversations", "data_source", "video")
_LITERAL = "video_tag"
"""Note: the videos' tag in a record with images and videos, where it is not ``<image>``."""


def read(record: Mapping[str, Any], roles: Roles = ROLES) -> Sample:
    """The sample of a record."""
    images, videos, findings = _media(record)
    conversations, literal = record.get("conversations"), False
    turns, found = usual_turns(conversations, image_tag(len(images), len(videos), {}), roles)
    if found is None or (images and videos):
        found = None
        turns, more, literal = read_image_turns(
            conversations, len(images), len(videos), {}, roles, () if findings else ("image",)
        )
        findings += more
    sample = Sample(text_of_id(record.get("id")), turns, images=images, videos=[*videos], findings=findings)
    findings += count_findings(sample, found)
    if images and videos:
        findings.append(finding("combination-unsupported", "image and video: the trainer ignores the video"))
    notes = {_LITERAL: "video"} if literal else {}
    extra = None if found is None else keep_usual(record, ("conversations",), ("id",), _ORDER, notes)
    sample.extra = keep(record, _columns(sample, notes, roles), notes, _ORDER) if extra is None else extra
    return sample


def write(sample: Sample, roles: Roles = ROLES) -> dict[str, Any]:
    """The record of a sample.

    A sample of another format is written with the paths of its media, and its system prompt, which the trainer does not
    read, as ``system_prompt``; sounds and masks are left out (compare its `Sample.mix` with
    `MODALITIES`).
    """
    extra = sample.extra
    images, videos, findings = _media(extra)
    if not of_own_format(sample, (images, videos), findings):
        extra = {key: value for key, value in extra.items() if key not in ("image", "video")}
        if sample.images:
            extra["image"] = write_paths(sample.images)
        if sample.videos:
            extra["video"] = write_paths(sample.videos)
    if sample.system is not None:
        extra = {"system_prompt": sample.system, **extra}
    return restore(_columns(sample, notes_of(sample.extra), roles), extra, _ORDER)


def fit(shape: Shape) -> Recognition:
    """How well a record fits, and why, apart from the keys that only one format has."""
    if shape.kinds.get("conversations") not in LISTS:
        return Recognition(NO, ["no conversations"])
    if shape.has("video"):
        if shape.kinds["video"] != "text":
            return Recognition(UNLIKELY, ["its video is no path"])
        if "data_source" in shape.kinds:
            return Recognition(CERTAIN, ["has data_source, as LLaVA-Video-178K has, and a video"])
        if shape.tag == "video":
            return Recognition(UNLIKELY, ["the video's placeholder is <video>, not <image>"])
        if shape.path_words:
            return Recognition(CERTAIN, [f"the video's path holds {shape.path_words[0]}"])
        if shape.tag == "image":
            return Recognition(LIKELY, ["the video's placeholder is <image>"])
        return Recognition(POSSIBLE, ["the video has no placeholder"])
    if not shape.has("image"):
        return Recognition(FITS, ["has conversations"])
    if "data_source" in shape.kinds:
        return Recognition(LIKELY, ["has data_source, as LLaVA-Video-178K has, and images"])
    return Recognition(FITS, ["has images and conversations"])


def split_of(file: str) -> str:
    """``caption``, ``open_ended`` or ``multi_choice`` by the name's word ``cap``, ``oe`` or ``mc``, else ``train``."""
    return next((_SPLITS[word] for word in words_of(file) if word in _SPLITS), "train")


def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterator[Finding]:
    """Turns whose tag the trainer moves."""
    return front_tag_findings(record, _front_tags(record), most=1)


def fixes(record: Mapping[str, Any]) -> Iterator[Fix]:
    """The tag of a turn goes in front."""
    return front_tag_fixes(record, _front_tags(record), most=1)


def _front_tags(record: Mapping[str, Any]) -> list[str]:
    """The tag that the trainer puts in front of a turn that has exactly one (``llava/train/train.py``, lines 381-398)."""
    return ["image"] if record.get("image") is not None or record.get("video") is not None else []


def _media(record: Mapping[str, Any]) -> tuple[list[Reference], list[Reference], list[Finding]]:
    images: list[Reference] = []
    videos: list[Reference] = []
    findings: list[Finding] = []
    if "image" in record:
        images, findings = read_paths(record["image"], "image")
    if "video" in record:
        video = record["video"]
        if isinstance(video, str):
            videos = [Reference(video)]
        else:
            findings.append(finding("record-shape", f"video is {quote(video)}, not a path", "/video"))
    return images, videos, findings


def _columns(sample: Sample, notes: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if sample.id is not None:
        columns["id"] = sample.id
    if sample.turns:
        columns["conversations"] = write_image_turns(
            sample.turns, len(sample.images), len(sample.videos), {}, roles, _LITERAL in notes
        )
    return columns
