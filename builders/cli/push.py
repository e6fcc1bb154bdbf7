"""``modalmix push``: sends a built folder to the Hub."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .data_arguments import add_output

if TYPE_CHECKING:
    from ...upload import Push

USAGE = "DIR NAMESPACE/NAME [options]"
HELP = "send a built folder to the Hub in one commit, and verify it"
DESCRIPTION = (
    "Sends a built folder to a dataset repository of the Hub in one commit, and compares every file afterwards. A "
    "push that was stopped continues with the same command. The token is that of hf auth login, or $HF_TOKEN."
)


def add(parser: ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder that modalmix build has made")
    parser.add_argument("repository", metavar="NAMESPACE/NAME", help="dataset repository; created if it does not exist")
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and stop")
    parser.add_argument("--private", action="store_true", help="create a private repository")
    parser.add_argument(
        "--config", metavar="NAME", help="add the build as this config, beside others in the repository"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="commit to this branch (default: main)")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request instead of committing")
    parser.add_argument("--prune", action="store_true", help="delete shards that are no longer in the build")
    parser.add_argument(
        "--private-paths", action="store_true", help="send texts that contain paths of this machine, too"
    )
    parser.add_argument("--row-group-limit", type=int, metavar="BYTES",
                        help="largest row group (default: 300,000,000, the limit of the Hub's viewer)")  # fmt: skip
    add_output(parser)


def run(arguments: Namespace) -> int:
    """Runs the command."""
    # Without these, hf_xet forgets what it has sent when it is killed within 20 seconds, and sends it again.
    os.environ.setdefault("HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_INTERVAL", "500ms")
    os.environ.setdefault("HF_XET_DATA_SESSION_XORB_METADATA_FLUSH_MAX_COUNT", "1")
    # And with several files at once it packs them in another order the second time, and what is there is not recognised.
    os.environ.setdefault("HF_XET_DATA_MAX_CONCURRENT_FILE_INGESTION", "1")
    import msgspec
    from huggingface_hub.utils.tqdm import disable_progress_bars

    from ...upload import push
    from ...upload.build import VIEWER_LIMIT
    from .progress import CountMeter, shown

    disable_progress_bars()
    with shown(arguments, CountMeter("pushing")) as meter:
        done = push(
            arguments.folder,
            arguments.repository,
            private=arguments.private or None,
            revision=arguments.revision,
            create_pr=arguments.create_pr,
            config=arguments.config,
            dry_run=arguments.dry_run,
            prune=arguments.prune,
            row_group_limit=arguments.row_group_limit or VIEWER_LIMIT,
            private_paths=arguments.private_paths,
            progress=lambda what, done, total: meter.update(what, done, total, in_bytes=True),
            report=(lambda line: None) if arguments.quiet else lambda line: print(line, file=sys.stderr),
        )
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(done), indent=2).decode())
    elif not arguments.quiet:
        _show(done, arguments.dry_run)
    return 0 if done.verification is None or done.verification else 1


def _show(done: Push, dry_run: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    plan = done.plan
    table = Table(title=escape(f"{'would push' if dry_run else 'pushed'} to {done.repository}"), title_justify="left")
    table.add_column("what")
    for name in ("files", "bytes"):
        table.add_column(name, justify="right")
    stale = "deleted" if plan.prune else "no longer in the build, kept"
    for what, files in (("sent", plan.send), ("on the Hub already", plan.same), (stale, plan.stale)):
        table.add_row(what, f"{len(files):,}", f"{sum(files.values()):,}")
    console.print(table)
    for path in sorted(plan.stale):
        console.print(f"{'delete' if plan.prune else 'keep'} {escape(path)}", highlight=False)
    if dry_run:
        for path in sorted(plan.send):
            console.print(f"send {escape(path)} ({plan.send[path]:,} bytes)", highlight=False)
        return
    if not done.committed:
        console.print("Nothing has changed; no commit was made.", highlight=False)
    show_verification(console, done.verification)
    console.print(escape(done.url), highlight=False)


def show_verification(console: object, result: object) -> None:
    """Prints the result of a comparison."""
    from rich.console import Console
    from rich.markup import escape

    from ...upload import Verification

    assert isinstance(console, Console) and isinstance(result, Verification)
    for path, what in result.wrong.items():
        console.print(f"[red]{escape(path)}[/red]: {escape(what)}", highlight=False)
    if result:
        rows = ", ".join(f"{escape(name)} {escape(row)}" for name, row in result.rows.items())
        console.print(
            f"All {result.files:,} files ({result.bytes:,} bytes) on the Hub equal the local ones; first rows read back: {rows}",
            highlight=False,
        )
