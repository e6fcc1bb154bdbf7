"""Inspection: what DATA is, file by file, without writing anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from .annotations import Source, plan, read
from .data import splits
from .findings import Finding
from .lookup import looked_up
from .recognition import recognise
from .remote.wanted import AWAITING
from .rows import DEFAULTS, Counts, Options, Rewriters, rows

_EXAMPLES = 3


class FileInspection(msgspec.Struct):
    """What one annotation file is.

    Attributes:
        file: relative to the folder that was given.
        split: the split it belongs to.
        bytes: its size on disk.
        formats: each format's confidence in the first record, and its reasons.
        counts: what would become of its records.
        examples: for each code some findings.
        url: where it is on the Hub, if its media are there, too, and were not looked up.
    """

    file: str
    split: str
    bytes: int
    formats: dict[str, tuple[float, list[str]]]
    counts: Counts
    examples: dict[str, list[Finding]]
    url: str = ""


def inspect(
    data: str | Sequence[str],
    options: Options = DEFAULTS,
    *,
    seed: int = 42,
    progress: Callable[[int], None] | None = None,
) -> list[FileInspection]:
    """Reads DATA and looks up its media; those of annotation files on the Hub only if they were downloaded.

    Args:
        data: annotation files; see `modalmix.builders.data`.
        options: how records would become rows.
        seed: for ``random:N`` of a mixture.
        progress: told the bytes of annotations read since the last call.

    Raises:
        DataError: the data cannot be found.
    """
    inspected: list[FileInspection] = []
    by_split = splits(data, format=options.format, seed=seed)
    every = [source for sources in by_split.values() for source in sources]
    awaited = any(source.url for source in every) and not options.media_root
    rewriters = None if awaited else Rewriters(options := looked_up(options, every))
    for split, sources in by_split.items():
        for source in sources:
            total = Counts()
            examples: dict[str, list[Finding]] = {}
            for piece in plan(source):
                counts = Counts()
                for row in rows(piece, options, counts, rewriters.of(piece) if rewriters else AWAITING):
                    for one in row.findings:
                        if len(known := examples.setdefault(one.code, [])) < _EXAMPLES:
                            known.append(one)
                total.add(counts)
                if progress:
                    progress(os.path.getsize(piece.path) if piece.stop < 0 else piece.stop - piece.start)
            size = os.path.getsize(source.path)
            url = source.url if awaited else ""
            inspected.append(FileInspection(source.file, split, size, _opinions(source), total, examples, url))
    return inspected


def _opinions(source: Source) -> dict[str, tuple[float, list[str]]]:
    for block in read(plan(source)[0]):
        for record in block.records:
            return {name: (opinion.confidence, opinion.reasons) for name, opinion in recognise(record).items()}
    return {}
