"""Lookup: which rules the paths in some annotation files need, found out before the work begins.

A path that stands under a media root as it is written, by its longest existing suffix, needs no rules.  So the paths of some
records from all over each file are looked up first, and where all are found, nothing is learned, listed or kept.  Else the roots
are indexed, archives among them, and rules are learned from all paths (`modalmix.builders.paths`); they go with the options to
whoever does the work, so that all look up alike.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from ..annotations import Source, plan
from ..core.errors import DataError
from ..core.findings import Finding
from ..media.archives import Archive
from ..paths import Rewriter, learn
from ..paths.root_index import index
from .options import Options
from .rewriters import Rewriters, key_of, roots_of
from .written_paths import paths_in, written_paths

logger = logging.getLogger("modalmix")

_SAMPLED_SLICES = 64
_SAMPLED_PATHS = 40
_SLICE_BYTES = 1 << 20
_COMPRESSED = ("tar.gz", "tar.zst")


def looked_up(options: Options, sources: Sequence[Source]) -> Options:
    """The options with the rules that the annotation files need.

    Args:
        options: as given; with rules of a person nothing is learned.
        sources: all annotation files.

    Raises:
        DataError: a media root does not exist, or the media are where the annotation files are: on the Hub.
        OSError: one cannot be read.
    """
    Rewriters(options)
    if (remote := next((source.url for source in sources if source.url), "")) and not options.media_root:
        raise DataError(
            f"the media of {remote} are on the Hub, too: name the folder they were downloaded to as media root, or stream them "
            "with load_dataset(…, streaming=True)"
        )
    if options.rules is not None:
        every = dict.fromkeys(root for source in sources for root in roots_of(source, options))
        return msgspec.structs.replace(options, media_root=options.media_root or tuple(every))
    learned = {}
    by_kind = {"image": options.image_folder, "video": options.video_folder}
    for roots, some in _by_roots(sources, options).items():
        rewriter = Rewriter(roots, by_kind)
        if not _lost(rewriter, (path for source in some for path in _sampled(source, options))):
            continue
        paths = written_paths(some, options)
        found = learn(paths, roots, by_kind)
        rules = found.rules
        if rules.missing >= _lost(rewriter, paths()):
            continue  # nothing is won by rules; most often the files are simply not there
        learned[key_of(roots)] = rules
        there = rules.total - rules.missing - rules.ambiguous
        logger.warning(
            "paths: %s of %s media are found (%s missing, %s ambiguous), with %d learned rule(s); modalmix paths shows them",
            f"{there:,}", f"{rules.total:,}", f"{rules.missing:,}", f"{rules.ambiguous:,}", len(rules.rules),
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


def archive_findings(options: Options, sources: Sequence[Source], *, missed: bool) -> Iterator[Finding]:
    """What is wrong with the archives that media are looked up in, each with the path of its archive.

    Args:
        options: with the rules that the annotation files need.
        sources: all annotation files.
        missed: some media were not found: archives whose members fit no path are reported, too.
    """
    roots: dict[str, None] = {}
    for some in _by_roots(sources, options):
        ruled = missed or options.rules is not None or key_of(some) in options.learned
        every = (*some, *options.image_folder, *options.video_folder)
        roots |= dict.fromkeys(os.path.realpath(root) for root in every if ruled or os.path.isfile(root))
    messages: set[str] = set()
    for root in roots:
        for one in index(root).findings:
            if one.message not in messages:  # of a root inside of another
                messages.add(one.message)
                yield one


def _by_roots(sources: Iterable[Source], options: Options) -> dict[tuple[str, ...], list[Source]]:
    groups: dict[tuple[str, ...], list[Source]] = {}
    for source in sources:
        groups.setdefault(roots_of(source, options), []).append(source)
    return groups


def _sampled(source: Source, options: Options) -> Iterator[tuple[str, str]]:
    """Kind and path of media from the beginning of each of many slices of a file."""
    size = max(os.path.getsize(source.path) // _SAMPLED_SLICES, _SLICE_BYTES)
    for slice_ in plan(source, slice_bytes=size):
        yield from islice(paths_in(msgspec.structs.replace(slice_, row=0), options), _SAMPLED_PATHS)


def _lost(rewriter: Rewriter, paths: Iterable[tuple[str, str]]) -> int:
    """How many paths the longest existing suffix does not find."""
    return sum(isinstance(rewriter.locate(path, kind, ""), Finding) for kind, path in paths)
