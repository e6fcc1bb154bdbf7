"""Lookup: the one algorithm by which a written path becomes a place, over a disk or over an index alike.

::

    written ─► levels of local folders, by the prefix rules ─► the first level in which the name is
                                                             none? ─► the same for the path's other spellings
    one place: found · several places in one level: ambiguous · none: missing

A `Tree` is what it searches.  The outcome depends on the path, the rules and what is there, and on nothing else: not on the
paths that came before, so that every process that reads a part of the data says the same of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from .path_parts import fold, split_path, variants
from .rules import Prefixes, Rule

Folder = TypeVar("Folder")
Place = TypeVar("Place", bound=Hashable)

_CACHED_FOLDERS = 100_000
_CACHED_LISTS = 256
_MAX_ALIKE = 64


class Tree(Protocol[Folder, Place]):
    """What a lookup searches."""

    def folder(self, root: int, path: Sequence[str]) -> Folder | None:
        """The folder of that path under a root; None where there is none, or it leads out."""

    def find(self, folder: Folder, name: str) -> Sequence[Place]:
        """What has that name in a folder: one place, none, or several side by side in archives."""

    def names(self, folder: Folder) -> Iterable[str]:
        """The names in a folder."""

    def same(self, places: Sequence[Place]) -> bool:
        """Whether several places hold the same bytes, so that it does not matter which is taken."""


class Hit(msgspec.Struct, Generic[Place], frozen=True):
    """A place where a path was found.

    Attributes:
        rule: position of the prefix rule that led there; `rules.AS_WRITTEN`.
        place: what the tree gave.
        spelling: the variant of the path that was found; None for the path as it is.
        folded: case and normal form did not count.
    """

    rule: int
    place: Place
    spelling: str | None = None
    folded: bool = False


class Lookup(Generic[Folder, Place]):
    """Finds written paths in a tree."""

    def __init__(self, rules: Sequence[Rule], tree: Tree[Folder, Place], flat: bool = False) -> None:
        """The rules, and what to search; for `flat` see `rules.Prefixes`."""
        self.tree = tree
        self._prefixes = Prefixes(rules, flat)
        textual = [i for i, rule in enumerate(rules) if rule.kind in ("backslash", "url", "colon", "extension")]
        self._textual = [(i, (rules[i].kind, rules[i].before, rules[i].to)) for i in textual]
        self._folded = [i for i, rule in enumerate(rules) if rule.kind in ("case", "unicode")]
        self._fold = tuple(any(rule.kind == kind for rule in rules) for kind in ("case", "unicode"))
        self._levels: dict[tuple[str, tuple[int, ...]], list[list[tuple[int, Folder]]]] = {}
        self._alike: dict[Folder, dict[str, list[str]]] = {}

    def find(self, written: str, roots: tuple[int, ...]) -> list[Hit[Place]]:
        """Where a path is: one hit, none, or several between which nothing decides.

        Args:
            written: the path; one that is none, or leads above its own start, is nowhere.
            roots: positions of the roots to look under, from 0.
        """
        hits = self.exactly(written, roots) or self._respelled(written, roots)
        if len(hits) > 1 and self.tree.same([hit.place for hit in hits]):
            return hits[:1]
        return hits

    def _respelled(self, written: str, roots: tuple[int, ...]) -> list[Hit[Place]]:
        if not self._textual and not self._folded:
            return []
        groups = variants(written, [spelling for _, spelling in self._textual])
        for find, some in ((self.exactly, groups[1:]), (self._folded_hits, groups if self._folded else [])):
            for group in some:
                found = {
                    hit.place: msgspec.structs.replace(hit, spelling=path)
                    for path in group
                    for hit in find(path, roots)
                }
                if found:
                    return list(found.values())
        return []

    def exactly(self, written: str, roots: tuple[int, ...]) -> list[Hit[Place]]:
        """As `find`, with the path spelled as it is."""
        folder, _, name = written.rpartition("/")
        levels = self._levels.get((folder, roots))
        if levels is None or name in ("", ".", "..") or "\0" in name:
            path = split_path(written)
            if path is None or ".." in path:
                return []
            levels, name = self.levels(path[:-1], roots), path[-1]
            if written.endswith(f"/{name}") or written == name:
                if len(self._levels) >= _CACHED_FOLDERS:
                    self._levels.clear()
                self._levels[folder, roots] = levels
        for level in levels:
            hits = [Hit(rule, place) for rule, here in level for place in self.tree.find(here, name)]
            if len(hits) > 1:
                hits = list({hit.place: hit for hit in hits}.values())
            if hits:
                return hits
        return []

    def first_level(self, written: str, roots: tuple[int, ...]) -> list[Folder]:
        """The folders in which the names of a path's folder are searched first; none where its own is no plain name."""
        path = split_path(written)
        if path is None or ".." in path or path[-1] != written.rpartition("/")[2]:
            return []
        levels = self.levels(path[:-1], roots)
        return [folder for _, folder in levels[0]] if levels else []

    def levels(self, folder: Sequence[str], roots: tuple[int, ...]) -> list[list[tuple[int, Folder]]]:
        """The folders that are there for a written one: levels of (position of the rule, folder), the best first."""
        found: list[list[tuple[int, Folder]]] = []
        for level in self._prefixes.levels(folder, roots):
            folders: dict[Folder, int] = {}
            for rule, root, path in level:
                here = self.tree.folder(root, path)
                if here is not None:
                    folders.setdefault(here, rule)
            if folders:
                found.append([(rule, here) for here, rule in folders.items()])
        return found

    def rules_of(self, written: str, hit: Hit[Place]) -> set[int]:
        """The positions of all rules without which a path would not have been found there."""
        needed = {hit.rule}
        if hit.folded:
            needed.update(self._folded)
        if hit.spelling not in (None, written):
            for i, _ in self._textual:
                others = variants(written, [spelling for j, spelling in self._textual if j != i])
                if not any(hit.spelling in group for group in others):
                    needed.add(i)
        return needed

    def _folded_hits(self, written: str, roots: tuple[int, ...]) -> list[Hit[Place]]:
        path = split_path(written)
        if path is None or ".." in path:
            return []
        for level in self._prefixes.levels(path[:-1], roots):
            hits: dict[Place, Hit[Place]] = {}
            for rule, root, local in level:
                for real in self._folded_paths(root, [*local, path[-1]]):
                    here = self.tree.folder(root, real[:-1])
                    for place in self.tree.find(here, real[-1]) if here is not None else ():
                        hits.setdefault(place, Hit(rule, place, folded=True))
            if hits:
                return list(hits.values())
        return []

    def _folded_paths(self, root: int, path: Sequence[str]) -> list[list[str]]:
        """The paths that are there and equal one but for case and normal form."""
        paths: list[list[str]] = [[]]
        for part in path:
            longer = []
            for real in paths:
                here = self.tree.folder(root, real)
                if here is not None:
                    longer += [[*real, name] for name in self._names(here).get(fold(part, *self._fold), ())]
            paths = longer[:_MAX_ALIKE]
        return paths

    def _names(self, folder: Folder) -> dict[str, list[str]]:
        """The names in a folder by what `fold` makes of them."""
        names = self._alike.get(folder)
        if names is None:
            if len(self._alike) >= _CACHED_LISTS:
                self._alike.clear()
            names = self._alike[folder] = {}
            for name in sorted(self.tree.names(folder)):
                names.setdefault(fold(name, *self._fold), []).append(name)
        return names
