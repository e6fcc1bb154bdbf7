"""``modalmix check``: every defect of DATA."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..core.errors import DataError
from .data_arguments import add_data, add_reading, options_of

if TYPE_CHECKING:
    from rich.console import Console

    from ..check import Diagnosis
    from ..check.write_clean import CleanCopy

USAGE = "DATA… [options]"
HELP = "find every defect, with its place and its fix; make a report or clean copies"
DESCRIPTION = (
    "Reads all of DATA, opens its media, and reports everything that is wrong with records, turns, placeholders, "
    "paths, media and masks. The exit code is 1 if there is an error."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    parser.add_argument("--depth", choices=("quick", "headers", "full"), default="headers",
                        help="open no media, read the header of each, or decode all of each (default: %(default)s)")  # fmt: skip
    parser.add_argument("--max-errors", type=int, metavar="N", help="stop after N rejected records")
    parser.add_argument(
        "--write-clean", metavar="DIR", help="write copies of the annotation files to DIR, without the rejected records"
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help="repair these copies where that needs no guess; DIR/mends.log lists the repairs",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="read with N processes (default: %(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="open N media at once (default: the number of processors)"
    )
    add_reading(parser)
    # what other commands print with --json goes to a file here: findings come by the million
    out = parser.add_argument_group("reports", conflict_handler="resolve")
    out.add_argument("--json", dest="findings", metavar="FILE", help="write all findings to FILE, as JSON Lines")
    parser.set_defaults(json=False)
    out.add_argument("--report", metavar="FILE", help="write the summary to FILE, as JSON")
    out.add_argument("--html", metavar="FILE", help="write a page with plots to FILE")


def run(arguments: Namespace) -> int:
    """Runs the command."""
    if arguments.fix and not arguments.write_clean:
        raise DataError("--fix repairs the copies that --write-clean writes: name their folder with --write-clean")
    for name in ("max_errors", "threads", "workers"):
        number = getattr(arguments, name)
        if number is not None and number < 1:
            raise DataError(f"--{name.replace('_', '-')} is {number}; it must be 1 or more")
    from ..check import check
    from ..check.html_report import page
    from ..check.write_clean import write_clean
    from .progress import annotation_progress

    options = options_of(arguments)
    with annotation_progress(arguments) as meter:
        result = check(
            arguments.data,
            options,
            depth=arguments.depth,
            findings=arguments.findings,
            max_errors=arguments.max_errors,
            seed=arguments.seed,
            workers=arguments.workers,
            threads=arguments.threads,
            progress=meter.advance,
            media_progress=lambda done, total: meter.update("opening media", done, total),
        )
    diagnosis = result.diagnosis
    if arguments.html:
        _write(
            arguments.html, page(diagnosis, ", ".join(os.path.basename(name.rstrip("/")) for name in arguments.data))
        )
    copied: dict[str, CleanCopy] = {}
    if arguments.write_clean:
        copied = write_clean(result, arguments.write_clean, options, fix=arguments.fix)
    if arguments.report:
        _write(arguments.report, diagnosis.text())
    if not arguments.quiet:
        from rich.console import Console

        console = Console()
        _show(console, diagnosis)
        _show_copied(console, copied, arguments.write_clean)
        if arguments.findings:
            console.print(f"All findings are in {arguments.findings}", highlight=False, markup=False)
    return 1 if diagnosis.errors else 0


def _write(path: str, text: str) -> None:
    """Writes a file whole or not at all."""
    from ..core.atomic_files import write_file

    write_file(path, text.encode("utf-8", "backslashreplace"), fsync=False)


def _show(console: Console, diagnosis: Diagnosis) -> None:
    """Prints a summary that is read in ten seconds: the counts, and the findings, the worst first."""
    from rich.markup import escape
    from rich.table import Table

    from ..check.statistics import UNITS, value_text
    from .tables import show_findings

    counts = diagnosis.counts
    usable = sum(counts.written.values())
    mixes = ", ".join(f"{mix} {count:,}" for mix, count in sorted(counts.written.items(), key=lambda pair: -pair[1]))
    early = "" if diagnosis.complete else " (stopped early; some were not read)"
    console.print(
        f"[bold]{counts.read:,} records[/bold]{early} = {usable:,} usable + {counts.rejected:,} rejected + "
        f"{counts.not_selected:,} not selected",
        highlight=False,
    )
    if mixes:
        console.print(f"by mix: {escape(mixes)}", highlight=False)
    if diagnosis.media:
        console.print(
            "media opened: " + ", ".join(f"{name} {n:,}" for name, n in diagnosis.media.items()), highlight=False
        )
    show_findings(console, counts, {code: examples[0] for code, examples in diagnosis.examples.items() if examples})
    if not counts.findings:
        console.print("[green]Nothing is wrong.[/green]")
    counted = [
        (name, diagnosis.spreads[name]) for name in UNITS if name in diagnosis.spreads and diagnosis.spreads[name].count
    ]
    if counted:
        table = Table(title="statistics", title_justify="left")
        table.add_column("")
        for name in ("min", "median", "mean", "95 %", "max"):
            table.add_column(name, justify="right")
        for name, spread in counted:
            least, median, high, most = (
                value_text(name, value)
                for value in (spread.least, spread.quantile(0.5), spread.quantile(0.95), spread.most)
            )
            table.add_row(UNITS[name], least, median, value_text(name, spread.mean, exact=False), high, most)
        console.print(table)


def _show_copied(console: Console, copied: dict[str, CleanCopy], out: str | None) -> None:
    if not out:
        return
    written = sum(file.written for file in copied.values())
    left_out = sum(file.left_out for file in copied.values())
    changed = sum(file.fixed for file in copied.values())
    console.print(
        f"{out}: {written:,} records in {len(copied)} file(s), {left_out:,} left out, {changed:,} fixed",
        highlight=False,
        markup=False,
    )
