"""The table of findings.  Text from the data is escaped, never markup."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..check.diagnosis import Example
from ..core.counts import Counts
from ..core.findings import CATALOGUE

_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}


def show_findings(console: Console, counts: Counts, examples: Mapping[str, Example]) -> None:
    """Prints the findings by code, the worst first, with an example of each if there is one."""
    if not counts.findings:
        return
    table = Table(title="findings", title_justify="left")
    table.add_column("code")
    table.add_column("finding")
    table.add_column("records", justify="right")
    table.add_column("example" if examples else "meaning", overflow="fold")
    table.add_column("how to fix", overflow="fold")
    order = {"error": 0, "warning": 1, "info": 2}
    for code, count in sorted(counts.findings.items(), key=lambda pair: (order[CATALOGUE[pair[0]].severity], -pair[1])):
        kind = CATALOGUE[code]
        what = kind.meaning
        if code in examples:
            example = examples[code]
            what = (
                f"{example.file}:{example.row} {example.message}"
                if example.row >= 0
                else f"{example.file} {example.message}"
            )
            if example.message == repr(example.file):
                what = example.file
        style = _STYLE[kind.severity]
        table.add_row(f"[{style}]{code}[/{style}]", kind.name, f"{count:,}", escape(what), escape(kind.fix))
    console.print(table)
