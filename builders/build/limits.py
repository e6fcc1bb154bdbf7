"""Limits: a build of the first rows only, cut where they end in the records, before any work is shared out.

Which rows are the first is a matter of the records' order alone; so it is settled while planning, by reading the records as the
build will, and the records behind are not wanted by anybody.  Tasks then need not know of each other, as ever.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from ..annotations import Source, plan
from ..core.counts import Counts
from ..core.errors import DataError
from ..pipeline.options import Options
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Row, rows

_SLICE_BYTES = 8 << 20


def limited(by_split: Mapping[str, list[Source]], options: Options, limit: int) -> tuple[dict[str, list[Source]], int]:
    """The annotation files with takes that end with the `limit`-th row, and the bytes up to there.

    Args:
        by_split: the annotation files.
        options: how their records become rows.
        limit: rows wanted.

    Raises:
        DataError: the limit is none.
    """
    if limit < 1:
        raise DataError(f"the limit is {limit}; it must be at least 1")
    left, used = limit, 0
    cut: dict[str, list[Source]] = {}
    rewriters = Rewriters(options)
    for split, sources in by_split.items():
        cut[split] = []
        for source in sources:
            before = None if left else 0
            for piece in plan(source, slice_bytes=_SLICE_BYTES) if left else ():
                for row in rows(piece, options, Counts(), rewriters.of(piece)):
                    left -= isinstance(row, Row)
                    if not left:
                        before = row.row + 1
                        break
                used += (os.path.getsize(source.path) if piece.stop < 0 else piece.stop) - piece.start
                if not left:
                    break
            take = msgspec.structs.replace(source.take, before=before)
            cut[split].append(msgspec.structs.replace(source, take=take))
    return cut, used
