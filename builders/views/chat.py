r"""Chat: samples as the messages that trainers and chat templates take.

::

    human  <image>\nWhat is <region>? Not an \<image> tag.

    parts  {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is <region>? Not an <image> tag."}]}
    text   {"role": "user", "content": "<image>\nWhat is <region>? …"}

Parts are what ``apply_chat_template`` of transformers and TRL read, text what ms-swift and LLaMA-Factory read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from ..formats.turns import plain_text, split

_ROLES = {"human": "user", "gpt": "assistant"}
_MEDIA_TAG = re.compile("<(?:image|video|audio)>")


def messages(
    sample: Mapping[str, Any],
    style: Literal["parts", "text"] = "parts",
    *,
    media: bool = False,
    region: str = "<region>",
    keep_newlines: bool = False,
    time_instruction: bool = False,
) -> list[dict[str, Any]]:
    r"""The chat messages of a sample: the system prompt first, then its turns.  The sample is not changed.

    A spoken question (``audio_q``) that has no ``<audio>`` of its own stands in front of the first user message, where
    Ola's trainer puts it.

    Args:
        sample: a row of a dataset, or a sample of `training`.
        style: ``"parts"``: content is a list of ``{"type": "image" | "video" | "audio" | "text", …}``; ``"text"``: content is
            a text with the placeholders ``<image>``, ``<video>``, ``<audio>``.
        media: parts carry the sample's media under the name of their type (``{"type": "image", "image": …}``), as
            ``apply_chat_template(…, tokenize=True)`` wants them; else the processor takes them apart.
        region: what ``<region>`` is written as; a token of the trainer tells it from a ``<region>`` that is meant literally.
        keep_newlines: parts keep the newline between a placeholder and its text.  It belongs to the notation
            ``<image>\nWhat?``, and chat templates bring their own, so one is dropped.
        time_instruction: LLaVA-Video's words on the length of the video and the times of its frames, right behind the
            first ``<video>``; needs the ``durations`` and ``frame_times`` of `training`.

    Raises:
        ValueError: placeholders and media differ in number; the style is unknown; the video has no known times; or, in the
            style ``"text"``, a text holds a literal ``<image>``, ``<video>`` or ``<audio>``, which the trainer would take
            for a placeholder.
        KeyError: `time_instruction` for a sample without times.
    """
    if style not in ("parts", "text"):
        raise ValueError(f'style is {style!r}; it is "parts" or "text"')
    turns = [(_ROLES.get(turn["from"], turn["from"]), *split(turn["value"])) for turn in sample["conversations"]]
    supply, spoken = _supply(sample, [tag for _, tags, _ in turns for tag in tags if tag != "region"])
    instruction = _instruction(sample) if time_instruction and supply["video"] else ""
    made: list[dict[str, Any]] = []
    if sample.get("system") is not None:
        made.append(_message("system", [("text", sample["system"])], style, media, True))
    waiting = {kind: iter(values) for kind, values in supply.items()}
    for role, tags, texts in turns:
        content: list[tuple[str, Any]] = []
        if role == "user" and spoken:
            content, spoken = [("audio", sound) for sound in spoken], []
        text = _literal(texts[0], style)
        for tag, raw in zip(tags, texts[1:], strict=True):
            following = _literal(raw, style)
            if tag == "region":
                text += region + following
                continue
            content += [("text", text), (tag, next(waiting[tag]))]
            if tag == "video" and instruction:
                text = following if instruction in following else f"\n{instruction}\n{following}"
                instruction = ""
            else:
                text = following
        made.append(_message(role, [*content, ("text", text)], style, media, keep_newlines))
    return made


def time_instruction(duration: float, times: Sequence[float]) -> str:
    """What LLaVA-Video tells the model about a video's length and the times of its frames.

    The wording is what the published models were trained on (``add_time_instruction`` in
    https://github.com/LLaVA-VL/LLaVA-NeXT/blob/main/llava/train/train.py); upstream writes it into the row in memory, where
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
    """The media by kind of placeholder, and the spoken questions that have none."""
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


def _instruction(sample: Mapping[str, Any]) -> str:
    duration, times = float(sample["durations"][0]), [float(time) for time in sample["frame_times"][0]]
    if not all(time == time for time in (duration, *times)):
        raise ValueError("the times of the video's frames are not known, as it is a list of pictures")
    return time_instruction(duration, times)


def _literal(text: str, style: str) -> str:
    """The text around placeholders as it is meant, its tags without backslashes."""
    meant = plain_text(text)
    if style == "text" and (found := _MEDIA_TAG.search(meant)):
        raise ValueError(f"{found[0]} is meant literally, but a trainer would take it for a placeholder")
    return meant


def _message(
    role: str, content: Sequence[tuple[str, Any]], style: str, media: bool, keep_newlines: bool
) -> dict[str, Any]:
    if style == "text":
        return {"role": role, "content": "".join(what if kind == "text" else f"<{kind}>" for kind, what in content)}
    return {"role": role, "content": list(_parts(content, media, keep_newlines))}


def _parts(content: Sequence[tuple[str, Any]], media: bool, keep_newlines: bool) -> Iterator[dict[str, Any]]:
    for i, (kind, what) in enumerate(content):
        if kind != "text":
            yield {"type": kind, kind: what} if media else {"type": kind}
            continue
        if not keep_newlines:
            what = what[1:] if i and what.startswith("\n") else what
            what = what[:-1] if i + 1 < len(content) and what.endswith("\n") else what
        if what or len(content) == 1:
            yield {"type": "text", "text": what}
