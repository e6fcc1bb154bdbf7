r"""Unread keys: media, prompts and times that a record has under keys that its format does not read.

A format keeps every key it does not read in ``extra``, and most of them say nothing that is missed: a source, a score.  But a
picture under ``images`` where the format reads ``image`` would make a row without its picture::

    {"images": ["a.jpg"], "conversations": [{"from": "human", "value": "<image>\nWhat?"}, …]}     medium-unread, rejected
    {"image": "a.jpg", "thumbnail": "a_small.jpg", "conversations": [… "<image>\nWhat?" …]}        medium-extra, a row

Which keys there are decides first, once for all records with the same keys; values are looked at under unread keys alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from ..core.counts import Counts
from ..core.findings import CATALOGUE, CODE, Finding, finding, pointer, quote
from ..core.sample import Reference, Sample
from ..formats import formats
from ..formats.turns import literal_tags, placeholders
from ..media.items import Item
from ..paths import Rewriter
from ..paths.path_parts import extension, is_medium
from ..paths.rewriter import is_picture

PROMPTS = frozenset({"system", "system_prompt", "system_message", "tools"})
"""Keys of a system prompt or of tools, in the formats of other projects."""
PARTS = frozenset(
    {"start", "end", "start_time", "end_time", "start_sec", "end_sec", "video_start", "video_end", "clip"}
    | {"bbox", "bboxes", "box", "boxes", "fps", "video_fps"}
)
"""Keys that say which part of a medium is meant, or how fast its frames follow each other."""

_NEVER_SILENT = PROMPTS | PARTS
_MEDIUM_KEY = re.compile("image|img|pic|photo|frame|video|clip|audio|sound|speech|wav|media", re.IGNORECASE)
_OTHER_SUFFIXES = frozenset({".heic", ".avif", ".svg", ".3gp", ".ogv", ".aif", ".aiff", ".wma", ".amr"})
_DATA_URI = re.compile("data:(image|video|audio)/", re.IGNORECASE)
_BASE64 = re.compile(
    "(/9j/|iVBORw0KGgo|R0lGODlh|R0lGODdh|UklGR|AAAA[A-Za-z0-9+/]{2}Z0eX|SUQz|T2dnUw|ZkxhQ|GkXfo)[A-Za-z0-9+/=\\s]{48}"
)
"""The beginnings of JPEG, PNG, GIF, RIFF (WebP, WAV, AVI), MP4, MP3, Ogg, FLAC and Matroska in base64."""
_MAX_PATH = 1024
_MAX_SPACES = 8
_MAX_VALUES = 2000
"""Values inside of one key that are looked at; the media of a list are alike."""
_MAX_TEXTS = 10_000

Named = Literal["medium", "folder", ""]
"""What a text names: a medium, a folder of pictures, which may be one, or neither."""


_WARNINGS = frozenset(CODE[name] for name in ("medium-extra", "prompt-unread", "part-unread"))


def new_warnings(findings: Iterable[Finding], seen: set[tuple[str, str, str]]) -> list[Finding]:
    """The warnings about unread keys, the first of each file, code and key.

    Args:
        findings: of a row.
        seen: file, code and key of those given before; the new ones are added.
    """
    new: list[Finding] = []
    for one in findings:
        if one.code in _WARNINGS:
            place = (one.file, one.code, one.pointer.split("/")[1])
            if place not in seen:
                seen.add(place)
                new.append(one)
    return new


def summary(counts: Counts) -> str:
    """One line about the warnings, for a person; empty where there is none."""
    kinds = [
        f"{counts.findings[code]:,} {CATALOGUE[code].name}" for code in sorted(_WARNINGS) if code in counts.findings
    ]
    return f"keys that are not read: {', '.join(kinds)}; modalmix check names them" if kinds else ""


class _UnreadKeys(dict[tuple[str | None, ...], tuple[str, ...]]):
    """A format and the keys of a record → those of them that the format does not read."""

    def __init__(self, ignore_key: tuple[str, ...]) -> None:
        self._ignored = frozenset(ignore_key)
        self._read = {name: format_.READ_KEYS | self._ignored for name, format_ in formats().items()}

    def __missing__(self, key: tuple[str | None, ...]) -> tuple[str, ...]:
        format_, *keys = key
        read = self._read.get(format_ or "")
        unread = () if read is None else tuple(name for name in keys if name is not None and name not in read)
        if len(self) > 10_000:
            self.clear()
        self[key] = unread
        return unread


class UnreadMedia:
    """Finds what records have under keys that their formats do not read.

    Attributes:
        keys: ``(format, *record)`` → the record's keys that the format does not read.
    """

    def __init__(self, rewriter: Rewriter, ignore_key: tuple[str, ...] = ()) -> None:
        """Takes where paths are looked up, and the keys about which nothing is said.

        A rewriter of media that were not read yet finds every path: only texts that show what they are count then.
        """
        self.keys = _UnreadKeys(ignore_key)
        self._rewriter = rewriter if isinstance(rewriter, Rewriter) else None
        self._named: dict[str, Named] = {}
        self._silent: defaultdict[str, set[object]] = defaultdict(lambda: {None, ""})

    def findings(self, format_: str | None, record: Mapping[str, Any], sample: Sample) -> list[Finding]:
        """What a record has under unread keys, given the format it was read as, and its sample."""
        findings: list[Finding] = []
        parts: list[str] = []
        has_media = bool(sample.images or sample.videos or sample.audios or sample.audio_q)
        lacks: bool | None = None  # None: no medium was met
        keys = (format_, *record)
        for key in self.keys[keys]:
            value = record[key]
            if not value and (key not in PARTS or type(value) not in (int, float)):
                continue
            if key in PROMPTS:
                message = f"{key} is {quote(value)}; {format_} does not read it"
                findings.append(finding("prompt-unread", message, pointer(key)))
                continue
            for at, text, named in self._media(value, pointer(key)):
                if lacks is None:
                    lacks = _lacks_medium(sample, has_media)
                if named == "folder" and not _is_meant(key, str(text), bool(lacks) and _has_tags(sample)):
                    continue
                read = ", ".join(sorted(formats()[format_].READ_KEYS)) if format_ else ""
                message = f"{key} holds {_shown(text)}; {format_} does not read {key}, only {read}"
                findings.append(finding("medium-unread" if lacks else "medium-extra", message, at))
                break
            else:
                if key in PARTS:
                    parts.append(key)
                elif isinstance(value, int | float) or (
                    isinstance(value, str) and len(value) <= _MAX_PATH and not self._names(value)
                ):
                    silent = self._silent[key]
                    if len(silent) >= _MAX_TEXTS:
                        silent.clear()
                    silent.add(value)
        if parts and (has_media or lacks is not None):
            message = f"{', '.join(parts)}: {format_} does not read {'it' if len(parts) == 1 else 'them'}"
            findings.append(finding("part-unread", message, pointer(parts[0])))
        return findings

    def are_silent(self, keys: tuple[str, ...], record: Mapping[str, Any]) -> bool:
        """Whether unread keys hold values that gave no finding before, such as a source's name."""
        silent = self._silent
        try:
            for key in keys:
                if record[key] not in silent[key]:
                    return False
        except TypeError:  # a list, an object
            return False
        return True

    def is_silent(self, key: str, text: str | None) -> bool:
        """Whether a text under an unread key gives no finding, whatever else the record has."""
        return not text or (key not in _NEVER_SILENT and not self._names(text))

    def _media(self, value: object, at: str) -> Iterator[tuple[str, str | bytes, Named]]:
        """The media that a value names, at any depth: JSON pointer, text, and what it is."""
        pending = [(value, at)]
        for _ in range(_MAX_VALUES):
            if not pending:
                return
            here, place = pending.pop()
            if isinstance(here, str):
                if named := self._names(here):
                    yield place, here, named
            elif isinstance(here, bytes):
                yield place, here, "medium"
            elif isinstance(here, dict):
                if isinstance(patch := here.get("patch"), str):
                    yield place, patch, "medium"
                pending += [(inner, place + pointer(key)) for key, inner in reversed(list(here.items()))]
            elif isinstance(here, list):
                last = range(min(len(here), _MAX_VALUES) - 1, -1, -1)
                pending += [(here[i], f"{place}/{i}") for i in last if isinstance(here[i], str | bytes | dict | list)]

    def _names(self, text: str) -> Named:
        """What a text names."""
        if len(text) > _MAX_PATH or text.count(" ") > _MAX_SPACES:
            return "medium" if _DATA_URI.match(text) or _BASE64.match(text) else ""
        named = self._named.get(text)
        if named is None:
            if len(self._named) >= _MAX_TEXTS:
                self._named.clear()
            named = self._named[text] = self._look(text)
        return named

    def _look(self, text: str) -> Named:
        if _DATA_URI.match(text) or _BASE64.match(text):
            return "medium"
        text = text.strip()
        if not text or not text.isprintable():
            return ""
        name = re.split("[?#]", text)[0] if "://" in text else text
        suffix = extension(re.split(r"[/\\]", name)[-1]).lower()
        # .ts is TypeScript's too; and a sentence may end in the name of a file
        by_name = suffix in _OTHER_SUFFIXES or (suffix != ".ts" and (is_medium(name) or is_picture(name)))
        if by_name and (text.count(" ") <= 2 or "/" in text or "\\" in text):
            return "medium"
        if self._rewriter is None or "://" in text:
            return ""
        found = self._rewriter.video(Reference(text), "")
        if isinstance(found, Finding):
            return ""
        if not isinstance(found, Item):
            return "folder"
        suffix = extension(found.name).lower()
        return "medium" if not suffix or by_name or is_medium(found.name) or is_picture(found.name) else ""


def _is_meant(key: str, text: str, lacks_for_tag: bool) -> bool:
    """Whether a folder of pictures is meant for frames, and is not just the name of a source.

    Args:
        key: of the text.
        text: the name of the folder.
        lacks_for_tag: the record has a tag, and lacks a medium.
    """
    named = [bool(_MEDIUM_KEY.search(key)), "/" in text]
    return all(named) or (lacks_for_tag and any(named))


def _lacks_medium(sample: Sample, has_media: bool) -> bool:
    """Whether a sample has no medium, or a tag without one."""
    if not has_media or _has_literal_tag(sample):
        return True
    tags = placeholders(sample.turns)
    spoken = len(sample.audios) + len(sample.audio_q)
    return tags["image"] > len(sample.images) or tags["video"] > len(sample.videos) or tags["audio"] > spoken


def _has_literal_tag(sample: Sample) -> bool:
    return any("<" in turn.value and literal_tags(turn.value) for turn in sample.turns)


def _has_tags(sample: Sample) -> bool:
    return _has_literal_tag(sample) or bool(placeholders(sample.turns))


def _shown(text: str | bytes) -> str:
    """A medium as a message quotes it."""
    if isinstance(text, bytes):
        return f"{len(text):,} bytes"
    return quote(text) if len(text) <= _MAX_PATH else f"a medium of {len(text):,} characters ({quote(text[:24])}…)"
