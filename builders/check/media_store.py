"""Media of a check: each distinct medium of a dataset, its header, and what is wrong with it.

`MediaStore` keeps the distinct media in a temporary SQLite file, so that a million of them take no memory.  `media_headers` reads
their headers in several threads, each file once, or takes them from the cache.  `header_findings` says what is wrong with a
medium by its header alone, `decode_findings` by decoding all of it.
"""

from __future__ import annotations

import os
import pickle
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import msgspec

from ..core.findings import Finding, finding
from ..core.sqlite_files import TempDatabase
from ..media.header import Header, Medium
from ..media.header_cache import HeaderCache, key_of
from ..media.items import NO_BASE64, Item
from ..media.read_header import read_header
from ..media.sniff import PICTURES, SOUNDS, STAND_INS

LEAST_SIDE = 14
"""Pixels: one patch of the usual vision encoders."""
MOST_PIXELS = 89_478_485
"""Pillow warns of larger pictures."""
MOST_ASPECT = 200
"""Qwen2-VL's processor refuses a picture whose long side is more than this times its short side."""
MOST_SECONDS = 4 * 3600.0
_TIMED = SOUNDS | {"ogg", "m4a", "mp4"}
"""Sounds whose header always gives their duration."""
_BATCH = 4096
_HEADERS_A_TASK = 8

_SUFFIXES: dict[str, frozenset[str]] = {
    "jpeg": frozenset({".jpg", ".jpeg", ".jfif", ".jpe"}),
    "png": frozenset({".png", ".apng"}),
    "gif": frozenset({".gif"}),
    "bmp": frozenset({".bmp"}),
    "tiff": frozenset({".tif", ".tiff"}),
    "webp": frozenset({".webp"}),
    "avif": frozenset({".avif"}),
    "jp2": frozenset({".jp2", ".j2k"}),
    "wav": frozenset({".wav", ".wave"}),
    "flac": frozenset({".flac"}),
    "mp3": frozenset({".mp3"}),
    "ogg": frozenset({".ogg", ".oga", ".opus", ".ogv"}),
    "mp4": frozenset({".mp4", ".mov", ".m4v", ".m4a", ".3gp"}),
    "m4a": frozenset({".m4a", ".mp4"}),
    "matroska": frozenset({".mkv", ".webm", ".mka"}),
    "avi": frozenset({".avi"}),
    "flv": frozenset({".flv"}),
}
"""Content → the usual suffixes of its files."""
SUFFIXES = frozenset().union(*_SUFFIXES.values())
"""The suffixes of media files."""


_SCHEMA = """
CREATE TABLE media (number INTEGER PRIMARY KEY, medium TEXT, path TEXT, start INTEGER, items BLOB);
CREATE TABLE found (number INTEGER PRIMARY KEY, findings BLOB);
"""


class MediaHeader(NamedTuple):
    """A distinct medium and its header.

    Attributes:
        number: its hash.
        kind: what it should be: ``image``, ``video``, ``audio``, ``audio_q``, or ``frames`` for a video as pictures.
        items: one, or the frames.
        header: of the first item.
    """

    number: int
    kind: str
    items: list[Item]
    header: Header


class MediaStore:
    """The distinct media of a dataset, and the findings about each, on disk."""

    def __init__(self) -> None:
        self._database = TempDatabase(_SCHEMA)
        self._connection = self._database.connection

    def __enter__(self) -> MediaStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, media: dict[int, tuple[str, bytes]]) -> None:
        """Adds media; those that are in the store already stay as they are."""
        rows = []
        for number, (medium, items) in media.items():
            first: Item = pickle.loads(items)[0]
            rows.append((number, medium, os.fsencode(first.path), first.start, items))
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR IGNORE INTO media VALUES (?, ?, ?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT COUNT(*) FROM media").fetchone()[0])

    def __iter__(self) -> Iterator[tuple[int, str, list[Item]]]:
        """All media, by file and place in the file, so that archives and patches are read forwards."""
        for number, medium, items in self._connection.execute(
            "SELECT number, medium, items FROM media ORDER BY path, start"
        ):
            yield number, medium, pickle.loads(items)

    def note(self, number: int, findings: list[Finding]) -> None:
        """Keeps the findings about a medium."""
        blob = msgspec.msgpack.encode([(finding.code, finding.message, finding.pointer) for finding in findings])
        self._connection.execute("INSERT OR REPLACE INTO found VALUES (?, ?)", (number, blob))

    def findings(self, number: int) -> list[Finding]:
        """The findings about a medium."""
        row = self._connection.execute("SELECT findings FROM found WHERE number = ?", (number,)).fetchone()
        if row is None:
            return []
        return [Finding(*one) for one in msgspec.msgpack.decode(row[0], type=list[tuple[str, str, str]])]


def media_headers(
    media: Iterable[tuple[int, str, list[Item]]],
    cache: HeaderCache,
    *,
    threads: int,
) -> Iterator[MediaHeader]:
    """The header of each medium, opened at most once, in the order given.

    Args:
        media: from a `MediaStore`.
        cache: headers, and where new ones are kept.
        threads: number of files opened at once.
    """
    media = iter(media)
    with ThreadPoolExecutor(threads, thread_name_prefix="headers") as pool:
        while batch := list(islice(media, _BATCH)):
            keys = [key_of(items[0], _medium_of(medium)) for _, medium, items in batch]
            cached = iter(cache.get([key for key in keys if key is not None]))
            headers = [None if key is None else next(cached) for key in keys]
            unknown = [i for i, header in enumerate(headers) if header is None]
            # some at a time: a future costs as much as a picture's header
            pending = deque(
                pool.submit(_read_headers, [batch[i] for i in unknown[at : at + _HEADERS_A_TASK]])
                for at in range(0, len(unknown), _HEADERS_A_TASK)
            )
            ready: Iterator[Header] = iter(())
            learned: list[tuple[tuple[str, str], Header]] = []
            for (number, medium, items), key, header in zip(batch, keys, headers, strict=True):
                if header is None:
                    header = next(ready, None)
                    if header is None:
                        ready = iter(pending.popleft().result())
                        header = next(ready)
                    if key is not None:
                        learned.append((key, header))
                yield MediaHeader(number, medium, items, header)
            cache.put(learned)


def _read_headers(media: list[tuple[int, str, list[Item]]]) -> list[Header]:
    return [read_header(items[0], _medium_of(medium)) for _, medium, items in media]


def _medium_of(medium: str) -> Medium:
    return "image" if medium == "frames" else "audio" if medium == "audio_q" else medium  # type: ignore[return-value]


def picture_header(item: Item) -> Header:
    """The header of one picture of a video's frames."""
    return read_header(item, "image")


def header_findings(medium: MediaHeader, frame_header: Callable[[Item], Header] = picture_header) -> list[Finding]:
    """What is wrong with a medium by its header and those of its frames.

    Args:
        medium: the medium.
        frame_header: gives the header of a frame; one with a cache opens no file twice.
    """
    kind, items, header = medium.kind, medium.items, medium.header
    name, expected = items[0].name, _medium_of(kind)
    if header.content in STAND_INS:
        return [finding("media-stand-in", f"{name!r} is {STAND_INS[header.content]}, of {items[0].size:,} bytes")]
    findings: list[Finding] = []
    if header.missing:
        code = "video-truncated" if expected == "video" and not header.error else "media-truncated"
        findings.append(finding(code, f"{header.missing:,} bytes are missing at the end of {name!r}"))
    if header.error:
        return findings or [finding(_unreadable(items[0], header), f"{name!r}: {header.error}")]
    if expected == "audio" and header.medium == "video":
        if not header.rate:
            findings.append(finding("no-sound-track", f"{name!r} is a video without sound"))
    elif header.medium != expected and not (expected == "video" and header.content == "gif"):
        return [finding("media-kind", f"{name!r} is {_A[header.medium]}, not {_A[expected]}")]
    if _misnamed(name, header.content):
        findings.append(finding("media-extension", f"{name!r} holds {header.content}"))
    if expected == "video" and header.other_choices:
        findings.append(finding("video-streams", f"{name!r}: {header.other_choices}"))
    findings += _sizes(name, expected, header)
    if kind == "frames":
        findings += _frames(items, header, frame_header)
    return findings


def _unreadable(item: Item, header: Header) -> str:
    """The name of the finding for an item that cannot be read."""
    return "patch-base64" if item.base64 and NO_BASE64 in header.error else "media-unreadable"


def _misnamed(name: str, content: str) -> bool:
    """Whether a file is named as a medium of another content; a part of a patch has no such name."""
    suffix = os.path.splitext(name)[1].lower()
    usual = _SUFFIXES.get(content)
    return usual is not None and suffix in SUFFIXES and suffix not in usual


_A = {"image": "a picture", "video": "a video", "audio": "a sound", "": "of an unknown kind"}


def _sizes(name: str, expected: str, header: Header) -> list[Finding]:
    findings: list[Finding] = []
    height, width = header.height, header.width
    least, most = sorted((height, width))
    if expected != "audio" and (least * most > MOST_PIXELS or least < LEAST_SIDE or most > MOST_ASPECT * least):
        findings.append(finding("size-extreme", f"{name!r} has {width:,} × {height:,} pixels"))
    if expected == "video" and not header.frames:
        findings.append(finding("duration-zero", f"{name!r} has no frames"))
    if header.medium == "audio" and header.rate and not header.seconds and header.content in _TIMED:
        findings.append(finding("duration-zero", f"{name!r} has no samples"))
    if header.seconds > MOST_SECONDS:
        findings.append(finding("size-extreme", f"{name!r} lasts {header.seconds / 3600:.1f} hours"))
    return findings


def _frames(items: list[Item], first: Header, header_of: Callable[[Item], Header]) -> list[Finding]:
    """What is wrong with the frames of a video: the first frame with each defect, and how many more have it."""
    defects: dict[str, tuple[str, str]] = {}
    counts: Counter[str] = Counter()
    for i, item in enumerate(items):
        header = header_of(item) if i else first
        code, what = "", ""
        if header.content in STAND_INS:
            code, what = "media-stand-in", f"is {STAND_INS[header.content]}"
        elif header.error and header.content in PICTURES:
            code, what = "media-unreadable", f"is damaged: {header.error}"
        elif header.error and item.base64:
            code, what = _unreadable(item, header), header.error
        elif header.error or header.medium != "image":
            code, what = "media-kind", f"is no picture{f': {header.error}' if header.error else ''}"
        elif (header.height, header.width) != (first.height, first.width):
            code = "frames-differ-in-size"
            what = f"has {header.width} × {header.height} pixels, the first {first.width} × {first.height}"
        elif i and _misnamed(item.name, header.content):  # the name of the first is compared already
            code, what = "media-extension", f"holds {header.content}"
        if code:
            defects.setdefault(code, (f"frame {i} ({item.name!r}) {what}", f"/{i}"))
            counts[code] += 1
    found = [
        finding(code, f"{message}, and {counts[code] - 1:,} more" if counts[code] > 1 else message, pointer)
        for code, (message, pointer) in defects.items()
    ]
    return found + _frames_order([item.name for item in items])


def _frames_order(names: list[str]) -> list[Finding]:
    """Whether frames are in the order of their names as texts, but not of the numbers in them."""
    numbers = [int(found[-1]) if (found := _NUMBER.findall(os.path.splitext(name)[0])) else -1 for name in names]
    if numbers == sorted(numbers) or min(numbers) < 0 or names != sorted(names):
        return []
    at = next(i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1])
    return [finding("frames-order", f"{names[at]!r} comes after {names[at - 1]!r}")]


_NUMBER = re.compile(r"[0-9]{1,18}")


def decode_findings(medium: MediaHeader) -> list[Finding]:
    """What is wrong with a medium that only decoding all of it shows."""
    from ..media.errors import MediaError
    from ..media.samples import EmptySoundError, NoSoundError

    kind, items = _medium_of(medium.kind), medium.items
    name = items[0].name
    try:
        if kind == "image":
            return _decoded_pictures(items)
        if kind == "audio":
            return _decoded_sound(items[0])
        return _decoded_video(items[0])
    except NoSoundError:
        return []  # `header_findings` reports it
    except EmptySoundError:
        return [finding("duration-zero", f"{name!r} has no samples")]
    except (MediaError, OSError, ValueError) as error:
        text = " ".join(str(error).split())[:300]
        code = "media-truncated" if "truncated" in text or "breaks off" in text else "media-unreadable"
        return [finding(code, f"{name!r}: {text}")]


def _decoded_pictures(items: list[Item]) -> list[Finding]:
    from ..media.errors import MediaError
    from ..media.images import read_image

    first: tuple[int, ...] = ()
    for i, item in enumerate(items):
        try:
            shape = read_image(item).shape
        except MediaError as error:
            if len(items) == 1:
                raise
            raise MediaError(f"frame {i} ({item.name!r}): {error}") from error
        first = first or shape
        if shape != first:
            size = f"{shape[1]} × {shape[0]} pixels, the first {first[1]} × {first[0]}"
            return [finding("frames-differ-in-size", f"frame {i} ({item.name!r}) has {size}", f"/{i}")]
    return []


def _decoded_sound(item: Item) -> list[Finding]:
    from ..media.audio import decoded as blocks

    for _ in blocks(item):
        pass
    return []


_FRAMES_A_READ = 16


def _decoded_video(item: Item) -> list[Finding]:
    from ..media.errors import MediaError
    from ..media.video import open_video

    with open_video(item, seconds=600) as video:
        broken: list[int] = []
        for start in range(0, video.frames, _FRAMES_A_READ):
            indices = range(start, min(start + _FRAMES_A_READ, video.frames))
            try:
                video.read(indices)
            except MediaError:
                broken += [start]
        findings = [finding(found.kind.name, f"{item.name!r}: {found.message}") for found in video.findings]
        if broken and not any(found.code == "MX132" for found in findings):
            findings.append(finding("video-damaged", f"{item.name!r}: frames from {broken[0]} on do not decode"))
        return findings
