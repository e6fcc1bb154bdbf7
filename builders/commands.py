"""Commands: what each subcommand of ``modalmix`` does and prints."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import inspection, packing, rejects
from .annotations import DataError
from .data import known_format, splits
from .features import ALL, mixes
from .findings import CATALOGUE
from .report import Report
from .rows import Counts, Options
from .sample import MODALITIES
from .turns import Roles

_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


def inspect(arguments: Namespace) -> int:
    """``modalmix inspect``."""
    with _progress(arguments) as advance:
        files = inspection.inspect(
            arguments.data, _options(arguments), seed=arguments.seed, progress=lambda size: advance(size)
        )
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(files), indent=2).decode())
    elif not arguments.quiet:
        _show_inspection(files)
    return 1 if any(rejects.told(one.counts) for one in files) else 0


def build(arguments: Namespace) -> int:
    """``modalmix build``."""
    with _progress(arguments) as advance:
        report = packing.build(
            arguments.data,
            arguments.out,
            _options(arguments),
            on_error=arguments.on_error,
            overwrite=arguments.overwrite,
            seed=arguments.seed,
            shard_bytes=_size(arguments.max_shard_size),
            progress=lambda size, _: advance(size),
        )
    if arguments.json:
        print(report.text(), end="")
    elif not arguments.quiet:
        show_report(report, arguments.out)
    return 1 if rejects.told(report.counts) else 0


def demo(arguments: Namespace) -> int:
    """``modalmix demo``."""
    from . import demo as walk

    walk.run(arguments.out, Console())
    return 0


def _options(arguments: Namespace) -> Options:
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
    )


def _size(text: str) -> int:
    """Bytes of a size such as ``500MB`` or ``1GiB``."""
    digits = text.upper().removesuffix("B").rstrip("KMGI")
    unit = text.upper().removesuffix("B")[len(digits) :]
    if not digits.isdigit() or unit not in _UNITS or int(digits) < 1:
        raise DataError(f"{text!r} is no size; write 500MB, say")
    return int(digits) * _UNITS[unit]


@contextmanager
def _progress(arguments: Namespace) -> Iterator[Any]:
    """A progress bar over the bytes of the annotation files, on the terminal's error stream."""
    console = Console(stderr=True)
    quiet = arguments.quiet or arguments.json or not console.is_terminal
    columns = (TextColumn("reading annotations"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        if quiet:
            yield lambda size: None
            return
        found = splits(arguments.data, format=known_format(arguments.format), seed=arguments.seed)
        total = sum(os.path.getsize(source.path) for sources in found.values() for source in sources)
        task = bar.add_task("reading", total=total)
        yield lambda size: bar.advance(task, size)


def _show_inspection(files: list[inspection.FileInspection]) -> None:
    console = Console()
    table = Table(title="annotation files", title_justify="left")
    for name, justify in (("file", "left"), ("split", "left"), ("format", "left"), ("mix", "left"), ("records", "right"),
                          ("usable", "right"), ("rejected", "right")):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for one in files:
        counts = one.counts
        mixes = "\n".join(f"{mix} {count:,}" for mix, count in sorted(counts.written.items())) or "–"
        rejected = f"[red]{counts.rejected:,}[/red]" if counts.rejected else "0"
        formats = ", ".join(sorted(counts.formats)) or "–"
        usable = f"{sum(counts.written.values()):,}"
        table.add_row(escape(one.file), one.split, formats, mixes, f"{counts.read:,}", usable, rejected)
    console.print(table)
    for one in files:
        best = [(name, reasons) for name, (confidence, reasons) in one.formats.items() if confidence > 0][:1]
        for name, reasons in best:
            console.print(f"[bold]{escape(one.file)}[/bold] is {name}: {escape('; '.join(reasons))}", highlight=False)
    examples: dict[str, Any] = {}
    total = Counts()
    for one in files:
        total.add(one.counts)
        for code, found in one.examples.items():
            examples.setdefault(code, found[0])
    _show_findings(console, total, examples)


def show_report(report: Report, out: str) -> None:
    """Prints what a build did."""
    console = Console()
    table = Table(title=f"built {escape(out)}", title_justify="left")
    for name in ("mix", "split"):
        table.add_column(name)
    for name in ("rows", "shards", "MB"):
        table.add_column(name, justify="right")
    for mix, by_split in report.shards.items():
        for split, shards in by_split.items():
            size = sum(shard.bytes for shard in shards) / 1e6
            table.add_row(mix, split, f"{sum(shard.rows for shard in shards):,}", str(len(shards)), f"{size:,.1f}")
    console.print(table)
    counts = report.counts
    written = sum(counts.written.values())
    console.print(
        f"{counts.read:,} records read = {written:,} written + {counts.rejected:,} rejected + "
        f"{counts.not_selected:,} not selected",
        highlight=False,
    )
    _show_findings(console, counts, {})
    if rejects.told(counts):
        console.print(f"The rejected records are in {escape(os.path.join(out, 'rejected.jsonl'))}", highlight=False)


def _show_findings(console: Console, counts: Counts, examples: dict[str, Any]) -> None:
    if not counts.findings:
        return
    table = Table(title="findings", title_justify="left")
    table.add_column("code")
    table.add_column("finding")
    table.add_column("records", justify="right")
    table.add_column("example" if examples else "meaning", overflow="fold")
    table.add_column("how to mend", overflow="fold")
    order = {"error": 0, "warning": 1, "info": 2}
    for code, count in sorted(counts.findings.items(), key=lambda pair: (order[CATALOGUE[pair[0]].severity], -pair[1])):
        kind = CATALOGUE[code]
        what = kind.meaning
        if code in examples:
            one = examples[code]
            what = f"{one.file}:{one.row} {one.message}" if one.row >= 0 else f"{one.file} {one.message}"
        style = _STYLE[kind.severity]
        table.add_row(f"[{style}]{code}[/{style}]", kind.name, f"{count:,}", escape(what), escape(kind.mend))
    console.print(table)
