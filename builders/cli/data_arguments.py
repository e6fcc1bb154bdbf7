"""What all commands that read DATA share: their arguments, and the row pipeline's options made of them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..core.errors import DataError
from ..core.names import ANY_FORMAT, FORMATS, MODALITIES

if TYPE_CHECKING:
    from ..pipeline.options import Options


def add_reading(parser: ArgumentParser) -> None:
    """The arguments all commands that read DATA share."""
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="annotation files, a glob, a YAML mixture, a folder, or hf://datasets/namespace/name[@revision][/path]",
    )
    group = parser.add_argument_group("reading")
    group.add_argument("--format", default=ANY_FORMAT, metavar="FORMAT",
                        help=f"{', '.join(FORMATS)}; by default each record is recognised")  # fmt: skip
    group.add_argument("--mix", action="append", metavar="MIX", default=[],
                        help="only records of this modality mix, such as image or video_audio; may be given again")  # fmt: skip
    group.add_argument("--media-root", action="append", metavar="DIR", default=[],
                        help="folder under which media are looked up; may be given again (default: that of DATA)")  # fmt: skip
    group.add_argument("--image-folder", action="append", metavar="DIR", default=[], help="likewise, for images alone")
    group.add_argument("--video-folder", action="append", metavar="DIR", default=[], help="likewise, for videos alone")
    group.add_argument("--rules", metavar="FILE",
                        help="rules for paths, as modalmix paths --save writes them (default: learned where needed)")  # fmt: skip
    group.add_argument(
        "--user-key", default="human", metavar="ROLE", help="the user's name in turns (default: %(default)s)"
    )
    group.add_argument("--assistant-key", default="gpt", metavar="ROLE", help="the assistant's (default: %(default)s)")
    group.add_argument(
        "--seed", type=int, default=42, metavar="N", help="of every random choice (default: %(default)s)"
    )
    group.add_argument("--no-verify-masks", action="store_true", help="do not compare masks with their video's header")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, and no table")


def add_selection(parser: ArgumentParser) -> None:
    """The arguments that choose among the records, besides ``--mix``; the end of the help explains the conditions."""
    parser.epilog = _conditions()
    group = parser.add_argument_group("selection")
    group.add_argument("--where", action="append", metavar="CONDITION", default=[],
                       help="only rows that fulfil it, such as 'num_frames <= 32'; may be given again (see below)")  # fmt: skip
    group.add_argument("--sample", type=float, default=1.0, metavar="FRACTION",
                       help="only so many of the records, drawn by --seed; the same in every build")  # fmt: skip
    group.add_argument("--limit", type=int, metavar="N", help="only the first N rows, in the records' order")


def _conditions() -> str:
    """What the help says about conditions."""
    from ..pipeline import conditions

    return "\n".join(
        (
            "conditions use Python's grammar: and, or, not, in, comparisons, + - * / // %, [ ], and these names:",
            *(f"  {name:<17} {meaning}" for name, (meaning, _) in conditions.NAMES.items()),
            *(f"  {name + '(…)':<17} {meaning}" for name, (meaning, _) in conditions.FUNCTIONS.items()),
            "A comparison with a value that a record does not have is false; test for it with: system is None",
        )
    )


def options_of(arguments: Namespace) -> Options:
    """The options for the row pipeline.

    Raises:
        DataError: an argument names something that does not exist.
    """
    from ..formats.turns import Roles
    from ..paths import Rules
    from ..pipeline.features import ALL, mixes
    from ..pipeline.inputs import known_format
    from ..pipeline.options import Options
    from ..pipeline.selection import Selection

    wanted = frozenset(arguments.mix or (ALL,))
    known = (ALL, *mixes(MODALITIES))
    for mix in wanted:
        if mix not in known:
            raise DataError(
                f"there is no mix {mix!r}: it is {ALL}, text, or some of {', '.join(MODALITIES)} joined by _"
            )
    return Options(
        format=known_format(arguments.format),
        mixes=None if ALL in wanted else wanted,
        roles=Roles(arguments.user_key, arguments.assistant_key),
        media_root=tuple(arguments.media_root),
        image_folder=tuple(arguments.image_folder),
        video_folder=tuple(arguments.video_folder),
        verify_masks=not arguments.no_verify_masks,
        rules=Rules.load(arguments.rules) if arguments.rules else None,
        selection=Selection(tuple(getattr(arguments, "where", ())), getattr(arguments, "sample", 1.0), arguments.seed),
    )
