"""Suffix match: which files have the longest common end with the written paths, and the prefixes that follow from them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

from .path_parts import common_end, fold, split_path
from .path_table import ON_DISK
from .root_index import Index
from .roots import Roots
from .rules import Rule
from .tree_backends import Place

_AT_ONCE = 32_768
_CROWD = 64
"""Folders of one name in one level: nothing decides between more, and searching each takes too long."""
SAMPLE = 20_000
"""Paths that were not found and that spellings are tried on."""
_CACHED_FOLDERS = 200_000
_CACHED_LISTS = 256

Prefix = tuple[tuple[str, ...], int, tuple[str, ...]]
"""Leading parts of written paths, the position of a root, and the local folder under it in their place."""


class Level(NamedTuple):
    """One level of folders: the number of parts in common with the written one, and root, number and prefix of each."""

    common: int
    folders: list[tuple[int, int, Prefix]]


class _Plan(NamedTuple):
    number: int  # of the plan
    path: tuple[str, ...]
    absolute: bool
    levels: list[Level]
    root: int  # of the only folder of the first level; -1 where there are several or none
    folder: int


class SuffixMatcher:
    """Collects the evidence of all paths.

    Attributes:
        where: the media roots.
        indexes: one per root.
        votes: paths found under each prefix.
        missing: a sample of the paths that were not found, those with the smallest hashes, so that the order does not matter.
    """

    def __init__(self, where: Roots, indexes: Sequence[Index]) -> None:
        """No paths yet."""
        self.where = where
        self.indexes = indexes
        self.votes: dict[Prefix, int] = defaultdict(int)
        self._prefixes_of_folder: dict[tuple[int, int], set[Prefix]] = defaultdict(set)
        self._absolute: set[tuple[str, ...]] = set()
        self._flat: dict[Prefix, int] = defaultdict(int)
        self._deeper: set[tuple[str, ...]] = set()
        self._missing: dict[tuple[str, str], int] = {}
        self._highest = 1 << 32
        self._planned = 0
        self._alike: dict[tuple[int, int], dict[str, list[str]]] = {}
        self._plans: dict[tuple[str, str], _Plan | None] = {}
        self._pending: list[list[tuple[_Plan, str, str, str]]] = [[] for _ in indexes]

    def add(self, kind: str, written: str) -> None:
        """Adds a path."""
        folder, _, name = written.rpartition("/")
        key = (kind, folder)
        plan = self._plans.get(key)
        if plan is None or name in ("", ".", ".."):
            path = split_path(written)
            if path is None or ".." in path:
                return
            name = path[-1]
            plan = self._plan(tuple(path[:-1]), kind, written.startswith("/"))
            if written.endswith(f"/{name}") or written == name:
                if len(self._plans) >= _CACHED_FOLDERS:
                    self._plans.clear()
                self._plans[key] = plan
        if plan.root < 0:
            self._add_one(plan, kind, written, name)
            return
        pending = self._pending[plan.root]
        pending.append((plan, name, kind, written))
        if len(pending) >= _AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Counts the evidence of all paths that were added."""
        for root, pending in enumerate(self._pending):
            if not pending:
                continue
            plans, names, kinds, texts = zip(*pending, strict=True)
            pending.clear()
            folders = np.fromiter((plan.folder for plan in plans), np.int64, len(plans))
            found = self.indexes[root].entries.find_many(
                folders, [name.encode("utf-8", "surrogatepass") for name in names]
            )
            sure = found >= 0
            numbers = np.fromiter((plan.number for plan in plans), np.int64, len(plans))
            _, first, counts = np.unique(numbers[sure], return_index=True, return_counts=True)
            at = np.flatnonzero(sure)[first]
            for i, count in zip(at.tolist(), counts.tolist(), strict=True):
                self._vote(plans[i], plans[i].levels[0], [plans[i].levels[0].folders[0]], count)
            for i in np.flatnonzero(~sure).tolist():
                self._add_one(plans[i], kinds[i], texts[i], names[i])

    def levels(self, path: Sequence[str], kind: str, folded: bool = False) -> list[Level]:
        """The local folders whose ends a written folder shares, the longest common end first."""
        by_common: dict[int, list[tuple[int, int, Prefix]]] = {}
        crowded = 0
        for root in self.where.of(kind):
            entries = self.indexes[root].entries
            for common, numbers in entries.ending(path, _CROWD, folded):
                if numbers is None:
                    crowded = max(crowded, common)
                    continue
                for number in numbers:
                    local = (entries.folders[number] or "").split("/") if entries.folders[number] else []
                    prefix = (tuple(path[: len(path) - common]), root, tuple(local[: len(local) - common]))
                    level = common + 1 if common == len(path) == len(local) else common  # as written goes before all
                    by_common.setdefault(level, []).append((root, number, prefix))
            for local, number in self.indexes[root].archive_folders(path):
                common = common_end(path, local)
                prefix = (tuple(path[: len(path) - common]), root, tuple(local[: len(local) - common]))
                level = common + 1 if common == len(path) == len(local) else common
                by_common.setdefault(level, []).append((root, number, prefix))
        return [Level(common, by_common[common]) for common in sorted(by_common, reverse=True) if common > crowded]

    def first_level(
        self, levels: Sequence[Level], name: str
    ) -> tuple[Level, list[tuple[int, int, Prefix]], list[Place]] | None:
        """The first level with that name, the folders in it that have it, and the places.

        Where the path names an archive that does not hold it, the members of others are not meant.
        """
        named = False
        for level in levels:
            folders, places = [], []
            for root, number, prefix in level.folders:
                entries = self.indexes[root].find(number, name)
                if named:
                    entries = [i for i in entries if self.indexes[root].entries.member[i] == ON_DISK]
                if entries:
                    folders.append((root, number, prefix))
                    places += [Place(root, entry) for entry in entries]
            if folders:
                return level, folders, places
            named = named or any(self.indexes[root].is_of_archive(number) for root, number, _ in level.folders)
        return None

    def alike(self, root: int, folder: int, name: str) -> list[str]:
        """The names in a folder that equal one but for case and normal form."""
        names = self._alike.get((root, folder))
        if names is None:
            if len(self._alike) >= _CACHED_LISTS:
                self._alike.clear()
            names = self._alike[root, folder] = {}
            entries = self.indexes[root].entries
            for other in sorted({entries.name(entry) for entry in self.indexes[root].inside(folder)}):
                names.setdefault(fold(other, True, True), []).append(other)
        return names.get(fold(name, True, True), [])

    def vote(self, prefix: Prefix, absolute: bool, count: int = 1) -> None:
        """Counts evidence for a prefix from elsewhere."""
        self.votes[prefix] += count
        if absolute:
            self._absolute.add(prefix[0])

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Kind and path of the sample of what was not found."""
        return sorted(self._missing, key=lambda path: (self._missing[path], path))[:SAMPLE]

    def is_found(self, folder: tuple[str, ...]) -> bool:
        """Whether other files of a written folder were found by longer ends than their names."""
        return folder in self._deeper

    def prefixes(self, questions: list[str]) -> list[Rule]:
        """The prefix rules, those with the shortest `from` first; what contradicts them becomes a question."""
        rules: list[Rule] = []
        for prefix, count in self._flat.items():
            if prefix[0] not in self._deeper:
                self.votes[prefix] += count
        refused = self._contradicted()
        for prefix in sorted(self.votes, key=lambda prefix: (len(prefix[0]), prefix)):
            before, root, to = prefix
            if not before and not to:
                continue  # as written: no rule is needed
            slash = "/" if before in self._absolute else ""
            rule = Rule("prefix", slash + "/".join(before), "/".join(to), root + 1, self.votes[prefix])
            if prefix in refused:
                questions.append(
                    f"{self.votes[prefix]:,} path(s) under {rule.before!r} also end like files in {rule.to!r} of media root "
                    f"{rule.root}, which belong to {'/'.join(refused[prefix])!r}; they were not taken. If they are the same, "
                    f"add the rule {{kind: prefix, from: {rule.before}, to: {rule.to}, root: {rule.root}}}."
                )
            else:
                rules.append(rule)
        return rules

    def _contradicted(self) -> dict[Prefix, tuple[str, ...]]:
        """Prefixes whose local folder is taken by a sibling: /x/VG says that /x is here, so VG is not also /x/COCO."""
        refused: dict[Prefix, tuple[str, ...]] = {}
        for prefixes in self._prefixes_of_folder.values():
            if len(prefixes) < 2:
                continue
            for prefix in prefixes:
                for other in prefixes:
                    before, root, to = other
                    if (
                        root == prefix[1]
                        and prefix[0][: len(before)] == before
                        and prefix[2][: len(to)] == to
                        and prefix != other
                    ):
                        meant = (*before, *prefix[2][len(to) :])
                        if meant != prefix[0] and len(meant) > len(before):
                            refused[prefix] = meant
        return refused

    def _plan(self, path: tuple[str, ...], kind: str, absolute: bool) -> _Plan:
        self._planned += 1
        levels = self.levels(path, kind)
        alone = bool(levels) and len(levels[0].folders) == 1 and (levels[0].common > 0 or not path)
        root, folder, _ = levels[0].folders[0] if alone else (-1, -1, None)
        if folder < 0:  # of an archive's name: not for many at once
            root = -1
        return _Plan(self._planned, path, absolute, levels, root, folder)

    def _add_one(self, plan: _Plan, kind: str, written: str, name: str) -> None:
        found = self.first_level(plan.levels, name)
        if found is None:
            self._add_missing(kind, written)
        else:
            self._vote(plan, found[0], found[1], 1)

    def _vote(self, plan: _Plan, level: Level, folders: Sequence[tuple[int, int, Prefix]], count: int) -> None:
        flat = level.common == 0 and bool(plan.path)
        for root, number, prefix in folders:
            if plan.absolute:
                self._absolute.add(prefix[0])
            if flat:
                self._flat[prefix] += count
                continue
            self.votes[prefix] += count
            self._prefixes_of_folder[root, number].add(prefix)
            self._deeper.add(plan.path)

    def _add_missing(self, kind: str, written: str) -> None:
        hashed = crc32(written.encode("utf-8", "surrogatepass"))
        if hashed > self._highest:
            return
        self._missing[kind, written] = hashed
        if len(self._missing) > 2 * SAMPLE:
            kept = self.missing
            self._highest = self._missing[kept[-1]]
            self._missing = {path: self._missing[path] for path in kept}


_MIXED = re.compile(r"[A-Za-z][0-9]+[A-Za-z]|[0-9][A-Za-z]+[0-9]")


def is_distinctive(name: str) -> bool:
    """Whether two files do not have a name by chance: an id such as ``lltmlYR56dI``, no counter and no word."""
    stem = name.rpartition(".")[0] or name
    return len(stem) >= 8 and len(set(stem)) >= 6 and _MIXED.search(stem) is not None
