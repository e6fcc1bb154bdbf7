"""Commands: one module for each subcommand of ``modalmix``.

A command module has `HELP` (a line for the list of commands), `DESCRIPTION`, `add` (its arguments) and `run`, which returns
the exit code: 0, or 1 for findings of severity error; what is wrong with the input it raises (`DataError`, `OSError`).
Modules import what is heavy when they run, so that the help of all is quick.  `data_arguments` has the arguments all that
read DATA share, `tables` what they print.
"""

NAMES = ("inspect", "paths", "check", "build", "audio", "push", "verify", "card", "download", "preview", "demo")
"""The commands in the order of the help; a name is that of its module."""
