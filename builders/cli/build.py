"""``modalmix build``: writes DATA as Parquet."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from ..core.errors import DataError
from .data_arguments import add_data, add_reading, add_selection, options_of

if TYPE_CHECKING:
    from ..build import BuildProgress
    from ..core.report import Report

USAGE = "DATA… --out OUT [options]"
HELP = "write DATA as Parquet shards, with a card, the rejects and a report"
DESCRIPTION = (
    "Writes DATA as Parquet shards, with a dataset card, the rejected records and a report. A build that was stopped "
    "continues with the same command. The exit code is 1 if records were rejected."
)

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    made = parser.add_argument_group("result")
    made.add_argument(
        "--out", required=True, metavar="DIR|URL", help="folder to write, or a URL such as s3://bucket/name"
    )
    made.add_argument(
        "--max-shard-size", default="500MB", metavar="SIZE", help="size of a shard (default: %(default)s)"
    )
    made.add_argument("--split", metavar="NAME=FRACTION,…",
                      help="splits of the rows, such as train=0.98,test=0.02 (default: those of the files)")  # fmt: skip
    made.add_argument("--split-by", choices=("media", "id"), default="media",
                      help="with --split: keep one media item, or one id, in one split (default: %(default)s)")  # fmt: skip
    made.add_argument("--order", choices=("media", "annotation"), default="media",
                      help="group rows by media item, or keep the order of the records (default: %(default)s)")  # fmt: skip
    made.add_argument("--group-by", choices=("media",), default="",
                      help="write one row for all samples about the same media (default: one row per sample)")  # fmt: skip
    made.add_argument("--metadata", action="store_true",
                      help="add columns with the duration, rate and size of each media item")  # fmt: skip
    made.add_argument("--annotations-only", action="store_true",
                      help="store where the media are instead of their bytes; for this machine only")  # fmt: skip
    made.add_argument("--on-error", choices=("reject", "raise"), default="reject",
                      help="continue after a rejected record, or stop at the first (default: %(default)s)")  # fmt: skip
    made.add_argument("--overwrite", action="store_true", help="replace a finished build")
    add_selection(parser)
    how = parser.add_argument_group("workers")
    how.add_argument("--workers", type=int, metavar="N",
                     help="number of processes (default: 1; on a cluster, one per processor)")  # fmt: skip
    how.add_argument("--engine", choices=("local", "ray"), default="local",
                     help="run on this machine, or on a Ray cluster (default: %(default)s)")  # fmt: skip
    how.add_argument("--address", metavar="HOST:PORT",
                     help="address of the Ray cluster (default: $RAY_ADDRESS, or else this machine)")  # fmt: skip
    how.add_argument("--slice", metavar="I/N", help="run only part I of N, counted from 0, for batch systems")
    how.add_argument("--finish", action="store_true", help="join the parts that --slice has made")
    how.add_argument("--take-over", action="store_true",
                     help="in an object store: continue a build that was killed on another host")  # fmt: skip
    add_reading(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    from ... import cards
    from .. import build
    from ..pipeline import rejects
    from .progress import BuildMeter, shown

    settings = build.Settings(
        on_error=arguments.on_error,
        seed=arguments.seed,
        shard_bytes=_size(arguments.max_shard_size),
        limit=arguments.limit,
        splits=build.parsed_splits(arguments.split) if arguments.split else (),
        split_by=arguments.split_by,
        metadata=arguments.metadata,
        annotations_only=arguments.annotations_only,
        order=arguments.order,
        group_by=arguments.group_by,
    )
    progress = None
    if arguments.finish:
        report = build.finish(arguments.out, card=cards.write)
    else:
        options, workers = options_of(arguments), arguments.workers
        with shown(arguments, BuildMeter()) as meter, redirect_stdout(sys.stderr):  # for what Ray itself may print
            if arguments.slice is not None:
                part = _part(arguments.slice)
                if arguments.engine != "local":
                    raise DataError("--slice is for batch systems; Ray distributes the tasks of a whole build itself")
                build.build_part(
                    arguments.data,
                    arguments.out,
                    part,
                    options,
                    settings,
                    workers=workers,
                    take_over=arguments.take_over,
                    progress=meter.update,
                )
                return 0
            report = build.build(
                arguments.data,
                arguments.out,
                options,
                settings,
                card=cards.write,
                workers=workers,
                engine=arguments.engine,
                address=arguments.address,
                overwrite=arguments.overwrite,
                take_over=arguments.take_over,
                progress=meter.update,
            )
            progress = meter.progress
    if arguments.json:
        print(report.text(), end="")
    elif not arguments.quiet:
        _show(report, arguments.out, progress)
    return 1 if rejects.summary(report.counts) else 0


def _part(text: str) -> tuple[int, int]:
    """The part of ``I/N``."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and int(first) < int(count)):
        raise DataError(f"--slice {text!r} is not a part; write for example 0/8 to 7/8")
    return int(first), int(count)


def _size(text: str) -> int:
    """Bytes of a size such as ``500MB`` or ``1GiB``."""
    digits = text.upper().removesuffix("B").rstrip("KMGI")
    unit = text.upper().removesuffix("B")[len(digits) :]
    if not digits.isdigit() or unit not in _UNITS or int(digits) < 1:
        raise DataError(f"{text!r} is not a size; write for example 500MB")
    return int(digits) * _UNITS[unit]


def _show(report: Report, out: str, progress: BuildProgress | None) -> None:
    """Prints the result of a build."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..check.diagnosis import Example
    from ..pipeline import rejects
    from .progress import show_slowest
    from .tables import show_findings

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
    if report.grouped:
        console.print(f"{report.rows:,} rows with {written:,} samples, grouped by their media", highlight=False)
    console.print(
        f"{counts.read:,} records read = {written:,} written + {counts.rejected:,} rejected + "
        f"{counts.not_selected:,} not selected",
        highlight=False,
    )
    firsts = report.rejects.items()
    show_findings(
        console,
        counts,
        {code: Example(first.file, first.row, None, first.pointer, first.message) for code, first in firsts},
    )
    if progress is not None:
        show_slowest(console, progress)
    if rejects.summary(counts):
        console.print(f"The rejected records are in {escape(os.path.join(out, 'rejected.jsonl'))}", highlight=False)
