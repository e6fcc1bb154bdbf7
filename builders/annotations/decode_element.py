"""What one element says, checked: a record, or its troubles.

The quick decoder takes what is sound.  Python's own parser comes second, because it finds repeated keys, reads NaN,
and says where and why it fails.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from .duplicate_keys import repeats_suspected

_decode = msgspec.json.Decoder().decode


def value_of(raw: bytes) -> tuple[Any, list[tuple[str, str]]]:
    """What an element says, and its troubles as catalogue names and messages; the value is None if one of them is an error.

    The value equals that of Python's ``json.loads``.
    """
    try:
        value = _decode(raw)
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return _diagnosed(raw)
    if type(value) is not dict:
        return None, [("record-not-an-object", f"{_said(raw)} is {_KINDS.get(type(value), 'a number')}, not an object")]
    if repeats_suspected(raw, value):
        return _diagnosed(raw)
    return value, []


_KINDS = {list: "an array", str: "a string", bool: "a truth value", type(None): "null"}


def _said(raw: bytes) -> str:
    text = raw[:80].decode("utf-8", "replace")
    return text + "…" if len(raw) > 80 else text


def _diagnosed(raw: bytes) -> tuple[Any, list[tuple[str, str]]]:
    """The value and troubles of an element by Python's own parser, which is slower, but reports and permits more."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [
            ("json-encoding", f"{error.reason}: byte 0x{raw[error.start]:02x} at byte {error.start} of the record")
        ]
    repeated: list[str] = []
    constants: list[str] = []

    def merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        merged = dict(pairs)
        if len(merged) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen and key not in repeated:
                    repeated.append(key)
                seen.add(key)
        return merged

    def constant(name: str) -> float:
        constants.append(name)
        return float(name.replace("Infinity", "inf"))

    def number(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            constants.append(digits)
        return value

    try:
        value = json.loads(text, object_pairs_hook=merged, parse_constant=constant, parse_float=number)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode("utf-8"))
        return None, [("json-invalid", f"{error.msg} (byte {at} of the record)")]
    except RecursionError:
        return None, [("json-invalid", "nested too deeply to be read")]
    except ValueError as error:
        return None, [("json-invalid", str(error))]
    troubles: list[tuple[str, str]] = []
    if repeated:
        troubles.append(("json-duplicate-key", "twice in one object: " + ", ".join(map(repr, repeated[:8]))))
    if "\\u" in text and (half := _lone_surrogate(value)):
        troubles.append(("json-lone-surrogate", f"\\u{ord(half):04x} without its other half"))
    if type(value) is not dict:
        troubles.append(
            ("record-not-an-object", f"{_said(raw)} is {_KINDS.get(type(value), 'a number')}, not an object")
        )
    rejected = bool(troubles)
    if constants:
        shown = ", ".join(dict.fromkeys(name if len(name) < 24 else name[:20] + "…" for name in constants))
        troubles.append(("json-not-a-number", shown + " is no JSON number"))
    return None if rejected else value, troubles


def _lone_surrogate(value: Any) -> str | None:
    """The first half of a surrogate pair that stands alone in a value's strings."""
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            stack.extend(item)
            stack.extend(item.values())
        elif type(item) is list:
            stack.extend(item)
        elif type(item) is str:
            try:
                item.encode("utf-8")
            except UnicodeEncodeError as error:
                return item[error.start]
    return None
