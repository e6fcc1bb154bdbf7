"""Headers: what a media file says about itself, learned by opening it once, and kept.

A `Header` is learned without decoding more than one frame.  `header_of` asks first the results of this process, then the cache
on disk (`HeaderCache`), which ``modalmix check`` fills for every file of a dataset: rows about masks, the build among them, then
open nothing.  A cached header counts as long as the file's size and modification time are those it had.
"""

from __future__ import annotations

import io
import os
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from ..core.cache_dir import cache_folder
from .items import Item, read_bytes

Medium = Literal["image", "video", "audio"]

VERSION = 2
"""Of what `learn` finds; a cache of another version is begun anew."""


class Header(NamedTuple):
    """What a file says about itself.

    Attributes:
        medium: ``image``, ``video``, ``audio``; empty where it is none of them.
        content: what the bytes are by their first ones (`sniffed`): ``jpeg``, ``mp4``, ``wav`` …; empty where unknown.
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


_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cjP  ", "jp2"),
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"FLV\x01", "flv"),
    (b"\x30\x26\xb2\x75", "asf"),
    (b"\0\0\x01\xba", "mpeg"),
    (b"version https://git-lfs", "lfs"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"%PDF", "pdf"),
)
_RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
PICTURES = frozenset({"jpeg", "png", "gif", "bmp", "tiff", "jp2", "webp", "avif"})
SOUNDS = frozenset({"wav", "flac", "mp3"})
STAND_INS = {"lfs": "a Git LFS pointer", "html": "a web page", "json": "a JSON text", "xml": "an XML text"}

_HEAD = 4096
_PICTURE_HEAD = 1 << 16
"""Bytes in which a picture nearly always says its size; one of a patch that does not is read whole."""


def sniffed(head: bytes) -> str:
    """What a file is by its first bytes; empty where they are unknown.  64 are enough."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "avif" if head[8:12] in (b"avif", b"avis") else "m4a" if head[8:12] == b"M4A " else "mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2:  # layer III; layer 0 would be AAC in ADTS
        return "mp3"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "html"
    if text.startswith(b"<?xml"):
        return "xml"
    return "json" if text.startswith((b'{"', b"[{")) else ""


def learn(item: Item, medium: Medium) -> Header:
    """Opens a media item and says what it is; never raises for what the bytes are.

    Args:
        item: a whole file, or a part of one.
        medium: what it should be.
    """
    if medium == "image" and item.direct and not item.whole and item.size > _PICTURE_HEAD:
        header = _part(item._replace(size=_PICTURE_HEAD), medium)
        if not header.error:
            return header
    return _part(item, medium)


def _part(item: Item, medium: Medium) -> Header:
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
    return _learned(source, head, medium)


def learn_bytes(data: bytes, medium: Medium) -> Header:
    """Says what the bytes of a whole media file are, as `learn` does."""
    return _learned(data, data[:_HEAD], medium)


def _learned(source: str | bytes, head: bytes, medium: Medium) -> Header:
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

    from .container_length import missing

    if content not in ("wav", "flac", "ogg", "mp3"):
        return _container(source, content)
    try:
        # libsndfile takes no file name of bytes that are no UTF-8; an open file it always takes
        with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
            gone = missing(file)
            with soundfile.SoundFile(file) as sound:
                seconds = sound.frames / sound.samplerate if sound.samplerate else 0.0
                return Header("audio", content, 0, 0, 0, 0.0, seconds, sound.samplerate, sound.channels, gone)
    except (OSError, RuntimeError, ValueError):
        return _container(source, content)


def _container(source: str | bytes, content: str) -> Header:
    import av

    from .audio_pyav import CONTAINERS
    from .backends.containers import missing_bytes

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        gone = missing_bytes(source)
        opened = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
        with av.open(opened, options=options, metadata_errors="replace") as container:
            rate = channels = 0
            seconds = float(container.duration or 0) / 1e6
            if container.streams.audio:
                sound = container.streams.audio[0]
                rate, channels = int(sound.codec_context.sample_rate or 0), int(sound.codec_context.channels or 0)
            if not container.streams.video:
                if not rate:
                    return Header(content=content, missing=gone, error="it has neither pictures nor sound")
                return Header("audio", content, 0, 0, 0, 0.0, max(seconds, 0.0), rate, channels, gone)
            stream = container.streams.video[0]
            frames = int(stream.frames or sum(1 for packet in container.demux(stream) if packet.size))
            height, width = int(stream.codec_context.height), int(stream.codec_context.width)
            fps = float(stream.average_rate or 0)
            if not frames:
                return Header("video", content, 0, height, width, fps, 0.0, rate, channels, gone)
            container.seek(0)
            first: Any = next(container.decode(stream), None)
            if first is None:
                return Header(content=content, missing=gone, error="none of its frames can be decoded")
            if first.rotation % 180:
                height, width = width, height
            seconds = max(seconds, 0.0) or (frames / fps if fps else 0.0)
            return Header("video", content, frames, height, width, fps, seconds, rate, channels, gone)
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        return Header(content=content, error=f"it cannot be opened: {_line(error)}")


def _line(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)  # without the path, which is told beside it
    return " ".join(str(text).split())[:300] or type(error).__name__


# ---- what is known already


def cache_file() -> str:
    """Where headers are kept: ``headers.sqlite`` in the cache folder."""
    return os.path.join(cache_folder(), "headers.sqlite")


class HeaderCache:
    """Headers on disk, by file, size and modification time.

    One connection, guarded by a lock; several processes may use the file at once.  What cannot be read or written is as if it
    were not there: a cache never stops the work.
    """

    def __init__(self, path: str | None = None, *, create: bool = True) -> None:
        """Opens the cache; without `create`, only one that is there."""
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        path = cache_file() if path is None else path
        if not create and not os.path.exists(path):
            return
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            database = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=OFF")  # a lost header is learned again
            if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                database.execute("DROP TABLE IF EXISTS headers")
                database.execute(f"PRAGMA user_version={VERSION}")
            database.execute(
                "CREATE TABLE IF NOT EXISTS headers (key TEXT PRIMARY KEY, stamp TEXT, header BLOB) WITHOUT ROWID"
            )
            self._database = database
        except (sqlite3.Error, OSError):
            self._database = None

    def get(self, keys: Sequence[tuple[str, str]]) -> list[Header | None]:
        """The headers of (key, stamp) pairs of `key_of`; None where there is none, or one of an older file."""
        found: list[Header | None] = [None] * len(keys)
        if self._database is None:
            return found
        with self._lock:
            for i, (key, stamp) in enumerate(keys):
                try:
                    row = self._database.execute("SELECT stamp, header FROM headers WHERE key = ?", (key,)).fetchone()
                    if row is not None and row[0] == stamp:
                        found[i] = msgspec.msgpack.decode(row[1], type=Header)
                except (sqlite3.Error, msgspec.MsgspecError, UnicodeError):
                    continue
        return found

    def put(self, learned: Iterable[tuple[tuple[str, str], Header]]) -> None:
        """Keeps headers, all in one transaction."""
        if self._database is None:
            return
        rows = [(key, stamp, msgspec.msgpack.encode(header)) for (key, stamp), header in learned]
        with self._lock:
            try:
                self._database.execute("BEGIN")
                self._database.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?)", rows)
                self._database.execute("COMMIT")
            except (sqlite3.Error, UnicodeError):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def key_of(item: Item, medium: Medium) -> tuple[str, str] | None:
    """What a header is kept under, and the stamp of the file it is of; None where the file is gone."""
    try:
        status = os.stat(item.path)
    except (OSError, ValueError):
        return None
    part = "" if item.whole and item.archive is None else f"\0{item.start}\0{item.size}\0{int(item.base64)}"
    return f"{medium}\0{item.path}{part}", f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


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
    known = disk.get([key])[0] if key else None
    return known or learn(item, medium)


def header_of_item(item: Item, medium: Medium) -> Header:
    """The header of any item: a whole file's as `header_of` gives it; of a part of one or a member, its bytes tell."""
    if item.whole and item.archive is None:
        return header_of(item.path, medium)
    return _header_of_part(item, medium)


@lru_cache(maxsize=4096)
def _header_of_part(item: Item, medium: Medium) -> Header:
    return learn(item, medium)


def video_header(path: str) -> Header | str:
    """The header of a video file; a text that says why, where it has none."""
    return _of(header_of(path, "video"), "video")


def image_header(path: str) -> Header | str:
    """The header of an image file; a text that says why, where it has none."""
    return _of(header_of(path, "image"), "image")


def header_in_bytes(data: bytes, medium: Literal["image", "video"]) -> Header | str:
    """The header of the bytes of a whole file; a text that says why, where they have none."""
    return _of(learn_bytes(data, medium), medium)


def _of(header: Header, medium: Literal["image", "video"]) -> Header | str:
    if header.error:
        return header.error
    what = "picture" if medium == "image" else medium
    return header if header.medium == medium else f"it is no {what} but {header.content or header.medium}"
