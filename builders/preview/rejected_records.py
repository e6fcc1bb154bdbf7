"""Rejected records of a built dataset: what each line of its ``rejected.jsonl`` says, in full."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..core.findings import CATALOGUE, Finding
from ..core.sample import Sample
from ..formats import NAMES, formats
from .entries import SampleDetails


def rejected_details(line: bytes) -> SampleDetails:
    """The details of the record in a line of ``rejected.jsonl``; see `modalmix.builders.pipeline.rejects`."""
    try:
        entry = msgspec.json.decode(line)
    except ValueError:
        entry = json.loads(line)  # integers beyond 64 bits
    findings = [
        Finding(found["code"], found["message"], found.get("pointer", ""))
        for found in entry.get("findings") or [entry]
        if found.get("code") in CATALOGUE
    ]
    record = entry.get("record")
    row = entry["row"]
    sample = _read(record, entry.get("format"))
    return SampleDetails(
        f"{entry['file'].rpartition('/')[2].split('.')[0]}:{row}" if sample.id is None else sample.id,
        sample.mix if record is not None else "",
        "rejected" if row >= 0 else "file",
        entry["file"],
        row,
        entry.get("format"),
        sample.system,
        sample.turns,
        sample.text_q,
        sample.num_frames,
        findings=findings,
        columns={"record": record} if record is not None else {},
        raw=entry.get("raw"),
    )


def _read(record: Any, name: str | None) -> Sample:
    """The record as its format reads it; an empty sample if no format can."""
    if not isinstance(record, dict) or name not in NAMES:
        return Sample()
    return formats()[name].read(record)
