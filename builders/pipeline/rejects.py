r"""Rejects: the records that did not become rows, written down so that nothing is lost.

``rejected.jsonl`` has one line per rejected record::

    {"format": "ola", "file": "a.json", "row": 3, "code": "MX101", "name": "media-missing", "pointer": "/audio",
     "message": "…", "mend": "…", "findings": […], "record": {…}}

`code` to `mend` are those of the first error; `findings` holds all where there are several.  A record that was no JSON has
its text under ``raw`` instead of ``record`` (bytes that are no UTF-8 as ``\\xNN``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from ..core.counts import Counts
from ..core.findings import CATALOGUE, Finding
from ..core.report import Rejects
from .rows import Reject


class RejectedRow(ValueError):  # noqa: N818  what happened, as in FileExistsError
    """Raised for the first rejected record with ``on_error="raise"``."""


def line(reject: Reject) -> bytes:
    """The line of ``rejected.jsonl`` for a rejected record, newline included."""
    errors = [one for one in reject.findings if one.severity == "error"]
    first = errors[0]
    entry: dict[str, Any] = {"format": reject.format, "file": reject.file, "row": reject.row, **_describe(first)}
    if first.offset is not None:
        entry["offset"] = first.offset
    if len(reject.findings) > 1:
        entry["findings"] = [_describe(one) for one in reject.findings]
    if reject.record is not None:
        entry["record"] = reject.record
    elif reject.raw is not None:
        entry["raw"] = reject.raw.decode("utf-8", "backslashreplace")
    try:
        return msgspec.json.encode(entry) + b"\n"
    except (msgspec.MsgspecError, OverflowError, UnicodeError, ValueError):
        return json.dumps(entry).encode() + b"\n"  # integers beyond 64 bits, lone surrogates, NaN


def _describe(one: Finding) -> dict[str, Any]:
    kind = one.kind
    return {"code": kind.code, "name": kind.name, "pointer": one.pointer, "message": one.message, "mend": kind.fix}


def raised(reject: Reject) -> RejectedRow:
    """The exception for a rejected record: place, code, what was seen, how to mend it."""
    first = next(one for one in reject.findings if one.severity == "error")
    return RejectedRow(f"{first.placed(reject.file, reject.row)} — {first.kind.fix}")


class _Entry(msgspec.Struct):
    """What `by_code` needs of a line."""

    file: str
    row: int
    code: str
    pointer: str
    message: str


def by_code(path: str) -> dict[str, Rejects]:
    """The entries of a ``rejected.jsonl`` by the code of their first error; those about a whole file count as no record."""
    decoder = msgspec.json.Decoder(_Entry)
    found: dict[str, Rejects] = {}
    with open(path, "rb") as file:
        for text in file:
            try:
                one = decoder.decode(text)
            except (msgspec.MsgspecError, UnicodeError):  # `line` writes a few records in ways only json reads
                values = json.loads(text)
                one = _Entry(**{name: values[name] for name in _Entry.__struct_fields__})
            before = found.get(one.code)
            if before is None:
                found[one.code] = Rejects(int(one.row >= 0), one.file, one.row, one.pointer, one.message)
            elif one.row >= 0:
                found[one.code] = msgspec.structs.replace(before, records=before.records + 1)
    return dict(sorted(found.items()))


def append(path: str, lines: Sequence[bytes]) -> None:
    """Appends whole lines to a file in one write, so that several processes may share it."""
    with open(path, "ab", buffering=0) as file:
        file.write(b"".join(lines))


def summary(counts: Counts) -> str:
    """One line about the rejected records, for a person; empty if there was no error."""
    errors = sorted(
        ((n, CATALOGUE[code]) for code, n in counts.findings.items() if CATALOGUE[code].severity == "error"),
        key=lambda pair: (-pair[0], pair[1].code),
    )
    if not errors:
        return ""
    kinds = ", ".join(f"{n} {kind.name}" for n, kind in errors[:4]) + (", …" if len(errors) > 4 else "")
    return f"{counts.rejected} of {counts.read} records rejected ({kinds})"
