"""Well-formed LLaVA-Video records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies_turns import conversations, ids, paths, with_other_keys

EXAMPLES: list[dict[str, Any]] = [
    {
        "id": "Q04US",
        "conversations": [
            {"from": "human", "value": "<image>\nWhat happens?"},
            {"from": "gpt", "value": "Something."},
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "Outdoors."},
        ],
        "data_source": "0_30_s_academic_v0_1",
        "video": "academic_source/Charades/Q04US.mp4",
    },
    {
        "id": 17,
        "conversations": [
            {"from": "human", "value": "<image>\nWhich one?\nA. one\nB. two"},
            {"from": "gpt", "value": "A"},
        ],
        "data_source": "1_2_m_nextqa",
        "video": "NextQA/NExTVideo/1005/4010069381.mp4",
    },
    {
        "id": "i",
        "image": ["a.jpg", "b.jpg"],
        "conversations": [{"from": "human", "value": "<image>\n<image>\nCompare."}, {"from": "gpt", "value": "Same."}],
        "data_source": "m4_instruct",
    },
]


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    record = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "id": ids,
                "image": paths | st.lists(paths, max_size=3),
                "data_source": st.text(max_size=6),
                "video": paths,
            },
        )
    )
    image = record.get("image", [])
    tags = ["<image>"] * ((1 if isinstance(image, str) else len(image)) + ("video" in record))
    turns = draw(conversations(tags, ("<image>",)))
    return draw(
        with_other_keys({**record, "conversations": turns}, ("id", "image", "conversations", "data_source", "video"))
    )


records = _records()
