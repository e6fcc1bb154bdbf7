"""``modalmix verify``: whether the Hub holds what a built folder holds."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

HELP = "compare a built folder with what the Hub holds of it"
DESCRIPTION = (
    "Compares size and hash of every file of a built folder with the Hub's, and reads a first row of each config back."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", metavar="DIR", help="what modalmix build made")
    parser.add_argument("repository", metavar="NAMESPACE/NAME", help="dataset repository")
    parser.add_argument("--revision", metavar="REVISION", help="branch, commit, or refs/pr/N (default: main)")
    parser.add_argument("--config", metavar="NAME", help="as it was pushed with")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quiet", action="store_true", help="print nothing")


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
