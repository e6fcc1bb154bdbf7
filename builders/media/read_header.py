"""Reading headers: what a media file says about itself, by opening it once; the result is kept.

Reading a `Header` decodes one frame at most.  `header_of` asks first the results of this process, then the cache
on disk (`HeaderCache`), which ``modalmix check`` fills for every file of a dataset: rows about masks, the build among them, then
open nothing.  A cached header is used as long as the file's size and modification time are those it had.
"""

from __future__ import annotations

import io
import os
from functools import lru_cache
from typing import Any, Literal

from .container_length import missing_bytes
from .header import Header, Medium
from .header_cache import HeaderCache, key_of
from .items import Item, read_bytes
from .mp3_frames import Mp3, reader_of
from .sniff import PICTURES, STAND_INS, sniffed
from .sound_length import sound_length
from .video_streams import other_choices, shown_stream

_HEAD = 4096
_PICTURE_HEAD = 1 << 16
"""Bytes in which a picture nearly always says its size; one of a patch that does not is read whole."""


def read_header(item: Item, medium: Medium) -> Header:
    """Opens a media item and says what it is; never raises for what the bytes are.

    Args:
        item: a whole file, or a part of one.
        medium: what it should be.
    """
    if medium == "image" and item.direct and not item.whole and item.size > _PICTURE_HEAD:
        header = _header_in(item._replace(size=_PICTURE_HEAD), medium)
        if not header.error:
            return header
    return _header_in(item, medium)


def _header_in(item: Item, medium: Medium) -> Header:
    try:
        if item.whole and item.archive is None:
            source: str | bytes = item.path
            with open(item.path, "rb", buffering=0) as file:
                head = file.read(_HEAD)
        else:
            source = read_bytes(item)
            head = source[:_HEAD]
    except (OSError, ValueError) as error:
        return Header(error=_line(error))
    return _header_of(source, head, medium)


def read_header_of_bytes(data: bytes, medium: Medium) -> Header:
    """Says what the bytes of a whole media file are, as `read_header` does."""
    return _header_of(data, data[:_HEAD], medium)


def _header_of(source: str | bytes, head: bytes, medium: Medium) -> Header:
    content = sniffed(head)
    if content in STAND_INS:
        return Header(content=content, error=f"it is {STAND_INS[content]}")
    if content in PICTURES and not (content == "gif" and medium == "video"):
        return _picture(source, content)
    if medium == "audio":
        return _sound(source, content)
    if medium == "image" and not content:
        return _picture(source, content)
    return _container(source, content)


def _picture(source: str | bytes, content: str) -> Header:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            width, height = image.size
            return Header("image", content or (image.format or "").lower(), 1, height, width)
    except UnidentifiedImageError:  # its own words are those of a path
        what = f"no whole {content}" if content else "nothing that is known"
        return Header(content=content, error=f"it cannot be opened: {what}")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Header(content=content, error=f"it cannot be opened: {_line(error)}")


def _sound(source: str | bytes, content: str) -> Header:
    import soundfile

    if content not in ("wav", "flac", "ogg", "mp3"):
        return _container(source, content)
    try:
        # libsndfile takes no file name of bytes that are no UTF-8; an open file it always takes
        with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
            missing = missing_bytes(file)
            length = sound_length(reader_of(file), file.seek(0, os.SEEK_END))
            if length.mp3:
                return _mp3(length.mp3, content)
            if not length.exact and not missing:
                return _container(source, content, counted=True)
            file.seek(0)
            with soundfile.SoundFile(file) as sound:
                seconds = sound.frames / sound.samplerate if sound.samplerate else 0.0
                return Header("audio", content, 0, 0, 0, 0.0, seconds, sound.samplerate, sound.channels, missing)
    except (OSError, RuntimeError, ValueError):
        return _container(source, content)


def _mp3(mp3: Mp3, content: str) -> Header:
    if mp3.gap >= 0:
        what = f"it is damaged: at byte {mp3.gap:,} there is neither a frame nor a tag"
        return Header(content=content, error=what)
    return Header("audio", content, 0, 0, 0, 0.0, mp3.samples / mp3.rate, mp3.rate, mp3.channels, mp3.missing)


def _container(source: str | bytes, content: str, *, counted: bool = False) -> Header:
    """The header of what FFmpeg opens; the packets of a sound are counted where its container does not say how long it is."""
    import av

    from .audio_pyav import CONTAINERS, GUESSED

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        missing = missing_bytes(source)
        file = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
        with av.open(file, options=options, metadata_errors="replace") as container:
            rate = channels = 0
            seconds = float(container.duration or 0) / 1e6
            sound = container.streams.best("audio")
            if sound is not None and sound.codec_context is not None:
                rate, channels = int(sound.codec_context.sample_rate or 0), int(sound.codec_context.channels or 0)
            stream = shown_stream(container)
            if stream is None:
                if not rate:
                    return Header(content=content, missing=missing, error="it has neither pictures nor sound")
                if counted or seconds <= 0 or set(container.format.name.split(",")) & GUESSED:
                    seconds = _counted_seconds(container, sound) or seconds
                return Header("audio", content, 0, 0, 0, 0.0, max(seconds, 0.0), rate, channels, missing)
            if stream.codec_context is None:
                return Header(content=content, missing=missing, error="it cannot be opened: its codec is unknown")
            frames = int(stream.frames or sum(1 for packet in container.demux(stream) if packet.size))
            height, width = int(stream.codec_context.height), int(stream.codec_context.width)
            fps = float(stream.average_rate or 0)
            others = other_choices(container)
            if len(container.streams.video) > 1 and stream.duration is not None:
                seconds = float(stream.duration * stream.time_base)  # and not that of the longest stream
            if not frames:
                return Header("video", content, 0, height, width, fps, 0.0, rate, channels, missing)
            container.seek(0)
            first: Any = next(container.decode(stream), None)
            if first is None:
                return Header(content=content, missing=missing, error="none of its frames can be decoded")
            if first.rotation % 180:
                height, width = width, height
            seconds = max(seconds, 0.0) or (frames / fps if fps else 0.0)
            return Header("video", content, frames, height, width, fps, seconds, rate, channels, missing, "", others)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        return Header(content=content, error=f"it cannot be opened: {_line(error)}")


def _counted_seconds(container: Any, sound: Any) -> float:
    ticks = sum(packet.duration or 0 for packet in container.demux(sound))
    return float(ticks * sound.time_base) if sound.time_base else 0.0


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)  # without the path, which the message has already
    return " ".join(str(text).split())[:300] or type(error).__name__


_DISK: dict[int, HeaderCache] = {}
"""The cache on disk by process: a connection must not be carried through a fork."""


@lru_cache(maxsize=4096)
def header_of(path: str, medium: Medium) -> Header:
    """The header of a whole file, from the cache on disk or else from the file."""
    item = Item(os.path.basename(path), path, 0, 0)
    disk = _DISK.get(os.getpid())
    if disk is None:
        disk = _DISK.setdefault(os.getpid(), HeaderCache(create=False))
    key = key_of(item, medium)
    cached = disk.get([key])[0] if key else None
    return cached or read_header(item, medium)


def header_of_item(item: Item, medium: Medium) -> Header:
    """The header of any item: a whole file's as `header_of` gives it; of a part of one or a member, by its bytes."""
    if item.whole and item.archive is None:
        return header_of(item.path, medium)
    return _header_of_part(item, medium)


@lru_cache(maxsize=4096)
def _header_of_part(item: Item, medium: Medium) -> Header:
    return read_header(item, medium)


def video_header(path: str) -> Header | str:
    """The header of a video file; a text that says why, where it has none."""
    return _of(header_of(path, "video"), "video")


def image_header(path: str) -> Header | str:
    """The header of an image file; a text that says why, where it has none."""
    return _of(header_of(path, "image"), "image")


def header_in_bytes(data: bytes, medium: Literal["image", "video"]) -> Header | str:
    """The header of the bytes of a whole file; a text that says why, where they have none."""
    return _of(read_header_of_bytes(data, medium), medium)


def _of(header: Header, medium: Literal["image", "video"]) -> Header | str:
    if header.error:
        return header.error
    what = "picture" if medium == "image" else medium
    return header if header.medium == medium else f"it is no {what} but {header.content or header.medium}"
