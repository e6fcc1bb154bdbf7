"""Well-formed Aria records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies_turns import TAGS, paths, with_other_keys


def _message(role: str, *parts: str) -> dict[str, Any]:
    return {
        "role": role,
        "content": [
            {"type": part[1:-1], "text": None} if part in ("<image>", "<video>") else {"type": "text", "text": part}
            for part in parts
        ],
    }


EXAMPLES: list[dict[str, Any]] = [
    {
        "messages": [_message("user", "First:", "<image>", "What is the weather?"), _message("assistant", "Sunny.")],
        "images": ["image_folder/seq3.jpg"],
    },
    {
        "messages": [_message("user", "<image>", "<image>", "Compare."), _message("assistant", "Two princesses.")],
        "images": ["image_folder/a.jpg", "image_folder/b.jpg"],
    },
    {
        "messages": [_message("user", "<video>", "What happens?"), _message("assistant", "A rabbit wakes up.")],
        "video": {"path": "video_folder/bunny.mp4", "num_frames": 32},
    },
    {"messages": [_message("user", "Say hi."), _message("assistant", "Hi.")]},
    {"messages": [_message("user", "Say hi."), _message("assistant", "Hi.")], "images": None, "video": None},
]

_texts = st.lists(
    st.one_of(st.text(max_size=6), st.sampled_from(["\\", "\\\\", "<ima", "ge>", *TAGS])), max_size=4
).map("".join)
_text_parts = st.fixed_dictionaries({"type": st.just("text"), "text": _texts})


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    record: dict[str, Any] = {}
    tags: list[str] = []
    if draw(st.booleans()):
        record["images"] = draw(st.none() | st.lists(paths, max_size=3))
        tags += ["image"] * len(record["images"] or ())
    if draw(st.booleans()):
        record["video"] = draw(
            st.fixed_dictionaries({"path": paths}, optional={"num_frames": st.sampled_from([8, "8", 8.0, 150])})
        )
        tags.append("video")
    with_text = draw(st.sampled_from([{"text": None}, {}]))
    media = [{"type": tag, **with_text} for tag in draw(st.permutations(tags))]
    messages = []
    for i in range(draw(st.integers(1, 3))):
        content = draw(st.lists(_text_parts, max_size=3))
        if i == 0:
            for part in media:
                content += [part, *draw(st.lists(_text_parts, max_size=2))]
        messages += [
            {"role": "user", "content": content},
            {"role": "assistant", "content": draw(st.lists(_text_parts, max_size=2))},
        ]
    return draw(with_other_keys({"messages": messages, **record}, ("messages", "images", "video")))


records = _records()
