"""``modalmix inspect``: the formats, mixes and counts of DATA."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .data_arguments import add_data, add_reading, options_of

if TYPE_CHECKING:
    from ..check import Example, FileDiagnosis

USAGE = "DATA… [options]"
HELP = "show the format, the mixes, the counts and the missing media of DATA"
DESCRIPTION = (
    "Reads annotation files and looks up their media. Opens no media, and writes nothing. Prints for each file the "
    "format with the reasons for it, the mixes and the counts, and then the findings of a quick check."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    add_reading(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import msgspec

    from ..check import check
    from ..pipeline import rejects
    from .progress import annotation_progress

    with annotation_progress(arguments) as meter:
        result = check(
            arguments.data,
            options_of(arguments),
            depth="quick",
            seed=arguments.seed,
            progress=meter.advance,
        )
    files = list(result.diagnosis.files.values())
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(files), indent=2).decode())
    elif not arguments.quiet:
        _show(files)
    return 1 if any(rejects.summary(file.counts) for file in files) else 0


def _show(files: list[FileDiagnosis]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ..core.counts import Counts
    from .tables import show_findings

    console = Console()
    table = Table(title="annotation files", title_justify="left")
    for name, justify in (("file", "left"), ("split", "left"), ("format", "left"), ("mix", "left"), ("records", "right"),
                          ("usable", "right"), ("rejected", "right")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for file in files:
        counts = file.counts
        mixes = "\n".join(f"{mix} {count:,}" for mix, count in sorted(counts.written.items())) or "–"
        rejected = f"[red]{counts.rejected:,}[/red]" if counts.rejected else "0"
        formats = ", ".join(sorted(counts.formats)) or "–"
        usable = f"{sum(counts.written.values()):,}"
        table.add_row(escape(file.file), file.split, formats, mixes, f"{counts.read:,}", usable, rejected)
    console.print(table)
    for file in files:
        best = [(name, reasons) for name, (confidence, reasons) in file.formats.items() if confidence > 0][:1]
        for name, reasons in best:
            console.print(f"[bold]{escape(file.file)}[/bold] is {name}: {escape('; '.join(reasons))}", highlight=False)
    if any(file.url for file in files):
        console.print("The media are on the Hub. A stream finds out which of them exist.")
    examples: dict[str, Example] = {}
    total = Counts()
    for file in files:
        total.add(file.counts)
        for code, found in file.examples.items():
            examples.setdefault(code, found[0])
    show_findings(console, total, examples)
