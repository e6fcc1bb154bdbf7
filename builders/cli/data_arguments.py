"""What the commands share: their arguments, and the options of the row pipeline that those make."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..core.errors import DataError
from ..core.names import ANY_FORMAT, FORMATS, MODALITIES

if TYPE_CHECKING:
    from ..pipeline.options import Options


def add_data(parser: ArgumentParser) -> None:
    """The argument DATA."""
    parser.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="annotation files, a glob, a YAML mixture, a folder, or hf://datasets/namespace/name[@revision][/path]",
    )


def add_reading(parser: ArgumentParser) -> None:
    """The options of all commands that read DATA: how it is read, and what is printed."""
    group = parser.add_argument_group("reading")
    group.add_argument("--media-root", action="append", metavar="DIR", default=[],
                       help="look up media under this folder; repeatable (default: the folder of DATA)")  # fmt: skip
    group.add_argument("--image-folder", action="append", metavar="DIR", default=[],
                       help="look up images under this folder first; repeatable")  # fmt: skip
    group.add_argument("--video-folder", action="append", metavar="DIR", default=[],
                       help="look up videos under this folder first; repeatable")  # fmt: skip
    group.add_argument("--rules", metavar="FILE",
                       help="map paths by the rules that modalmix paths --save has written (default: learn them)")  # fmt: skip
    group.add_argument("--format", default=ANY_FORMAT, metavar="FORMAT",
                       help=f"{', '.join(FORMATS)} (default: recognise the format of each record)")  # fmt: skip
    group.add_argument("--mix", action="append", metavar="MIX", default=[],
                       help="read only records of this mix, such as image or video_audio; repeatable")  # fmt: skip
    group.add_argument("--user-key", default="human", metavar="ROLE",
                       help="name of the user in the turns (default: %(default)s)")  # fmt: skip
    group.add_argument("--assistant-key", default="gpt", metavar="ROLE",
                       help="name of the assistant in the turns (default: %(default)s)")  # fmt: skip
    group.add_argument("--seed", type=int, default=42, metavar="N", help="random seed (default: %(default)s)")
    group.add_argument("--no-verify-masks", action="store_true",
                       help="do not compare masks with the header of their video or image")  # fmt: skip
    group.add_argument("--ignore-key", action="append", metavar="NAME", default=[],
                       help="say nothing about this key where the format does not read it; repeatable")  # fmt: skip
    add_output(parser)


def add_output(parser: ArgumentParser) -> None:
    """What all commands print."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print JSON instead of text")
    group.add_argument("--quiet", action="store_true", help="print no progress and no table")


def add_selection(parser: ArgumentParser) -> None:
    """The options that choose among the records, besides ``--mix``; the end of the help explains the conditions."""
    parser.epilog = _conditions()
    group = parser.add_argument_group("selection")
    group.add_argument("--where", action="append", metavar="CONDITION", default=[],
                       help="write only rows for which this is true, such as 'num_frames <= 32'; repeatable")  # fmt: skip
    group.add_argument("--sample", type=float, default=1.0, metavar="FRACTION",
                       help="write only this fraction of the records, drawn by --seed; the same in every build")  # fmt: skip
    group.add_argument(
        "--limit", type=int, metavar="N", help="write only the first N rows, in the order of the records"
    )


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

    chosen = frozenset(arguments.mix or (ALL,))
    every = (ALL, *mixes(MODALITIES))
    for mix in chosen:
        if mix not in every:
            raise DataError(
                f"there is no mix {mix!r}: it is {ALL}, text, or some of {', '.join(MODALITIES)} joined by _"
            )
    return Options(
        format=known_format(arguments.format),
        mixes=None if ALL in chosen else chosen,
        roles=Roles(arguments.user_key, arguments.assistant_key),
        media_root=tuple(arguments.media_root),
        image_folder=tuple(arguments.image_folder),
        video_folder=tuple(arguments.video_folder),
        verify_masks=not arguments.no_verify_masks,
        rules=Rules.load(arguments.rules) if arguments.rules else None,
        selection=Selection(tuple(getattr(arguments, "where", ())), getattr(arguments, "sample", 1.0), arguments.seed),
        ignore_key=tuple(sorted(set(arguments.ignore_key))),
    )
