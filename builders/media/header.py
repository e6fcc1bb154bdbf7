"""The header of a media file: what the file says about itself."""

from __future__ import annotations

from typing import Literal, NamedTuple

Medium = Literal["image", "video", "audio"]

VERSION = 4
"""Of the contents of a header; a cache of another version is emptied."""


class Header(NamedTuple):
    """What a file says about itself.

    Attributes:
        medium: ``image``, ``video``, ``audio``; empty where it is none of them.
        content: what the bytes are by their first ones (`media.sniff`): ``jpeg``, ``mp4``, ``wav`` …; empty where unknown.
        frames: number of coded frames, as decord counts them (edit lists ignored): the count VideoRefer's masks use; 1 for a
            picture.
        height: of a shown frame in pixels (a video's after rotation; a picture's as stored).
        width: likewise.
        fps: frames a second on average; 0 where unknown.
        seconds: how long the video or sound lasts; 0 where unknown.
        rate: samples a second of the sound; 0 where there is none.
        channels: of the sound.
        missing: bytes by which the file is shorter than it says.
        error: why it cannot be opened, in one line; all else is then unknown.
        other_choices: which other video streams decord or ffmpeg would take; empty where none.
    """

    medium: str = ""
    content: str = ""
    frames: int = 0
    height: int = 0
    width: int = 0
    fps: float = 0.0
    seconds: float = 0.0
    rate: int = 0
    channels: int = 0
    missing: int = 0
    error: str = ""
    other_choices: str = ""
