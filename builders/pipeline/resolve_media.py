"""Resolving: the references of a sample become media items, and its masks are compared with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ..core.findings import Finding, finding
from ..core.sample import Reference, Sample
from ..formats import formats_with_masks
from ..media.header import Header
from ..media.items import InMemoryItem, Item, Media
from ..media.mask_findings import media_findings
from ..media.read_header import header_in_bytes, image_header, video_header
from ..paths import Rewriter


def resolve(sample: Sample, rewriter: Rewriter) -> Media | Finding:
    """The media items of a sample, or the first finding that says why there are none."""
    images = _items(sample.images, "image", "/image", rewriter) if sample.images else []
    audios = _items(sample.audios, "audio", "/audio", rewriter) if sample.audios else []
    audio_q = _items(sample.audio_q, "audio", "/audio_q", rewriter) if sample.audio_q else []
    for found in (images, audios, audio_q):
        if isinstance(found, Finding):
            return found
    if not sample.videos:
        return Media(images, [], [], audios, audio_q)  # type: ignore[arg-type]  # no findings, as was seen above
    videos: list[Item] = []
    frames: list[Sequence[Item]] = []
    for i, video in enumerate(sample.videos):
        resolved = rewriter.video(video, f"/video/{i}" if len(sample.videos) > 1 else "/video")
        if isinstance(resolved, Item):
            videos.append(resolved)
        elif isinstance(resolved, Finding):
            return resolved
        else:
            frames.append(resolved)
    if videos and frames:
        return finding(
            "mixed-video-kinds", f"{len(videos)} video file(s) and {len(frames)} list(s) of frames", "/video"
        )
    return Media(images, videos, frames, audios, audio_q)  # type: ignore[arg-type]


def _items(references: Sequence[Reference], kind: str, at: str, rewriter: Rewriter) -> list[Item] | Finding:
    items: list[Item] = []
    for i, reference in enumerate(references):
        found = rewriter.item(reference, kind, f"{at}/{i}" if len(references) > 1 else at)
        if isinstance(found, Finding):
            return found
        items.append(found)
    return items


def mask_findings(format_: str | None, sample: Sample, media: Media) -> list[Finding]:
    """What is wrong between the masks of a sample, read as a format, and the picture or video they belong to."""
    if format_ not in formats_with_masks():
        return []
    pointer_of = formats_with_masks()[format_].mask_pointer
    header: Header | str | None = None
    if media.images:
        header = _header(media.images[0], "image")
        if isinstance(header, Header):
            return media_findings(sample, frames=None, height=header.height, width=header.width, pointer_of=pointer_of)
    elif media.videos:
        header = _header(media.videos[0], "video")
    elif media.frames:
        header = _header(media.frames[0][0], "image")
        if isinstance(header, Header):
            header = header._replace(frames=len(media.frames[0]))
    if isinstance(header, str):
        return [finding("media-unreadable", header, "/image" if media.images else "/video")]
    if header is None:
        return []
    return media_findings(sample, frames=header.frames, height=header.height, width=header.width, pointer_of=pointer_of)


def _header(item: Item | InMemoryItem, medium: Literal["image", "video"]) -> Header | str | None:
    """What a medium says of itself, where it is at hand or a file; None where it would have to be put together first."""
    if isinstance(item, InMemoryItem):
        return header_in_bytes(item.data, medium)
    if not item.whole:
        return None
    return image_header(item.path) if medium == "image" else video_header(item.path)
