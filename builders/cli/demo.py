"""``modalmix demo``: the built-in example, from annotation files to Parquet and back."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

USAGE = "[options]"
HELP = "make a small example in all five formats, build it, and load it back"
DESCRIPTION = (
    "Makes a small example in all five formats with real encoded media, builds it, loads it back in four ways, and "
    "compares the rows."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder to write (default: %(default)s)")


def run(arguments: Namespace) -> int:
    """Runs the command."""
    from rich.console import Console

    from .demo_run import run as walk

    walk(arguments.out, Console())
    return 0
