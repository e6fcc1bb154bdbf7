"""Well-formed lmms-finetune records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies_turns import conversations, paths, with_other_keys

EXAMPLES: list[dict[str, Any]] = [
    {
        "image": "celeba/000001.jpg",
        "conversations": [{"from": "human", "value": "<image>Describe."}, {"from": "gpt", "value": "A face."}],
    },
    {
        "system_prompt": "Answer the questions about the image and videos.",
        "video": ["a.mp4", "b.mp4"],
        "image": "c.jpg",
        "conversations": [
            {"from": "human", "value": "<video><video>What are these about?"},
            {"from": "gpt", "value": "Dancing."},
            {"from": "human", "value": "<image>And this?"},
            {"from": "gpt", "value": "Singing."},
        ],
    },
    {
        "video": "ego4d/0219ad48.mp4",
        "conversations": [{"from": "human", "value": "<video>Describe."}, {"from": "gpt", "value": "An office."}],
    },
    {"conversations": [{"from": "human", "value": "Name a fruit."}, {"from": "gpt", "value": "Fig."}]},
]


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    some = paths | st.lists(paths, max_size=3)
    record = draw(
        st.fixed_dictionaries(
            {}, optional={"id": st.text(max_size=4), "system_prompt": st.text(max_size=9), "image": some, "video": some}
        )
    )
    tags: list[str] = []
    for key in ("image", "video"):
        value = record.get(key, [])
        tags += [f"<{key}>"] * (1 if isinstance(value, str) else len(value))
    turns = draw(conversations(list(draw(st.permutations(tags))), ("<image>", "<video>")))
    return draw(
        with_other_keys({**record, "conversations": turns}, ("id", "system_prompt", "image", "video", "conversations"))
    )


records = _records()
