"""The ``modalmix`` command.

Every command takes DATA (annotation files, a YAML mixture, a folder), prints a table a person can read or, with ``--json``, the
same as JSON; bad input is one line and exit code 2, findings of severity error are exit code 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .formats import NAMES


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments without the program's name; None for the process's own.

    Returns:
        The exit code: 0, 1 (findings of severity error), 2 (bad input).
    """
    options = _parser().parse_args(argv)
    from . import commands
    from .annotations import DataError
    from .rejects import RejectedRow

    try:
        return int(getattr(commands, options.command)(options))
    except (DataError, RejectedRow, OSError) as error:
        print(f"modalmix {options.command}: {error}", file=sys.stderr)
        return 1 if isinstance(error, RejectedRow) else 2
    except KeyboardInterrupt:
        print(f"modalmix {options.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  whoever read our output has gone
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modalmix",
        description="Reads the training data of omni, video and referring language models in place, finds what is wrong "
        "with it, and packs it into Parquet.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    inspect = commands.add_parser(
        "inspect", help="what is this: format with reasons, mixes, counts, paths that resolve and that do not",
        description="Reads annotation files and looks up their media, without writing anything.",
    )  # fmt: skip
    _reading(inspect)

    build = commands.add_parser(
        "build", help="Parquet shards, a card, the rejects and a report",
        description="Packs a dataset into Parquet shards with a card, its rejects and a report.",
    )  # fmt: skip
    _reading(build)
    build.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    build.add_argument(
        "--max-shard-size", default="500MB", metavar="SIZE", help="size of a shard (default: %(default)s)"
    )
    build.add_argument("--on-error", choices=("reject", "raise"), default="reject",
                       help="write rejected records down and go on, or stop at the first (default: %(default)s)")  # fmt: skip
    build.add_argument("--overwrite", action="store_true", help="replace a finished build in DIR")

    demo = commands.add_parser(
        "demo", help="the whole way on a small example in all five formats",
        description="Makes a small example in all five formats with real encoded media, builds it, and loads it back.",
    )  # fmt: skip
    demo.add_argument("--out", default="demo", metavar="DIR", help="folder to make (default: %(default)s)")
    return parser


def _reading(parser: argparse.ArgumentParser) -> None:
    """The arguments all commands that read DATA share."""
    parser.add_argument("data", nargs="+", metavar="DATA", help="annotation files, a glob, a YAML mixture, or a folder")
    parser.add_argument("--format", default="modalmix", metavar="FORMAT",
                        help=f"{', '.join(NAMES)}; by default each record is recognised")  # fmt: skip
    parser.add_argument("--mix", action="append", metavar="MIX", default=[],
                        help="only records of this modality mix, such as image or video_audio; may be given again")  # fmt: skip
    parser.add_argument("--media-root", action="append", metavar="DIR", default=[],
                        help="folder under which media are looked up; may be given again (default: that of DATA)")  # fmt: skip
    parser.add_argument("--image-folder", action="append", metavar="DIR", default=[], help="likewise, for images alone")
    parser.add_argument("--video-folder", action="append", metavar="DIR", default=[], help="likewise, for videos alone")
    parser.add_argument(
        "--user-key", default="human", metavar="ROLE", help="the user's name in turns (default: %(default)s)"
    )
    parser.add_argument("--assistant-key", default="gpt", metavar="ROLE", help="the assistant's (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=42, metavar="N", help="for random:N of a mixture (default: %(default)s)"
    )
    parser.add_argument("--no-verify-masks", action="store_true", help="do not compare masks with their video's header")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no table")


if __name__ == "__main__":
    sys.exit(main())
