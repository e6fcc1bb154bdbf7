"""Conditions: which rows are selected, as a person writes it, as in ``len(images) == 1 and mix == 'image' and chars < 4000``.

A condition is an expression in Python's grammar.  It is parsed into functions of our own, node by node; nothing is handed to
Python to run, and there is nothing in it that could reach beyond the names below.

A comparison with a value that is not there (``num_frames`` of a row without a number) does not hold, with any operator;
``num_frames is None`` finds such rows.  Names of media and findings are known only when a row has been looked up; a condition
without them is asked before, so that media of rows that nobody wants need not be there.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import DataError
from ..core.findings import CATALOGUE, Finding
from ..core.sample import Reference, Sample, Video

if TYPE_CHECKING:
    from ..media.items import Media

Value = Any


class Subject(NamedTuple):
    """What is known of a row when a condition is asked; `media` and `findings` only later on."""

    id: str
    format: str | None
    file: str
    row: int
    sample: Sample
    media: Media | None = None
    findings: Sequence[Finding] = ()


Node = Callable[[Subject], Value]


class Condition(NamedTuple):
    """A condition: its text, whether it needs what is known only after the lookup, and whether a row fulfils it."""

    text: str
    needs_media: bool
    holds: Callable[[Subject], bool]


NAMES: dict[str, tuple[str, Callable[[Subject], Value]]] = {
    "id": ("upstream id, or <file stem>:<ordinal>", lambda one: one.id),
    "file": ("annotation file", lambda one: one.file),
    "row": ("ordinal of the record in it", lambda one: one.row),
    "format": ("format of the record", lambda one: one.format),
    "mix": ("modality mix, such as 'video_audio'", lambda one: one.sample.mix),
    "system": ("system prompt", lambda one: one.sample.system),
    "text_q": ("text that upstream trains on in place of the first turn", lambda one: one.sample.text_q),
    "num_frames": ("frames the annotation asks for", lambda one: one.sample.num_frames),
    "conversations": (
        "turns, as in conversations[0]['value']",
        lambda one: [{"from": turn.role, "value": turn.value} for turn in one.sample.turns],
    ),
    "text": ("all their texts, joined by line ends", lambda one: "\n".join(turn.value for turn in one.sample.turns)),
    "chars": ("characters of all turns", lambda one: sum(len(turn.value) for turn in one.sample.turns)),
    "images": ("paths as written", lambda one: [_path(item) for item in one.sample.images]),
    "videos": ("paths as written, of files and of frames", lambda one: [_path(item) for item in one.sample.videos]),
    "audios": ("paths as written", lambda one: [_path(item) for item in one.sample.audios]),
    "audio_q": ("paths as written", lambda one: [_path(item) for item in one.sample.audio_q]),
    "masks": (
        "frames each object is annotated in",
        lambda one: [[mask.frame for mask in masks] for masks in one.sample.masks],
    ),
    "extra": ("everything else the record says, as in extra['source']", lambda one: one.sample.extra),
    "bytes": ("of all media of the row", lambda one: sum(item.size for item in _items(one.media))),
    "duration": ("seconds of its longest video or sound", lambda one: _duration(one.media)),
    "findings": ("codes and names of what was found, as in 'MX211' not in findings", lambda one: _codes(one.findings)),
}
"""Every name a condition may use: what it is, and where it comes from."""

_NEEDS_MEDIA = ("bytes", "duration", "findings")

FUNCTIONS: dict[str, tuple[str, Callable[..., Value]]] = {
    "len": ("items of a list, characters of a text", len),
    "min": ("the least of a list", lambda values: min(values, default=None)),
    "max": ("the greatest", lambda values: max(values, default=None)),
    "sum": ("the sum", sum),
    "lower": ("a text in lower case", lambda text: None if text is None else text.lower()),
    "matches": ("matches('^fv', id): whether a regular expression is found in a text",
                lambda pattern, text: text is not None and re.search(pattern, text) is not None),
}  # fmt: skip
"""Every function it may call."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_LONGEST = 10_000
_OF_NONE = (ast.Is, ast.IsNot)


@lru_cache(maxsize=256)
def condition(text: str) -> Condition:
    """The condition that a text states.

    Raises:
        DataError: it is none: its grammar, a name, or something conditions do not do.
    """
    if len(text) > _LONGEST:  # Python's own parser may not survive the nesting that fits into more
        raise DataError(f"the condition {text[:80]!r}… has {len(text):,} characters, of at most {_LONGEST:,}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"the condition {text!r} cannot be read: {getattr(error, 'msg', error)}") from None
    used: set[str] = set()
    try:
        node = _node(tree, text, used)
    except RecursionError:
        raise DataError(f"the condition {text[:80]!r}… is nested too deeply") from None

    def holds(subject: Subject) -> bool:
        try:
            return bool(node(subject))
        except (TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, re.error) as error:
            raise DataError(
                f"the condition {text!r} cannot be asked of {subject.file}:{subject.row}: {error}"
            ) from None

    return Condition(text, not used.isdisjoint(_NEEDS_MEDIA), holds)


def _node(tree: ast.expr, text: str, used: set[str]) -> Node:
    """The function that gives an expression's value."""

    def of(one: ast.expr) -> Node:
        return _node(one, text, used)

    match tree:
        case ast.Constant(value) if value is None or isinstance(value, (bool, int, float, str)):
            return lambda row: value
        case ast.Name(name):
            if name not in NAMES:
                raise DataError(f"the condition {text!r} names {name!r}; there are {', '.join(NAMES)}")
            used.add(name)
            return NAMES[name][1]
        case ast.List(items) | ast.Tuple(items) | ast.Set(items):
            nodes = [of(one) for one in items]
            return lambda row: [node(row) for node in nodes]
        case ast.BoolOp(op, items):
            nodes, every = [of(one) for one in items], isinstance(op, ast.And)
            return lambda row: (all if every else any)(node(row) for node in nodes)
        case ast.UnaryOp(ast.Not(), operand):
            inner = of(operand)
            return lambda row: not inner(row)
        case ast.UnaryOp(ast.USub(), operand):
            inner = of(operand)
            return lambda row: -inner(row)
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            one, other, apply = of(left), of(right), _BINARY[type(op)]
            return lambda row: _reckoned(apply, one(row), other(row))
        case ast.Compare(_, ops, comparators) if any(map(_is_no_none, ops, comparators)):
            raise DataError(f"the condition {text!r} asks {ast.unparse(tree)!r}; is and is not are for None alone")
        case ast.Compare(left, ops, comparators) if all(type(op) in _COMPARED for op in ops):
            nodes = [of(one) for one in (left, *comparators)]
            return lambda row: _compared(ops, [node(row) for node in nodes])
        case ast.Subscript(value, index):
            inner, at = of(value), of(index)
            return lambda row: _at(inner(row), at(row))
        case ast.Call(ast.Name(name), items, []) if name in FUNCTIONS:
            nodes, call = [of(one) for one in items], FUNCTIONS[name][1]
            return lambda row: call(*(node(row) for node in nodes))
        case ast.Call(ast.Name(name), _, _):
            raise DataError(f"the condition {text!r} calls {name!r}; there are {', '.join(FUNCTIONS)}")
    raise DataError(f"the condition {text!r} holds {ast.unparse(tree)!r}, which conditions do not do")


def _reckoned(apply: Callable[[Any, Any], Any], one: Value, other: Value) -> Value:
    if one is None or other is None:
        return None
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return apply(one, other)
    raise TypeError(f"{one!r:.40} and {other!r:.40} are not both numbers")


def _compared(ops: list[ast.cmpop], values: list[Value]) -> bool:
    for op, (one, other) in zip(ops, pairwise(values), strict=True):
        absent = other is None if isinstance(op, (ast.In, ast.NotIn)) else one is None or other is None
        if (absent and not isinstance(op, _OF_NONE)) or not _COMPARED[type(op)](one, other):
            return False
    return True


def _is_no_none(op: ast.cmpop, other: ast.expr) -> bool:
    return isinstance(op, _OF_NONE) and not (isinstance(other, ast.Constant) and other.value is None)


def _at(value: Value, key: Value) -> Value:
    """An item of a list or a mapping; None where there is none."""
    try:
        return None if value is None else value[key]
    except (KeyError, IndexError):
        return None


def _path(item: Reference | Video) -> str | None:
    return item.path if isinstance(item, Reference) else item[0].path if item else None


def _items(media: Media | None) -> list[Any]:
    assert media is not None
    return [
        item for items in (media.images, media.videos, *media.frames, media.audios, media.audio_q) for item in items
    ]


def _duration(media: Media | None) -> float | None:
    from ..media.read_header import header_of_item

    assert media is not None
    seconds = [header_of_item(item, "video").seconds for item in media.videos]
    seconds += [header_of_item(item, "audio").seconds for item in (*media.audios, *media.audio_q)]
    return max((one for one in seconds if one > 0), default=None)


def _codes(findings: Sequence[Finding]) -> list[str]:
    return [name for one in findings for name in (one.code, CATALOGUE[one.code].name)]
