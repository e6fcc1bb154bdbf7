"""Findings: everything modalmix has to say about one record, as values.

A **finding** is one observation: a stable code, a severity, the place (annotation file, ordinal, JSON pointer, byte
offset), what was seen, and how to mend it.  Readers, formats and the rewriter return findings; nothing below the
command line raises or prints them.  A record with a finding of severity ``error`` is *rejected*: it is written to the
rejects with all its findings, never replaced and never dropped.

The catalogue below is the one place where codes are defined.  Codes are never reused: ``MX0..`` reading files and JSON,
``MX1..`` media and paths, ``MX2..`` turns and placeholders, ``MX3..`` masks.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Severity = Literal["error", "warning", "info"]


class Kind(NamedTuple):
    """What all findings of one code have in common."""

    code: str
    name: str
    severity: Severity
    meaning: str
    mend: str


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One observation about one record or one annotation file.

    Attributes:
        code: a code of `CATALOGUE`.
        message: what was seen, quoting the value.
        pointer: JSON pointer (RFC 6901) inside the record; empty for the record as a whole.
        file: annotation file relative to its root; empty until the reader places the finding.
        row: ordinal of the record in that file, from 0; -1 for the file as a whole.
        offset: byte offset in the (decompressed) annotation file, where it is known.
    """

    code: str
    message: str
    pointer: str = ""
    file: str = ""
    row: int = -1
    offset: int | None = None

    @property
    def kind(self) -> Kind:
        """The catalogue entry of this finding's code."""
        return CATALOGUE[self.code]

    @property
    def severity(self) -> Severity:
        """How bad it is; ``error`` rejects the record."""
        return CATALOGUE[self.code].severity

    def placed(self, file: str, row: int) -> Finding:
        """The same finding with the place it was met at."""
        return Finding(self.code, self.message, self.pointer, file, row, self.offset)

    def __str__(self) -> str:
        at = f"{self.file}:{self.row}" if self.row >= 0 else self.file
        kind = self.kind
        return f"{at}: {kind.code} {kind.name}{f' at {self.pointer}' if self.pointer else ''}: {self.message}"


def rejects(findings: list[Finding]) -> bool:
    """Whether a record with these findings is rejected."""
    return any(CATALOGUE[f.code].severity == "error" for f in findings)


_KINDS = [
    # ---- reading
    Kind("MX001", "json-invalid", "error", "The record is not valid JSON.", "Correct the text at the byte offset."),
    Kind(
        "MX002",
        "json-truncated",
        "error",
        "The file ends inside a record or before the closing bracket.",
        "Download the file again; its size differs from the original.",
    ),
    Kind("MX003", "json-bom", "info", "The file starts with a byte-order mark.", "Save it as UTF-8 without a mark."),
    Kind(
        "MX004",
        "json-duplicate-key",
        "error",
        "An object has the same key twice; JSON readers keep only the last.",
        "Give each key once; for masks, the key is the frame number.",
    ),
    Kind(
        "MX005",
        "json-not-a-number",
        "warning",
        "NaN or Infinity: not JSON, though Python's json reads it.",
        "Write null or a number.",
    ),
    Kind(
        "MX006",
        "json-lone-surrogate",
        "error",
        "A \\uD800–\\uDFFF escape without its other half: no Unicode text.",
        "Write the whole pair, or U+FFFD.",
    ),
    Kind(
        "MX007",
        "record-too-large",
        "error",
        "The record is larger than max_record_bytes.",
        "Raise max_record_bytes, or keep the payload in a file of its own.",
    ),
    Kind(
        "MX008",
        "record-not-an-object",
        "error",
        "The record is a JSON value, but not an object.",
        "Each record must be an object with its turns and media.",
    ),
    Kind(
        "MX009",
        "format-unknown",
        "error",
        "No format recognises the record.",
        "Name the format, or compare the record with the README's list of formats.",
    ),
    Kind("MX010", "json-encoding", "error", "The bytes are not UTF-8.", "Convert the file to UTF-8."),
    Kind(
        "MX011",
        "file-damaged",
        "error",
        "The file cannot be read to its end.",
        "Download or decompress it again; the records before the place were read.",
    ),
    Kind(
        "MX012",
        "record-shape",
        "error",
        "A key holds a value of a kind the format does not have.",
        "Give the key a value of the kind named.",
    ),
    # ---- media
    Kind(
        "MX101",
        "media-missing",
        "error",
        "The media file is under no media root.",
        "Download it, or pass the folder that holds it as media_root.",
    ),
    Kind(
        "MX102",
        "media-ambiguous",
        "error",
        "Several files fit the path equally well.",
        "Pass the media roots so that only one of them holds the file.",
    ),
    Kind(
        "MX103",
        "path-outside-root",
        "error",
        "The path leads out of every media root.",
        "Pass the folder it leads to as a media_root of its own, if it is meant.",
    ),
    Kind(
        "MX104",
        "media-unreadable",
        "error",
        "The media file is there but cannot be read.",
        "Correct its permissions, or download it again.",
    ),
    Kind("MX105", "media-empty", "error", "The media file has no bytes.", "Download it again."),
    Kind(
        "MX106",
        "media-too-large",
        "error",
        "A media value of 2 GiB or more does not fit a Parquet page.",
        "Cut the file into parts, or keep it outside of the dataset.",
    ),
    Kind(
        "MX107",
        "media-kind",
        "error",
        "The media is not of the kind the key promises.",
        "Correct the path, or the key.",
    ),
    Kind(
        "MX108",
        "mixed-video-kinds",
        "error",
        "One row has video files and frame lists: their order would be lost.",
        "Make all videos of a row files, or all of them frames.",
    ),
    Kind(
        "MX109",
        "path-invalid",
        "error",
        "The path is empty or holds characters no file name can have.",
        "Correct the path.",
    ),
    Kind(
        "MX111",
        "patch-out-of-range",
        "error",
        "The byte range lies outside of its patch file.",
        "Download the patch again; it is shorter than the annotations say.",
    ),
    Kind(
        "MX112",
        "patch-shape",
        "error",
        "A patch without a usable file, start or size.",
        'Write {"patch": file, "start_num": bytes, "size": bytes} (a list of sizes for a video).',
    ),
    Kind(
        "MX113",
        "patch-size-list",
        "info",
        "An image patch whose size is a list of one: upstream's reader fails on it.",
        "Write the size as a number.",
    ),
    Kind(
        "MX114",
        "patch-base64",
        "error",
        "The patch says base64, but its bytes are not.",
        "Remove image_encoding, or pack the patch again.",
    ),
    # ---- turns and placeholders
    Kind("MX201", "turns-missing", "error", "The record has no turns.", "Give it at least a question and an answer."),
    Kind(
        "MX202",
        "turns-odd",
        "error",
        "An odd number of turns: the last one has no answer.",
        "Add the answer, or remove the question.",
    ),
    Kind(
        "MX203",
        "turns-order",
        "error",
        "The turns do not alternate between user and assistant.",
        "Order them question, answer, question, answer.",
    ),
    Kind(
        "MX204",
        "turn-role",
        "error",
        "A turn with a role the format does not have.",
        "Use the format's two roles, or name yours with user_key and assistant_key.",
    ),
    Kind(
        "MX205",
        "turn-shape",
        "error",
        "A turn that is not an object with a role and a text.",
        'Write {"from": role, "value": text}.',
    ),
    Kind("MX206", "turn-empty", "warning", "A turn without text.", "Add the text, or remove question and answer."),
    Kind(
        "MX211",
        "placeholder-count",
        "error",
        "The number of placeholders differs from the number of media.",
        "Write one placeholder per media item.",
    ),
    Kind(
        "MX212",
        "placeholder-literal",
        "warning",
        "A placeholder in the text of a record without such media; kept as text.",
        "Add the media, or ignore this if the text speaks about the tag.",
    ),
    Kind(
        "MX213",
        "combination-unsupported",
        "info",
        "A combination of media that the upstream trainer cannot train on.",
        "Nothing, unless the data goes back to that trainer.",
    ),
    Kind(
        "MX214",
        "text-q-missing",
        "warning",
        "A spoken question without its transcript: the upstream trainer fails on it.",
        "Add text_q.",
    ),
    Kind(
        "MX215",
        "num-frames",
        "warning",
        "The number of frames asked for is no positive number.",
        "Write a positive whole number.",
    ),
    # ---- masks
    Kind(
        "MX301",
        "region-count",
        "error",
        "The number of <region> differs from the number of annotated objects.",
        "Write one <region> per object; upstream would use the masks of another row.",
    ),
    Kind(
        "MX302",
        "mask-payload",
        "error",
        "A mask that is neither RLE nor a list of polygons.",
        "Write {size, counts}, or [[x, y, x, y, x, y, …], …].",
    ),
    Kind(
        "MX303",
        "mask-size-missing",
        "error",
        "Polygons without the picture's size.",
        "Add the picture's height and width to the record.",
    ),
    Kind(
        "MX304",
        "mask-counts",
        "error",
        "The run lengths of a mask do not fill its picture.",
        "Encode the mask again: the counts must sum to height × width.",
    ),
    Kind(
        "MX305",
        "mask-frame-key",
        "error",
        "A frame key that is no frame index.",
        "Use the 0-based index of the frame in the original video, as a decimal string.",
    ),
    Kind(
        "MX306",
        "mask-size-differs",
        "error",
        "The size of a mask differs from that of its picture.",
        "Encode the mask at the picture's size, or correct the record's height and width.",
    ),
    Kind(
        "MX307",
        "mask-frame-out-of-range",
        "error",
        "A mask for a frame that the video does not have.",
        "Frames count from 0: the last one is the number of frames minus 1.",
    ),
]

CATALOGUE: dict[str, Kind] = {kind.code: kind for kind in _KINDS}
CODE: dict[str, str] = {kind.name: kind.code for kind in _KINDS}


def finding(name: str, message: str, pointer: str = "") -> Finding:
    """A finding by its catalogue name.

    Raises:
        KeyError: the catalogue has no such name.
    """
    return Finding(CODE[name], message, pointer)


def pointer(*keys: str | int) -> str:
    """The JSON pointer (RFC 6901) to a value inside a record."""
    return "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in keys)
