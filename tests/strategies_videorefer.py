"""Well-formed VideoRefer records of every layout, generated and written by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from modalmix.builders.core import rle

HEIGHT, WIDTH = 6, 8


def square(top: int = 1, left: int = 2, height: int = HEIGHT, width: int = WIDTH) -> dict[str, Any]:
    """Two by two pixels as compressed RLE."""
    start = left * height + top
    return {
        "size": [height, width],
        "counts": rle.compress([start, 2, height - 2, 2, height * width - start - height - 2]),
    }


POLYGON = [[1.0, 1.0, 5.0, 1.0, 5.0, 4.0, 1.0, 4.0]]


def talk(question: str, answer: str = "A dog.") -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


REGION = talk("<video>\nWhat is <region>?")
PICTURE = talk("<image>\nWhat is <region>?")
SIZE = {"height": HEIGHT, "width": WIDTH}

LAYOUTS: dict[str, dict[str, Any]] = {
    "annotation": {
        "id": "a", "video": "a.mp4", "conversations": REGION,
        "annotation": [{"3": {"segmentation": square()}, "40": {"segmentation": None}}],
    },
    "without the segmentation level": {
        "id": "b", "video": "a.mp4", "conversations": REGION, "annotation": [{"3": square(), "4": None}],
    },
    "one level more": {
        "id": "ytb_vos_1", "video": "a", "conversations": REGION, "frame_idx": 36,
        "annotation": [{"36": {"36": {"segmentation": square()}, "40": {"segmentation": square(2)}}}],
    },
    "picture": {
        "id": "c", "image": "a.jpg", "conversations": PICTURE, "annotation": [{"17": {"segmentation": square()}}],
    },
    "picture without the frame level": {
        "id": "d", "image": "a.jpg", **SIZE, "conversations": PICTURE, "annotation": [{"segmentation": POLYGON}],
    },
    "masks": {"video": ["a.mp4"], **SIZE, "conversations": REGION, "masks": [{"3": square(), "5": POLYGON}]},
    "masks of a picture": {
        "image": ["a.jpg"], **SIZE, "conversations": talk("<image>\n<region> or <region>?"), "masks": [square(), POLYGON],
    },
    "frames one by one": {
        "video": ["0.jpg", "1.jpg", "2.jpg"], "timestamps": [0, 0.5, 1], "masked_video": "a.mp4",
        "conversations": REGION, "masks": [{"1": square()}],
    },
    "no objects": {"id": "e", "video": "a.mp4", "conversations": talk("<video>\nWhat happens?")},
    "text alone": {"id": "f", "conversations": talk("Hello?")},
    "bench D": {
        "video": "a.mp4", "caption": "A dog runs.", "frame_idx": "36", "annotation": [{"36": {"segmentation": square()}}],
    },
    "bench Q": {
        "video": "DAVIS/a", "Question": "What does <object3><region> do?", "options": ["(A) Run", "(B) Sit"],
        "Answer": "(A) Run", "type": "Basic", "annotation": [{"0": {"segmentation": square()}}],
    },
    "stream": {"stream": True, "video": "a.mp4", "conversation": talk("<video>\nNow?"), "start_time": 0, "end_time": 4.5},
}  # fmt: skip

EXAMPLES: list[dict[str, Any]] = [LAYOUTS[name] for name in LAYOUTS if name not in ("no objects", "text alone")]
"""The records that are VideoRefer's own; without objects they might be of any format."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
texts = st.lists(
    st.sampled_from(["<object0>", "\\", "\\\\<audio>", "<speech>", "<", "What?", "\n", "<audio>", "é", "\U0001f415"]),
    max_size=5,
).map("".join)


@st.composite
def payloads(draw: st.DrawFn) -> Any:
    return draw(
        st.builds(square, st.integers(0, 4), st.integers(0, 6))
        | st.just(POLYGON)
        | st.just([[1, 1, 5, 1, 5, 4]])
        | st.just({"size": [HEIGHT, WIDTH], "counts": [6, 3, 39]})
        | st.none()
    )


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    """Records with one placeholder for each thing, unknown keys and any key order."""
    still = draw(st.booleans())
    key, bare, flat = draw(st.sampled_from(["annotation", "masks"])), draw(st.booleans()), still and draw(st.booleans())
    objects: list[Any] = []
    for _ in range(draw(st.integers(0, 3))):
        masks = draw(st.lists(payloads(), min_size=1, max_size=1 if still else 3))
        levels = [mask if bare else {"segmentation": mask} for mask in masks]
        frames = draw(st.lists(st.integers(0, 999), min_size=len(masks), max_size=len(masks), unique=True))
        objects.append(levels[0] if flat else {str(frame): level for frame, level in zip(frames, levels, strict=True)})
    question = draw(texts) + "<image>" * still + "<video>" * (not still) + draw(texts) + "<region>" * len(objects)
    value: Any = draw(st.sampled_from(["a/b.x", ["b c:d.x"]]))
    record: dict[str, Any] = {
        **draw(st.sampled_from([{}, {"id": "a"}, {"id": 7}, {"id": None}])),
        "image" if still else "video": value,
        **SIZE,
        "conversations": talk(question, draw(texts) + "."),
        **({key: objects} if objects or draw(st.booleans()) else {}),
        **draw(st.dictionaries(st.sampled_from(["score", "source", "modalmix", "frame_idx"]), json_values, max_size=2)),
    }
    return {name: record[name] for name in draw(st.permutations(list(record)))}


records = _records()

KEYS = [*{key: None for example in EXAMPLES for key in example}, "modalmix"]
anything: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=4),
    json_values
    | st.sampled_from([value for example in EXAMPLES for value in example.values()])
    | st.lists(
        st.dictionaries(st.sampled_from(["3", "03", "-1", "segmentation", "counts"]), json_values | payloads()),
        max_size=2,
    ),
    max_size=7,
)
"""JSON objects with the format's keys, well-formed or not."""
