"""Writing: the card of a built folder, with statistics and plots of its shards."""

from __future__ import annotations

import os

from ..builders.core.report import Report
from ..builders.core.storage import at
from . import front, plots, sections
from .rendering import render
from .statistics import is_current as statistics_are_current
from .statistics import statistics

FILE = "README.md"


def write(folder: str, report: Report) -> str:
    """Writes ``README.md``, ``statistics.json`` and ``plots/`` of a build; the text of a person in the card stays.

    Args:
        folder: folder or URL of the build (see `modalmix.builders.core.storage`).
        report: report of the build.

    Returns:
        The text of the card.

    Raises:
        modalmix.cards.front.CardError: the existing card cannot be read.
        OSError: a shard cannot be read, or the card cannot be written.
    """
    out = at(folder)
    counted = statistics(folder, report)
    plots.write(out, counted)
    text = render(
        out.name,
        report,
        existing=_existing(folder),
        statistics=counted,
        plots=plots.MEANINGS,
    )
    out.write(FILE, text.encode())
    return text


def for_hub(
    folder: str, report: Report, repository: str, part: str | None, existing: str | None, *, explicit: bool = False
) -> str:
    """The card of a built folder for a repository.

    Args:
        folder: folder of the build.
        report: report of the build.
        repository: ``namespace/name``.
        part: name of the build, if the repository has several.
        existing: card of the repository.
        explicit: list each shard in the YAML; see `modalmix.cards.front.made`.

    Returns:
        The card.  Other parts and the text of people in the card of the repository stay.  If it has no such text, that of the
        local card is added.

    Raises:
        modalmix.cards.front.CardError: `existing` cannot be read, or has a config of the same name for other files.
    """
    local = _existing(folder)
    counted = statistics(folder, report)
    text = render(
        part or repository.partition("/")[2],
        report,
        existing=_basis(local, existing, part),
        here=repository,
        part=part,
        statistics=counted,
        plots=plots.MEANINGS,
        explicit=explicit,
    )
    own = sections.yours(local or "")
    if own and not sections.yours(text):
        text = sections.with_yours(text, own)
    return text


def is_current(folder: str, report: Report) -> bool:
    """Whether the statistics and plots of a built folder belong to its shards."""
    return statistics_are_current(folder, report) and os.path.isdir(os.path.join(folder, plots.FOLDER))


def _basis(local: str | None, existing: str | None, part: str | None) -> str | None:
    """The card that gets the section: that of the repository, with the keys that a person has set in the local one."""
    if existing is None and part is None:
        return local
    if local is None:
        return existing
    above, rest = sections.split_front(existing or "")
    keys = front.read(above)
    for key, value in front.read(sections.split_front(local)[0]).items():
        if key not in front.OURS:
            keys.setdefault(key, value)
    return front.text(keys) + rest


def _existing(folder: str) -> str | None:
    text = at(folder).read(FILE)
    return None if text is None else text.decode("utf-8", "replace")
