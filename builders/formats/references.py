"""What most formats write the same way: the id of a record, and references that are a path or a list of paths."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from ..core.findings import Finding, finding, pointer, quote, rejects
from ..core.sample import Reference, Sample, Video


def read_paths(value: object, key: str) -> tuple[list[Reference], list[Finding]]:
    """References of a value that is a path or a list of paths.

    Args:
        value: the record's value; null is neither.
        key: its key, for the finding.

    Returns:
        The references of the paths, and a finding ``record-shape`` for each value that is not a path.
    """
    if isinstance(value, str):
        return [Reference(value)], []
    if not isinstance(value, list):
        return [], [finding("record-shape", f"{key} is {quote(value)}, not a path or a list of paths", pointer(key))]
    return (
        [Reference(path) for path in value if isinstance(path, str)],
        [
            finding("record-shape", f"the path is {quote(path)}", pointer(key, i))
            for i, path in enumerate(value)
            if not isinstance(path, str)
        ],
    )


def of_own_format(sample: Sample, kept: Sequence[Sized], findings: list[Finding]) -> bool:
    """Whether the media keys in a sample's ``extra`` belong to the format that writes it, and so can be written as they are.

    Args:
        sample: the sample to write.
        kept: images, videos, audios and spoken questions that the format reads in ``extra`` (or the first few of them).
        findings: of reading them.
    """
    numbers = [len(items) for items in (sample.images, sample.videos, sample.audios, sample.audio_q)][: len(kept)]
    return numbers == [len(items) for items in kept] and (not rejects(findings) or rejects(sample.findings))


def path_of(video: Video) -> str:
    """One path for a media item; a list of frames has the folder of its first frame."""
    if isinstance(video, Reference):
        return video.path
    return video[0].path.rpartition("/")[0] if video else ""


def write_paths(references: Sequence[Video]) -> str | list[str]:
    """The inverse of `read_paths`: one path, or a list of several."""
    paths = [path_of(reference) for reference in references]
    return paths[0] if len(paths) == 1 else paths


def text_of_id(value: object) -> str | None:
    """An upstream id as text; None for a value that is no text or number."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
