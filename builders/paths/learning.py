"""Learning: from the paths in the annotations and what is here, the rules that turn one into the other.

::

    written   /mnt/omni/data / finevideo_videos/a.mp4        what both end with is the same file's own part;
    here          ola_cross  / finevideo_videos/a.mp4        what stands before it is the rule: /mnt/omni/data → ola_cross

A file is the one that is meant when it has the longest common end with the written path, at least its folder and its name (or
the whole of a short path, or the name alone directly in a root); a second one with an equally long end makes it ambiguous, and
both rules are kept so that it stays so.  An equal name in a folder of another name is no evidence: names such as ``000001.jpg``
are everywhere.  Only names that nobody counts up (``lltmlYR56dI``), several of them, all from one folder and found in one
folder, show that the folder was renamed, or a level dropped or added.

Prefixes are learned from all paths; spellings, which cost more, from a sample of those that were not found.  In the end the
rules are applied to all paths and counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from .root_index import Index, index
from .roots import Roots, all_roots
from .rules import MAX_RULES, SPELLINGS, Rule, Rules
from .spellings import learn_spellings
from .suffix_match import SuffixMatcher
from .verify_rules import verify

Paths = Callable[[], Iterable[tuple[str, str]]]
"""Gives all paths anew each time: the kind of each medium (``image``, ``video``, ``audio``) and the path as written."""


class Learned(NamedTuple):
    """What `learn` found.

    Attributes:
        rules: to be applied, saved and shown.
        watched: every folder and archive under the roots with its modification time in nanoseconds: as long as none
            changes, the same paths give the same rules.
        problems: what was refused in archives.
    """

    rules: Rules
    watched: dict[str, int]
    problems: list[str]


def learn(
    paths: Paths,
    roots: Sequence[str],
    by_kind: Mapping[str, Sequence[str]] | None = None,
    *,
    rules: Rules | None = None,
    cache: str | None = None,
) -> Learned:
    """Learns rules from paths, or verifies given ones on them.

    Args:
        paths: gives all paths; it is called two times.
        roots: media roots, folders or archives.
        by_kind: roots for ``image`` or ``video`` paths alone, before the others.
        rules: rules to verify instead of learning.
        cache: folder for the index; by default in the user's cache.

    Raises:
        OSError: a root cannot be read.
    """
    where = all_roots(roots, by_kind)
    indexes = [index(root, cache) for root in where.paths]
    questions: list[str] = []
    if rules is None:
        found = _learned(paths, where, indexes, questions)
    else:
        found = rules.rules
        questions += [
            f"A rule is for media root {rule.root}, but {len(where.paths)} are given."
            for rule in found
            if rule.root > len(where.paths)
        ]
    verified = verify(paths, where, indexes, found)
    counted = [
        msgspec.structs.replace(rule, paths=verified.counts[i], examples=verified.examples.get(i, []))
        for i, rule in enumerate(found)
    ]
    if rules is None:
        counted = [rule for rule in counted if rule.paths or rule.kind == "prefix"]  # a prefix may be what makes doubt
    result = Rules(
        rules=counted,
        roots=[os.path.basename(root) or "/" for root in where.paths],
        total=verified.total,
        missing=verified.missing,
        ambiguous=verified.ambiguous,
        questions=[*verified.questions, *questions],
        missing_examples=verified.missing_examples,
    )
    watched = {path: time for root_index in indexes for path, time in root_index.watched().items()}
    return Learned(result, watched, [problem for root_index in indexes for problem in root_index.problems])


def _learned(paths: Paths, where: Roots, indexes: Sequence[Index], questions: list[str]) -> list[Rule]:
    matcher = SuffixMatcher(where, indexes)
    for kind, written in paths():
        matcher.add(kind, written)
    matcher.flush()
    spellings = learn_spellings(matcher, questions)
    prefixes = matcher.prefixes(questions)
    if len(prefixes) > MAX_RULES // 2:
        questions.append(
            f"The paths have {len(prefixes):,} different prefixes, too many for rules: only the {MAX_RULES // 2:,} that explain "
            "most are kept, and besides them what lies directly under a root as it is written."
        )
        kept = sorted(sorted(prefixes, key=lambda rule: -rule.paths)[: MAX_RULES // 2], key=prefixes.index)
        prefixes = [*kept, Rule("anywhere")]
    return prefixes + sorted(spellings, key=lambda rule: SPELLINGS.index(rule.kind))
