"""Progress of every command: lines that change on a terminal, a line a minute in a log.

::

    reading annotations ━━━━━━━━━━━━━━━━━━━━━━━╸           61 %  1.20 GB of 1.97 GB, 0:01:12 left

    building ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸           61 %  0:01:12 left
      12,040 rows, 4.20 GB, 310.0 MB/s; 12 rejected, 31 warnings; 17 of 64 tasks
      worker 1: task 17, 41 %, 203 rows, 212.0 MB
      worker 2: task 18, 12 %, 80 rows, 71.5 MB

A **meter** follows the work and puts it in words (`CountMeter`, `BuildMeter`); `shown` shows it on the error stream for as long
as the work takes.
"""

from __future__ import annotations

import os
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..build import BuildProgress
from ..pipeline.inputs import known_format, splits

_SECONDS_PER_LINE = 60
_SECONDS_OF_RATE = 30
_MOST_WORKERS = 16


class Meter(Protocol):
    """Follows some work, and puts it in words.

    Attributes:
        changed: called by the meter when it has followed a step.
    """

    changed: Callable[[], None]

    def line(self) -> str:
        """The progress in one line, for a log."""

    def lines(self) -> RenderableType:
        """The progress on a terminal."""


_Meter = TypeVar("_Meter", bound=Meter)


@contextmanager
def shown(arguments: Namespace, meter: _Meter) -> Iterator[_Meter]:
    """Shows a meter for as long as the context lasts, unless the command is to be quiet or prints JSON."""
    console = Console(stderr=True)
    if arguments.quiet or arguments.json:
        yield meter
    elif console.is_terminal:
        with Live(get_renderable=meter.lines, console=console, transient=True):
            yield meter
    else:
        last = time.monotonic()

        def print_line() -> None:
            nonlocal last
            if time.monotonic() - last >= _SECONDS_PER_LINE:
                last = time.monotonic()
                console.print(meter.line(), highlight=False, soft_wrap=True, markup=False)

        meter.changed = print_line
        yield meter


class CountMeter:
    """Counts what is done of a total: things, or bytes."""

    def __init__(self, text: str, total: int | None = None, *, in_bytes: bool = False) -> None:
        """Begins now.

        Args:
            text: what is being done.
            total: how much there is to do; None while it is not known.
            in_bytes: the counts are bytes.
        """
        self.changed: Callable[[], None] = lambda: None
        self._began = time.monotonic()
        self._text, self._done, self._total, self._in_bytes = text, 0, total, in_bytes

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self._done += count
        self.changed()

    def update(self, text: str, done: int, total: int | None, *, in_bytes: bool = False) -> None:
        """So much is done of the total; another text begins another count."""
        if text != self._text:
            self._began = time.monotonic()
        self._text, self._done, self._total, self._in_bytes = text, done, total, in_bytes
        self.changed()

    def line(self) -> str:
        """The progress in one line."""
        share = f"{self._done / self._total:.0%} done, " if self._total else ""
        return f"{self._text}: {share}{self._count()}"

    def lines(self) -> RenderableType:
        """A bar."""
        share = f"{self._done / self._total:4.0%}  " if self._total else ""
        bar = ProgressBar(total=self._total, completed=self._done, pulse=self._total is None)
        return _bar(self._text, bar, f"{share}{self._count()}")

    def _count(self) -> str:
        def words(count: int) -> str:
            return size(count) if self._in_bytes else f"{count:,}"

        if self._total is None:
            return words(self._done) if self._done else ""
        left = _time_left(self._began, self._done, self._total - self._done)
        return ", ".join([f"{words(self._done)} of {words(self._total)}", *([left] if left else [])])


@contextmanager
def annotation_progress(arguments: Namespace) -> Iterator[CountMeter]:
    """A meter over the bytes of the annotation files, shown."""
    total = None
    quiet = arguments.quiet or arguments.json
    if not quiet and Console(stderr=True).is_terminal:  # finding the files may take a while
        found = splits(arguments.data, format=known_format(arguments.format), seed=arguments.seed)
        total = sum(os.path.getsize(source.path) for sources in found.values() for source in sources)
    with shown(arguments, CountMeter("reading annotations", total, in_bytes=True)) as meter:
        yield meter


class BuildMeter:
    """Follows a build.

    Attributes:
        progress: the progress it was given last; None before.
    """

    def __init__(self) -> None:
        """Begins now."""
        self.changed: Callable[[], None] = lambda: None
        self.progress: BuildProgress | None = None
        self._began = 0.0
        self._marks: deque[tuple[float, int]] = deque()

    def update(self, progress: BuildProgress) -> None:
        """Takes the progress of the build."""
        now, packed = time.monotonic(), progress.packed - progress.earlier[1]
        if self.progress is None:  # before that, the build was planned
            self._began = now
        self.progress = progress
        self._marks.append((now, packed))
        while len(self._marks) > 2 and now - self._marks[0][0] > _SECONDS_OF_RATE:
            self._marks.popleft()
        self.changed()

    @property
    def share(self) -> float:
        """How much of the build is done, 0 to 1."""
        return self.progress.done / max(self.progress.size, 1) if self.progress else 0.0

    def rate(self) -> float | None:
        """Bytes packed a second, over the last half minute; None while it is not known."""
        if not self._marks:
            return None
        (then, before), (last, packed) = self._marks[0], self._marks[-1]
        if last - then < 1:
            then, before = self._began, 0
        return (packed - before) / (last - then) if last > then else None

    def left(self) -> str:
        """How long it will take, by how long it took; empty while it is not known."""
        if self.progress is None:
            return ""
        done = self.progress.done - self.progress.earlier[0]
        return _time_left(self._began, done, self.progress.size - self.progress.done)

    def summary(self) -> str:
        """Rows, bytes, rate, findings and tasks."""
        progress = self.progress
        if progress is None:
            return "planning: finding the media"
        rate, found = self.rate(), progress.severities()
        parts = [rows(progress.rows), size(progress.packed), *([f"{size(rate)}/s"] if rate else [])]
        findings = [f"{progress.counts.rejected:,} rejected"]
        if found.get("warning"):
            findings.append(f"{found['warning']:,} warnings")
        tasks = f"{progress.finished} of {progress.tasks} tasks"
        if progress.finished == progress.tasks:
            tasks = "putting all together"
        return f"{', '.join(parts)}; {', '.join(findings)}; {tasks}"

    def workers(self) -> list[str]:
        """The task of each worker, a line each, where there are several."""
        if self.progress is None:
            return []
        at_work = sorted(self.progress.at_work.items())
        lines = [
            f"worker {number + 1}: task {state.task}, {self.progress.share(state):.0%}, {rows(state.rows)}, "
            f"{size(state.packed)}"
            for number, state in at_work[:_MOST_WORKERS]
        ]
        more = len(at_work) - _MOST_WORKERS
        return [*lines, *([f"and {more} more"] if more > 0 else [])]

    def line(self) -> str:
        """The progress in one line."""
        return f"{', '.join(part for part in (f'{self.share:.0%} done', self.left()) if part)}: {self.summary()}"

    def lines(self) -> RenderableType:
        """A bar, the summary and the workers."""
        bar = _bar("building", ProgressBar(total=1.0, completed=self.share), f"{self.share:4.0%}  {self.left()}")
        below = [self.summary(), *self.workers()]
        return Group(bar, *(Text(f"  {line}", no_wrap=True, overflow="ellipsis") for line in below))


def show_slowest(console: Console, progress: BuildProgress) -> None:
    """Prints the tasks that took longest, where there are two or more."""
    if progress.finished < 2:
        return
    table = Table(title="slowest tasks", title_justify="left")
    for name in ("task", "seconds", "rows", "MB", "MB/s"):
        table.add_column(name, justify="right")
    table.add_column("reads", overflow="fold")
    for state in progress.slowest():
        table.add_row(
            str(state.task), f"{state.seconds:,.1f}", f"{state.rows:,}", f"{state.packed / 1e6:,.1f}",
            f"{state.packed / 1e6 / max(state.seconds, 1e-3):,.0f}", escape(progress.work_of(state.task)),
        )  # fmt: skip
    console.print(table)


def _bar(text: str, bar: ProgressBar, after: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    grid.add_row(Text(text), bar, Text(after))
    return grid


def _time_left(began: float, done: int, left: int) -> str:
    """How long the rest will take at the pace so far; empty while it is not known."""
    seconds = time.monotonic() - began
    return f"{duration(left * seconds / done)} left" if seconds >= 1 and done > 0 else ""


def rows(count: int) -> str:
    """A number of rows."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if count >= factor:
            return f"{count / factor:,.2f} {unit}"
    return f"{count / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """A time as hours, minutes and seconds, after days where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"
