"""``modalmix download``: an upstream release from the Hub."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from .data_arguments import add_output

USAGE = "[NAME] [options]"
HELP = "download an upstream release from the Hub, or a subset of it"
DESCRIPTION = (
    "Downloads an upstream release at one commit, after a check of the free disk space. A download that was stopped "
    "continues with the same command. Without NAME, lists the releases."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of the release, such as llava-video-178k")
    parser.add_argument("--subset", action="append", default=[], metavar="NAME",
                        help="download only this subset, or those that match a pattern; repeatable")  # fmt: skip
    parser.add_argument("--to", metavar="DIR", help="folder to download to (default: NAME)")
    parser.add_argument("--revision", metavar="REVISION",
                        help="branch or commit (default: the newest, and then the same one again)")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what would be downloaded, and stop")
    add_output(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    import msgspec
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from ...cards.facts.releases import all_releases
    from ...upload import download

    if not arguments.name:
        for name, release in all_releases().items():
            subsets = ", ".join(release.download.subsets) if release.download else ""
            print(f"{name:28} {release.title}{f' ({subsets})' if subsets else ''}\n{'':28} {release.sizes}")
        return 0
    if arguments.quiet or arguments.json or not sys.stderr.isatty():
        disable_progress_bars()
    done = download(
        arguments.name,
        arguments.to or arguments.name,
        subsets=arguments.subset,
        revision=arguments.revision,
        dry_run=arguments.dry_run,
        report=(lambda line: None) if arguments.quiet else lambda line: print(line, file=sys.stderr),
    )
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
    elif not arguments.quiet:
        listed = done.missing if arguments.dry_run else done.files
        if arguments.dry_run:
            for path, size in listed.items():
                print(f"{size:>18,} {path}")
        what = "to download" if arguments.dry_run else "in " + done.folder
        print(f"{len(listed):,} files, {sum(listed.values()):,} bytes {what}, of {done.repository} at {done.commit}")
        print("Next:")
        for command in done.commands:
            print(f"  {command}")
    return 0
