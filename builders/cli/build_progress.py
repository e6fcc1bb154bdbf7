"""How a build stands: lines that change on a terminal, a line a minute in a log, and the slowest tasks at its end.

::

    building ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸                  61 %  0:01:12 left
      12,040 rows, 4.2 GB, 310 MB/s; 12 rejected, 31 warnings; 17 of 64 tasks
      worker 1: task 17, 41 %, 203 rows, 212.0 MB
      worker 2: task 18, 12 %, 80 rows, 71.5 MB
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..build import Standing

_SECONDS_PER_LINE = 60
_SECONDS_OF_RATE = 30
_MOST_WORKERS = 16


class Meter:
    """Follows a build, and says how it stands in words.

    Attributes:
        standing: the last that was told; None before.
    """

    def __init__(self) -> None:
        """Begins now."""
        self.standing: Standing | None = None
        self._began = 0.0
        self._marks: deque[tuple[float, int]] = deque()

    def told(self, standing: Standing) -> None:
        """Takes a standing."""
        now, packed = time.monotonic(), standing.packed - standing.earlier[1]
        if self.standing is None:  # before that, the build was planned
            self._began = now
        self.standing = standing
        self._marks.append((now, packed))
        while len(self._marks) > 2 and now - self._marks[0][0] > _SECONDS_OF_RATE:
            self._marks.popleft()

    @property
    def share(self) -> float:
        """How much of the build is done, 0 to 1."""
        return self.standing.done / max(self.standing.size, 1) if self.standing else 0.0

    def rate(self) -> float | None:
        """Bytes packed in a second, of late; None while nobody knows."""
        if not self._marks:
            return None
        (then, before), (last, packed) = self._marks[0], self._marks[-1]
        if last - then < 1:
            then, before = self._began, 0
        return (packed - before) / (last - then) if last > then else None

    def left(self) -> str:
        """How long it will take, by how long it took; empty while nobody knows."""
        if self.standing is None:
            return ""
        seconds, done = time.monotonic() - self._began, self.standing.done - self.standing.earlier[0]
        if seconds < 1 or done <= 0:
            return ""
        return f"{duration((self.standing.size - self.standing.done) * seconds / done)} left"

    def summary(self) -> str:
        """Rows, bytes, rate, findings and tasks."""
        standing = self.standing
        if standing is None:
            return "planning: finding the media"
        rate, found = self.rate(), standing.severities()
        parts = [rows(standing.rows), size(standing.packed), *([f"{size(rate)}/s"] if rate else [])]
        findings = [f"{standing.counts.rejected:,} rejected"]
        if found.get("warning"):
            findings.append(f"{found['warning']:,} warnings")
        tasks = f"{standing.finished} of {standing.tasks} tasks"
        if standing.finished == standing.tasks:
            tasks = "putting all together"
        return f"{', '.join(parts)}; {', '.join(findings)}; {tasks}"

    def workers(self) -> list[str]:
        """What each worker is at, a line each, where there are several."""
        if self.standing is None:
            return []
        at_work = sorted(self.standing.at_work.items())
        lines = [
            f"worker {number + 1}: task {state.task}, {self.standing.share(state):.0%}, {rows(state.rows)}, "
            f"{size(state.packed)}"
            for number, state in at_work[:_MOST_WORKERS]
        ]
        more = len(at_work) - _MOST_WORKERS
        return [*lines, *([f"and {more} more"] if more > 0 else [])]

    def line(self) -> str:
        """All in a line, for a log."""
        return f"{', '.join(part for part in (f'{self.share:.0%} done', self.left()) if part)}: {self.summary()}"

    def lines(self) -> RenderableType:
        """All on a terminal."""
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_row("building", ProgressBar(total=1.0, completed=self.share), f"{self.share:4.0%}  {self.left()}")
        below = [self.summary(), *self.workers()]
        return Group(grid, *(Text(f"  {line}", no_wrap=True, overflow="ellipsis") for line in below))


@contextmanager
def build_progress(arguments: Namespace) -> Iterator[Meter]:
    """A meter whose lines are shown while it follows a build: on the error stream, unless nobody wants to see them."""
    meter = Meter()
    console = Console(stderr=True)
    if arguments.quiet or arguments.json:
        yield meter
    elif console.is_terminal:
        with Live(get_renderable=meter.lines, console=console, transient=True):
            yield meter
    else:
        yield _Logged(console)


class _Logged(Meter):
    """A meter that prints a line a minute."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console, self._last = console, time.monotonic()

    def told(self, standing: Standing) -> None:
        super().told(standing)
        if time.monotonic() - self._last >= _SECONDS_PER_LINE:
            self._last = time.monotonic()
            self._console.print(self.line(), highlight=False, soft_wrap=True)


def show_slowest(console: Console, standing: Standing) -> None:
    """Prints the tasks that took longest, where there were enough of them to choose from."""
    if standing.finished < 2:
        return
    table = Table(title="slowest tasks", title_justify="left")
    for name in ("task", "seconds", "rows", "MB", "MB/s"):
        table.add_column(name, justify="right")
    table.add_column("reads", overflow="fold")
    for state in standing.slowest():
        table.add_row(
            str(state.task), f"{state.seconds:,.1f}", f"{state.rows:,}", f"{state.packed / 1e6:,.1f}",
            f"{state.packed / 1e6 / max(state.seconds, 1e-3):,.0f}", escape(standing.work_of(state.task)),
        )  # fmt: skip
    console.print(table)


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
    """A time as hours, minutes and seconds, days before them where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{f'{days} d ' if days else ''}{hours}:{minutes:02}:{rest:02}"
