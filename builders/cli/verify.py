"""``modalmix verify``: compares a built folder with the Hub."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .data_arguments import add_output

USAGE = "DIR NAMESPACE/NAME [options]"
HELP = "compare a built folder with the Hub"
DESCRIPTION = (
    "Compares the size and hash of every file of a built folder with those on the Hub, and reads the first row of "
    "each config. The exit code is 1 if something differs."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder that modalmix build has made")
    parser.add_argument("repository", metavar="NAMESPACE/NAME", help="dataset repository")
    parser.add_argument("--revision", metavar="REVISION", help="branch, commit, or refs/pr/N (default: main)")
    parser.add_argument("--config", metavar="NAME", help="the config that it was pushed as")
    add_output(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import msgspec
    from rich.console import Console

    from ...upload import verify
    from .push import show_verification

    result = verify(arguments.folder, arguments.repository, config=arguments.config, revision=arguments.revision)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    elif not arguments.quiet:
        show_verification(Console(), result)
    return 0 if result else 1
