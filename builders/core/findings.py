"""Findings: what modalmix sees in a record or a file, as values.

A **finding** is one observation: a stable code, a severity, the place (annotation file, ordinal, JSON pointer, byte
offset), what was seen, and how to fix it.  Readers, formats and the rewriter return findings; nothing below the
command line raises or prints them.  A record with a finding of severity ``error`` is *rejected*: it is written to the
rejects with all its findings, never replaced and never dropped.

The catalogue below is the one place where codes are defined.  Codes are never reused: ``MX0..`` reading files and JSON,
``MX1..`` media and paths, ``MX2..`` turns, placeholders and unread keys, ``MX3..`` masks.
"""

from __future__ import annotations

import reprlib
from typing import Literal, NamedTuple

import msgspec

Severity = Literal["error", "warning", "info"]


class Kind(NamedTuple):
    """What all findings of one code have in common."""

    code: str
    name: str
    severity: Severity
    meaning: str
    fix: str


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One observation about one record or one annotation file.

    Attributes:
        code: a code of `CATALOGUE`.
        message: what was seen, quoting the value.
        pointer: JSON pointer (RFC 6901) inside the record; empty for the record as a whole.
        file: annotation file relative to its root; empty until the reader places the finding.
        row: ordinal of the record in that file, from 0; -1 for the file as a whole.
        offset: byte offset in the (decompressed) annotation file; None where it is unknown.
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
        """The same finding with its place: the annotation file and the ordinal of the record."""
        return Finding(self.code, self.message, self.pointer, file, row, self.offset)

    def __str__(self) -> str:
        at = f"{self.file}:{self.row}" if self.row >= 0 else self.file
        kind = self.kind
        return f"{at}: {kind.code} {kind.name}{f' at {self.pointer}' if self.pointer else ''}: {self.message}"


def rejects(findings: list[Finding]) -> bool:
    """Whether a record with these findings is rejected."""
    return any(CATALOGUE[f.code].severity == "error" for f in findings)


# fmt: off
_KINDS = [
    # ---- reading
    Kind("MX001", "json-invalid", "error",
         "The record is not valid JSON.",
         "Correct the text at the byte offset."),
    Kind("MX002", "json-truncated", "error",
         "The file ends inside a record or before the closing bracket.",
         "Download the file again; its size differs from the original."),
    Kind("MX003", "json-bom", "info",
         "The file starts with a byte-order mark.",
         "Save it as UTF-8 without a mark."),
    Kind("MX004", "json-duplicate-key", "error",
         "An object has the same key twice; JSON readers keep only the last.",
         "Give each key once; for masks, the key is the frame number."),
    Kind("MX005", "json-not-a-number", "warning",
         "The record holds NaN or Infinity, which are not JSON, though Python's json reads them.",
         "Write null or a number."),
    Kind("MX006", "json-lone-surrogate", "error",
         "A \\uD800–\\uDFFF escape has no other half: the text is not Unicode.",
         "Write the whole pair, or U+FFFD."),
    Kind("MX007", "record-too-large", "error",
         "The record is larger than max_record_bytes.",
         "Raise max_record_bytes, or keep the payload in a file of its own."),
    Kind("MX008", "record-not-an-object", "error",
         "The record is a JSON value, but not an object.",
         "Each record must be an object with its turns and media."),
    Kind("MX009", "format-unknown", "error",
         "No format recognises the record.",
         "Name the format, or compare the record with the README's list of formats."),
    Kind("MX010", "json-encoding", "error",
         "The bytes are not UTF-8.",
         "Convert the file to UTF-8."),
    Kind("MX011", "file-damaged", "error",
         "The file cannot be read to its end.",
         "Download or decompress it again. The records before the damage are read."),
    Kind("MX012", "record-shape", "error",
         "A key holds a value of a kind that the format does not allow.",
         "Give the key a value of the kind that the message names."),
    Kind("MX013", "id-duplicate", "warning",
         "Another record of the file has the same id.",
         "Give each record an id of its own, or none."),
    Kind("MX014", "record-duplicate", "warning",
         "Another record is the same, key by key.",
         "Keep one of them, unless it is repeated on purpose."),
    Kind("MX015", "type-change", "info",
         "The values of a key change their type here.",
         "modalmix needs none. Readers that infer types from the first rows turn the rest into text."),
    # ---- media
    Kind("MX101", "media-missing", "error",
         "The media file is under no media root.",
         "Download it, or pass the folder that holds it as media_root."),
    Kind("MX102", "media-ambiguous", "error",
         "Several files fit the path equally well.",
         "Pass the media roots so that only one of them holds the file."),
    Kind("MX103", "path-outside-root", "error",
         "The path leads out of every media root.",
         "If the path is right, pass the folder it leads to as another media_root."),
    Kind("MX104", "media-unreadable", "error",
         "The media file exists but cannot be read.",
         "Correct its permissions, or download it again."),
    Kind("MX105", "media-empty", "error",
         "The media file has no bytes.",
         "Download it again."),
    Kind("MX106", "media-too-large", "error",
         "A media value of 2 GiB or more does not fit a Parquet page.",
         "Cut the file into parts, or keep it outside the dataset."),
    Kind("MX107", "media-kind", "error",
         "The media file is of another kind than its key says.",
         "Correct the path, or the key."),
    Kind("MX108", "mixed-video-kinds", "error",
         "One row has video files and frame lists: their order would be lost.",
         "Make all videos of a row files, or all of them frames."),
    Kind("MX109", "path-invalid", "error",
         "The path is empty or holds characters no file name can have.",
         "Correct the path."),
    Kind("MX110", "path-backslash", "warning",
         "The path has backslashes; the file exists under the path with slashes.",
         "Write slashes (check --fix does it)."),
    Kind("MX111", "patch-out-of-range", "error",
         "The byte range lies outside of its patch file.",
         "Download the patch again; it is shorter than the annotations say."),
    Kind("MX112", "patch-shape", "error",
         "The patch has no usable file, start or size.",
         'Write {"patch": file, "start_num": bytes, "size": bytes} (a list of sizes for a video).'),
    Kind("MX113", "patch-size-list", "info",
         "The size of an image patch is a list of one number; upstream's reader fails on it.",
         "Write the size as a number."),
    Kind("MX114", "patch-base64", "error",
         "The record says that the patch is base64, but its bytes are not.",
         "Remove image_encoding, or pack the patch again."),
    Kind("MX145", "patch-overlap", "warning",
         "Two items of a patch overlap without being the same.",
         "Correct start_num and size, or pack the patch again."),
    # ---- archives
    Kind("MX121", "archive-damaged", "error",
         "The archive cannot be read to its end.",
         "Download all of its pieces again. The members before the damage are used."),
    Kind("MX122", "archive-bomb", "error",
         "The archive unpacks to far more than its own size.",
         "If that is right, raise the limit that the message names."),
    Kind("MX123", "member-name", "warning",
         "The name of a member is not a plain relative path in UTF-8; the member is not used.",
         "Pack the archive again with plain names."),
    Kind("MX124", "member-kind", "warning",
         "A member is not a plain file (a link, a device, sparse, encrypted …); it is not used.",
         "Pack the file itself, stored or deflated."),
    Kind("MX125", "member-duplicate", "warning",
         "Two members have the same name; only the first is used.",
         "Pack the archive again with each name once."),
    Kind("MX126", "member-size", "warning",
         "A member has another size than the archive says, or exceeds the limit; it is not used.",
         "Pack the archive again."),
    Kind("MX127", "member-id", "warning",
         "The media cells of a Parquet file have no names.",
         "Name the column that holds the file name or id."),
    # ---- video
    Kind("MX131", "video-truncated", "warning",
         "The video ends before its header says; the frames it has are used.",
         "Download it again."),
    Kind("MX132", "video-damaged", "warning",
         "Parts of the video do not decode. A frame that does not decode is an error, never a repeat of another.",
         "Download it again."),
    Kind("MX133", "video-edit-list", "info",
         "The video stores more frames than players show (an edit list, or no keyframe at the start): frame indices differ.",
         "Count the stored frames for masks made with decord, the shown frames for everything else."),
    Kind("MX134", "video-streams", "warning",
         "The file has several videos, and decord or ffmpeg takes another one than is read here: the one marked default.",
         "Keep the one video that is meant (ffmpeg -map 0:v:N -map 0:a? -c copy)."),
    # ---- contents of media, and what only all records together show
    Kind("MX115", "path-case", "warning",
         "The file does not exist, but one whose name differs only in upper and lower case does.",
         "Write the path as the file is named."),
    Kind("MX116", "path-absolute", "info",
         "The path is absolute, but the trainer puts its media folder in front of it.",
         "Write it relative to the media folder."),
    Kind("MX117", "media-extension", "warning",
         "The bytes are of another kind than the file's name says.",
         "Rename the file: decoders look at the bytes, other programs at the name."),
    Kind("MX118", "media-truncated", "error",
         "The media file is shorter than its own header says, or decoding stops before its end.",
         "Download it again."),
    Kind("MX119", "no-sound-track", "error",
         "The record names the file as a sound, but it has no sound track.",
         "Take the sound from another file, or remove it from the record."),
    Kind("MX120", "media-stand-in", "error",
         "The file is a Git LFS pointer, a web page or a text, not media.",
         "Fetch the file itself (git lfs pull), or download it again."),
    Kind("MX141", "duration-zero", "error",
         "The sound or video has a duration of zero.",
         "Download it again, or remove the record."),
    Kind("MX142", "size-extreme", "warning",
         "The medium is larger, smaller or longer than trainers accept.",
         "Compare it with the limits of your trainer; cut or scale it."),
    Kind("MX143", "media-orphan", "info",
         "No record refers to the media file.",
         "Look for a missing annotation file; else keep or remove the media file."),
    Kind("MX144", "media-contradiction", "warning",
         "Records give different sizes for the same picture or video.",
         "Correct height and width; masks must be drawn at the picture's size."),
    Kind("MX146", "frames-differ-in-size", "warning",
         "The frames of one video have different sizes.",
         "Pack the frames again at one size."),
    Kind("MX147", "patch-channels", "info",
         "The trainer swaps red and blue in the frames of the patch, because of a word in its path.",
         "Keep the word in the path to get the colours that the trainer sees; extra holds channel_order."),
    Kind("MX148", "frames-order", "warning",
         "Sorted by name, the frames of a folder are in another order than by number.",
         "Pad the numbers with zeros (00001.jpg)."),
    Kind("MX150", "media-changed", "error",
         "The media file changed after its row was read: it is gone, has another size, or was written to.",
         "Let nothing write to the media during a build, and build again."),
    # ---- turns and placeholders
    Kind("MX201", "turns-missing", "error",
         "The record has no turns.",
         "Give it at least a question and an answer."),
    Kind("MX202", "turns-odd", "error",
         "The number of turns is odd: the last one has no answer.",
         "Add the answer, or remove the question."),
    Kind("MX203", "turns-order", "error",
         "The turns do not alternate between user and assistant.",
         "Order them question, answer, question, answer."),
    Kind("MX204", "turn-role", "error",
         "A turn has a role that the format does not know.",
         "Use the format's two roles, or name yours with user_key and assistant_key."),
    Kind("MX205", "turn-shape", "error",
         "A turn is not an object with a role and a text.",
         'Write {"from": role, "value": text}.'),
    Kind("MX206", "turn-empty", "warning",
         "A turn has no text.",
         "Add the text, or remove question and answer."),
    Kind("MX211", "placeholder-count", "error",
         "The number of placeholders differs from the number of media.",
         "Write one placeholder per media item."),
    Kind("MX212", "placeholder-literal", "warning",
         "A text holds a placeholder, but the record has no such media; it is kept as text.",
         "Add the media, or ignore this if the text is about the tag."),
    Kind("MX213", "combination-unsupported", "info",
         "The upstream trainer cannot train on this combination of media.",
         "modalmix needs none. Split the record if the data goes back to that trainer."),
    Kind("MX214", "text-q-missing", "warning",
         "A spoken question has no text_q, the text in place of the first turn; the upstream trainer fails on it.",
         "Add text_q."),
    Kind("MX215", "num-frames", "warning",
         "The number of frames is not a positive number.",
         "Write a positive whole number."),
    Kind("MX216", "placeholder-order", "info",
         "The trainer moves the placeholders of the turn.",
         "Put them in front, as the trainer does (check --fix does it)."),
    Kind("MX217", "num-frames-too-many", "warning",
         "The record asks for more frames than the video has.",
         "Ask for no more frames than there are; upstream repeats the first one."),
    Kind("MX218", "placeholder-unseen", "warning",
         "A placeholder stands where the trainer does not look for it.",
         "Move it into a question; move a <region> behind the picture or video."),
    # ---- keys that a format does not read
    Kind("MX221", "medium-unread", "error",
         "The record lacks a medium, and a key that its format does not read holds one.",
         "Rename the key to one that the format reads, or name the format that reads it. "
         "If the record is meant without it, pass ignore_key."),
    Kind("MX222", "medium-extra", "warning",
         "A key that the format does not read holds a medium: the row does not show it.",
         "Rename the key and add a tag if it belongs in the row; if not, pass ignore_key."),
    Kind("MX223", "prompt-unread", "warning",
         "The record has a system prompt or tools under a key that its format does not read: the row is without.",
         "Use a format that reads it, such as lmms_finetune with system_prompt; or pass ignore_key."),
    Kind("MX224", "part-unread", "warning",
         "The record names a time, a box or a frame rate of its medium under a key that its format does not read: "
         "the row shows the whole medium as it is.",
         "Cut the medium, or write what is meant in the text; or pass ignore_key."),
    # ---- masks
    Kind("MX301", "region-count", "error",
         "The number of <region> differs from the number of annotated objects.",
         "Write one <region> per object; upstream would use the masks of another row."),
    Kind("MX302", "mask-payload", "error",
         "A mask is neither RLE nor a list of polygons.",
         "Write {size, counts}, or [[x, y, x, y, x, y, …], …]."),
    Kind("MX303", "mask-size-missing", "error",
         "The record has polygons, but not the size of the picture.",
         "Add the picture's height and width to the record."),
    Kind("MX304", "mask-counts", "error",
         "The run lengths of a mask do not fill its picture.",
         "Encode the mask again: the counts must sum to height × width."),
    Kind("MX305", "mask-frame-key", "error",
         "A frame key is not a frame index.",
         "Use the 0-based index of the frame in the original video, as a decimal string."),
    Kind("MX306", "mask-size-differs", "error",
         "The size of a mask differs from that of its picture.",
         "Encode the mask at the picture's size, or correct the record's height and width."),
    Kind("MX307", "mask-frame-out-of-range", "error",
         "A mask belongs to a frame that the video does not have.",
         "Frames count from 0: the last one is the number of frames minus 1."),
    Kind("MX308", "mask-empty", "warning",
         "A mask has no pixel.",
         "Write null for an object that is not there, or leave the frame out."),
]
# fmt: on

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


def quote(value: object) -> str:
    """A value as a finding's message quotes it: on one line, and short however large or deep it is."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 4, 4
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
