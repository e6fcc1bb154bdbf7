"""Spellings: what else may explain the paths that were not found, learned from a sample of them.

From what can hardly be chance to what needs more evidence: a path written with backslashes, URL quoting or colons that is found
without them; names alone, where they say enough; another case or normal form; another container.  Each is looked for only in
what the ones before leave.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from .path_parts import COLONS, extension, fold, same_family, steps, variants
from .rules import Rule
from .suffix_lookup import Lookup
from .suffix_match import Nearest, Prefix, is_distinctive
from .tree_backends import Indexed, Place

_TOO_COMMON = 8
_BY_NAME = 3  # paths of one folder that must be found in one folder by their names
_BY_NAME_SHARE = 0.9
_TWICE = 2

Lost = list[tuple[str, str]]


def learn_spellings(nearest: Nearest, questions: list[str]) -> list[Rule]:
    """The spelling rules that explain paths of the sample; prefixes that follow are added to `suffix_match`.

    Args:
        nearest: with all paths added.
        questions: what the evidence does not suffice for is added to it.
    """
    rules: list[Rule] = []
    lost = nearest.lost
    if not lost:
        return rules
    lost = _textual(nearest, lost, rules)
    lost = _bare(nearest, lost, rules, questions)
    lost = _by_name(nearest, lost)
    lost = _case(nearest, lost, rules, questions)
    _extensions(nearest, lost, rules, questions)
    return rules


def _respellings(written: str, rules: Sequence[Rule]) -> Iterator[str]:
    """A path, and what it becomes by the spellings that are known by now."""
    known = [(rule.kind, rule.before, rule.to) for rule in rules if rule.kind not in ("case", "unicode")]
    for group in variants(written, known):
        yield from group


def _textual(nearest: Nearest, lost: Lost, rules: list[Rule]) -> Lost:
    """Backslashes, URL quoting and colons."""
    kept: Lost = []
    votes: Counter[tuple[str, str, str]] = Counter()
    kinds = [[("backslash", "", ""), ("url", "", ""), ("colon", "", to)] for to in COLONS]
    for kind, written in lost:
        if not any(char in written for char in "\\%:"):
            kept.append((kind, written))
            continue
        found = False
        for spellings in kinds:
            for group in variants(written, spellings)[1:]:
                there = [path for path in group if _vote_nearest(nearest, kind, path)]
                for path in there:
                    votes.update(
                        one
                        for one in spellings
                        if path not in [p for g in variants(written, _without(spellings, one)) for p in g]
                    )
                if there:
                    found = True
                    break
            if found:
                break
        if not found:
            kept.append((kind, written))
    rules += [Rule(kind, before, to) for kind, before, to in sorted(votes)]  # type: ignore[arg-type]  # kinds of `kinds`
    return kept


def _without(spellings: Sequence[tuple[str, str, str]], one: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    return [other for other in spellings if other != one]


def _vote_nearest(nearest: Nearest, kind: str, path: str) -> bool:
    """Whether a path is found as the paths of the first pass are; its prefix then counts."""
    taken = steps(path)
    if taken is None or ".." in taken:
        return False
    found = nearest.where_is(nearest.near(taken[:-1], kind), taken[-1])
    if found is None or not found[0].common:
        return False
    for _, _, prefix in found[1]:
        nearest.vote(prefix, path.startswith("/"))
    return True


def _bare(nearest: Nearest, lost: Lost, rules: Sequence[Rule], questions: list[str]) -> Lost:
    """Names without a folder: their whole path is their name, wherever it is."""
    bare = {
        (kind, one): name
        for kind, one in lost
        for name in _respellings(one.removeprefix("./"), rules)
        if "/" not in name
    }
    if not bare:
        return lost
    named = [index.entries.named(sorted(set(bare.values()))) for index in nearest.indexes]
    taken: set[tuple[str, str]] = set()
    crowded = 0
    for (kind, written), name in bare.items():
        places = [(root, entry) for root in nearest.where.of(kind) for entry in named[root].get(name, ())]
        if len(places) > _TOO_COMMON:
            crowded += 1
            continue
        for root, entry in places:
            folder = nearest.indexes[root].entries.folders[nearest.indexes[root].entries.folder[entry]]
            nearest.vote(((), root, tuple(folder.split("/")) if folder else ()), False)
            taken.add((kind, written))
    if crowded:
        questions.append(f"{crowded:,} path(s) without a folder have names that more than {_TOO_COMMON} files have.")
    return [one for one in lost if one not in taken]


def _by_name(nearest: Nearest, lost: Lost) -> Lost:
    """Folders that were renamed, or have one level more or less: all their files are in one other folder."""
    folders: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    texts: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for kind, written in lost:
        path = steps(written)
        if path and ".." not in path and not nearest.is_found(tuple(path[:-1])):
            folders[kind, tuple(path[:-1])].append(path[-1])
            texts[kind, tuple(path[:-1])].append(written)
    wanted = sorted({name for names in folders.values() for name in names if is_distinctive(name)})
    named = [index.entries.named(wanted) if wanted else {} for index in nearest.indexes]
    taken: set[tuple[str, str]] = set()
    for (kind, folder), names in folders.items():
        where: Counter[tuple[int, int]] = Counter()
        for name in names:
            places = [Place(root, entry) for root in nearest.where.of(kind) for entry in named[root].get(name, ())]
            if len(places) == 1:
                entries = nearest.indexes[places[0].root].entries
                where[places[0].root, int(entries.folder[places[0].entry])] += 1
        if not where:
            continue
        (root, number), count = where.most_common(1)[0]
        if count < _BY_NAME or count < _BY_NAME_SHARE * len(names):
            continue
        local = tuple((nearest.indexes[root].entries.folders[number] or "").split("/"))
        common = _common_end(folder, local)
        prefix = (folder[: len(folder) - common], root, tuple(step for step in local[: len(local) - common] if step))
        if common:
            continue  # found by its end already, or one of too many
        nearest.vote(prefix, texts[kind, folder][0].startswith("/"), count)
        taken.update((kind, written) for written in texts[kind, folder])
    return [one for one in lost if one not in taken]


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def _case(nearest: Nearest, lost: Lost, rules: list[Rule], questions: list[str]) -> Lost:
    """Case and Unicode normal form."""
    kept: Lost = []
    votes: dict[str, list[tuple[str, str, list[Prefix]]]] = {"case": [], "unicode": []}
    for kind, written in lost:
        for path in _respellings(written, rules):
            found = _folded(nearest, kind, path)
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
                    nearest.vote(prefix, written.startswith("/"))
        elif evidence:
            questions.append(
                f"{evidence[0][1]!r} would be found if case did not count; with one such path, no rule was made of it. "
                "Add {kind: case} to the rules, if it is the same file."
            )
    return kept


def _folded(nearest: Nearest, kind: str, written: str) -> list[tuple[bool, Prefix]]:
    """Where a path is but for case and normal form: whether case is needed, and the prefix."""
    path = steps(written)
    if path is None or ".." in path:
        return []
    for level in nearest.near(path[:-1], kind, folded=True):
        found: list[tuple[bool, Prefix]] = []
        for root, number, prefix in level.folders:
            entries = nearest.indexes[root].entries
            for name in nearest.alike(root, number, path[-1]):
                end = (
                    [*(entries.folders[number] or "").split("/"), name][-level.common - 1 :] if level.common else [name]
                )
                mine = path[len(path) - len(end) :]
                case = any(fold(a, False, True) != fold(b, False, True) for a, b in zip(end, mine, strict=True))
                found.append((case, prefix))
        if found:
            return found if level.common or len(path) == 1 else []
    return []


def _extensions(nearest: Nearest, lost: Lost, rules: list[Rule], questions: list[str]) -> None:
    """Another container or codec under a name that is otherwise the same, in a folder that is known from other files."""
    prefixes = [rule for rule in nearest.prefixes([]) if rule.kind == "prefix"]
    lookup = Lookup([*prefixes, *rules], Indexed(nearest.indexes))
    present = _extensions_here(nearest)
    votes: dict[tuple[str, str], list[tuple[str, Prefix | None]]] = defaultdict(list)
    for kind, written in lost:
        before = extension(written.rpartition("/")[2])
        hits: list[tuple[str, Prefix | None]] = []
        for to in present:
            if to != before and same_family(before, to):
                changed = written[: -len(before)] + to
                if lookup.find(changed, nearest.where.of(kind)):
                    hits.append((to, None))
                elif (prefix := _anchored(nearest, kind, changed)) is not None:
                    hits.append((to, prefix))
        for to, prefix in hits:
            votes[before, to].append((written, prefix))
    for (before, to), evidence in sorted(votes.items()):
        if len(evidence) >= _TWICE:
            rules.append(Rule("extension", before, to))
            for written, prefix in evidence:
                if prefix is not None:
                    nearest.vote(prefix, written.startswith("/"))
        else:
            questions.append(
                f"{evidence[0][0]!r} would be found with {to} for {before}; with one such path, no rule was made of it. "
                f"Add {{kind: extension, from: {before}, to: {to}}} to the rules, if it is the same medium."
            )


def _anchored(nearest: Nearest, kind: str, written: str) -> Prefix | None:
    """The prefix of a path that is found by its end directly under a root, and nowhere else."""
    path = steps(written)
    if path is None or ".." in path:
        return None
    found = nearest.where_is(nearest.near(path[:-1], kind), path[-1])
    if found is None or not found[0].common or len(found[1]) != 1:
        return None
    prefix = found[1][0][2]
    return prefix if not prefix[0] or not prefix[2] or is_distinctive(path[-1]) else None


def _extensions_here(nearest: Nearest) -> list[str]:
    found: set[str] = set()
    for index in nearest.indexes:
        found |= index.entries.extensions()
    return sorted(found)
