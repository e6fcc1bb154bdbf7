"""The ``modalmix`` command.

Every command takes DATA (annotation files, a YAML mixture, a folder), prints a table a person can read or, with ``--json``, the
same as JSON; bad input is one line and exit code 2, findings of severity error are exit code 1.
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
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  whoever read our output has gone
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="modalmix",
        description="Reads the training data of omni, video and referring language models in place, finds what is wrong "
        "with it, and packs it into Parquet.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in NAMES:
        module = _module(name)
        epilog = getattr(module, "EPILOG", None)
        own = commands.add_parser(
            name, help=module.HELP, description=module.DESCRIPTION, epilog=epilog, formatter_class=_Help
        )
        module.add(own)
    return parser


class _Help(argparse.HelpFormatter):
    """Keeps the lines of a text that has several."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def _module(name: str) -> Any:
    return import_module(f".{name}", __package__)


if __name__ == "__main__":
    sys.exit(main())
