"""``modalmix card``: writes the card of a built folder again."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from .data_arguments import add_output

USAGE = "DIR [options]"
HELP = "write the card of a built folder again, with statistics and plots"
DESCRIPTION = (
    "Writes README.md, plots/ and statistics.json of a built folder again. Text that you wrote between the markers "
    "of the card stays."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder that modalmix build has made")
    add_output(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import json

    from ... import cards
    from ...upload.build import finished_build
    from ..core.errors import DataError

    report = finished_build(arguments.folder).report
    try:
        text = cards.write(arguments.folder, report)
    except cards.CardError as error:
        raise DataError(f"{os.path.join(arguments.folder, 'README.md')}: {error}") from None
    path = os.path.join(arguments.folder, "README.md")
    if arguments.json:
        print(json.dumps({"card": path, "bytes": len(text.encode())}))
    elif not arguments.quiet:
        print(f"The card is in {path}, its plots in {os.path.join(arguments.folder, 'plots')}")
    return 0
