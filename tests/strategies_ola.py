"""Well-formed Ola records."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from strategies_turns import conversations, ids, paths, with_other_keys

_KEYS = ("id", "image", "video", "video_long", "audio", "audio_q", "text_q", "conversations")


def _turns(question: str, answer: str = "Yes.") -> list[dict[str, Any]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


EXAMPLES: list[dict[str, Any]] = [
    {"id": 0, "audio": "/mnt/a/ola_audio/AudioCaps/1.wav", "conversations": _turns("<speech>\nDescribe.")},
    {
        "id": "v",
        "video": "/mnt/a/v.mp4",
        "audio": "/mnt/a/v.wav",
        "conversations": _turns("<speech><image>\nWhat is it?"),
    },
    {
        "id": "p",
        "video": {"patch": "/mnt/a/patch_000000", "size": [300, 200, 100], "start_num": 26608266},
        "conversations": [*_turns("<image>\nDescribe."), *_turns("And then?")],
    },
    {
        "id": 1,
        "image": {"patch": "/mnt/a/patch_00000", "start_num": 2**40, "size": 137003},
        "conversations": _turns("<image>\nWho?"),
    },
    {
        "id": "q",
        "audio_q": "/mnt/a/q.wav",
        "text_q": "How many?",
        "image": [{"patch": "/mnt/a/patch_00000", "start_num": 0, "size": 9}, "/mnt/a/b.jpg"],
        "conversations": _turns("<image><image>\nUser's question in speech: <speech>\n"),
    },
    {"id": "t", "conversations": _turns("What does the <video> tag do?")},
]

_patches = st.fixed_dictionaries(
    {
        "patch": paths,
        "start_num": st.integers(0, 2**45) | st.integers(0, 10**9).map(str),
        "size": st.integers(1, 2**33)
        | st.integers(1, 10**6).map(str)
        | st.lists(st.integers(1, 99), min_size=1, max_size=1),
    },
    optional={"image_encoding": st.just("base64"), "image_encoing": st.just("base64")},
)
_frames = st.fixed_dictionaries(
    {
        "patch": paths,
        "start_num": st.integers(0, 2**45),
        "size": st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
    }
)
_images = paths | _patches | st.fixed_dictionaries({"img_path": paths})


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    record: dict[str, Any] = draw(st.fixed_dictionaries({}, optional={"id": ids}))
    media = draw(st.sets(st.sampled_from(["image", "video", "video_long", "audio", "audio_q"])))
    tags: list[str] = []
    if "image" in media:
        record["image"] = draw(_images | st.lists(_images, max_size=3))
        tags += ["<image>"] * (len(record["image"]) if isinstance(record["image"], list) else 1)
    for key in sorted(media & {"video", "video_long"}):
        record[key] = draw(paths | _frames)
        tags.append("<image>")
    for key in sorted(media & {"audio", "audio_q"}):
        record[key] = draw(paths | _patches)
    if "audio_q" in media:
        tag = st.sampled_from(["<speech>", "<image>", "<video>", "\\<audio>", "\n"])
        record["text_q"] = "".join(draw(st.lists(tag | st.text(max_size=9), max_size=4)))
    sounds = len(media & {"audio", "audio_q"})
    if "audio_q" in media and draw(st.booleans()):
        sounds -= 1  # a spoken question need not have a placeholder
    tags += ["<speech>"] * sounds
    tags = draw(st.permutations(tags))
    return draw(
        with_other_keys({**record, "conversations": draw(conversations(list(tags), ("<image>", "<speech>")))}, _KEYS)
    )


records = _records()
