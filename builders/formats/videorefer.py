r"""VideoRefer: conversations about objects in videos and pictures, the objects given as masks.

One JSON array or JSON lines.  Home: https://github.com/DAMO-NLP-SG/VideoRefer (now
https://github.com/alibaba-damo-academy/PixelRefer); data: ``DAMO-NLP-SG/VideoRefer-700K`` (Apache-2.0, 1.11 TB) and
``DAMO-NLP-SG/VideoRefer-Bench`` on the Hub.

::

    VideoRefer-700K/   videorefer-detailed-caption-125k.json (5.6 GB)  videorefer-short-caption-500k.json (1.6 GB)
                       videorefer-qa-75k.json (2.9 GB; its videos MeViS, A2D, YouTube-VOS come from their own homes)
                       panda_videos_part/panda_70m_split.tar.gz.NN  (byte-split; clip names hold colons)
    VideoRefer-Bench/  VideoRefer-Bench-D.json  VideoRefer-Bench-Q.json  Panda-70M-part.zip  (Q: folders of frames)

    {"id": "…", "video": "a.mp4", "conversations": [{"from": "human", "value": "<video>\nWhat is <region>?"}, …],
     "annotation": [{"36": {"segmentation": {"size": [720, 1280], "counts": "…"}}, "40": …}, …one per object]}

A frame key is the 0-based index of the *original* video's decoded frames.  For a folder of frames it is the position in
the sorted listing, not the number in the name; for a picture it is ignored.  ``<region>`` and objects go by order.

The layouts in use (https://github.com/alibaba-damo-academy/PixelRefer/issues/15 is what happens when they meet the
wrong trainer), each of them read and given back:

========================================  ============================================================================
``annotation: [{f: {segmentation: m}}]``  VideoRefer's trainer, 700K and Bench; pictures too since 2024-12-31
``annotation: [{segmentation: m}]``       pictures in the trainer's first version
``annotation: [{f: m}]``                  rows of 700K without the segmentation level
``annotation: [{f: {f: …}}]``             rows of 700K's QA part whose id starts with ytb_vos: an extra level
``masks: [{f: m}]``, ``masks: [m]``       VideoLLaMA3-based trainer and PixelRefer: videos, pictures
========================================  ============================================================================

``segmentation: null`` means annotated as not there.  Bench rows have no conversations but a ``caption`` (D), or
``Question``, ``options`` and ``Answer`` (Q); their turns are those words with placeholders.

Known to be broken: rows without objects, and rows whose ``<region>`` are fewer than their objects (upstream counts
neither; the trainer then uses masks of the next row); of a row with an image and a video upstream ignores the video.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.findings import CODE, Finding, finding, pointer, quote
from ..core.mask_payloads import counts_findings, parse_mask, size_finding
from ..core.rle import PIXELS, all_fit
from ..core.sample import Mask, Recognition, Reference, Sample, Turn, Video, notes_of
from .base import Fix
from .extra import keep, keep_usual, restore
from .front_tags import front_tag_findings, front_tag_fixes
from .references import read_paths, text_of_id, write_paths
from .shape import LIKELY, LISTS, NO, OBJECTS, POSSIBLE, UNLIKELY, Kinds, Shape
from .split_names import split_by_name, words_of
from .turns import (
    ROLES,
    Roles,
    canonical,
    count_findings,
    order_findings,
    placeholders,
    read_turns,
    split,
    usual_turns,
    write_turns,
)

NAME = "videorefer"
TITLE = "VideoRefer"
MODALITIES: tuple[str, ...] = ("image", "video", "masks")
RELEASE: str | None = None
FOLDERS: tuple[str, ...] = ()

OWN: Kinds = {"annotation": LISTS, "masks": LISTS}
NEVER: Kinds = {"image": OBJECTS, "video": OBJECTS}
PATH_WORDS: tuple[str, ...] = ()
READ_KEYS: frozenset[str] = frozenset(
    {"id", "image", "video", "height", "width", "conversations", "conversation", "annotation", "masks", "stream"}
    | {"caption", "Question", "options", "Answer"}  # of VideoRefer-Bench
)
CONTENT_KEYS: tuple[str, ...] = ("stream",)

ON_DEFECT: Mapping[str, str] = {
    "json-invalid": "parses the whole file at the start and stops there; one bad record costs all of them",
    "record-shape": "trains on another row instead",
    "media-missing": "takes a random other row, silently",
    "media-unreadable": "takes a random other row",
    "path-absolute": "takes it as it is",
    "media-extension": "reads a `.gif` in another way",
    "video-edit-list": "its second trainer takes its frames from the one and its masks' frames from the other",
    "frames-order": "sorts the names as texts: `1`, `10`, `11`, `2`; masks and time then belong to other frames",
    "turns-missing": "AssertionError or IndexError; the run dies",
    "turns-odd": "AssertionError",
    "turns-order": "drops a first turn that is not the user's",
    "turn-role": "KeyError",
    "combination-unsupported": "takes the image and ignores the video",
    "placeholder-order": "puts the tags of the picture or video in front of the turn",
    "num-frames-too-many": "repeats frames",
    "placeholder-unseen": "counts `<region>` after the last picture or video alone: the masks shift",
    "region-count": "too many regions stop the run; too few let its masks slip into the next row",
    "mask-payload": "decodes masks outside of its try: one bad payload ends the run",
    "mask-size-missing": "TypeError",
    "mask-frame-key": "ValueError, and a random other row",
    "mask-frame-out-of-range": "decord raises, and a random other row is used; -1 is taken for the last frame",
    "mask-empty": "its VideoLLaMA3-based trainer takes the whole picture instead; PixelRefer: ValueError",
}
"""What the trainer does with a finding, by the name of the finding, in Markdown."""

_ORDER = ("id", "image", "video", "height", "width", "conversations", "annotation", "masks")
"""The usual order of a record's keys."""
_BENCH = ("Question", "caption")
_REGION = {"region": "region"}
"""``<region>`` is a token of the trainer in every row, whether the row has objects or not."""
_TAGS = {
    (image, video): {tag: tag for tag, there in (("image", image), ("video", video), ("region", True)) if there}
    for image in (False, True)
    for video in (False, True)
}


def read(record: Mapping[str, Any], roles: Roles = ROLES) -> Sample:
    """The sample of a record, of any layout.

    Notes in ``extra``: ``turns``, where they are not under ``conversations`` (``conversation``: under this key;
    ``bench``: built from a benchmark's question and answer), and ``masks``, the layout of the objects where it
    differs from the first one above (``key``, ``bare``: no segmentation level, ``still``: no frame level,
    ``frames``: the frame keys where they are not the frames' plain numbers, ``nested``: the keys of one level more).
    """
    findings: list[Finding] = []
    notes: dict[str, Any] = {}
    images, videos = _media(record, findings)
    still = record.get("image") is not None
    masks, usual = _usual_objects(record, still)
    if not usual:
        masks, layout = _read_objects(record, still, findings)
        if layout:
            notes["masks"] = layout
    found: Mapping[str, int] | None = None
    if record.get("conversations") is None and any(key in record for key in _BENCH):
        notes["turns"] = "bench"
        turns, more = _bench_turns(record, "<image>\n" * len(images) + "<video>\n" * len(videos), len(masks))
    else:
        tags = _TAGS[still, record.get("video") is not None]
        vocabulary = () if findings else ("image", "video")
        if "conversation" in record and "conversations" not in record:
            notes["turns"] = "conversation"
            turns, more = read_turns(record["conversation"], tags, roles, vocabulary)
            more = [Finding(f.code, f.message, f.pointer.replace("/conversations", "/conversation", 1)) for f in more]
        else:
            conversations = record.get("conversations")
            turns, found = usual_turns(conversations, tags, roles)
            turns, more = (turns, []) if found is not None else read_turns(conversations, tags, roles, vocabulary)
    findings += more
    if images and videos:
        unused = not placeholders(turns)["video"]
        message = "an image and a video: the trainer takes the image alone"
        findings.append(finding("combination-unsupported", f"{message}, as is done here" if unused else message))
        videos = [] if unused else videos
    if record.get("stream"):
        findings.append(
            finding("combination-unsupported", "a row for streaming, which the trainer cannot read", "/stream")
        )
    sample = Sample(text_of_id(record.get("id")), turns, None, images, videos, masks=masks, findings=findings)
    findings += count_findings(sample, found)
    extra = None
    if usual and found is not None:
        extra = keep_usual(record, ("conversations", "annotation"), ("id",), _ORDER)
    sample.extra = keep(record, _columns(sample, notes, roles), notes, _ORDER) if extra is None else extra
    return sample


def write(sample: Sample, roles: Roles = ROLES) -> dict[str, Any]:
    """The record of a sample, in the layout it came in.

    A sample of another format is written with the paths of its media (a list of frames as their folder) and its system
    prompt, which the trainer does not read, as ``system_prompt``; sounds are left out (compare
    its `Sample.mix` with `MODALITIES`).
    """
    extra = dict(sample.extra)
    images, videos = _media(extra, [])
    if sample.images and not images:
        extra["image"] = write_paths(sample.images)
    if sample.videos and not videos:
        extra["video"] = write_paths(sample.videos)
    if sample.system is not None:
        extra["system_prompt"] = sample.system
    if "height" not in extra and (drawn := next((m for o in sample.masks for m in o if m.polygons), None)):
        extra |= {"height": drawn.height, "width": drawn.width}
    return restore(_columns(sample, notes_of(sample.extra), roles), extra, _ORDER)


def fit(shape: Shape) -> Recognition:
    """How well a record fits, and why, apart from the keys that only one format has."""
    objects = shape.keys_of(OWN)
    if shape.kinds.get("conversations") not in LISTS:
        if objects and any(key in shape.kinds for key in _BENCH):
            return Recognition(LIKELY, ["has a question or a caption and objects, as the rows of VideoRefer-Bench"])
        if shape.kinds.get("conversation") in LISTS and ("stream" in shape.kinds or objects):
            return Recognition(LIKELY, ["has conversation, as VideoLLaMA3's rows for streaming"])
        return Recognition(NO, ["no conversations"])
    for key in ("masked_video", "timestamps"):
        if key in shape.kinds:
            return Recognition(LIKELY, [f"has {key}, which VideoRefer's frame lists have"])
    if "region" in shape.tags:
        return Recognition(LIKELY, ["has <region> in its turns, but no objects"])
    if shape.has("video") and shape.tag != "video":
        return Recognition(UNLIKELY, ["the video's placeholder is not <video>, and there are no objects"])
    return Recognition(POSSIBLE, ["has no objects"])


def split_of(file: str) -> str:
    """``test`` for the files of VideoRefer-Bench; else ``train``, unless the file's name says another split."""
    return "test" if "bench" in words_of(file) else split_by_name(file)


# ---- the trainer


def trainer_findings(record: Mapping[str, Any], sample: Sample) -> Iterator[Finding]:
    """Turns whose tags the trainer moves, and regions that it does not see.

    Of ``<region>`` the trainer counts those after the last picture or video alone (``videorefer_arch.py``, lines 244-266).
    """
    yield from front_tag_findings(record, _front_tags(record))
    if not sample.masks:
        return
    tags = [split(turn.value)[0] if "<" in turn.value else [] for turn in sample.turns]
    last = max((i for i, found in enumerate(tags) if "image" in found or "video" in found), default=0)
    for i, found in enumerate(tags[:last]):
        if "region" in found:
            message = f"<region> in turn {i}, before the picture or video of turn {last}"
            yield finding("placeholder-unseen", message, f"/conversations/{i}/value")


def fixes(record: Mapping[str, Any]) -> Iterator[Fix]:
    """A flat polygon ``[x, y, …]``, or one of points ``[[x, y], …]``, becomes ``[[x, y, …]]``; the tags of a turn go in front."""
    for key in OWN:
        if isinstance(objects := record.get(key), list):
            for i, payload in enumerate(objects):
                yield from _polygon_fixes(payload, pointer(key, i), 3)
    yield from front_tag_fixes(record, _front_tags(record))


def _front_tags(record: Mapping[str, Any]) -> list[str]:
    """The tag that the trainer puts in front of a turn (``videorefer/train.py``, lines 230-236)."""
    return ["image"] if record.get("image") is not None else ["video"] if record.get("video") is not None else []


def _polygon_fixes(value: Any, at: str, depth: int) -> Iterator[Fix]:
    if isinstance(value, dict):
        if "counts" not in value and depth:
            for key, inner in value.items():
                yield from _polygon_fixes(inner, at + pointer(key), depth - 1)
        return
    if not isinstance(value, list) or len(value) < 3:
        return
    if _are_numbers(value):
        if len(value) >= 6 and len(value) % 2 == 0:
            yield Fix(CODE["mask-payload"], at, value, [value])
    elif all(isinstance(point, list) and len(point) == 2 and _are_numbers(point) for point in value):
        yield Fix(CODE["mask-payload"], at, value, [[number for point in value for number in point]])


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


# ---- media and turns


def _media(record: Mapping[str, Any], findings: list[Finding]) -> tuple[list[Reference], list[Video]]:
    """A value that cannot be read in full gives findings and no references; null is no media."""
    images: list[Reference] = []
    videos: list[Video] = []
    if (value := record.get("image")) is not None:
        images, more = read_paths(value, "image")
        if more:
            images = []
            findings += more
    if (value := record.get("video")) is not None:
        frames, more = read_paths(value, "video")
        findings += more
        if not more:  # a list of one is a video; a list of more is its frames
            videos = [frames] if len(frames) > 1 else [*frames]
    return images, videos


def _bench_turns(record: Mapping[str, Any], media: str, objects: int) -> tuple[list[Turn], list[Finding]]:
    """Turns of a benchmark's row: its own words, the media's placeholders, and ``<region>`` where it says none."""
    regions = " ".join(["<region>"] * objects)
    if "Question" not in record:
        words, more = _texts(record, "caption")
        turns = [Turn("human", media + regions), *(Turn("gpt", canonical(word, {})) for word in words)]
        return turns, more or order_findings(turns, "")
    question, findings = _texts(record, "Question")
    options, more = _texts(record, "options")
    answer, missing = _texts(record, "Answer")
    findings += more + missing
    asked = "\n".join([*(canonical(text, _REGION) for text in question), *(canonical(text, {}) for text in options)])
    if objects and "<region>" not in asked:
        asked = f"{regions}\n{asked}"
    turns = [Turn("human", media + asked), *(Turn("gpt", canonical(word, {})) for word in answer)]
    return turns, findings or order_findings(turns, "")


def _texts(record: Mapping[str, Any], key: str) -> tuple[list[str], list[Finding]]:
    """A text, or a list of texts for the options; none where the key is missing or null."""
    value = record.get(key)
    if value is None:
        return [], []
    if isinstance(value, str):
        return [value], []
    if key == "options" and isinstance(value, list) and all(isinstance(option, str) for option in value):
        return value, []
    return [], [finding("record-shape", f"{key} is {quote(value)}, not a text", pointer(key))]


# ---- objects


def _usual_objects(record: Mapping[str, Any], still: bool) -> tuple[list[list[Mask]], bool]:
    """The masks as nearly all records have them: the first layout above, compressed counts that fill one size.

    Returns:
        What `_read_objects` gives, and whether that is all there is to say: nothing is wrong, and `_write_objects` gives
        back exactly what the record has.
    """
    objects = record.get("annotation")
    if type(objects) is not list or not objects or record.get("masks"):
        return [], False
    masks: list[list[Mask]] = []
    counts: list[str] = []
    first: list[int] | None = None
    for object_ in objects:
        if type(object_) is not dict or not object_:
            return [], False
        of_object: list[Mask] = []
        for name, level in object_.items():
            if type(level) is not dict or tuple(level) != ("segmentation",):
                return [], False
            payload = level["segmentation"]
            if type(payload) is not dict or tuple(payload) != ("size", "counts"):
                return [], False
            size, text = payload.values()
            frame = _frame(name)
            if frame is None or type(text) is not str or str(frame) != name or (still and (frame or of_object)):
                return [], False
            if first is None:
                first = _usual_size(record, size)
            if first is None or size != first or type(size[0]) is not int or type(size[1]) is not int:
                return [], False
            of_object.append(Mask(frame, first[0], first[1], text))
            counts.append(text)
        masks.append(of_object)
    assert first is not None
    return masks, all_fit(counts, [first[0] * first[1]] * len(counts))


def _usual_size(record: Mapping[str, Any], size: object) -> list[int] | None:
    """The size of a mask as height and width, which the record does not contradict."""
    if type(size) is not list or len(size) != 2 or type(size[0]) is not int or type(size[1]) is not int:
        return None
    height, width = size
    if not (0 < height < 2**31 and 0 < width < 2**31 and height * width < PIXELS):
        return None
    for value, own in ((record.get("height"), height), (record.get("width"), width)):
        if value is not None and (type(value) is not int or value != own):
            return None
    return size


def _read_objects(
    record: Mapping[str, Any], still: bool, findings: list[Finding]
) -> tuple[list[list[Mask]], dict[str, Any]]:
    """The masks of a record's objects and how they are laid out; every object has a list, however little could be read.

    Args:
        record: the record.
        still: the masks belong to a picture: whatever frame they name, it is 0.
        findings: what is wrong is added here.
    """
    key = "annotation" if record.get("annotation") is not None else "masks"
    objects = record.get(key)
    if not objects and not isinstance(objects, (dict, str, int, float)):
        return [], {}  # null, absent or an empty list
    if not isinstance(objects, list):
        findings.append(finding("record-shape", f"{key} is {quote(objects)}, not a list of objects", f"/{key}"))
        return [], {}
    if key == "annotation" and record.get("masks"):
        findings.append(finding("combination-unsupported", "annotation and masks: annotation is read", "/masks"))
    height, more = _pixels(record, "height")
    width, bad = _pixels(record, "width")
    bad += more
    findings += bad
    masks: list[list[Mask]] = []
    good: list[tuple[Mask, str]] = []
    written: list[list[str]] = []
    nested: list[str | None] = []
    like: tuple[bool, bool] | None = None
    for i, object_ in enumerate(objects):
        at = f"/{key}/{i}"
        outer, object_ = _unnested(object_)
        if outer is not None:
            at += pointer(outer)
        of_object: list[Mask] = []
        names: list[str] = []
        for name, payload, place, bare in _payloads(object_, at):
            like = like or (bare, name is None)
            frame = _frame_of(name, payload, still, of_object)
            if isinstance(frame, str):
                findings.append(finding("mask-frame-key", frame, at if name is None else at + pointer(name)))
                continue
            mask, wrong = parse_mask(payload, frame, height, width, place)
            findings += [f for f in wrong if not (bad and f.code == "MX303")]  # the missing size is reported already
            if mask is not None:
                of_object.append(mask)
                names.append(name or "")
                if not wrong:
                    good.append((mask, place))
        if isinstance(object_, dict) and not object_:
            findings.append(finding("mask-payload", "an object without a mask", at))
        masks.append(of_object)
        written.append(names)
        nested.append(outer)
    findings += counts_findings(good)
    if height is None or width is None:
        findings += _one_size(good)
    bare, flat = like or (False, False)
    layout: dict[str, Any] = {"key": key} if key != "annotation" else {}
    if bare:
        layout["bare"] = True
    if flat:
        layout["still"] = True
    elif written != [[str(mask.frame) for mask in of_object] for of_object in masks]:
        layout["frames"] = written
    if any(outer is not None for outer in nested):
        layout["nested"] = nested
    return masks, layout


def _unnested(object_: object) -> tuple[str | None, object]:
    """The key of an extra level, or None, and the object below it."""
    if type(object_) is dict and len(object_) == 1:
        for outer, inner in object_.items():
            if type(inner) is dict and inner and all(_frame(name) is not None for name in inner):
                return outer, inner
    return None, object_


def _payloads(object_: object, at: str) -> Iterator[tuple[str | None, object, str, bool]]:
    """The masks of an object: frame key or None, payload, its JSON pointer, whether it has no segmentation level."""
    if type(object_) is not dict or "counts" in object_ or "size" in object_:
        yield None, object_, at, True
    elif "segmentation" in object_:
        yield None, object_["segmentation"], f"{at}/segmentation", False
    else:
        for name, value in object_.items():
            if type(value) is dict and "segmentation" in value:
                yield name, value["segmentation"], f"{at}{pointer(name)}/segmentation", False
            else:
                yield name, value, at + pointer(name), True


def _frame_of(name: str | None, payload: object, still: bool, before: list[Mask]) -> int | str:
    """The frame of a mask, or why it has none.

    Args:
        name: the frame key; None where there is no frame level.
        payload: the mask as written.
        still: it belongs to a picture.
        before: the masks of the same object so far.
    """
    if still:
        return f"{quote(name)} is a second frame of a picture" if before else 0
    if name is None:
        may_be_mask = payload is None or isinstance(payload, (dict, list))  # anything else gives a finding of its own
        return "a mask without a frame: an object of a video is {frame: mask}" if may_be_mask else 0
    frame = _frame(name)
    if frame is None:
        return f"{quote(name)} is no frame index"
    return f"{quote(name)} is frame {frame} again" if any(frame == mask.frame for mask in before) else frame


def _frame(name: str) -> int | None:
    """The frame index of a key; None for what is no decimal number of at most 18 digits."""
    return int(name) if name.isdecimal() and name.isascii() and len(name) <= 18 else None


def _pixels(record: Mapping[str, Any], key: str) -> tuple[int | None, list[Finding]]:
    """The record's height or width; tables exported with gaps have floats."""
    value = record.get(key)
    if value is None:
        return None, []
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**31 and value == int(value):
        return int(value), []
    return None, [finding("record-shape", f"{key} is {quote(value)}, not a number of pixels", pointer(key))]


def _one_size(masks: list[tuple[Mask, str]]) -> list[Finding]:
    """Whether all masks have one size, where the record does not give it; the trainer stacks them."""
    sized = [(mask, at) for mask, at in masks if mask.height is not None]
    for mask, at in sized[1:]:
        first = sized[0][0]
        if (mask.height, mask.width) != (first.height, first.width):
            return [size_finding(mask, f"the row's first one {first.height} × {first.width}", at)]
    return []


def mask_pointer(sample: Sample, number: int, mask: int) -> str:
    """The JSON pointer to a mask of an object in the record; for the notes see `read`."""
    layout = notes_of(sample.extra).get("masks") or {}
    place: list[str | int] = [layout.get("key", "annotation"), number]
    if layout.get("still"):
        return pointer(*place)
    if (nested := layout.get("nested")) and nested[number] is not None:
        place.append(nested[number])
    return pointer(*place, layout["frames"][number][mask] if "frames" in layout else sample.masks[number][mask].frame)


def _columns(sample: Sample, notes: Mapping[str, Any], roles: Roles) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if sample.id is not None:
        columns["id"] = sample.id
    if sample.turns and notes.get("turns") != "bench":
        columns[str(notes.get("turns", "conversations"))] = write_turns(sample.turns, _TAGS[True, True], roles)
    if sample.masks:
        layout = notes.get("masks") or {}
        columns[layout.get("key", "annotation")] = _write_objects(sample.masks, layout)
    return columns


def _write_objects(masks: list[list[Mask]], layout: Mapping[str, Any]) -> list[Any]:
    """The inverse of `_read_objects`."""
    objects: list[Any] = []
    frames, nested = layout.get("frames", ()), layout.get("nested", ())
    for i, of_object in enumerate(masks):
        payloads: list[Any] = []
        for mask in of_object:
            payload: Any = mask.polygons
            if mask.counts is not None:
                payload = {"size": [mask.height, mask.width], "counts": mask.counts}
            payloads.append(payload if layout.get("bare") else {"segmentation": payload})
        if layout.get("still"):
            objects += payloads[:1]
            continue
        names = [str(mask.frame) for mask in of_object]
        if i < len(frames) and len(frames[i]) == len(names):
            names = frames[i]
        object_ = dict(zip(names, payloads, strict=True))
        objects.append({nested[i]: object_} if i < len(nested) and nested[i] is not None else object_)
    return objects
