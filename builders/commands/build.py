"""``modalmix build``: DATA as Parquet."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..annotations import DataError
from .reading import add_reading, options_of

if TYPE_CHECKING:
    from ..report import Report

HELP = "Parquet shards, a card, the rejects and a report"
DESCRIPTION = "Packs a dataset into Parquet shards with a card, its rejects and a report."

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_reading(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--max-shard-size", default="500MB", metavar="SIZE", help="size of a shard (default: %(default)s)"
    )
    parser.add_argument("--on-error", choices=("reject", "raise"), default="reject",
                        help="write rejected records down and go on, or stop at the first (default: %(default)s)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a finished build in DIR")


def run(arguments: Namespace) -> int:
    """Runs the command."""
    from .. import packing, rejects
    from .display import progress

    with progress(arguments) as advance:
        report = packing.build(
            arguments.data,
            arguments.out,
            options_of(arguments),
            on_error=arguments.on_error,
            overwrite=arguments.overwrite,
            seed=arguments.seed,
            shard_bytes=_size(arguments.max_shard_size),
            progress=lambda size, _: advance(size),
        )
    if arguments.json:
        print(report.text(), end="")
    elif not arguments.quiet:
        _show(report, arguments.out)
    return 1 if rejects.told(report.counts) else 0


def _size(text: str) -> int:
    """Bytes of a size such as ``500MB`` or ``1GiB``."""
    digits = text.upper().removesuffix("B").rstrip("KMGI")
    unit = text.upper().removesuffix("B")[len(digits) :]
    if not digits.isdigit() or unit not in _UNITS or int(digits) < 1:
        raise DataError(f"{text!r} is no size; write 500MB, say")
    return int(digits) * _UNITS[unit]


def _show(report: Report, out: str) -> None:
    """Prints what a build did."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .. import rejects
    from .display import show_findings

    console = Console()
    table = Table(title=f"built {escape(out)}", title_justify="left")
    for name in ("mix", "split"):
        table.add_column(name)
    for name in ("rows", "shards", "MB"):
        table.add_column(name, justify="right")
    for mix, by_split in report.shards.items():
        for split, shards in by_split.items():
            size = sum(shard.bytes for shard in shards) / 1e6
            table.add_row(mix, split, f"{sum(shard.rows for shard in shards):,}", str(len(shards)), f"{size:,.1f}")
    console.print(table)
    counts = report.counts
    written = sum(counts.written.values())
    console.print(
        f"{counts.read:,} records read = {written:,} written + {counts.rejected:,} rejected + "
        f"{counts.not_selected:,} not selected",
        highlight=False,
    )
    show_findings(console, counts, {})
    if rejects.told(counts):
        console.print(f"The rejected records are in {escape(os.path.join(out, 'rejected.jsonl'))}", highlight=False)
