"""Rules: how paths as somebody else wrote them become paths here, as a file that a person can read and change.

::

    version: 1
    roots: [ola]                          # what --media-root named when this was learned, by its last part
    rules:
    - {kind: prefix, from: /mnt/omni/data, to: ola_cross_modality, root: 1, paths: 350000, …}
    - {kind: prefix, from: /mnt/omni/data, to: '', root: 1, paths: 1169000, …}
    - {kind: extension, from: .mp4, to: .mkv, paths: 12, …}

**prefix** puts `to`, a folder under the root of that position, in place of `from`.  A shorter `from` goes first, as it leaves a
longer part of the path to agree with what is here; rules with equally long ones are alternatives: a path that two of them find
in different places is ambiguous.  **anywhere** stands for every prefix whose `to` is the root itself.  The others are spellings,
tried in their order where a path is not found as it is written: **backslash**, **url**, **colon** (`to` stands in its place),
**case**, **unicode**, **extension** (`to` for `from`).

Roots are positions, never absolute paths, and there are no patterns: a rule says what it replaces letter by letter, so it
takes the same time on any path, says the same on any machine, and a rules file from a stranger can lead nowhere but under the
roots.  What `learn` adds for the reader (`paths`, `examples`, `questions`) decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import yaml

from ..core.atomic_files import write_file
from ..core.errors import DataError
from .path_parts import split_path

_MAX_BYTES = 16 << 20
MAX_RULES = 2_000
"""More prefixes than this are too many to be rules; a rules file with more is refused, and `learn` stops there."""

SPELLINGS = ("backslash", "url", "colon", "case", "unicode", "extension")

Kind = Literal["prefix", "anywhere", "backslash", "url", "colon", "case", "unicode", "extension"]


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, rename={"before": "from"}):
    """One rule; see the module.

    Attributes:
        kind: what it does.
        before: ``from`` in the file: the leading parts of written paths, or an extension with its dot.
        to: the folder under the root, the extension, or what stands for a colon.
        root: position of the media root, from 1; 0 for every root.
        paths: how many of the paths it was learned from it explains.
        examples: some of them, as written and as found (under the root).
    """

    kind: Kind
    before: str = ""
    to: str = ""
    root: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    paths: int = 0
    examples: list[tuple[str, str]] = []


class Rules(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ordered rules, and how well they fit.

    Attributes:
        rules: in the order in which they are shown; spellings are tried in it.
        version: of the file's form.
        roots: the last part of each root they were learned under, for the reader.
        total: paths they were verified on.
        missing: how many of them are nowhere.
        ambiguous: how many of them fit several files.
        questions: what only a person can decide.
        missing_examples: some paths that are nowhere.
    """

    rules: list[Rule] = []
    version: Literal[1] = 1
    roots: list[str] = []
    total: int = 0
    missing: int = 0
    ambiguous: int = 0
    questions: list[str] = []
    missing_examples: list[str] = []

    @staticmethod
    def load(path: str) -> Rules:
        """Reads a rules file.

        Raises:
            DataError: it is none; the message says where.
            OSError: it cannot be read.
        """
        with open(path, "rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise DataError(f"{path!r} has more than {_MAX_BYTES >> 20} MiB; that is no rules file")
        try:
            rules = msgspec.convert(yaml.load(text, _Loader), Rules)
        except (yaml.YAMLError, msgspec.ValidationError, RecursionError, ValueError) as error:
            raise DataError(f"{path!r} is no rules file: {' '.join(str(error).split())[:300]}") from None
        for rule in rules.rules:
            if problem := _problem(rule):
                raise DataError(f"{path!r}: {problem}")
        if len(rules.rules) > MAX_RULES:
            raise DataError(f"{path!r} has {len(rules.rules)} rules; {MAX_RULES} are the most")
        return rules

    def save(self, path: str) -> None:
        """Writes them down; the file appears whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        text = yaml.dump(
            {"version": self.version, **msgspec.to_builtins(self)},
            Dumper=_Dumper,
            sort_keys=False,
            allow_unicode=True,
            width=120,
        )
        head = b"# How written paths become paths under the media roots; of prefixes, the shorter goes first.\n"
        write_file(path, head + text.encode("utf-8", "backslashreplace"))


class _Loader(yaml.SafeLoader):
    """Safe YAML without aliases: nested ones can stand for more text than any memory holds."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a rules file has no aliases")
        return super().compose_node(parent, index)


class _Dumper(yaml.SafeDumper):
    """Safe YAML that writes every value out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _problem(rule: Rule) -> str | None:
    if rule.kind == "prefix":
        for text in (rule.before, rule.to):
            if ".." in text.split("/") or (text.strip("/.") and split_path(text) is None):
                return f"{text!r} is no folder under a root"
        if rule.to.startswith("/"):
            return f"to is {rule.to!r}: write it relative to its media root"
        if rule.root == 0:
            return f"the prefix {rule.before!r} has no root; the first media root is root: 1"
    if rule.kind == "extension" and not all(
        text.startswith(".") and len(text) > 1 and "/" not in text and "\0" not in text
        for text in (rule.before, rule.to)
    ):
        return f"the extensions are {rule.before!r} and {rule.to!r}; write .mp4 and .mkv, say"
    if rule.kind == "colon" and any(char in rule.to for char in "/\\\0"):
        return f"a colon cannot become {rule.to!r}"
    return None


AS_WRITTEN = -1
"""In place of a rule's position: the path exists under a root just as it is written."""


class Prefixes:
    """Prefix rules by their `from`: which local folders a written folder may be, the best first."""

    def __init__(self, rules: Sequence[Rule], flat: bool = False) -> None:
        """Takes the prefix rules of `rules`.

        Args:
            rules: all rules; positions in it name them.
            flat: with **anywhere**, a file directly in a root may be found by its name alone.
        """
        self._by: dict[tuple[str, ...], list[tuple[int, int, tuple[str, ...]]]] = {}
        self._anywhere = -1
        self._flat = flat
        for position, rule in enumerate(rules):
            if rule.kind == "prefix":
                entry = (position, rule.root - 1, tuple(split_path(rule.to) or ()))
                self._by.setdefault(tuple(split_path(rule.before) or ()), []).append(entry)
            elif rule.kind == "anywhere":
                self._anywhere = position

    def levels(self, folder: Sequence[str], roots: Sequence[int]) -> list[list[tuple[int, int, tuple[str, ...]]]]:
        """Where a written folder may be: levels of (position of the rule, root, local parts), the best level first.

        Args:
            folder: its parts.
            roots: positions, from 0, of the roots to look under.
        """
        here = tuple(folder)
        found = [[(AS_WRITTEN, root, here) for root in roots]]
        for cut in range(len(here) + 1):
            rest = here[cut:]
            level = [
                (position, root, (*to, *rest)) for position, root, to in self._by.get(here[:cut], ()) if root in roots
            ]
            if self._anywhere >= 0 and cut and (rest or self._flat):
                level += [(self._anywhere, root, rest) for root in roots]
            if level:
                found.append(level)
        return found
