"""Media roots: the folders and archives in which media are searched, in one order, for all media and for one kind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Roots(NamedTuple):
    """The media roots in one order.

    Attributes:
        paths: real paths, each once.
        by_kind: for a kind of media the positions of its roots, from 0.
        general: the positions of those for all other kinds.
    """

    paths: tuple[str, ...]
    by_kind: dict[str, tuple[int, ...]]
    general: tuple[int, ...]

    def of(self, kind: str) -> tuple[int, ...]:
        """The roots of a kind of media."""
        return self.by_kind.get(kind, self.general)


def all_roots(roots: Sequence[str], by_kind: Mapping[str, Sequence[str]] | None = None) -> Roots:
    """Numbers the roots: those for all media first, then those for one kind, which its media go to first."""
    general = dict.fromkeys(os.path.realpath(root) for root in roots)
    own = {
        kind: dict.fromkeys(os.path.realpath(root) for root in some) for kind, some in (by_kind or {}).items() if some
    }
    paths = tuple(dict.fromkeys([*general, *(root for some in own.values() for root in some)]))
    number = {path: i for i, path in enumerate(paths)}
    return Roots(
        paths,
        {kind: tuple(number[root] for root in dict.fromkeys([*some, *general])) for kind, some in own.items()},
        tuple(number[root] for root in general),
    )
