"""Spellings: what else may explain the paths that were not found, learned from a sample of them.

From what is hardly chance to what needs more evidence: a path written with backslashes, URL quoting or colons that is found
without them; names alone, where they say enough; another case or normal form; another container.  Each is tried only on
what those before it leave.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from .path_parts import COLONS, common_end, extension, fold, same_family, split_path, variants
from .rules import Rule
from .suffix_lookup import Lookup
from .suffix_match import Prefix, SuffixMatcher, is_distinctive
from .tree_backends import Indexed, Place

_TOO_COMMON = 8
_BY_NAME = 3  # paths of one folder that must be found in one folder by their names
_BY_NAME_SHARE = 0.9
_TWICE = 2

Missing = list[tuple[str, str]]


def learn_spellings(matcher: SuffixMatcher, questions: list[str]) -> list[Rule]:
    """The spelling rules that explain paths of the sample; prefixes that follow are added to `matcher`.

    Args:
        matcher: with all paths added.
        questions: what the evidence does not suffice for is added to it.
    """
    rules: list[Rule] = []
    missing = matcher.missing
    if not missing:
        return rules
    missing = _textual(matcher, missing, rules)
    missing = _bare(matcher, missing, rules, questions)
    missing = _by_name(matcher, missing)
    missing = _case(matcher, missing, rules, questions)
    _extensions(matcher, missing, rules, questions)
    return rules


def _respellings(written: str, rules: Sequence[Rule]) -> Iterator[str]:
    """A path, and what it becomes by the spellings found so far."""
    spellings = [(rule.kind, rule.before, rule.to) for rule in rules if rule.kind not in ("case", "unicode")]
    for group in variants(written, spellings):
        yield from group


def _textual(matcher: SuffixMatcher, missing: Missing, rules: list[Rule]) -> Missing:
    """Backslashes, URL quoting and colons."""
    kept: Missing = []
    votes: Counter[tuple[str, str, str]] = Counter()
    kinds = [[("backslash", "", ""), ("url", "", ""), ("colon", "", to)] for to in COLONS]
    for kind, written in missing:
        if not any(char in written for char in "\\%:"):
            kept.append((kind, written))
            continue
        found = False
        for spellings in kinds:
            for group in variants(written, spellings)[1:]:
                found_paths = [path for path in group if _vote_nearest(matcher, kind, path)]
                for path in found_paths:
                    votes.update(
                        spelling
                        for spelling in spellings
                        if path not in [p for g in variants(written, _without(spellings, spelling)) for p in g]
                    )
                if found_paths:
                    found = True
                    break
            if found:
                break
        if not found:
            kept.append((kind, written))
    rules += [Rule(kind, before, to) for kind, before, to in sorted(votes)]  # type: ignore[arg-type]  # kinds of `kinds`
    return kept


def _without(spellings: Sequence[tuple[str, str, str]], spelling: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    return [other for other in spellings if other != spelling]


def _vote_nearest(matcher: SuffixMatcher, kind: str, path: str) -> bool:
    """Whether a path is found as the paths of the first pass are; its prefix then counts."""
    taken = split_path(path)
    if taken is None or ".." in taken:
        return False
    found = matcher.first_level(matcher.levels(taken[:-1], kind), taken[-1])
    if found is None or not found[0].common:
        return False
    for _, _, prefix in found[1]:
        matcher.vote(prefix, path.startswith("/"))
    return True


def _bare(matcher: SuffixMatcher, missing: Missing, rules: Sequence[Rule], questions: list[str]) -> Missing:
    """Names without a folder: their whole path is their name, wherever it is."""
    bare = {
        (kind, written): name
        for kind, written in missing
        for name in _respellings(written.removeprefix("./"), rules)
        if "/" not in name
    }
    if not bare:
        return missing
    named = [index.entries.named(sorted(set(bare.values()))) for index in matcher.indexes]
    taken: set[tuple[str, str]] = set()
    crowded = 0
    for (kind, written), name in bare.items():
        places = [(root, entry) for root in matcher.where.of(kind) for entry in named[root].get(name, ())]
        if len(places) > _TOO_COMMON:
            crowded += 1
            continue
        for root, entry in places:
            folder = matcher.indexes[root].entries.folders[matcher.indexes[root].entries.folder[entry]]
            matcher.vote(((), root, tuple(folder.split("/")) if folder else ()), False)
            taken.add((kind, written))
    if crowded:
        questions.append(f"{crowded:,} path(s) without a folder have names that more than {_TOO_COMMON} files have.")
    return [written for written in missing if written not in taken]


def _by_name(matcher: SuffixMatcher, missing: Missing) -> Missing:
    """Folders that were renamed, or have one level more or less: all their files are in one other folder."""
    folders: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    texts: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for kind, written in missing:
        path = split_path(written)
        if path and ".." not in path and not matcher.is_found(tuple(path[:-1])) and not _names_archive(matcher, path):
            folders[kind, tuple(path[:-1])].append(path[-1])
            texts[kind, tuple(path[:-1])].append(written)
    distinctive = sorted({name for names in folders.values() for name in names if is_distinctive(name)})
    named = [index.entries.named(distinctive) if distinctive else {} for index in matcher.indexes]
    taken: set[tuple[str, str]] = set()
    for (kind, folder), names in folders.items():
        where: Counter[tuple[int, int]] = Counter()
        for name in names:
            places = [Place(root, entry) for root in matcher.where.of(kind) for entry in named[root].get(name, ())]
            if len(places) == 1:
                entries = matcher.indexes[places[0].root].entries
                where[places[0].root, int(entries.folder[places[0].entry])] += 1
        if not where:
            continue
        (root, number), count = where.most_common(1)[0]
        if count < _BY_NAME or count < _BY_NAME_SHARE * len(names):
            continue
        local = tuple((matcher.indexes[root].entries.folders[number] or "").split("/"))
        common = common_end(folder, local)
        prefix = (folder[: len(folder) - common], root, tuple(step for step in local[: len(local) - common] if step))
        if common:
            continue  # found by its end already, or one of too many
        matcher.vote(prefix, texts[kind, folder][0].startswith("/"), count)
        taken.update((kind, written) for written in texts[kind, folder])
    return [path for path in missing if path not in taken]


def _names_archive(matcher: SuffixMatcher, path: Sequence[str]) -> bool:
    """Whether a folder of a path has the name of an archive, so that no other one is meant."""
    return any(True for root_index in matcher.indexes for _ in root_index.archive_folders(path[:-1]))


def _case(matcher: SuffixMatcher, missing: Missing, rules: list[Rule], questions: list[str]) -> Missing:
    """Case and Unicode normal form."""
    kept: Missing = []
    votes: dict[str, list[tuple[str, str, list[Prefix]]]] = {"case": [], "unicode": []}
    for kind, written in missing:
        for path in _respellings(written, rules):
            found = _folded(matcher, kind, path)
            if found:
                spelled = "case" if any(case for case, _ in found) else "unicode"
                votes[spelled].append((kind, written, [prefix for _, prefix in found]))
                break
        else:
            kept.append((kind, written))
    for spelled, needed in (("case", _TWICE), ("unicode", 1)):
        evidence = votes[spelled]
        if len(evidence) >= needed:
            rules.append(Rule(spelled))  # type: ignore[arg-type]  # one of the two
            for _, written, prefixes in evidence:
                for prefix in prefixes:
                    matcher.vote(prefix, written.startswith("/"))
        elif evidence:
            questions.append(
                f"{evidence[0][1]!r} would be found if case did not count; with one such path, no rule was made of it. "
                "Add {kind: case} to the rules, if it is the same file."
            )
    return kept


def _folded(matcher: SuffixMatcher, kind: str, written: str) -> list[tuple[bool, Prefix]]:
    """Where a path is but for case and normal form: whether case is needed, and the prefix."""
    path = split_path(written)
    if path is None or ".." in path:
        return []
    for level in matcher.levels(path[:-1], kind, folded=True):
        found: list[tuple[bool, Prefix]] = []
        names_archive = False
        for root, number, prefix in level.folders:
            if matcher.indexes[root].is_of_archive(number):
                names_archive = True
                continue
            entries = matcher.indexes[root].entries
            for name in matcher.alike(root, number, path[-1]):
                end = (
                    [*(entries.folders[number] or "").split("/"), name][-level.common - 1 :] if level.common else [name]
                )
                mine = path[len(path) - len(end) :]
                case = any(fold(a, False, True) != fold(b, False, True) for a, b in zip(end, mine, strict=True))
                found.append((case, prefix))
        if found:
            return found if level.common or len(path) == 1 else []
        if names_archive:
            return []  # it does not hold the path, and no other one is meant
    return []


def _extensions(matcher: SuffixMatcher, missing: Missing, rules: list[Rule], questions: list[str]) -> None:
    """Another container or codec under a name that is otherwise the same, in a folder that other files lead to."""
    prefixes = [rule for rule in matcher.prefixes([]) if rule.kind == "prefix"]
    lookup = Lookup([*prefixes, *rules], Indexed(matcher.indexes))
    present = _extensions_here(matcher)
    votes: dict[tuple[str, str], list[tuple[str, Prefix | None]]] = defaultdict(list)
    for kind, written in missing:
        before = extension(written.rpartition("/")[2])
        hits: list[tuple[str, Prefix | None]] = []
        for to in present:
            if to != before and same_family(before, to):
                changed = written[: -len(before)] + to
                if lookup.find(changed, matcher.where.of(kind)):
                    hits.append((to, None))
                elif (prefix := _anchored(matcher, kind, changed)) is not None:
                    hits.append((to, prefix))
        for to, prefix in hits:
            votes[before, to].append((written, prefix))
    for (before, to), evidence in sorted(votes.items()):
        if len(evidence) >= _TWICE:
            rules.append(Rule("extension", before, to))
            for written, prefix in evidence:
                if prefix is not None:
                    matcher.vote(prefix, written.startswith("/"))
        else:
            questions.append(
                f"{evidence[0][0]!r} would be found with {to} for {before}; with one such path, no rule was made of it. "
                f"Add {{kind: extension, from: {before}, to: {to}}} to the rules, if it is the same medium."
            )


def _anchored(matcher: SuffixMatcher, kind: str, written: str) -> Prefix | None:
    """The prefix of a path that is found by its end directly under a root, and nowhere else."""
    path = split_path(written)
    if path is None or ".." in path:
        return None
    found = matcher.first_level(matcher.levels(path[:-1], kind), path[-1])
    if found is None or not found[0].common or len(found[1]) != 1:
        return None
    prefix = found[1][0][2]
    return prefix if not prefix[0] or not prefix[2] or is_distinctive(path[-1]) else None


def _extensions_here(matcher: SuffixMatcher) -> list[str]:
    found: set[str] = set()
    for index in matcher.indexes:
        found |= index.entries.extensions()
    return sorted(found)
