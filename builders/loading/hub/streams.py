"""Streams: a builder's config as passes over what lies on the Hub, and a pass as Arrow tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import pyarrow as pa

from ...annotations import Source
from ...core.counts import Counts
from ...core.errors import DataError
from ...pipeline import rejects
from ...pipeline.arrow_tables import at_hand, table
from ...pipeline.options import Options
from ...pipeline.rows import Reject, Row
from ...pipeline.unread_keys import new_warnings
from .archive_rows import rows_of
from .requested_paths import check_streamable, items_of_row
from .stream_plan import ArchivePass, StreamPlan, how_to_download, of_release, passes_under

logger = logging.getLogger("modalmix")

_ROWS = 32
_BYTES = 256 << 10
"""A row of one large medium is a table of its own, which takes over the bytes as they are."""


def stream_plans(
    by_split: Mapping[str, Sequence[Source]],
    roots: Sequence[str],
    options: Options,
    token: str | None,
    streaming: bool,
) -> dict[str, StreamPlan]:
    """The splits of annotation files on this disk whose media are on the Hub.

    Args:
        by_split: the files.
        roots: media roots; of an annotation file that was named on the Hub, its own URL.
        options: how records become rows.
        token: instead of the one that is logged in.
        streaming: whether the splits are streamed.

    Raises:
        DataError: they are not to be streamed, or a root cannot be listed.
    """
    if not streaming:
        raise DataError(f"the media are on the Hub ({roots[0]}): pass streaming=True, or download them")
    check_streamable(options)
    passes = passes_under(roots, token)
    return {split: StreamPlan(tuple(sources), options, passes) for split, sources in by_split.items()}


def release_stream_plans(
    release: str,
    subsets: Sequence[str],
    split_of: Callable[[str], str],
    options: Options,
    token: str | None,
    streaming: bool,
) -> dict[str, StreamPlan]:
    """The splits of an upstream release, which is only streamed: nobody's disk is filled by surprise.

    Raises:
        DataError: it is not to be streamed, or cannot be.
    """
    if not streaming:
        raise DataError(how_to_download(release, subsets))
    check_streamable(options)
    return of_release(release, subsets, split_of, options, token)


def tables(
    stream_plan: StreamPlan,
    pass_: ArchivePass,
    schema: pa.Schema,
    on_error: str,
    rejected: str | None,
    token: str | None,
) -> Iterator[pa.Table]:
    """The rows of a pass as tables: small ones first, so that the first sample does not wait for others.

    Args:
        stream_plan: the split.
        pass_: the pass.
        schema: of the builder's columns.
        on_error: ``"reject"`` or ``"raise"``.
        rejected: file to which rejected records are appended.
        token: instead of the one that is logged in.

    Raises:
        DataError: the Hub cannot be read.
        RejectedRow: a record is rejected, and `on_error` says so.
    """
    waiting: list[Row] = []
    lines: list[bytes] = []
    counts = Counts()
    warned: set[tuple[str, str, str]] = set()
    rows_of_table, size = 1, 0
    for row in rows_of(stream_plan, pass_, token):
        if isinstance(row, Reject):
            if on_error == "raise":
                raise rejects.raised(row)
            lines.append(rejects.line(row))
            counts.rejected += row.row >= 0
            counts.read += row.row >= 0
            counts.note(row.findings)
            continue
        counts.read += 1
        for found in new_warnings(row.findings, warned):
            logger.warning("%s", found)
        waiting.append(row)
        size += sum(item.size for item in items_of_row(row))
        if len(waiting) >= rows_of_table or size >= _BYTES:
            yield table(waiting, schema, at_hand)
            waiting, size, rows_of_table = [], 0, min(2 * rows_of_table, _ROWS)
    if waiting:
        yield table(waiting, schema, at_hand)
    if lines and rejected:
        rejects.append(rejected, lines)
    if summary := rejects.summary(counts):
        where = f"see {rejected}" if rejected else "pass rejected=FILE to keep them"
        logger.warning("%s: %s; %s", pass_, summary, where)
