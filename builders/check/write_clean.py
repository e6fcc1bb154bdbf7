"""Clean copies: the annotation files again, in the same form, without the records that were rejected.

Every record that stays is written as it was read: same keys, same order.  With `fix`, what can be fixed without guessing
(`modalmix.builders.check.fixes`) is fixed; ``mends.log`` lists each change.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import msgspec

from ..annotations import Source, plan, read
from ..annotations.file_head import head
from ..core.atomic_files import atomic_file
from ..core.errors import DataError
from ..core.findings import Finding, rejects
from ..core.int_columns import members, place
from ..core.sample import Sample
from ..formats import Fix
from ..media.items import Item, Media
from ..media.read_header import read_header
from ..paths import Rewriter
from ..pipeline.options import Options
from ..pipeline.resolve_media import mask_findings, resolve
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import reading
from ..pipeline.unread_keys import UnreadMedia
from .diagnosis import CheckResult
from .fixes import fixed
from .media_store import MediaHeader, header_findings

FIXES_LOG = "mends.log"
"""JSON Lines; by its name nothing takes it for an annotation file."""


class CleanCopy(msgspec.Struct):
    """What becomes of the records of one annotation file: ``read == written + left_out + not_selected``.

    Attributes:
        fixed: how many of the written records were changed.
        fixes: code → number of changes.
    """

    read: int = 0
    written: int = 0
    left_out: int = 0
    not_selected: int = 0
    fixed: int = 0
    fixes: dict[str, int] = {}


def write_clean(checked: CheckResult, out: str, options: Options, *, fix: bool = False) -> dict[str, CleanCopy]:
    """Writes the annotation files of a check without their rejected records.

    Args:
        checked: the result of a check that read everything.
        out: folder to write to; each file keeps its name relative to DATA.
        options: of the check.
        fix: fix what can be fixed without guessing.

    Returns:
        Annotation file → what becomes of its records.

    Raises:
        DataError: the check stopped early, or a file would be written over itself.
        OSError: a file cannot be written.
    """
    if not checked.diagnosis.complete:
        raise DataError("the check stopped early and has not seen all records: run it without --max-errors")
    for source in checked.sources:
        if os.path.realpath(os.path.join(out, source.file)) == os.path.realpath(source.path):
            raise DataError(f"{out!r} holds {source.file!r} itself; name another folder for the clean copy")
    rewriters = Rewriters(options)
    copied: dict[str, CleanCopy] = {}
    os.makedirs(out, exist_ok=True)
    with atomic_file(os.path.join(out, FIXES_LOG)) if fix else _nowhere() as log:
        for file, source in enumerate(checked.sources):
            target = os.path.join(out, source.file)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            result = copied[source.file] = CleanCopy()
            with atomic_file(target) as raw, _compressed(raw, source.path) as stream:
                _write(stream, _kept(checked, file, source, options, rewriters, fix, result, log), source)
    return copied


def _kept(
    checked: CheckResult,
    file: int,
    source: Source,
    options: Options,
    rewriters: Rewriters,
    fix: bool,
    result: CleanCopy,
    log: BinaryIO | None,
) -> Iterator[dict[str, Any]]:
    """The records of a file that stay, fixed where they can be."""
    verified = checked.diagnosis.depth != "quick"
    for slice_ in plan(source):
        read_as = reading(options, slice_)
        rewriter = rewriters.of(slice_)
        unread_media = UnreadMedia(rewriter, options.ignore_key)
        for block in read(slice_):
            for row in block.raw:
                result.read += 1
                selected = source.take.selects(row)
                result.left_out += selected
                result.not_selected += not selected
            bad = members((place(file, block.row + i) for i in range(len(block.records))), checked.bad)
            for row, (record, is_bad) in enumerate(zip(block.records, bad.tolist(), strict=True), block.row):
                result.read += 1
                if not source.take.selects(row):
                    result.not_selected += 1
                    continue
                if fix or options.mixes is not None:
                    name, sample = read_as(record)
                    if options.mixes is not None and not is_bad and sample.mix not in options.mixes:
                        result.not_selected += 1
                        continue
                    if fix:
                        changed, changes = fixed(name, record)
                        if changes and _sound(changed, *read_as(changed), rewriter, unread_media, verified):
                            result.fixed += 1
                            for change in changes:
                                result.fixes[change.code] = result.fixes.get(change.code, 0) + 1
                                if log is not None:
                                    log.write(_line(source.file, row, sample.id, change))
                            record, is_bad = changed, False
                if is_bad:
                    result.left_out += 1
                    continue
                result.written += 1
                yield record


def _sound(
    record: Mapping[str, Any],
    format_: str | None,
    sample: Sample,
    rewriter: Rewriter,
    unread_media: UnreadMedia,
    verified: bool,
) -> bool:
    """Whether a fixed record has no error left, in its media neither where the check opens media."""
    if rejects(sample.findings) or rejects(unread_media.findings(format_, record, sample)):
        return False
    media = resolve(sample, rewriter)
    if isinstance(media, Finding):
        return False
    if not verified:
        return True
    if sample.masks and rejects(mask_findings(format_, sample, media)):
        return False
    return not any(rejects(header_findings(medium)) for medium in _headers(media))


def _headers(media: Media) -> Iterator[MediaHeader]:
    groups: list[tuple[str, list[list[Item]]]] = [
        ("image", [[item] for item in media.images]),
        ("video", [[item] for item in media.videos]),
        ("frames", [list(frames) for frames in media.frames]),
        ("audio", [[item] for item in (*media.audios, *media.audio_q)]),
    ]
    for medium, items in groups:
        for change in items:
            header = read_header(change[0], "image" if medium == "frames" else medium)  # type: ignore[arg-type]
            yield MediaHeader(0, medium, change, header)


def _line(file: str, row: int, id_: str | None, change: Fix) -> bytes:
    entry = {"file": file, "row": row, "id": id_, **change._asdict()}
    return _encoded(entry) + b"\n"


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError):
        return json.dumps(value).encode()  # integers beyond 64 bits, lone surrogates


def _write(stream: BinaryIO, records: Iterator[dict[str, Any]], source: Source) -> None:
    """Writes records in the form of their file: an array with a record a line, or a record a line."""
    array = head(source.path).form == "array"
    first = True
    for record in records:
        if array:
            stream.write(b"[\n" if first else b",\n")
        stream.write(_encoded(record))
        if not array:
            stream.write(b"\n")
        first = False
    if array:
        stream.write(b"[]\n" if first else b"\n]\n")


@contextmanager
def _nowhere() -> Iterator[None]:
    yield None


@contextmanager
def _compressed(raw: BinaryIO, like: str) -> Iterator[BinaryIO]:
    """A stream compressed like the file it copies; it holds no time, so that equal input gives equal bytes."""
    if like.lower().endswith(".gz"):
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
            yield cast("BinaryIO", stream)
    elif like.lower().endswith(".zst"):
        import zstandard

        with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as stream:
            yield cast("BinaryIO", stream)
    else:
        yield raw
