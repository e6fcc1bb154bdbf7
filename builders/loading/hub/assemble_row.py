"""A row put together with the bytes of its media, or rejected."""

from __future__ import annotations

from collections.abc import Callable

from ...core.findings import Finding, finding, rejects
from ...media.items import InMemoryItem, Item, Media
from ...pipeline.resolve_media import mask_findings
from ...pipeline.rows import Reject, Row
from .loose_files import CELL_BYTES, Received

Key = tuple[str, int, int]
"""Of a medium of a row: the path, and of a part of a patch its first byte and its bytes."""


def key_of(item: Item) -> Key:
    """The key of an awaited item."""
    return item.path, item.start, item.size


def assembled(row: Row, received: Callable[[Item], Received], verify_masks: bool) -> Row | Reject:
    """A row with its media at hand.

    Args:
        row: a row.
        received: gives the bytes of each of its media.
        verify_masks: whether masks are compared with their picture or video.
    """
    videos: list[InMemoryItem] = []
    folders: list[list[InMemoryItem]] = []
    for item in row.media.videos:
        one = received(item)
        if isinstance(one, list):
            folders.append(one)
        else:
            videos.append(one)
    try:
        images, audios, audio_q = (
            [_file(received(item)) for item in items]
            for items in (row.media.images, row.media.audios, row.media.audio_q)
        )
        frames = [*folders, *([_file(received(item)) for item in items] for items in row.media.frames)]
    except IsADirectoryError:
        return rejected(row, finding("media-kind", "a folder stands where a picture or a sound should be"))
    if videos and frames:
        message = f"{len(videos)} video file(s) and {len(frames)} list(s) of frames"
        return rejected(row, finding("mixed-video-kinds", message, "/video"))
    all_items = [one for items in (images, videos, *frames, audios, audio_q) for one in items]
    for one in all_items:
        if not one.size:
            return rejected(row, finding("media-empty", f"{one.name!r} has no bytes"))
    if (size := sum(one.size for one in all_items)) > CELL_BYTES:
        return rejected(
            row, finding("media-unreadable", f"its media have {size:,} bytes, too many to hold; download them")
        )
    done = row._replace(media=Media(images, videos, frames, audios, audio_q))  # type: ignore[arg-type]  # Held as Item
    if verify_masks and row.sample.masks and (findings := mask_findings(row.format, row.sample, done.media)):
        placed = [one.placed(row.file, row.row) for one in findings]
        if rejects(findings):
            return Reject(row.format, row.file, row.row, [*row.findings, *placed], row.record)
        return done._replace(findings=[*row.findings, *placed])
    return done


def rejected(row: Row, found: Finding) -> Reject:
    """A row that cannot be given."""
    return Reject(row.format, row.file, row.row, [*row.findings, found.placed(row.file, row.row)], row.record)


def _file(received: Received) -> InMemoryItem:
    if isinstance(received, list):
        raise IsADirectoryError
    return received
