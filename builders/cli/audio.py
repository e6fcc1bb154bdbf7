"""``modalmix audio``: the sound tracks of videos as wav files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .data_arguments import add_data, add_reading, options_of

if TYPE_CHECKING:
    from ..build.soundtracks import Outcome

USAGE = "DATA… --out DIR [options]"
HELP = "write the sound track of every video as a 16 kHz mono wav file"
DESCRIPTION = (
    "Writes the sound track of every video as a 16 kHz mono wav file into DIR, in the folder tree of the videos. DATA "
    "is a folder of videos, or annotation files that name them. Existing wav files are kept, so a run that was "
    "stopped continues. Videos without sound are listed. The exit code is 1 if a video cannot be decoded."
)

_SHOWN = 20


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    add_data(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the wav files")
    parser.add_argument("--workers", type=int, metavar="N", help="number of processes (default: one per core)")
    add_reading(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import msgspec

    from ..build import soundtracks
    from ..core.errors import DataError
    from .progress import CountMeter, shown

    if arguments.workers is not None and arguments.workers < 1:
        raise DataError(f"--workers is {arguments.workers}: it must be at least 1")
    with shown(arguments, CountMeter("writing sound tracks")) as meter:
        outcomes = soundtracks.extract(
            arguments.data,
            arguments.out,
            options_of(arguments),
            workers=arguments.workers,
            seed=arguments.seed,
            started=lambda total: meter.update("writing sound tracks", 0, total),
            progress=lambda outcome: meter.advance(),
        )
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(outcomes), indent=2).decode())
    elif not arguments.quiet:
        _show(outcomes, arguments.out)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _show(outcomes: list[Outcome], out: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(title=f"sound tracks in {escape(out)}", title_justify="left")
    table.add_column("videos")
    table.add_column("count", justify="right")
    table.add_column("hours", justify="right")
    words = {"written": "written", "there": "already written", "silent": "without sound", "failed": "failed"}
    for status, label in words.items():
        matching = [outcome for outcome in outcomes if outcome.status == status]
        hours = f"{sum(outcome.seconds for outcome in matching) / 3600:,.2f}" if status == "written" else ""
        table.add_row(f"[red]{label}[/red]" if status == "failed" and matching else label, f"{len(matching):,}", hours)
    console.print(table)
    for status in ("failed", "silent"):
        matching = [outcome for outcome in outcomes if outcome.status == status]
        for outcome in matching[:_SHOWN]:
            why = outcome.message or "no sound track"
            console.print(f"{escape(outcome.video)}: {escape(why)}", highlight=False)
        if len(matching) > _SHOWN:
            console.print(f"… and {len(matching) - _SHOWN:,} more; --json lists them all", highlight=False)
