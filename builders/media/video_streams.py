"""Which video stream of a file is meant, where it has several: for headers, masks and frames alike.

A file may hold a picture of its cover as a video stream, or several videos.  A cover is never meant.  Of several videos it is the
one marked default, as players show it, else the first.  Other programs choose in other ways: decord takes the first, and the
ffmpeg command the one with the most pixels, where none is marked.
"""

from __future__ import annotations

from typing import Any


def shown_stream(container: Any) -> Any | None:
    """The video stream of a container that is meant; None where it has none but covers.

    Args:
        container: as PyAV opens it.
    """
    streams = _videos(container)
    return next((stream for stream in streams if _is_default(stream)), streams[0] if streams else None)


def other_choices(container: Any) -> str:
    """Which other video streams decord or ffmpeg would take, as a sentence; empty where they take the same one.

    Args:
        container: as PyAV opens it.
    """
    streams = _videos(container)
    if len(streams) < 2:
        return ""
    shown = shown_stream(container)
    largest = max(streams, key=lambda stream: (_is_default(stream), _size(stream)[0] * _size(stream)[1]))
    others = [f"{program} takes {_named(stream)}" for program, stream in (("decord", streams[0]), ("ffmpeg", largest))
              if stream is not shown]  # fmt: skip
    return f"{_named(shown)} is read; {' and '.join(others)}" if others else ""


def _videos(container: Any) -> list[Any]:
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _is_default(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _named(stream: Any) -> str:
    width, height = _size(stream)
    return f"stream {stream.index} ({width} × {height} pixels)"


def _size(stream: Any) -> tuple[int, int]:
    """Width and height in pixels; 0 where the codec is unknown."""
    context = stream.codec_context
    return (int(context.width), int(context.height)) if context is not None else (0, 0)
