"""Strategies that the strategies of the formats share: JSON values, texts, conversations, key orders."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TAGS = ("<image>", "<video>", "<audio>", "<speech>", "<region>")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([0, 1, -1, 1.0, "7", "", "\ud800", "a.jpg", "human", "gpt", "user", "<image>", *TAGS]),
    st.text(max_size=8),
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)

paths = st.text("abc/._- :é", min_size=1, max_size=12)
ids = st.one_of(st.text(max_size=6), st.integers())


def texts(placeholders: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Texts with backslashes and with literal tags, none of them one of `placeholders`."""
    literal = [tag for tag in TAGS if tag not in placeholders]
    parts = st.one_of(st.text(max_size=8), st.sampled_from(["\\", "\\\\", "\n", "<", *literal]))
    joined = st.lists(parts, max_size=5).map("".join)
    return joined.filter(lambda text: not any(tag in text for tag in placeholders))


@st.composite
def conversations(
    draw: st.DrawFn, placeholders: list[str], vocabulary: tuple[str, ...], roles: tuple[str, str] = ("human", "gpt")
) -> list[dict[str, Any]]:
    """Alternating turns that hold exactly these placeholders, in this order, in the user's turns."""
    rounds = draw(st.integers(1, 3))
    where = sorted(draw(st.lists(st.integers(0, rounds - 1), min_size=len(placeholders), max_size=len(placeholders))))
    turns = []
    for i in range(rounds):
        value = draw(texts(vocabulary))
        for tag in (tag for tag, at in zip(placeholders, where, strict=True) if at == i):
            value += tag + draw(texts(vocabulary))
        turns += [{"from": roles[0], "value": value}, {"from": roles[1], "value": draw(texts(vocabulary))}]
    return turns


@st.composite
def with_other_keys(draw: st.DrawFn, record: dict[str, Any], taken: tuple[str, ...]) -> dict[str, Any]:
    """The record with unknown keys, in any order."""
    unknown = st.text(max_size=6).filter(lambda key: key not in taken) | st.just("modalmix")
    other = draw(st.dictionaries(unknown, json_values, max_size=2))
    return dict(draw(st.permutations([*record.items(), *other.items()])))


@st.composite
def damaged(draw: st.DrawFn, records: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """A well-formed record in which one value, at any depth, is replaced or removed."""
    record = copied(draw(records))
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in inside:
            places.append((value, key))
            collect(inner)

    collect(record)
    if places:
        holder, key = draw(st.sampled_from(places))
        if draw(st.booleans()):
            holder[key] = draw(json_values)
        else:
            del holder[key]
    return record


def copied(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value
