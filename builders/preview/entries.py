"""What is shown: an `Entry` per sample for the list, and a `Shown` with all of one sample.

Media cells here are lazy: an `Item` (bytes in some file), a `Stored` (a value in a Parquet file), or the `Finding` that says
why there is none.
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
"""A row of the dataset; a record that was rejected; a finding about an annotation file as a whole."""

KINDS = {"images": "image", "videos": "video", "frames": "video", "audios": "audio", "audio_q": "audio"}
"""Media column → what its placeholder is called."""

LEAD = 160
"""Characters of a conversation that stand in the list."""


class Stored(NamedTuple):
    """A media value inside a Parquet file.

    Attributes:
        name: its file name, as the dataset keeps it.
        shard: number of the Parquet file.
        row: of the sample in that file.
        column: media column.
        at: place in the list of the column; two numbers for a frame of a video.
    """

    name: str
    shard: int
    row: int
    column: str
    at: tuple[int, ...]


Cell = Item | Stored | Finding
Cells = Sequence[Cell | Sequence[Cell]]


class Entry(NamedTuple):
    """A sample as the list and the search know it.

    Attributes:
        place: where the collection finds it again.
        codes: codes of its findings, each once.
        file: annotation file it comes from.
        row: its ordinal in that; -1 for the file as a whole.
        text: the words to search in: id, file, system prompt, turns, transcript.
        lead: the start of the conversation.
    """

    place: tuple[int, int]
    id: str
    mix: str
    state: State
    codes: tuple[str, ...]
    file: str
    row: int
    text: str
    lead: str


class Shown(msgspec.Struct):
    """All of one sample.

    Attributes:
        media: column → its cells; for ``frames`` a list of cells per video.
        masks: outer: object, in ``<region>`` order; inner: its annotated frames.
        columns: what the columns hold besides media bytes, or the record as it was written.
        raw: the text of what is no record at all.
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
    """What is looked at."""

    title: str

    def entries(self) -> Iterator[Entry]:
        """All samples in order, without their media."""

    def shown(self, place: tuple[int, int]) -> Shown:
        """One sample in full."""

    def item(self, cell: Item | Stored) -> Item:
        """Where the bytes of a media value are, as bytes of a file."""

    def close(self) -> None:
        """Frees files and temporary copies."""


def entry(
    place: tuple[int, int],
    id_: str,
    mix: str,
    state: State,
    findings: Iterable[str],
    file: str,
    row: int,
    turns: Sequence[tuple[str, str]],
    *more: str | None,
) -> Entry:
    """An entry from the parts of a sample; `more` is searched too."""
    texts = [text for _, text in turns]
    words = "\n".join([id_, file, *texts, *(one for one in more if one)])
    lead = next((found for text in [*texts, *more] if text and (found := _lead(text))), "")
    return Entry(place, id_, mix, state, tuple(dict.fromkeys(findings)), file, row, words, lead)


def severity(codes: Iterable[str]) -> str:
    """The worst severity of some codes; empty without any."""
    found = {CATALOGUE[code].severity for code in codes if code in CATALOGUE}
    return next((name for name in ("error", "warning", "info") if name in found), "")


def _lead(text: str) -> str:
    """The start of a text without the placeholders of media, on one line."""
    tags, texts = split(text[: 40 * LEAD])
    said = plain_text(texts[0])
    for tag, following in zip(tags, texts[1:], strict=True):
        said += ("<region>" if tag == "region" else " ") + plain_text(following)
    return " ".join(said[: 4 * LEAD].split())[:LEAD]
