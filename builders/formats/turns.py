r"""Turns: a conversation in canonical form, and back.

Each upstream writes placeholders its own way: Ola's ``<image>`` may stand for a video, its ``<speech>`` for a
sound.  In a sample they are ``<image>``, ``<video>``, ``<audio>``, ``<region>``.  A text may also hold such a tag that
is *no* placeholder ("What does the <video> tag do in HTML?"); it survives with a backslash in front, and backslashes
that stood there already are doubled, so that nothing is ambiguous and the exact text can be given back:

::

    upstream text (Ola, a row with a video)          canonical text
    <image>\nWhat does the <video> tag do?      ⇄     <video>\nWhat does the \<video> tag do?

A tag is a placeholder exactly if the upstream trainer would take it for one: the format says so by its `tags`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, count
from operator import itemgetter
from typing import Any, NamedTuple

from ..core.findings import Finding, finding, quote
from ..core.sample import Sample, Turn

_COUNTABLE = frozenset({"MX202", "MX203"})
"""Errors after which placeholders can be counted all the same: an unanswered question, turns out of order."""

_CANONICAL = frozenset({"image", "video", "audio", "region"})
_TAG = re.compile("<(image|video|audio|region|speech)>")
_FRONT = re.compile(r"<(image|video|audio|region|speech)>\n\s*\S")
_CANONICAL_TAG = re.compile("<(image|video|audio|region)>")


class Roles(NamedTuple):
    """The names of the two speakers in a format's turns."""

    user: str = "human"
    assistant: str = "gpt"


ROLES = Roles()
"""The names that most formats use."""


def canonical(text: str, tags: Mapping[str, str]) -> str:
    """The text with canonical placeholders.

    Args:
        text: as the record has it.
        tags: upstream tag → canonical tag (both without brackets) for the tags that are placeholders in this record;
            all other tags are text.
    """
    if "<" not in text:
        return text

    def translate(slashes: int, tag: str) -> str:
        if tag in tags:
            return "\\" * 2 * slashes + f"<{tags[tag]}>"
        return "\\" * (2 * slashes + 1 if tag in _CANONICAL else slashes) + f"<{tag}>"

    return _translated(text, _TAG, translate)


def upstream(text: str, tags: Mapping[str, str]) -> str:
    """The inverse of `canonical`; `tags` is the same mapping (the first upstream tag wins where two mean the same)."""
    if "<" not in text:
        return text
    back = {meaning: tag for tag, meaning in reversed(list(tags.items()))}

    def translate(slashes: int, tag: str) -> str:
        return "\\" * (slashes // 2) + f"<{tag if slashes % 2 else back.get(tag, tag)}>"

    return _translated(text, _CANONICAL_TAG, translate)


def plain_text(text: str) -> str:
    r"""The canonical text for a reader: literal tags without their backslash, placeholders as they are."""
    return upstream(text, {})


plain = plain_text
"""The name in version 0.1."""


def literal_tags(text: str) -> list[str]:
    """The tags of media in a canonical text that stand for nothing: those with a backslash, and ``<speech>``."""
    return [
        match[1]
        for match in _TAG.finditer(text)
        if match[1] == "speech" or (match[1] != "region" and _slashes(text, match.start()) % 2)
    ]


def rename(text: str, name: Callable[[str], str]) -> str:
    """The canonical text with each placeholder renamed by `name`, from left to right; literal tags stay."""
    if "<" not in text:
        return text
    return _translated(text, _CANONICAL_TAG, lambda n, tag: "\\" * n + f"<{tag if n % 2 else name(tag)}>")


def split(text: str) -> tuple[list[str], list[str]]:
    r"""The canonical text cut at its placeholders.

    Returns:
        The n placeholders (``image``, …), and the n + 1 texts around them, in which literal tags still have their
        backslash; backslashes right before a placeholder are halved.
    """
    tags: list[str] = []
    texts: list[str] = []
    done = 0
    if "<" in text:
        for match in _CANONICAL_TAG.finditer(text):
            slashes = _slashes(text, match.start())
            if slashes % 2 == 0:
                tags.append(match[1])
                texts.append(text[done : match.start() - slashes // 2])
                done = match.end()
    texts.append(text[done:])
    return tags, texts


def placeholders(turns: Sequence[Turn]) -> Counter[str]:
    """How many placeholders of each kind (``image``, ``video``, ``audio``, ``region``) the turns hold."""
    found: Counter[str] = Counter()
    for turn in turns:
        text = turn.value
        if "<" in text:
            for match in _CANONICAL_TAG.finditer(text):
                if _slashes(text, match.start()) % 2 == 0:
                    found[match[1]] += 1
    return found


_FROM, _VALUE = itemgetter("from"), itemgetter("value")
_NO_PLACEHOLDERS: dict[str, int] = {}


def usual_turns(
    conversations: Any, tags: Mapping[str, str], roles: Roles = ROLES
) -> tuple[list[Turn], Mapping[str, int] | None]:
    """Turns as nearly all conversations have them: of the two speakers in turn, with nothing to say about them.

    Args:
        conversations: the record's value.
        tags: as of `canonical`; no two of them mean the same.
        roles: the names of the two speakers.

    Returns:
        What `read_turns` gives, and how many placeholders of each kind there are; `write_turns` gives exactly
        `conversations` back.  None in place of their number where any of this is not so: `read_turns` has to look at
        every turn.
    """
    frame = _frame(len(conversations), roles) if type(conversations) is list else None
    try:
        if frame is None or list(chain.from_iterable(conversations)) != frame.keys:
            return [], None
        texts = list(map(_VALUE, conversations))
        if list(map(_FROM, conversations)) != frame.names or not all(map(str.strip, texts)):
            return [], None
    except TypeError:  # a turn is no object, or its text no text
        return [], None
    found = _NO_PLACEHOLDERS
    if "<" in "".join(texts):
        found = {}
        for i, text in enumerate(texts):
            if "<" in text:
                with_tags = _usual_text(text, tags, found)
                if with_tags is None:
                    return [], None
                texts[i] = with_tags
    return list(map(Turn, frame.roles, texts)), found


class _Frame(NamedTuple):
    """What usual conversations of one length have in common: the keys and speakers of all turns, and their roles."""

    keys: list[str]
    names: list[str]
    roles: list[str]


@lru_cache(maxsize=256)
def _frame(turns: int, roles: Roles) -> _Frame | None:
    """The frame of a conversation of so many turns; None where they are too few, too many, or odd in number."""
    pairs, odd = divmod(turns, 2)
    if odd or not 0 < pairs <= 1000:
        return None
    return _Frame(["from", "value"] * turns, [*roles] * pairs, ["human", "gpt"] * pairs)


def _usual_text(text: str, tags: Mapping[str, str], found: dict[str, int]) -> str | None:
    """The canonical text, its placeholders added to those found; None where a tag is none, or has a backslash."""
    if text[0] == "<" and text.count("<") == 1:  # nearly always: a single tag in front
        tag, _, rest = text[1:].partition(">")
        meaning = tags.get(tag)
        if meaning is not None:
            found[meaning] = found.get(meaning, 0) + 1
            return f"<{meaning}>{rest}"
    here = _TAG.findall(text)
    if not here:
        return text
    kinds = set(here)
    if "\\<" in text or (len(kinds) > 1 and any(tags.get(tag) != tag for tag in kinds)):
        return None
    for tag in kinds:
        meaning = tags.get(tag)
        if meaning is None:
            return None
        found[meaning] = found.get(meaning, 0) + here.count(tag)
        if meaning != tag:
            text = text.replace(f"<{tag}>", f"<{meaning}>")
    return text


def read_turns(
    conversations: object, tags: Mapping[str, str], roles: Roles = ROLES, vocabulary: Sequence[str] = ("image",)
) -> tuple[list[Turn], list[Finding]]:
    """Turns of the ``[{"from": role, "value": text}, …]`` form, and what is wrong with them.

    Args:
        conversations: the record's value.
        tags: see `canonical`.
        roles: the names of the two speakers.
        vocabulary: upstream tags that the trainer knows; one that stands in a record without such media is reported.

    Returns:
        The readable turns and the findings, whose pointers start at ``/conversations``.
    """
    if not isinstance(conversations, list) or not conversations:
        return [], [finding("turns-missing", f"conversations is {quote(conversations)}", "/conversations")]
    turns: list[Turn] = []
    findings: list[Finding] = []
    speaker = {roles.user: "human", roles.assistant: "gpt"}
    for i, item in enumerate(conversations):
        if not isinstance(item, dict) or not isinstance(item.get("value"), str) or "from" not in item:
            findings.append(finding("turn-shape", f"the turn is {quote(item)}", f"/conversations/{i}"))
            continue
        role, text = item["from"], item["value"]
        if not isinstance(role, str) or role not in speaker:
            message = f"the role is {quote(role)}, not {roles.user!r} or {roles.assistant!r}"
            findings.append(finding("turn-role", message, f"/conversations/{i}/from"))
            continue
        if not text or text.isspace():
            findings.append(finding("turn-empty", "the text is empty", f"/conversations/{i}/value"))
        elif "<" in text:
            for tag in vocabulary:
                if tag not in tags and f"<{tag}>" in text:
                    message = f"<{tag}> in a record without such media"
                    findings.append(finding("placeholder-literal", message, f"/conversations/{i}/value"))
            text = canonical(text, tags)
        turns.append(Turn(speaker[role], text))
    if len(turns) == len(conversations):
        findings += order_findings(turns, "/conversations")
    return turns, findings


def order_findings(turns: Sequence[Turn], at: str) -> list[Finding]:
    """Whether the turns alternate, beginning with the user and ending with the assistant."""
    for i, turn in enumerate(turns):
        if turn.role != ("human", "gpt")[i % 2]:
            return [finding("turns-order", f"turn {i} is by {turn.role}", f"{at}/{i}")]
    if len(turns) % 2:
        return [finding("turns-odd", f"{len(turns)} turns", at)]
    return []


def count_findings(sample: Sample, found: Mapping[str, int] | None = None) -> list[Finding]:
    """Whether the placeholders of a sample are as many as its media and objects.

    A spoken question (``audio_q``) need not have an ``<audio>``.  A sample whose media, masks or turns could not be
    read in full gives no finding: the numbers would only repeat that.

    Args:
        sample: the sample.
        found: how many placeholders of each kind its turns hold, where that is known.
    """
    if sample.findings and any(f.code not in _COUNTABLE and f.severity == "error" for f in sample.findings):
        return []
    if found is None:
        found = placeholders(sample.turns)
    images, videos, audios, masks = len(sample.images), len(sample.videos), len(sample.audios), len(sample.masks)
    spoken = audios + len(sample.audio_q)
    findings: list[Finding] = []
    if (tags := found.get("image", 0)) != images:
        findings.append(finding("placeholder-count", f"{tags} <image> for {images} image(s)"))
    if (tags := found.get("video", 0)) != videos:
        findings.append(finding("placeholder-count", f"{tags} <video> for {videos} video(s)"))
    if (tags := found.get("audio", 0)) not in (audios, spoken):
        expected = f"{audios} or {spoken}" if spoken > audios else f"{audios}"
        findings.append(finding("placeholder-count", f"{tags} <audio> for {expected} sound(s)"))
    if (tags := found.get("region", 0)) != masks:
        findings.append(finding("region-count", f"{tags} <region> for {masks} object(s)"))
    return findings


def write_turns(turns: Sequence[Turn], tags: Mapping[str, str], roles: Roles = ROLES) -> list[dict[str, Any]]:
    """The inverse of `read_turns`: turns in the ``from``/``value`` form with upstream placeholders."""
    name = {"human": roles.user, "gpt": roles.assistant}
    return [{"from": name.get(turn.role, turn.role), "value": upstream(turn.value, tags)} for turn in turns]


def layout(text: str) -> tuple[str, ...]:
    """A text as written, without its words: its tags, upstream or canonical, and what surrounds them.

    Returns:
        Text, tag, text, tag … text; empty where there is no tag.  A tag is without its brackets; a text becomes ``…``, with a
        line break in front if it begins with one; a blank text stays.
    """
    if text[0] == "<" and text.count("<") == 1 and (front := _FRONT.match(text)):  # the usual case
        return "", front[1], "\n…"
    pieces: list[str] = _TAG.split(text)
    if len(pieces) == 1:
        return ()
    for i in range(0, len(pieces), 2):
        piece = pieces[i]
        if piece and not piece.isspace():
            pieces[i] = "\n…" if piece[0] == "\n" else "…"
    return tuple(pieces)


def first_tags(conversations: object) -> tuple[str, ...]:
    """The tags, upstream or canonical, in the first ``from``/``value`` turn that has any, each once; empty where none has."""
    if not isinstance(conversations, list):
        return ()
    for turn in conversations:
        value = turn.get("value") if isinstance(turn, dict) else None
        if isinstance(value, str) and "<" in value and (tags := _TAG.findall(value)):
            return (tags[0],) if len(tags) == 1 else tuple(dict.fromkeys(tags))
    return ()


def read_image_turns(
    conversations: object, images: int, videos: int, tags: Mapping[str, str], roles: Roles, vocabulary: Sequence[str]
) -> tuple[list[Turn], list[Finding], bool]:
    """Turns of the formats in which ``<image>`` is the tag of images and of videos alike.

    In a row with both, ``<image>`` stands for the images first and then for the videos if there are exactly as many
    tags as media; else for the images alone, and ``<video>`` for the videos.

    Args:
        conversations: the record's value.
        images: how many images the record has.
        videos: likewise.
        tags: the other upstream tags that are placeholders in this record.
        roles: see `read_turns`.
        vocabulary: see `read_turns`.

    Returns:
        The turns, the findings, and whether the videos' tag is ``<video>``, for `write_image_turns`.
    """
    if not (images and videos):
        return *read_turns(conversations, image_tag(images, videos, tags), roles, vocabulary), False
    turns, findings = read_turns(conversations, {"image": "image", **tags}, roles, vocabulary)
    if placeholders(turns)["image"] == images + videos:
        seen = count()

        def name(tag: str) -> str:
            return "video" if tag == "image" and next(seen) >= images else tag

        return [Turn(turn.role, rename(turn.value, name)) for turn in turns], findings, False
    if any("<video>" in turn.value for turn in turns):
        both = {"image": "image", "video": "video", **tags}
        return *read_turns(conversations, both, roles, vocabulary), True
    return turns, findings, False


def write_image_turns(
    turns: Sequence[Turn], images: int, videos: int, tags: Mapping[str, str], roles: Roles, literal_video: bool
) -> list[dict[str, Any]]:
    """The inverse of `read_image_turns`; ``<video>`` is also written where ``<image>`` could not be read back."""
    if not (images and videos):
        return write_turns(turns, image_tag(images, videos, tags), roles)
    order = [tag for turn in turns for tag in split(turn.value)[0] if tag in ("image", "video")]
    if literal_video or ("video" in order and order != ["image"] * images + ["video"] * videos):
        return write_turns(turns, {"image": "image", "video": "video", **tags}, roles)
    one_tag = [Turn(turn.role, rename(turn.value, lambda tag: "image" if tag == "video" else tag)) for turn in turns]
    return write_turns(one_tag, {"image": "image", **tags}, roles)


def image_tag(images: int, videos: int, tags: Mapping[str, str]) -> Mapping[str, str]:
    """The tags of `read_image_turns` in a record that has images or videos, but not both."""
    return {"image": "image" if images else "video", **tags} if images or videos else tags


def _slashes(text: str, at: int) -> int:
    """The number of backslashes right before a place."""
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return at - first


def _translated(text: str, pattern: re.Pattern[str], translate: Callable[[int, str], str]) -> str:
    """The text with each tag, and the backslashes right before it, replaced by `translate` (their number, the tag).

    The pattern begins with ``<`` alone, so that the search skips what is no tag; with the backslashes in it, it would
    try them at every character.
    """
    pieces: list[str] = []
    done = 0
    for match in pattern.finditer(text):
        slashes = _slashes(text, match.start())
        pieces += text[done : match.start() - slashes], translate(slashes, match[1])
        done = match.end()
    if not done:
        return text
    pieces.append(text[done:])
    return "".join(pieces)
