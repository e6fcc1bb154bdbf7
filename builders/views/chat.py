r"""Chat: samples as the messages that trainers and chat templates take.

::

    human  <image>\nWhat is <region>? Not an \<image> tag.

    parts  {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is <region>? Not an <image> tag."}]}
    text   {"role": "user", "content": "<image>\nWhat is <region>? …"}

``apply_chat_template`` of transformers and TRL reads parts; ms-swift and LLaMA-Factory read text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..formats.turns import plain_text, split

Content = list[tuple[str, Any]]
"""The parts of a message: kind (``text`` or a kind of media) and value."""

_ROLES = {"human": "user", "gpt": "assistant"}
_MEDIA_TAG = re.compile("<(?:image|video|audio)>")


def messages(
    sample: Mapping[str, Any],
    style: Literal["parts", "text"] = "parts",
    *,
    media: bool = False,
    audio_q: Literal["upstream", "speech"] = "upstream",
    region: str = "<region>",
    keep_newlines: bool = False,
    time_instruction: bool = False,
) -> list[dict[str, Any]]:
    r"""The chat messages of a sample: the system prompt first, then its turns.  The sample is not changed.

    A question may be there twice, in writing in the first turn and as speech (``audio_q``); `audio_q` says which of them the
    messages hold.  A spoken question without an ``<audio>`` of its own stands in front of the first user message.

    Args:
        sample: a row of a dataset, or a sample of `training`.
        style: ``"parts"``: the content is a list of ``{"type": "image" | "video" | "audio" | "text", …}``; ``"text"``: the
            content is a text with the placeholders ``<image>``, ``<video>``, ``<audio>``.
        media: parts hold the sample's media under the name of their type (``{"type": "image", "image": …}``), as
            ``apply_chat_template(…, tokenize=True)`` needs them; otherwise the processor takes the media separately.
            Messages have no place for the times of frames: for samples with videos use
            `modalmix.builders.views.model_inputs`, which makes that call with the times.
        audio_q: of samples with a spoken question.  ``"upstream"``: ``text_q`` takes the place of the first turn, as in Ola's
            trainer (``_get_item`` in https://github.com/Ola-Omni/Ola/blob/f681820/ola/train/train.py#L877); placeholders of
            the turn that it lacks stand in front of it.  The turn stays where there is no ``text_q``, and where the sample
            has other sounds, with which upstream leaves the question out.  ``"speech"``: the question is heard and not
            read; a first turn without an ``<audio>`` loses its text, and the sound stands behind its other media.
        region: the text for each ``<region>``; a token of the trainer distinguishes it from a literal ``<region>``.
        keep_newlines: parts keep the newline between a placeholder and its text.  It belongs to the notation
            ``<image>\nWhat?``, and chat templates add their own, so by default it is dropped.
        time_instruction: add LLaVA-Video's sentence on the length of the video and the times of its frames behind the first
            ``<video>``; it needs the ``durations`` and ``frame_times`` of `training`.

    Raises:
        ValueError: placeholders and media differ in number; the style or `audio_q` is unknown; the video's times are unknown;
            or, in the style ``"text"``, a text holds a literal ``<image>``, ``<video>`` or ``<audio>``, which the trainer
            would take for a placeholder.
        KeyError: `time_instruction` for a sample without times.
    """
    if style not in ("parts", "text"):
        raise ValueError(f'style is {style!r}; it must be "parts" or "text"')
    if audio_q not in ("upstream", "speech"):
        raise ValueError(f'audio_q is {audio_q!r}; it must be "upstream" or "speech"')
    turns = [(_ROLES.get(turn["from"], turn["from"]), *split(turn["value"])) for turn in sample["conversations"]]
    if turns and turns[0][0] == "user" and sample.get("audio_q") and not sample.get("audios"):
        question = _upstream_question if audio_q == "upstream" else _spoken_question
        turns[0] = ("user", *question(sample, *turns[0][1:]))
    supply, spoken = _supply(sample, [tag for _, tags, _ in turns for tag in tags if tag != "region"])
    unused = {kind: iter(values) for kind, values in supply.items()}
    contents = [(role, _content(tags, texts, unused, region, style)) for role, tags, texts in turns]
    if spoken:
        _put_first([("audio", sound) for sound in spoken], contents)
    if time_instruction and supply["video"]:
        _add_instruction(_instruction(sample), contents)
    chat = [_message(role, content, style, media, keep_newlines) for role, content in contents]
    if sample.get("system") is not None:
        system = sample["system"]
        _refuse_media_tags(system, style)
        chat.insert(0, _message("system", [("text", system)], style, media, True))
    return chat


def time_instruction(duration: float, times: Sequence[float]) -> str:
    """LLaVA-Video's sentence on a video's length and the times of its frames.

    The wording is the one that the published models were trained on (``add_time_instruction`` in
    https://github.com/LLaVA-VL/LLaVA-NeXT/blob/main/llava/train/train.py).  Upstream writes it into the row in memory, where
    it grows with each visit.

    Args:
        duration: of the video, in seconds.
        times: of the frames, in seconds.
    """
    at = ",".join(f"{time:.2f}s" for time in times)
    return (
        f"The video lasts for {duration:.2f} seconds, and {len(times)} frames are uniformly sampled from it. "
        f"These frames are located at {at}.Please answer the following questions related to this video."
    )


def _supply(sample: Mapping[str, Any], tags: Sequence[str]) -> tuple[dict[str, list[Any]], list[Any]]:
    """The media for each kind of placeholder, and the spoken questions without a placeholder."""
    audios, spoken = list(sample.get("audios") or ()), list(sample.get("audio_q") or ())
    if tags.count("audio") == len(audios) + len(spoken):
        audios, spoken = audios + spoken, []
    supply = {
        "image": list(sample.get("images") or ()),
        "video": list(sample.get("videos") or sample.get("frames") or ()),
        "audio": audios,
    }
    for kind, values in supply.items():
        if tags.count(kind) != len(values):
            raise ValueError(f"{tags.count(kind)} <{kind}> for {len(values)} {kind}(s)")
    return supply, spoken


def _upstream_question(sample: Mapping[str, Any], tags: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """The placeholders and texts of the first turn with ``text_q`` in its place."""
    if sample.get("text_q") is None:
        return tags, texts
    own_tags, own_texts = split(sample["text_q"])
    missing = [tag for tag in tags if tag != "region"]
    for tag in own_tags:
        if tag in missing:
            missing.remove(tag)
    first, *others = own_texts
    if missing and first:
        first = f"\n{first}"
    return [*missing, *own_tags], [*[""] * len(missing), first, *others]


def _spoken_question(sample: Mapping[str, Any], tags: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """The placeholders and texts of the first turn, with the sounds in place of a question in writing."""
    if "audio" in tags:
        return tags, texts
    heard = [*(tag for tag in tags if tag != "region"), *["audio"] * len(sample["audio_q"])]
    return heard, [""] * (len(heard) + 1)


def _content(
    tags: Sequence[str], texts: Sequence[str], unused: Mapping[str, Iterator[Any]], region: str, style: str
) -> Content:
    """The content of a turn: texts and media in turn, a text first and last; a region is part of its text."""
    content: Content = []
    text = _literal(texts[0], style)
    for tag, raw in zip(tags, texts[1:], strict=True):
        following = _literal(raw, style)
        if tag == "region":
            text += region + following
        else:
            content += [("text", text), (tag, next(unused[tag]))]
            text = following
    return [*content, ("text", text)]


def _put_first(spoken: Content, contents: Sequence[tuple[str, Content]]) -> None:
    """Puts spoken questions in front of the first user message."""
    for role, content in contents:
        if role == "user":
            content[:0] = spoken
            return


def _add_instruction(instruction: str, contents: Sequence[tuple[str, Content]]) -> None:
    """Puts the time instruction behind the first video, unless it is there already."""
    for _, content in contents:
        for i, (kind, _) in enumerate(content):
            if kind == "video":
                following = content[i + 1][1]  # a text follows each medium
                if instruction not in following:
                    content[i + 1] = "text", f"\n{instruction}\n{following}"
                return


def _instruction(sample: Mapping[str, Any]) -> str:
    duration, times = float(sample["durations"][0]), [float(time) for time in sample["frame_times"][0]]
    if not all(time == time for time in (duration, *times)):
        raise ValueError("the times of the video's frames are unknown: it is a list of pictures")
    return time_instruction(duration, times)


def _literal(text: str, style: str) -> str:
    """A text between placeholders, without the backslashes in front of literal tags."""
    unescaped = plain_text(text)
    _refuse_media_tags(unescaped, style)
    return unescaped


def _refuse_media_tags(text: str, style: str) -> None:
    """Raises `ValueError` for a text with a literal tag in the style ``"text"``."""
    if style == "text" and (found := _MEDIA_TAG.search(text)):
        raise ValueError(f"the text holds a literal {found[0]}, and a trainer would take it for a placeholder")


def _message(role: str, content: Content, style: str, media: bool, keep_newlines: bool) -> dict[str, Any]:
    if style == "text":
        texts = [value if kind == "text" else f"<{kind}>" for kind, value in content]
        return {"role": role, "content": "".join(texts)}
    return {"role": role, "content": list(_parts(content, media, keep_newlines))}


def _parts(content: Content, media: bool, keep_newlines: bool) -> Iterator[dict[str, Any]]:
    for i, (kind, value) in enumerate(content):
        if kind != "text":
            yield {"type": kind, kind: value} if media else {"type": kind}
            continue
        text = value
        if not keep_newlines:
            text = text[1:] if i and text.startswith("\n") else text
            text = text[:-1] if i + 1 < len(content) and text.endswith("\n") else text
        if text or len(content) == 1:
            yield {"type": "text", "text": text}
