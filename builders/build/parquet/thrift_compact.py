"""Thrift's compact protocol, as far as the footers, page headers and page indexes of Parquet use it.

A struct is a dict from field number to ``(type, value)``.  `decode` and `encode` lose nothing, not even the fields of a newer
Parquet, so that a footer can be changed in a few places and written again.

::

    {1: (I32, 0), 3: (LIST, (BINARY, [b"images", b"list"])), 5: (STRUCT, {1: (I64, 12)})}

Maps, sets and UUIDs do not occur in Parquet and are refused.  Format: ``doc/specs/thrift-compact-protocol.md`` of
apache/thrift; the field numbers are those of ``parquet.thrift`` in apache/parquet-format.
"""

from __future__ import annotations

from typing import Any

Struct = dict[int, tuple[int, Any]]
"""Field number to (type, value): int, bool, bytes, `Struct`, (element type, list) for `LIST`; doubles stay 8 bytes."""

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST = range(10)
STRUCT = 12

_SHORT_LIST = 15  # longer lists have their length after the header byte


def decode(data: bytes | memoryview, start: int = 0, after: int = 0) -> tuple[Struct, int]:
    """The struct that begins at `start`, and where it ends.

    Args:
        data: holds the struct.
        start: of it, or of a field in it.
        after: number of the field before `start`.

    Raises:
        ValueError: a type that Parquet does not use.
        IndexError: the data ends inside the struct.
    """
    fields: Struct = {}
    number, at = after, start
    while True:
        head = data[at]
        at += 1
        if head == STOP:
            return fields, at
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _read_varint(data, at)
            number = _from_zigzag(raw)
        if kind in (TRUE, FALSE):  # the type is the value
            fields[number] = (TRUE, kind == TRUE)
        else:
            value, at = _read_value(data, at, kind)
            fields[number] = (kind, value)


def encode(fields: Struct) -> bytes:
    """The struct in the compact protocol, fields in ascending order."""
    out = bytearray()
    _write_struct(out, fields)
    return bytes(out)


def varint(number: int) -> bytes:
    """A number of 0 or more, seven bits a byte, the low ones first (ULEB128)."""
    out = bytearray()
    _write_varint(out, number)
    return bytes(out)


def _read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


def _from_zigzag(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _read_value(data: bytes | memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind in (I16, I32, I64):
        raw, at = _read_varint(data, at)
        return _from_zigzag(raw), at
    if kind == BINARY:
        size, at = _read_varint(data, at)
        _need(data, at, size)
        return bytes(data[at : at + size]), at + size
    if kind == STRUCT:
        return decode(data, at)
    if kind == LIST:
        return _read_list(data, at)
    if kind == BYTE:
        return data[at], at + 1
    if kind == DOUBLE:
        _need(data, at, 8)
        return bytes(data[at : at + 8]), at + 8
    raise ValueError(f"thrift type {kind} at byte {at} does not occur in Parquet")


def _need(data: bytes | memoryview, at: int, size: int) -> None:
    """Checks the length: a slice beyond the end would be shorter, without an error."""
    if at + size > len(data):
        raise IndexError(f"thrift value of {size} bytes at {at} goes beyond the {len(data)} bytes there are")


def _read_list(data: bytes | memoryview, at: int) -> tuple[tuple[int, list[Any]], int]:
    head = data[at]
    at += 1
    count, kind = head >> 4, head & 15
    if count == _SHORT_LIST:
        count, at = _read_varint(data, at)
    items: list[Any] = []
    for _ in range(count):
        if kind in (TRUE, FALSE):
            value, at = data[at] == TRUE, at + 1
        else:
            value, at = _read_value(data, at, kind)
        items.append(value)
    return (kind, items), at


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _write_struct(out: bytearray, fields: Struct) -> None:
    last = 0
    for number in sorted(fields):
        kind, value = fields[number]
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        step, last = number - last, number
        if 0 < step < 16:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_varint(out, number << 1 if number >= 0 else -number * 2 - 1)
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
    out.append(STOP)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_varint(out, value << 1 if value >= 0 else -value * 2 - 1)
    elif kind == BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind == LIST:
        item_kind, items = value
        out.append(min(len(items), _SHORT_LIST) << 4 | item_kind)
        if len(items) >= _SHORT_LIST:
            _write_varint(out, len(items))
        for item in items:
            if item_kind in (TRUE, FALSE):
                out.append(TRUE if item else FALSE)
            else:
                _write_value(out, item_kind, item)
    elif kind == BYTE:
        out.append(value)
    elif kind == DOUBLE:
        out += value
    else:
        raise ValueError(f"thrift type {kind} does not occur in Parquet")
