"""Writing: the card of a built folder, with the statistics and plots that need its shards."""

from __future__ import annotations

import os

from ..builders.core.report import Report
from ..builders.core.storage import at
from . import front, plots, sections
from .rendering import render
from .statistics import is_of, statistics

FILE = "README.md"


def write(folder: str, report: Report) -> str:
    """Writes ``README.md``, ``statistics.json`` and ``plots/`` of a build; a person's text in the card stays.

    Args:
        folder: where it is, also as a URL (see `modalmix.builders.core.storage`).
        report: of the build.

    Returns:
        The text of the card.

    Raises:
        modalmix.cards.front.CardError: the card that is there cannot be read.
        OSError: a shard cannot be read, or the card not be written.
    """
    out = at(folder)
    counted = statistics(folder, report)
    plots.write(out, counted)
    text = render(
        out.name,
        report,
        existing=_there(folder),
        statistics=counted,
        plots=plots.MEANINGS,
    )
    out.write(FILE, text.encode())
    return text


def for_hub(
    folder: str, report: Report, repository: str, part: str | None, there: str | None, *, explicit: bool = False
) -> str:
    """The card of a built folder as it goes into a repository.

    Args:
        folder: of the build.
        report: of the build.
        repository: ``namespace/name``.
        part: name of the build among several in that repository.
        there: the repository's card.
        explicit: name each shard in the YAML; see `modalmix.cards.front.made`.

    Returns:
        The card: what the repository's says of other parts, and what people wrote into it, stays; where nobody wrote
        anything, a person's text in the local card comes in.

    Raises:
        modalmix.cards.front.CardError: `there` cannot be read, or has a config of that name from something else.
    """
    local = _there(folder)
    counted = statistics(folder, report)
    text = render(
        part or repository.partition("/")[2],
        report,
        existing=_basis(local, there, part),
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
    """Whether statistics and plots of a built folder are those of its shards."""
    return is_of(folder, report) and os.path.isdir(os.path.join(folder, plots.FOLDER))


def _basis(local: str | None, there: str | None, part: str | None) -> str | None:
    """The card to put a build's section into: the repository's, with the keys that a person has set in the local one besides."""
    if there is None and part is None:
        return local
    if local is None:
        return there
    above, rest = sections.split_front(there or "")
    keys = front.read(above)
    for key, value in front.read(sections.split_front(local)[0]).items():
        if key not in front.OURS:
            keys.setdefault(key, value)
    return front.text(keys) + rest


def _there(folder: str) -> str | None:
    text = at(folder).read(FILE)
    return None if text is None else text.decode("utf-8", "replace")
