"""Commands: one module for each subcommand of ``modalmix``.

A command module has `USAGE` and `HELP` (a line each), `DESCRIPTION`, `add` (adds its arguments) and `run`, which returns the
exit code: 0, or 1 for findings of severity error.  It raises `DataError` or `OSError` for input that cannot be read.  Only
`run` imports slow modules, so help is quick.  `data_arguments` has the arguments that several commands share, `tables` what
they print.
"""

NAMES = ("inspect", "paths", "check", "build", "audio", "push", "verify", "card", "download", "preview", "demo")
"""The commands in the order of the help; a name is that of its module."""
