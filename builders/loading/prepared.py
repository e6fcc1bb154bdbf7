"""Accounts: what became of the records of a prepared dataset, beside its Arrow files.

While a dataset is prepared, each slice leaves a part (several processes may work at once); at the end they become
``rejected.jsonl`` and ``modalmix.json``, the counts and everything that was consulted: annotation files, and every folder in
which a media file was found or missed, with its modification time.  If one of them has changed since, the dataset is stale.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ..annotations import Slice
from ..core.counts import Counts
from ..core.report import REJECTED
from ..paths import modified

_STATE = "modalmix.json"
_PARTS = "parts"


class _Part(msgspec.Struct):
    file: str
    start: int
    counts: Counts
    watched: dict[str, int]
    rejected: list[str]


class _State(msgspec.Struct):
    counts: Counts
    watched: dict[str, int]


def begin(folder: str) -> None:
    """Makes room for the parts, and removes those of a run that was killed."""
    parts = os.path.join(folder, _PARTS)
    shutil.rmtree(parts, ignore_errors=True)
    os.makedirs(parts)


def add_part(folder: str, slice_: Slice, counts: Counts, watched: Mapping[str, int], rejected: Sequence[bytes]) -> None:
    """Leaves the part of one slice.

    Args:
        folder: the dataset's folder.
        slice_: the slice.
        counts: what became of its records.
        watched: folders that were consulted → modification time in nanoseconds.
        rejected: the lines of its rejected records.
    """
    part = _Part(slice_.file, slice_.start, counts, dict(watched), [line.decode() for line in rejected])
    descriptor, _ = tempfile.mkstemp(suffix=".json", dir=os.path.join(folder, _PARTS))
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(part))


def finish(folder: str, annotation_files: Iterable[str]) -> list[bytes]:
    """Joins the parts; returns the lines of all rejected records, in the order of the annotations."""
    state = _State(Counts(), {path: modified(path) for path in annotation_files})
    lines: list[bytes] = []
    parts = os.path.join(folder, _PARTS)
    decoder = msgspec.json.Decoder(_Part)
    read = []
    for name in os.listdir(parts):
        with open(os.path.join(parts, name), "rb") as file:
            read.append(decoder.decode(file.read()))
    for part in sorted(read, key=lambda part: (part.file, part.start)):
        state.counts.add(part.counts)
        state.watched.update(part.watched)
        lines += [line.encode() for line in part.rejected]
    shutil.rmtree(parts)
    with open(os.path.join(folder, REJECTED), "wb") as file:
        file.writelines(lines)
    with open(os.path.join(folder, _STATE), "wb") as file:
        file.write(msgspec.json.encode(state))
    return lines


def counts(folder: str) -> Counts | None:
    """What became of the records of the dataset in a folder; None where there is none."""
    state = _read(folder)
    return state.counts if state else None


def is_stale(folder: str) -> bool:
    """Whether the dataset in a folder was made from files or folders that have changed since."""
    state = _read(folder)
    return state is not None and any(modified(path) != then for path, then in state.watched.items())


def _read(folder: str) -> _State | None:
    try:
        with open(os.path.join(folder, _STATE), "rb") as file:
            return msgspec.json.decode(file.read(), type=_State)
    except FileNotFoundError:
        return None
