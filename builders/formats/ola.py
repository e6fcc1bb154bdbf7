r"""Ola: conversations over images, videos, sounds and spoken questions, partly packed into patches.

Ola (https://github.com/Ola-Omni/Ola) publishes its training data as https://huggingface.co/datasets/THUdyh/Ola-Data,
whose parts keep the licences of their sources (LibriSpeech, GigaSpeech, WavCaps, FineVideo, …).  Facts below are of
``ola/train/train.py`` and ``ola/mm_utils.py`` at commit f681820.

::

    Ola_audio_1169k.json                          {"id": …, "audio": path, "conversations": […]}
    Ola_cross_modality_finevideo_175k.json        {"id": …, "video": path, "audio": path, "conversations": […]}
    Ola_cross_modality_llava_123k.json            likewise
    video_data/video-data.json                    {"id": …, "video": {"patch": path, "start_num": n, "size": [n, …]}, …}
    ola_audio/*.tar  *.tar.0 …    video_data/patch_000000 …

Paths are absolute, of the authors' machines; the trainer has no option for a root.

A **patch** is a file of pictures (or sounds) one after the other, without header or index: an image is ``size`` bytes
from ``start_num`` on, a video's frames are ``size[0]``, ``size[1]``, … bytes that follow each other.  ``audio`` is
what there is to hear; ``audio_q`` is the *question*, spoken, and ``text_q`` the text that the trainer puts in the place
of the first turn (``_get_item``, lines 877-899): ``<image>\nUser's question in speech: <speech>\n`` where the turn holds
the question in writing.  Tags: ``<image>`` for images and for videos (`modalmix.builders.formats.turns.read_image_turns`
tells them apart), ``<speech>`` for sounds; here ``<audio>``, in ``text_q`` as in the turns.

What is known to be broken:

- The project's own packer (``tools/create_patch.py``) writes an image's size as a list of one, on which its reader
  fails; MX113, read as meant.
- ``audio_q`` without ``text_q`` fails; MX214.  Its DATA.md shows just that.
- image + audio, video + audio_q, image + video: no branch of the trainer handles them; with audio + audio_q the
  question is ignored; ``video_long`` is counted but never read.  All are read here, with a note (MX213).
- The trainer moves tags to the front and makes several ``<speech>`` of a turn one; here the text stays as it is
  written.
- Frames of some video patches are decoded to BGR and taken for RGB, depending on the *path*; see `channel_order`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ..core.findings import CODE, Finding, finding, pointer, quote
from ..core.sample import Recognition, Reference, Sample, Video, notes_of
from .base import Fix
from .extra import keep, keep_usual, restore
from .front_tags import front_tag_findings, front_tag_fixes
from .references import of_own_format, path_of, text_of_id
from .shape import ANY, FITS, LISTS, NO, OBJECTS, POSSIBLE, UNLIKELY, Kinds, Shape
from .split_names import split_by_name
from .turns import (
    ROLES,
    Roles,
    canonical,
    count_findings,
    image_tag,
    read_image_turns,
    upstream,
    usual_turns,
    write_image_turns,
)

NAME = "ola"
TITLE = "Ola"
MODALITIES: tuple[str, ...] = ("image", "video", "audio", "audio_q")
RELEASE: str | None = None
FOLDERS: tuple[str, ...] = ()

OWN: Kinds = {"audio_q": ANY, "text_q": ANY, "audio": ANY, "video_long": ANY, "image": OBJECTS, "video": OBJECTS}
NEVER: Kinds = {}
PATH_WORDS: tuple[str, ...] = ()
READ_KEYS: frozenset[str] = frozenset(
    {"id", "image", "video", "video_long", "audio", "audio_q", "text_q", "conversations"}
)
CONTENT_KEYS: tuple[str, ...] = ()

ON_DEFECT: Mapping[str, str] = {
    "json-invalid": "parses the whole file at the start and stops there; one bad record costs all of them",
    "record-not-an-object": "takes another row for it",
    "record-shape": "trains on another row instead",
    "media-missing": "takes a random other row, silently",
    "media-unreadable": "takes a random other row",
    "patch-out-of-range": "reads what is there and fails to decode it: a random other row",
    "patch-shape": "KeyError, TypeError or ValueError; retried, then a random other row",
    "patch-size-list": "its own packer writes it, and its reader fails on it (int of a list): the row is replaced",
    "patch-base64": "fails to decode it: a random other row",
    "patch-overlap": "reads from the middle of another picture: a random other row, or the other picture",
    "patch-channels": "takes blue for red in these frames, because of a word in the path (`read_video_patch`)",
    "path-absolute": "takes it as it is",
    "media-extension": "its converter takes `.mp4` and `.mkv` only",
    "media-truncated": "sets LOAD_TRUNCATED_IMAGES: the rest of the picture is grey, silently",
    "no-sound-track": "its converter makes no wav of such a video; its rows then miss their sound",
    "member-id": "its rows name FineVideo's videos `<id>.mp4`",
    "duration-zero": "no mel frame, an exception, and a random other row after some minutes of retries",
    "size-extreme": "drops sound after 750 seconds",
    "turns-order": "drops a first turn that is not the user's",
    "turn-role": "KeyError",
    "placeholder-count": "IndexError in the model",
    "placeholder-literal": "splits the text at the tag and then misses its medium",
    "combination-unsupported": "has no branch for it (retried, then replaced)",
    "text-q-missing": "KeyError, retried, then a random other row",
    "placeholder-order": "puts the tags of a turn in front of it; its model fills all pictures first, then the sounds",
}
"""What the trainer does with a finding, by the name of the finding, in Markdown."""

_MEDIA = ("image", "video", "video_long", "audio", "audio_q")
_ORDER = ("id", "audio_q", "text_q", "image", "video", "audio", "conversations")
_LITERAL = "video_tag"
"""Note: the videos' tag in a record with images and videos, where it is not ``<image>``."""

_INT64 = 1 << 63
_CHANNEL_ORDER = "channel_order"
_BGR_WORDS = ("sharegpt4o", "ShareGPT4Video/new_patch", "cinepile", "nextqa", "perceptiontest")


class _Media(NamedTuple):
    images: list[Reference]
    videos: list[Video]
    audios: list[Reference]
    audio_q: list[Reference]


@lru_cache(maxsize=1024)
def channel_order(path: str) -> Literal["RGB", "BGR"]:
    """The order in which the trainer sees the colour channels of frames in a video patch with this path.

    ``read_video_patch`` (https://github.com/Ola-Omni/Ola/blob/f681820/ola/train/train.py#L692) decodes the frames with
    OpenCV, which gives BGR, and takes them for RGB, if the path of the patch holds one of five words; it decodes with
    Pillow otherwise, and always where the patch is base64.  The path is the one in the record: to move or rename a
    patch would change the colours, so `read` keeps ``{"channel_order": "BGR"}`` in ``extra``.

    Args:
        path: path of the patch as the record has it; case matters.
    """
    return "BGR" if any(word in path for word in _BGR_WORDS) else "RGB"


def read(record: Mapping[str, Any], roles: Roles = ROLES) -> Sample:
    """The sample of a record.

    Notes in ``extra``: ``channel_order`` (see `channel_order`) and ``video_tag``.
    """
    findings: list[Finding] = []
    media = _read_media(record, findings)
    images, videos, audios, audio_q = media
    tags = {"speech": "audio"} if audios or audio_q else {}
    conversations, literal = record.get("conversations"), False
    turns, found = usual_turns(conversations, image_tag(len(images), len(videos), tags), roles)
    if found is None or (images and videos):
        found = None
        turns, more, literal = read_image_turns(
            conversations, len(images), len(videos), tags, roles, () if findings else ("image", "speech")
        )
        findings += more
    text_q = record.get("text_q")
    if text_q is not None and not isinstance(text_q, str):
        findings.append(finding("record-shape", f"text_q is {quote(text_q)}, not a text", "/text_q"))
        text_q = None
    elif audio_q and text_q is None:
        findings.append(finding("text-q-missing", "audio_q without text_q", "/text_q" if "text_q" in record else ""))
    if not audio_q:
        text_q = None  # no column of its mix: it stays in `extra`
    if text_q is not None:
        text_q = canonical(text_q, image_tag(len(images), len(videos), tags))
    sample = Sample(
        text_of_id(record.get("id")), turns, None, images, videos, audios, audio_q, text_q, findings=findings
    )
    findings += count_findings(sample, found)
    unsupported = _unsupported(media, "video_long" in record)
    if unsupported:
        findings.append(finding("combination-unsupported", unsupported))
    notes: dict[str, Any] = {}
    if literal:
        notes[_LITERAL] = "video"
    for video in videos:
        if isinstance(video, Reference) and video.sizes and not video.base64 and channel_order(video.path) == "BGR":
            notes[_CHANNEL_ORDER] = "BGR"
    texts = ("id",) if sample.text_q is None else ("id", "text_q")
    extra = None if found is None else keep_usual(record, ("conversations",), texts, _ORDER, notes)
    sample.extra = keep(record, _columns(sample, notes, roles), notes, _ORDER) if extra is None else extra
    return sample


def write(sample: Sample, roles: Roles = ROLES) -> dict[str, Any]:
    """The record of a sample.

    A sample of another format is written with the paths and patches of its media, and its system prompt, which the
    trainer does not read, as ``system_prompt``; masks are left out (compare its `Sample.mix`
    with `MODALITIES`).
    """
    extra = sample.extra
    findings: list[Finding] = []
    if not of_own_format(sample, _read_media(extra, findings), findings):
        extra = {key: value for key, value in extra.items() if key not in _MEDIA}
        written = (
            _write_media(sample.images),
            _write_media(sample.videos, True),
            _write_media(sample.audios),
            _write_media(sample.audio_q),
        )
        extra |= {key: value for key, value in zip(MODALITIES, written, strict=True) if value}
    if sample.system is not None:
        extra = {"system_prompt": sample.system, **extra}
    return restore(_columns(sample, notes_of(sample.extra), roles), extra, _ORDER)


def fit(shape: Shape) -> Recognition:
    """How well a record fits, and why, apart from the keys that only one format has."""
    if shape.kinds.get("conversations") not in LISTS:
        return Recognition(NO, ["no conversations"])
    if shape.has("video"):
        if shape.kinds["video"] not in {"text", *OBJECTS}:
            return Recognition(UNLIKELY, ["its video is neither a path nor a patch"])
        if shape.tag == "video":
            return Recognition(UNLIKELY, ["the video's placeholder is <video>, not <image>"])
        if shape.tag == "image":
            return Recognition(FITS, ["the video's placeholder is <image>"])
        return Recognition(POSSIBLE, ["the video has no placeholder"])
    return Recognition(FITS, ["has images and conversations" if shape.has("image") else "has conversations"])


def split_of(file: str) -> str:
    """``train``, unless the file's name says ``test`` or ``validation``; the project publishes training data only."""
    return split_by_name(file)


# ---- the trainer


def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterator[Finding]:
    """Turns whose tags the trainer moves, and patches of frames whose red and blue it swaps (`channel_order`)."""
    yield from front_tag_findings(record, _front_tags(record))
    if sample.videos and notes_of(sample.extra).get(_CHANNEL_ORDER) == "BGR":
        patch = next((video.path for video in sample.videos if isinstance(video, Reference)), "")
        yield finding("patch-channels", f"{patch!r}", "/video")


def fixes(record: Mapping[str, Any]) -> Iterator[Fix]:
    """``"size": [n]`` of an image or a sound becomes ``"size": n``; the tags of a turn go in front."""
    for key in ("image", "audio", "audio_q"):
        value = record.get(key)
        patches = enumerate(value) if isinstance(value, list) else [(-1, value)]
        for i, patch in patches:
            if isinstance(patch, dict) and isinstance(size := patch.get("size"), list) and len(size) == 1:
                yield Fix(CODE["patch-size-list"], pointer(*([key] if i < 0 else [key, i]), "size"), size, size[0])
    yield from front_tag_fixes(record, _front_tags(record))


def _front_tags(record: Mapping[str, Any]) -> list[str]:
    """The tags that the trainer puts in front of a turn, in this order.

    ``preprocess_multimodal`` (``ola/train/train.py``, lines 299-323) takes all ``<image>``, or one ``<speech>`` and one
    ``<image>``, or all ``<speech>``; not those of a spoken question.
    """
    if "audio_q" in record:
        return []
    tags = ["speech"] if record.get("audio") is not None else []
    return [*tags, "image"] if record.get("image") is not None or record.get("video") is not None else tags


# ---- media


def _read_media(record: Mapping[str, Any], findings: list[Finding]) -> _Media:
    """The media of a record; what cannot be read goes to `findings`."""
    media = _Media([], [], [], [])
    if "image" in record:
        value = record["image"]
        if isinstance(value, list):
            found = [_read_reference(item, pointer("image", i), findings) for i, item in enumerate(value)]
        else:
            found = [_read_reference(value, "/image", findings)]
        media.images.extend(reference for reference in found if reference is not None)
    for key in ("video", "video_long"):
        if key in record and (video := _read_reference(record[key], f"/{key}", findings)):
            media.videos.append(video)
    for key, references in (("audio", media.audios), ("audio_q", media.audio_q)):
        if key in record and (sound := _read_reference(record[key], f"/{key}", findings)):
            references.append(sound)
    return media


def _read_reference(value: object, at: str, findings: list[Finding]) -> Reference | None:
    """A path, or a patch ``{"patch", "start_num", "size", "image_encoding"}``, or ``{"img_path"}`` for an image."""
    if isinstance(value, str):
        return Reference(value)
    if not isinstance(value, dict):
        findings.append(finding("record-shape", f"{quote(value)} is neither a path nor a patch", at))
        return None
    video = at.startswith("/video")
    if at.startswith("/image") and isinstance(value.get("img_path"), str):
        return Reference(value["img_path"])  # upstream opens it even where a patch is named too
    path = value.get("patch")
    if not isinstance(path, str):
        findings.append(finding("patch-shape", f"patch is {quote(path)}, not a path", at))
        return None
    start = _natural(value.get("start_num"), 0)
    if start is None:
        findings.append(finding("patch-shape", f"start_num is {quote(value.get('start_num'))}", f"{at}/start_num"))
        return None
    size = value.get("size")
    sizes = _sizes(size if isinstance(size, list) else [size])
    if sizes is None or (video and not isinstance(size, list)) or (not video and len(sizes) != 1):
        expected = "a list of one size per frame" if video else "one size"
        findings.append(finding("patch-shape", f"size is {quote(size)}, not {expected}", f"{at}/size"))
        return None
    if start + sum(sizes) >= _INT64:
        findings.append(finding("patch-shape", f"the patch would end at byte {start + sum(sizes)}", f"{at}/size"))
        return None
    if isinstance(size, list) and not video:
        findings.append(finding("patch-size-list", f"size is {quote(size)}", f"{at}/size"))
    encoding = value["image_encoing"] if "image_encoing" in value else value.get("image_encoding")
    return Reference(path, sizes, start, encoding == "base64")


def _natural(value: object, least: int) -> int | None:
    """A whole number as upstream's ``int(…)`` takes it (7, "7", 7.0), of at least `least`."""
    if isinstance(value, str):
        number = int(value) if len(value) < 20 and value.isascii() and value.isdigit() else -1
    elif isinstance(value, int):
        number = -1 if isinstance(value, bool) else value
    else:
        number = int(value) if isinstance(value, float) and value.is_integer() else -1
    return number if least <= number < _INT64 else None


def _sizes(values: list[Any]) -> tuple[int, ...] | None:
    if not values:
        return None
    if set(map(type, values)) == {int} and min(values) >= 1 and max(values) < _INT64:
        return tuple(values)  # the usual case; videos have dozens
    sizes = [_natural(value, 1) for value in values]
    return None if None in sizes else tuple(sizes)  # type: ignore[arg-type]


def _unsupported(media: _Media, long_video: bool) -> str:
    """What the trainer has no branch for, in words; empty if it has."""
    images, videos, audios, audio_q = media
    if long_video:
        return "video_long: counted by the trainer, but never read"
    if images and (videos or audios):
        return f"image with {'video' if videos else 'audio'}"
    if audio_q and (videos or audios):
        return f"audio_q with {'video' if videos else 'audio'}"
    return ""


def _write_media(references: Sequence[Video], frames: bool = False) -> object:
    """Patches as objects (with a list of sizes for a video's frames), the rest as paths; a list if they are several."""
    values = [
        _write_patch(reference, frames) if isinstance(reference, Reference) and reference.sizes else path_of(reference)
        for reference in references
    ]
    return values[0] if len(values) == 1 else values


def _write_patch(reference: Reference, frames: bool) -> dict[str, Any]:
    sizes = reference.sizes or ()
    size = list(sizes) if frames else sum(sizes)
    patch: dict[str, Any] = {"patch": reference.path, "start_num": reference.start, "size": size}
    return {**patch, "image_encoding": "base64"} if reference.base64 else patch


def _columns(sample: Sample, notes: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    tags = {"speech": "audio"} if sample.audios or sample.audio_q else {}
    if sample.id is not None:
        columns["id"] = sample.id
    if sample.text_q is not None:
        columns["text_q"] = upstream(sample.text_q, image_tag(len(sample.images), len(sample.videos), tags))
    if sample.turns:
        columns["conversations"] = write_image_turns(
            sample.turns, len(sample.images), len(sample.videos), tags, roles, _LITERAL in notes
        )
    return columns
