"""The ``modalmix`` command.

A command prints a table, or JSON with ``--json``.  The exit code is 0, 1 for findings of severity error, or 2 for input that
cannot be read, with one line that says why.

What a help text needs imports neither `datasets` nor anything else that is slow: the modules of the commands import that when
they run, and a command adds its arguments when it is the one that is called.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from . import NAMES


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments without the program's name; None for the process's own.

    Returns:
        The exit code: 0, 1 (findings of severity error), 2 (bad input).
    """
    options = _parser().parse_args(argv)
    from ..core.errors import DataError
    from ..pipeline.rejects import RejectedRow

    try:
        return int(_module(options.command).run(options))
    except (DataError, RejectedRow, OSError) as error:
        print(f"modalmix {options.command}: {error}", file=sys.stderr)
        return 1 if isinstance(error, RejectedRow) else 2
    except KeyboardInterrupt:
        print(f"modalmix {options.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  the reader of our output has closed it
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modalmix",
        usage="modalmix COMMAND [options]",
        description="Reads the training data of omni, video and referring language models, finds what is wrong with it, and "
        "writes it as Parquet. Start with: modalmix inspect DATA",
        epilog="modalmix COMMAND --help explains a command.",
    )
    parser.add_argument("--version", action=_Version, help="print the version, and stop")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, prog="modalmix", parser_class=_CommandParser
    )
    for name in NAMES:
        commands.add_parser(name, help=_module(name).HELP)
    return parser


class _CommandParser(argparse.ArgumentParser):
    """The parser of one command, which gets its arguments when it is the one that parses."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)
        self._is_complete = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self._is_complete:
            module = _module(self.prog.split()[-1])
            self.usage = f"{self.prog} {module.USAGE}"
            self.description = module.DESCRIPTION
            module.add(self)
            self._is_complete = True
        return super().parse_known_args(args, namespace)


class _Version(argparse.Action):
    """Prints the version, which is looked up for this alone."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"modalmix {version('modalmix')}")
        parser.exit()


class _Help(argparse.HelpFormatter):
    """Keeps the lines of a text that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def _module(name: str) -> Any:
    return import_module(f".{name}", __package__)


if __name__ == "__main__":
    sys.exit(main())
