"""Lookup: which rules the paths in some annotation files need, found out before the work begins.

A path that stands under a media root as it is written, by its longest existing suffix, needs no rules, and where all do, nothing
is learned, listed or kept.  Where some do not, the media roots are indexed, archives among them, and rules are learned from all
paths (`modalmix.builders.paths`); they go with the options to whoever does the work, so that all look up alike.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from .annotations import Source
from .findings import Finding
from .media.archives import Archive
from .paths import Rewriter, learn
from .paths.index import index
from .paths.written import written_paths
from .rows import Options, Rewriters, key_of, roots_of

logger = logging.getLogger("modalmix")

_SAMPLED_PATHS = 2_000
_COMPRESSED = ("tar.gz", "tar.zst")


def looked_up(options: Options, sources: Sequence[Source], *, thorough: bool = True) -> Options:
    """The options with the rules that the annotation files need.

    Args:
        options: as given; with rules of a person nothing is learned.
        sources: all annotation files.
        thorough: look at all paths before saying that no rules are needed, and not at the first of each file alone.

    Raises:
        DataError: a media root does not exist.
        OSError: one cannot be read.
    """
    Rewriters(options)
    if options.rules is not None:
        every = dict.fromkeys(root for source in sources for root in roots_of(source, options))
        return msgspec.structs.replace(options, media_root=options.media_root or tuple(every))
    learned = {}
    by_kind = {"image": options.image_folder, "video": options.video_folder}
    for roots, some in _by_roots(sources, options).items():
        lost = _not_found(Rewriter(roots, by_kind), some, options, None if thorough else _SAMPLED_PATHS)
        if not lost:
            continue
        found = learn(written_paths(some, options), roots, by_kind)
        rules = found.rules
        still = rules.missing + rules.ambiguous
        if thorough and still >= lost:
            continue  # nothing is won by rules; most often the files are simply not there
        learned[key_of(roots)] = rules
        logger.warning(
            "paths: %s of %s media are found (%s missing, %s ambiguous), with %d learned rule(s); modalmix paths shows them",
            f"{rules.total - still:,}", f"{rules.total:,}", f"{rules.missing:,}", f"{rules.ambiguous:,}", len(rules.rules),
        )  # fmt: skip
        for problem in found.problems:
            logger.warning("paths: %s", problem)
    return msgspec.structs.replace(options, learned=learned)


def compressed_archives(options: Options, sources: Sequence[Source]) -> list[Archive]:
    """The archives in which media lie that cannot be read at any place without reading what is before it, in order."""
    found: dict[Archive, None] = {}
    ruled = options.rules is not None
    for roots in _by_roots(sources, options):
        for root in (*roots, *options.image_folder, *options.video_folder):
            if ruled or key_of(roots) in options.learned or os.path.isfile(root):
                found.update(dict.fromkeys(one for one in index(root).archives if one.kind in _COMPRESSED))
    return sorted(found, key=lambda archive: archive.paths)


def _by_roots(sources: Iterable[Source], options: Options) -> dict[tuple[str, ...], list[Source]]:
    groups: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        groups.setdefault(roots_of(source, options), []).append(source)
    return groups


def _not_found(rewriter: Rewriter, sources: Sequence[Source], options: Options, most: int | None) -> int:
    """How many paths of all records, or of the first of each file, the longest existing suffix does not find."""
    return sum(
        isinstance(rewriter.locate(path, kind, ""), Finding)
        for source in sources
        for kind, path in islice(written_paths([source], options)(), most)
    )
