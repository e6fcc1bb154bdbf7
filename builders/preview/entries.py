"""Entries: what a collection says of a sample, in short for the list (`Entry`) and in full (`SampleDetails`).

Media cells are lazy: an `Item` (bytes in some file), a `StoredCell` (a value in a Parquet file), or the `Finding` that says why
there is no medium.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from ..core.findings import CATALOGUE, Finding
from ..core.sample import Mask, Turn
from ..formats.turns import plain_text, split
from ..media.items import Item

State = Literal["row", "rejected", "file"]
"""A row of the dataset; a rejected record; a finding about an annotation file as a whole."""

KINDS = {"images": "image", "videos": "video", "frames": "video", "audios": "audio", "audio_q": "audio"}
"""Media column → the kind of medium in it."""

EXCERPT = 160
"""Characters of a conversation that the list shows."""


class StoredCell(NamedTuple):
    """A media value inside a Parquet file.

    Attributes:
        name: its file name, as the dataset keeps it.
        shard: number of the Parquet file.
        row: number of the row in that file.
        column: media column.
        at: index in the list of the column; two indices for a frame of a video.
    """

    name: str
    shard: int
    row: int
    column: str
    at: tuple[int, ...]


Cell = Item | StoredCell | Finding
Cells = Sequence[Cell | Sequence[Cell]]


class Entry(NamedTuple):
    """A sample in the list and the search.

    Attributes:
        place: where the collection finds the sample again.
        codes: codes of its findings, each once.
        file: annotation file that it comes from.
        row: its ordinal in that file; -1 for the file as a whole.
        text: the text to search: id, file, system prompt, turns, text_q.
        excerpt: the start of the conversation.
    """

    place: tuple[int, int]
    id: str
    mix: str
    state: State
    codes: tuple[str, ...]
    file: str
    row: int
    text: str
    excerpt: str


class SampleDetails(msgspec.Struct):
    """One sample in full.

    Attributes:
        media: column → its cells; for ``frames`` a list of cells for each video.
        masks: outer: object, in ``<region>`` order; inner: its annotated frames.
        columns: the columns without media bytes, or the record as it is written.
        raw: the text of a record that is not valid JSON.
    """

    id: str
    mix: str
    state: State
    file: str
    row: int
    format: str | None = None
    system: str | None = None
    turns: list[Turn] = []
    text_q: str | None = None
    num_frames: int | None = None
    media: dict[str, Cells] = {}
    masks: list[list[Mask]] = []
    findings: list[Finding] = []
    columns: dict[str, Any] = {}
    raw: str | None = None


class Collection(Protocol):
    """The samples that a preview shows."""

    title: str

    def entries(self) -> Iterator[Entry]:
        """All samples in order, without their media."""

    def details(self, place: tuple[int, int]) -> SampleDetails:
        """One sample in full."""

    def item(self, cell: Item | StoredCell) -> Item:
        """Where a browser can read the bytes of a media value: a range of a file."""

    def close(self) -> None:
        """Frees files and removes temporary copies."""


def entry(
    place: tuple[int, int],
    id_: str,
    mix: str,
    state: State,
    codes: Iterable[str],
    file: str,
    row: int,
    turns: Sequence[tuple[str, str]],
    *more: str | None,
) -> Entry:
    """An entry from the parts of a sample; the search also reads the texts in `more`."""
    texts = [text for _, text in turns]
    searched = "\n".join([id_, file, *texts, *(text for text in more if text)])
    excerpt = next((found for text in [*texts, *more] if text and (found := _excerpt(text))), "")
    return Entry(place, id_, mix, state, tuple(dict.fromkeys(codes)), file, row, searched, excerpt)


def severity(codes: Iterable[str]) -> str:
    """The worst severity of these codes; empty if there is none."""
    found = {CATALOGUE[code].severity for code in codes if code in CATALOGUE}
    return next((name for name in ("error", "warning", "info") if name in found), "")


def _excerpt(text: str) -> str:
    """The start of a text on one line, without the placeholders of media."""
    tags, texts = split(text[: 40 * EXCERPT])
    start = plain_text(texts[0])
    for tag, following in zip(tags, texts[1:], strict=True):
        start += ("<region>" if tag == "region" else " ") + plain_text(following)
    return " ".join(start[: 4 * EXCERPT].split())[:EXCERPT]
