r"""Aria: messages of text, image and video parts.

Aria (https://github.com/rhymes-ai/Aria, Apache-2.0) is trained on folders of one's own; its published example is
https://huggingface.co/datasets/rhymes-ai/NeXTVideo.  Facts below are of ``aria/data.py`` and ``aria/train.py`` at
commit 9b25fec.

::

    train.jsonl   test.jsonl (optional)   val.jsonl (published, but never read by the trainer)
    image_folder/ video_folder/           paths are relative to the folder of the JSON Lines files

    {"messages": [{"role": "user", "content": [{"type": "text", "text": "First:"}, {"type": "image", "text": null}, …]},
                  {"role": "assistant", "content": [{"type": "text", "text": "…"}]}],
     "images": ["image_folder/a.jpg", …] | null,   "video": {"path": "video_folder/b.mp4", "num_frames": 32} | null}

In a sample the parts of a message are one text, in which a part without text is a placeholder; tags that stand in a
text part are literal:

::

    [text 'First:', image, text 'Is <image> a tag?']    ⇄    First:<image>Is \<image> a tag?

The one text comes apart again at its placeholders.  Parts that are cut otherwise (two texts in a row, an empty text)
are noted in ``extra`` as the lengths of a turn's parts, in characters, null for media:
``{"parts": {"0": [6, 3, null]}}``; and ``{"media_text": "absent"}`` says that media parts have no key ``text``.

What is known to be peculiar:

- Files are read with fixed types: a key that is not named above fails the whole file, and so does ``content`` or
  ``images`` as a text.  `write` therefore gives nothing else for a sample of another format; not even an id.
- Images and a video in one record: an assertion (``Simultaneous input of images and video is not supported.``); MX213.
- ``num_frames`` of null or below 1 is taken for 8; MX215.
- Roles are ``user`` and ``assistant``; another, as ``system``, fails (``Unknown role``).  `Roles` does not apply.
- The published examples in ``docs/custom_dataset.md`` have trailing commas: no JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..core.findings import Finding, finding, quote
from ..core.sample import Recognition, Reference, Sample, Turn, notes_of
from .base import Fix
from .extra import keep, keep_usual, restore
from .references import of_own_format, path_of, text_of_id
from .shape import LISTS, NO, POSSIBLE, Kinds, Shape
from .split_names import split_by_name
from .turns import ROLES, Roles, canonical, count_findings, order_findings, split, upstream

NAME = "aria"
TITLE = "Aria"
MODALITIES: tuple[str, ...] = ("image", "video")
RELEASE: str | None = None
FOLDERS: tuple[str, ...] = ()

OWN: Kinds = {"messages": frozenset({"parts"})}
NEVER: Kinds = {}
PATH_WORDS: tuple[str, ...] = ()
READ_KEYS: frozenset[str] = frozenset({"id", "messages", "images", "video"})
CONTENT_KEYS: tuple[str, ...] = ("messages",)

ON_DEFECT: Mapping[str, str] = {
    "record-shape": "the run stops",
    "media-missing": "the run dies",
    "media-unreadable": "the run dies",
    "path-absolute": "joins it to its root, and finds nothing",
    "turn-role": "ValueError",
    "placeholder-count": "too few images stop the run, too many shift into the next example",
    "combination-unsupported": "AssertionError",
    "num-frames": "takes 8, with a warning",
    "num-frames-too-many": "repeats frame 0",
}
"""What the trainer does with a finding, by the name of the finding, in Markdown."""

_ORDER = ("messages", "images", "video")
_ROLES = {"user": "human", "assistant": "gpt"}
_SPEAKERS = ("user", "assistant")
_BACK = {"human": "user", "gpt": "assistant"}
_PARTS, _MEDIA_TEXT = "parts", "media_text"


def read(record: Mapping[str, Any], roles: Roles = ROLES) -> Sample:
    """The sample of a record; `roles` is not used."""
    images, videos, num_frames, findings = _media(record)
    notes: dict[str, Any] = {}
    turns, found = _usual_messages(record.get("messages"))
    if found is None:
        turns = _read_messages(record.get("messages"), findings, notes)
    sample = Sample(
        text_of_id(record.get("id")), turns, images=images, videos=[*videos], num_frames=num_frames, findings=findings
    )
    findings += count_findings(sample, found)
    if images and videos:
        findings.append(finding("combination-unsupported", "images and video"))
    extra = None if found is None else keep_usual(record, ("messages",), (), _ORDER)
    sample.extra = keep(record, _columns(sample, notes), notes, _ORDER) if extra is None else extra
    return sample


def write(sample: Sample, roles: Roles = ROLES) -> dict[str, Any]:
    """The record of a sample; `roles` is not used.

    A sample with media of another format is written with its messages and the paths of its images and video, and with
    nothing else (see the module's text): system prompt, sounds and masks are left out.
    """
    extra = sample.extra
    images, videos, _, findings = _media(extra)
    if not of_own_format(sample, (images, videos), findings):
        extra = {}
        if sample.images:
            extra["images"] = [path_of(image) for image in sample.images]
        if sample.videos:
            several = [{"path": path_of(video), "num_frames": sample.num_frames} for video in sample.videos]
            extra["video"] = several[0] if len(several) == 1 else several
    return restore(_columns(sample, notes_of(sample.extra)), extra, _ORDER)


def fit(shape: Shape) -> Recognition:
    """How well a record fits, and why, apart from the keys that only one format has."""
    kind = shape.kinds.get("messages")
    if kind not in LISTS:
        return Recognition(NO, ["no messages"])
    if kind == "messages":
        return Recognition(POSSIBLE, ["has messages, but their content is no list of parts"])
    return Recognition(POSSIBLE, ["has messages, but the first has no content"])


def split_of(file: str) -> str:
    """``train`` for train.jsonl, ``test`` for test.jsonl, ``validation`` for val.jsonl; ``train`` for other names."""
    return split_by_name(file)


def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterator[Finding]:
    """An absolute path: the trainer puts its folder in front of it, too."""
    references = (*sample.images, *(video for video in sample.videos if isinstance(video, Reference)))
    absolute = next((reference for reference in references if reference.path.startswith("/")), None)
    if absolute is not None:
        yield finding("path-absolute", f"{absolute.path!r}")


def fixes(record: Mapping[str, Any]) -> Iterator[Fix]:
    """None."""
    return iter(())


def _media(record: Mapping[str, Any]) -> tuple[list[Reference], list[Reference], int | None, list[Finding]]:
    findings: list[Finding] = []
    images: list[Reference] = []
    paths = record.get("images")
    if isinstance(paths, list):
        for i, path in enumerate(paths):
            if isinstance(path, str):
                images.append(Reference(path))
            else:
                findings.append(finding("record-shape", f"the path is {quote(path)}", f"/images/{i}"))
    elif paths is not None:
        findings.append(finding("record-shape", f"images is {quote(paths)}, not a list of paths", "/images"))
    video = record.get("video")
    if video is None:
        return images, [], None, findings
    path = video.get("path") if isinstance(video, dict) else None
    if not isinstance(path, str):
        expected = '{"path": path, "num_frames": number}'
        findings.append(finding("record-shape", f"video is {quote(video)}, not {expected}", "/video"))
        return images, [], None, findings
    num_frames = _positive(video["num_frames"]) if "num_frames" in video else None
    if num_frames is None and "num_frames" in video:
        message = f"num_frames is {quote(video['num_frames'])}; upstream takes 8"
        findings.append(finding("num-frames", message, "/video/num_frames"))
    return images, [Reference(path)], num_frames, findings


def _positive(value: object) -> int | None:
    """A number of frames, as upstream's typed reader casts it: 8, 8.0 and "8"."""
    number = 0
    if isinstance(value, str):
        number = int(value) if len(value) < 11 and value.isascii() and value.isdigit() else 0
    elif isinstance(value, int):
        number = 0 if isinstance(value, bool) else value
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else 0
    return number if 0 < number < 1 << 31 else None


def _usual_messages(messages: object) -> tuple[list[Turn], dict[str, int] | None]:
    """Turns as nearly all messages have them: by user and assistant in turn, each part with its text or null.

    Returns:
        What `_read_messages` gives, and how many placeholders of each kind there are; None in place of that where something
        is to be said of a message, or to be noted for `_columns`.
    """
    turns: list[Turn] = []
    found: dict[str, int] = {}
    if type(messages) is not list or not messages or len(messages) % 2:
        return turns, None
    for i, message in enumerate(messages):
        if type(message) is not dict or tuple(message) != ("role", "content"):
            return turns, None
        role, content = message.values()
        if role != _SPEAKERS[i % 2] or type(content) is not list:
            return turns, None
        value, after_text = "", False
        for part in content:
            if type(part) is not dict or tuple(part) != ("type", "text"):
                return turns, None
            kind, text = part.values()
            if text is None and (kind == "image" or kind == "video"):
                value += f"<{kind}>"
                found[kind] = found.get(kind, 0) + 1
                after_text = False
            elif (
                kind == "text"
                and type(text) is str
                and text
                and not after_text
                and "<" not in text
                and "\\" not in text
            ):
                value += text
                after_text = True
            else:
                return turns, None
        if not value.strip():
            return turns, None
        turns.append(Turn(_ROLES[role], value))
    return turns, found


def _read_messages(messages: object, findings: list[Finding], notes: dict[str, Any]) -> list[Turn]:
    """The readable messages as turns; what is wrong goes to `findings`, what `_columns` needs to `notes`."""
    if not isinstance(messages, list) or not messages:
        findings.append(finding("turns-missing", f"messages is {quote(messages)}", "/messages"))
        return []
    turns: list[Turn] = []
    for i, message in enumerate(messages):
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list) or "role" not in message:
            findings.append(finding("turn-shape", f"the message is {quote(message)}", f"/messages/{i}"))
            continue
        role = message["role"]
        if not isinstance(role, str) or role not in _ROLES:
            text = f"the role is {quote(role)}, not 'user' or 'assistant'"
            findings.append(finding("turn-role", text, f"/messages/{i}/role"))
            continue
        wrong = next((j for j, part in enumerate(content) if not _is_part(part)), None)
        if wrong is not None:
            findings.append(
                finding("turn-shape", f"the part is {quote(content[wrong])}", f"/messages/{i}/content/{wrong}")
            )
            continue
        turns.append(Turn(_ROLES[role], _join(content, len(turns), notes)))
        if not turns[-1].value or turns[-1].value.isspace():
            findings.append(finding("turn-empty", "the message has no text", f"/messages/{i}/content"))
    if len(turns) == len(messages):
        findings += order_findings(turns, "/messages")
    return turns


def _is_part(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return isinstance(part.get("text"), str) if kind == "text" else kind in ("image", "video")


def _join(content: Sequence[Mapping[str, Any]], turn: int, notes: dict[str, Any]) -> str:
    """The canonical text of a message's parts; `notes` gets what `_split` needs to give the same parts again."""
    joined, run = "", ""
    lengths: list[int | None] = []
    for part in content:
        if part["type"] == "text":
            run += part["text"]
            lengths.append(len(part["text"]))
            continue
        if "text" not in part:
            notes[_MEDIA_TEXT] = "absent"
        lengths.append(None)
        # Backslashes right before a placeholder are doubled: one alone would make it a literal tag.
        joined += canonical(run, {}) + "\\" * (len(run) - len(run.rstrip("\\"))) + f"<{part['type']}>"
        run = ""
    joined += canonical(run, {})
    texts_in_a_row = any(None not in two for two in pairwise(lengths))
    if texts_in_a_row or 0 in lengths:
        notes.setdefault(_PARTS, {})[str(turn)] = lengths
    return joined


def _split(value: str, lengths: object, media: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of a canonical text: the inverse of `_join`.

    Args:
        value: canonical text of a turn.
        lengths: as noted by `_join`; ignored where they do not fit the text.
        media: what a media part holds besides its type.
    """
    parts: list[dict[str, Any]] = []
    tags, texts = split(value)
    text = upstream(texts[0], {})
    for tag, following in zip(tags, texts[1:], strict=True):
        if tag in MODALITIES:
            if text:
                parts.append({"type": "text", "text": text})
            parts.append({"type": tag, **media})
            text = upstream(following, {})
        else:  # of another format: this one has no such placeholder
            text += f"<{tag}>" + upstream(following, {})
    if text:
        parts.append({"type": "text", "text": text})
    return _cut(parts, lengths) if isinstance(lengths, list) else parts


def _cut(parts: list[dict[str, Any]], lengths: Sequence[object]) -> list[dict[str, Any]]:
    """The parts with their texts cut to `lengths`; as they are, where the lengths do not fit."""
    rest = iter(parts)
    text = ""
    cut: list[dict[str, Any]] = []
    for length in lengths:
        part = next(rest, None) if not text and length != 0 else None
        if isinstance(length, int):
            if part is not None:
                text = part["text"] if part["type"] == "text" else ""
            if len(text) < length:
                return parts
            cut.append({"type": "text", "text": text[:length]})
            text = text[length:]
        elif part is None or part["type"] == "text":
            return parts
        else:
            cut.append(part)
    return parts if text or next(rest, None) is not None else cut


def _columns(sample: Sample, notes: Mapping[str, Any]) -> dict[str, Any]:
    if not sample.turns:
        return {}
    parts = notes.get(_PARTS)
    lengths = parts if isinstance(parts, dict) else {}
    media = {} if notes.get(_MEDIA_TEXT) == "absent" else {"text": None}
    return {
        "messages": [
            {"role": _BACK.get(turn.role, turn.role), "content": _split(turn.value, lengths.get(str(i)), media)}
            for i, turn in enumerate(sample.turns)
        ]
    }
