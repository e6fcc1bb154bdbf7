"""``modalmix demo``: the whole way on the built-in example."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "the whole way on a small example in all five formats"
DESCRIPTION = "Makes a small example in all five formats with real encoded media, builds it, and loads it back."


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("--out", default="demo", metavar="DIR", help="folder to make (default: %(default)s)")


def run(arguments: Namespace) -> int:
    """Runs the command."""
    from rich.console import Console

    from .demo_run import run as walk

    walk(arguments.out, Console())
    return 0
