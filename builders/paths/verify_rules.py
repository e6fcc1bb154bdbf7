"""Verification: applies rules to all paths, and counts what is found, missing and ambiguous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np

from .path_parts import split_path
from .root_index import Index
from .roots import Roots
from .rules import AS_WRITTEN, Rule
from .suffix_lookup import Hit, Lookup
from .tree_backends import Indexed, Place

_AT_ONCE = 32_768
_EXAMPLES = 3
_MISSING = 10
_PAIRS = 20
_CACHED_FOLDERS = 200_000

Plan = tuple[int, int, int]
"""Of a written folder of which one local folder is the best: its root and number, and the position of the rule."""


class Verified(msgspec.Struct):
    """What the rules find: ``total == found + missing + ambiguous``.

    Attributes:
        counts: paths found by rule (its position, `rules.AS_WRITTEN`); one that a spelling was needed for counts for both.
        examples: of each rule some paths as written and as found.
        questions: where two rules find a path in different places, in words.
    """

    total: int = 0
    found: int = 0
    missing: int = 0
    ambiguous: int = 0
    counts: Counter[int] = msgspec.field(default_factory=Counter)
    examples: dict[int, list[tuple[str, str]]] = {}
    questions: list[str] = []
    missing_examples: list[str] = []


def verify(
    paths: Callable[[], Iterable[tuple[str, str]]], where: Roots, indexes: Sequence[Index], rules: Sequence[Rule]
) -> Verified:
    """Applies rules to all paths, against the indexes.

    Args:
        paths: gives kind and path.
        where: the media roots.
        indexes: one per root.
        rules: see `rules`.
    """
    verified = Verified()
    lookup = Lookup(rules, Indexed(indexes))
    pairs: Counter[tuple[int, ...]] = Counter()
    samples: dict[tuple[int, ...], tuple[str, list[str]]] = {}
    plans: dict[tuple[str, str], Plan | None] = {}
    pending: list[list[tuple[Plan, str, str, str]]] = [[] for _ in indexes]

    def slowly(kind: str, written: str) -> None:
        hits = lookup.find(written, where.of(kind))
        verified.total += 1
        if len(hits) == 1:
            verified.found += 1
            for rule in lookup.rules_of(written, hits[0]):
                verified.counts[rule] += 1
                _note(verified, rule, written, hits[0].place, indexes)
        elif not hits:
            verified.missing += 1
            if len(verified.missing_examples) < _MISSING and written not in verified.missing_examples:
                verified.missing_examples.append(written)
        else:
            verified.ambiguous += 1
            _doubt(pairs, samples, hits, written, indexes)

    def flush(root: int) -> None:
        if not pending[root]:
            return
        chosen, names, kinds, texts = zip(*pending[root], strict=True)
        pending[root].clear()
        folders = np.fromiter((plan[1] for plan in chosen), np.int64, len(chosen))
        found = indexes[root].entries.find_many(folders, [name.encode("utf-8", "surrogatepass") for name in names])
        sure = found >= 0
        of = np.fromiter((plan[2] for plan in chosen), np.int64, len(chosen))
        met, first, counts = np.unique(of[sure], return_index=True, return_counts=True)
        for rule, i, count in zip(met.tolist(), np.flatnonzero(sure)[first].tolist(), counts.tolist(), strict=True):
            verified.counts[rule] += count
            verified.total += count
            verified.found += count
            _note(verified, rule, texts[i], Place(root, int(found[i])), indexes)
        for i in np.flatnonzero(~sure).tolist():
            slowly(kinds[i], texts[i])

    for kind, written in paths():
        folder, _, name = written.rpartition("/")
        key = (kind, folder)
        try:
            plan = plans[key]
        except KeyError:
            if len(plans) >= _CACHED_FOLDERS:
                plans.clear()
            plan = plans[key] = _plan(lookup, where.of(kind), written)
        if plan is None or name in ("", ".", ".."):
            slowly(kind, written)
            continue
        pending[plan[0]].append((plan, name, kind, written))
        if len(pending[plan[0]]) >= _AT_ONCE:
            flush(plan[0])
    for root in range(len(indexes)):
        flush(root)
    for rules_, count in pairs.most_common(_PAIRS):
        written, places = samples[rules_]
        verified.questions.append(
            f"{count:,} path(s) fit several files equally well, such as {written!r}: {' and '.join(places[:4])}. Which "
            "is meant? Pass only its folder as media root, or take the other rule out of the saved rules."
        )
    verified.missing_examples.sort()
    return verified


def _plan(lookup: Lookup[tuple[int, int], Place], roots: tuple[int, ...], written: str) -> Plan | None:
    path = split_path(written)
    if path is None or ".." in path:
        return None
    levels = lookup.levels(path[:-1], roots)
    if not levels or len(levels[0]) != 1:
        return None
    rule, (root, number) = levels[0][0]
    return root, number, rule


def _note(verified: Verified, rule: int, written: str, place: Place, indexes: Sequence[Index]) -> None:
    if rule == AS_WRITTEN:
        return
    examples = verified.examples.setdefault(rule, [])
    if len(examples) < _EXAMPLES and all(before != written for before, _ in examples):
        examples.append((written, indexes[place.root].entries.path(place.entry)))


def _doubt(
    pairs: Counter[tuple[int, ...]],
    samples: dict[tuple[int, ...], tuple[str, list[str]]],
    hits: Sequence[Hit[Place]],
    written: str,
    indexes: Sequence[Index],
) -> None:
    rules = tuple(sorted({hit.rule for hit in hits}))
    pairs[rules] += 1
    if (rules not in samples and len(samples) < 1000) or (rules in samples and written < samples[rules][0]):
        samples[rules] = (
            written,
            sorted(
                f"{indexes[hit.place.root].display_path(hit.place.entry)!r} of media root {hit.place.root + 1}"
                for hit in hits
            ),
        )
