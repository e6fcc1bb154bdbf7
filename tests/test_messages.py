from __future__ import annotations

import copy
import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import modalmix.builders
from modalmix.builders import views
from modalmix.builders.cli import example_data

Folders = dict[str, str]


def row(*texts: str, **columns: Any) -> dict[str, Any]:
    return {"id": "1", "system": None, "conversations": example_data.turns(*texts), **columns}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_placeholders_become_parts_in_order() -> None:
    sample = row("<image>\nWhat moves in <video> and <audio>?", "A square.", images=["i"], videos=["v"], audios=["a"])
    assert views.messages(sample) == [
        {
            "role": "user",
            "content": [
                {"type": "image"},
                text("What moves in "),
                {"type": "video"},
                text(" and "),
                {"type": "audio"},
                text("?"),
            ],
        },
        {"role": "assistant", "content": [text("A square.")]},
    ]


def test_the_system_prompt_comes_first() -> None:
    sample = {**row("Hi", "Ho"), "system": "Be brief."}
    assert views.messages(sample)[0] == {"role": "system", "content": [text("Be brief.")]}
    assert views.messages(sample, "text")[0] == {"role": "system", "content": "Be brief."}


def test_text_messages_keep_placeholders_and_newlines() -> None:
    sample = row("<image>\nWhat?\n<video>", "A.", "More <image>", "B.", images=["i", "j"], frames=[["f"]], videos=[])
    assert views.messages(sample, "text") == [
        {"role": "user", "content": "<image>\nWhat?\n<video>"},
        {"role": "assistant", "content": "A."},
        {"role": "user", "content": "More <image>"},
        {"role": "assistant", "content": "B."},
    ]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("<image>\nWhat?", [text("What?")]),
        ("What?\n<image>", [text("What?")]),
        ("<image>\n\n What?\n", [text("\n What?\n")]),
        ("<image>", []),
        ("<image>\n", []),
    ],
)
def test_one_newline_between_a_placeholder_and_its_text_is_notation(question: str, expected: list[Any]) -> None:
    found = views.messages(row(question, "A.", images=["i"]))[0]["content"]
    assert [part for part in found if part["type"] == "text"] == expected
    assert [part["type"] for part in found].count("image") == 1


def test_newlines_can_be_kept() -> None:
    found = views.messages(row("<image>\nWhat?", "A.\n", images=["i"]), keep_newlines=True)
    assert found[0]["content"] == [{"type": "image"}, text("\nWhat?")]
    assert found[1]["content"] == [text("A.\n")]


def test_parts_can_hold_the_media() -> None:
    sample = row("<image><video><image>", "<audio>", images=["i", "j"], videos=["v"], audios=["a"])
    user, assistant = views.messages(sample, media=True)
    assert user["content"] == [
        {"type": "image", "image": "i"},
        {"type": "video", "video": "v"},
        {"type": "image", "image": "j"},
    ]
    assert assistant["content"] == [{"type": "audio", "audio": "a"}]


def test_regions_stay_in_the_text_under_the_given_name() -> None:
    sample = row(r"<video>\nIs <region> a \<region> tag?", "<region> is not.", videos=["v"])
    assert views.messages(sample)[0]["content"][1] == text(r"\nIs <region> a <region> tag?")
    assert views.messages(sample, "text", region="[R]")[0]["content"] == r"<video>\nIs [R] a <region> tag?"
    assert views.messages(sample, region="[R]")[1]["content"] == [text("[R] is not.")]


def test_literal_tags_are_text_in_parts() -> None:
    sample = row(r"<image>\\<video> and \\\<audio>", "A.", images=["i"])
    with pytest.raises(ValueError, match="1 <video>"):
        views.messages(sample)
    found = views.messages(row(r"<image>\<video> and \\\<audio>", "A.", images=["i"]))
    assert found[0]["content"][1:] == [text(r"<video> and \<audio>")]


def test_a_literal_tag_is_refused_in_text_style() -> None:
    with pytest.raises(ValueError, match="literal <video>"):
        views.messages(row(r"What does \<video> do?", "A."), "text")
    assert views.messages(row(r"What does \<region> do?", "A."), "text")[0]["content"] == "What does <region> do?"


@pytest.mark.parametrize(
    ("question", "media", "message"),
    [
        ("What?", {"images": ["i"]}, r"0 <image> for 1 image\(s\)"),
        ("<image><image>", {"images": ["i"]}, r"2 <image> for 1"),
        ("<video>", {"images": []}, r"1 <video> for 0"),
        ("<audio><audio><audio>", {"audios": ["a"], "audio_q": ["q"]}, r"3 <audio> for 1"),
    ],
)
def test_placeholders_and_media_agree_in_number(question: str, media: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        views.messages(row(question, "A.", **media))


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match='"parts" or "text"'):
        views.messages(row("Hi", "Ho"), "sharegpt")  # type: ignore[arg-type]


def test_a_spoken_question_is_at_its_placeholder_or_first() -> None:
    own = row("<image>\nIn speech: <audio>\n", "One.", images=["i"], audio_q=["q"])
    assert [part["type"] for part in views.messages(own)[0]["content"]] == ["image", "text", "audio"]
    bare = row("<image>\nHow many?", "One.", images=["i"], audio_q=["q"])
    found = views.messages(bare, media=True)[0]["content"]
    assert found == [{"type": "audio", "audio": "q"}, {"type": "image", "image": "i"}, text("How many?")]
    assert views.messages(bare, "text")[0]["content"] == "<audio><image>\nHow many?"


SPOKEN = "<image>\nUser's question in speech: <audio>\n"


def test_the_written_question_gives_way_to_the_text_that_upstream_trains_on() -> None:
    written = row("<image>\nHow many squares?", "One.", "<image> And here?", "Two.", images=["i", "j"], audio_q=["q"])
    sample = {**written, "text_q": SPOKEN}
    assert views.messages(sample, "text") == [
        {"role": "user", "content": SPOKEN},
        {"role": "assistant", "content": "One."},
        {"role": "user", "content": "<image> And here?"},
        {"role": "assistant", "content": "Two."},
    ]
    image, prompt, sound = views.messages(sample, media=True)[0]["content"]
    assert image == {"type": "image", "image": "i"}
    assert prompt == text("User's question in speech: ")
    assert sound == {"type": "audio", "audio": "q"}
    assert views.messages(sample, audio_q="upstream") == views.messages(sample)


@pytest.mark.parametrize(
    ("question", "text_q", "expected"),
    [
        (SPOKEN, "How many?", "<image><audio>\nHow many?"),
        ("<image>\nWritten.", "How many?", "<audio><image>\nHow many?"),
        ("<image>\nWritten.", "Hear: <audio>", "<image>\nHear: <audio>"),
        ("<image>\nWritten.", "<audio><image>\n", "<audio><image>\n"),
        ("<image>\nWritten.", None, "<audio><image>\nWritten."),
    ],
)
def test_media_without_a_placeholder_in_text_q_come_first(question: str, text_q: str, expected: str) -> None:
    sample = row(question, "One.", images=["i"], audio_q=["q"], text_q=text_q)
    assert views.messages(sample, "text")[0]["content"] == expected


def test_a_question_that_is_heard_is_not_read() -> None:
    sample = row("<image>\nHow many?", "One.", "Sure?", "Yes.", images=["i"], audio_q=["q"], text_q=SPOKEN)
    found = views.messages(sample, media=True, audio_q="speech")
    assert found[0]["content"] == [{"type": "image", "image": "i"}, {"type": "audio", "audio": "q"}]
    assert found[2]["content"] == [text("Sure?")]
    assert views.messages(sample, "text", audio_q="speech")[0]["content"] == "<image><audio>"
    placed = row(SPOKEN, "One.", images=["i"], audio_q=["q"], text_q="How many?")
    assert views.messages(placed, "text", audio_q="speech")[0]["content"] == SPOKEN


def test_upstream_leaves_the_spoken_question_out_beside_other_sounds() -> None:
    sample = row("<audio>\nWhat?", "A dog.", audios=["a"], audio_q=["q"], text_q="<audio>\n")
    assert views.messages(sample, "text")[0]["content"] == "<audio><audio>\nWhat?"


def test_an_unknown_audio_q_is_refused() -> None:
    with pytest.raises(ValueError, match="audio_q is 'both'"):
        views.messages(row("Hi", "Ho"), audio_q="both")  # type: ignore[arg-type]


def test_literal_tags_of_text_q_and_system_prompt_do_not_become_placeholders() -> None:
    sample = row("<image>\nWritten.", "A.", images=["i"], audio_q=["q"], text_q=r"<image>\<audio> is <audio>")
    kinds = [part["type"] for part in views.messages(sample)[0]["content"]]
    assert kinds == ["image", "text", "audio"]
    assert views.messages(sample)[0]["content"][1] == text("<audio> is ")
    with pytest.raises(ValueError, match="literal <audio>"):
        views.messages(sample, "text")
    with pytest.raises(ValueError, match="literal <image>"):
        views.messages({**row("Hi", "Ho"), "system": "Look at <image>."}, "text")


def test_the_time_instruction_is_llava_videos_and_does_not_accumulate() -> None:
    sample = row("<video>\nWhat?", "A.", videos=["v"], durations=[2.0], frame_times=[[0.0, 0.5, 1.25]])
    before = copy.deepcopy(sample)
    words = (
        "The video lasts for 2.00 seconds, and 3 frames are uniformly sampled from it. These frames are located at "
        "0.00s,0.50s,1.25s.Please answer the following questions related to this video."
    )
    first = views.messages(sample, "text", time_instruction=True)
    assert first[0]["content"] == f"<video>\n{words}\n\nWhat?"
    assert views.messages(sample, "text", time_instruction=True) == first
    assert sample == before
    saved = row(first[0]["content"], "A.", videos=["v"], durations=[2.0], frame_times=[[0.0, 0.5, 1.25]])
    assert views.messages(saved, "text", time_instruction=True) == first
    parts = views.messages(sample, time_instruction=True)[0]["content"]
    assert parts == [{"type": "video"}, text(f"{words}\n\nWhat?")]


def test_a_time_instruction_needs_times() -> None:
    with pytest.raises(KeyError, match="durations"):
        views.messages(row("<video>", "A.", videos=["v"]), time_instruction=True)
    unknown = row("<video>", "A.", videos=["v"], durations=[float("nan")], frame_times=[[float("nan")]])
    with pytest.raises(ValueError, match="unknown"):
        views.messages(unknown, time_instruction=True)
    assert views.messages(row("Hi", "Ho"), time_instruction=True)[0]["content"] == [text("Hi")]


def test_every_row_of_the_example_becomes_messages(example_folders: Folders) -> None:
    for name, folder in example_folders.items():
        splits = modalmix.builders.load_dataset(name, data_dir=folder, streaming=True)
        seen = 0
        for one in chain.from_iterable(rows.decode(False) for rows in splits.values()):
            kinds = [part["type"] for message in views.messages(one) for part in message["content"]]
            columns = ("images", "videos", "frames", "audios", "audio_q")
            images, videos, frames, audios, spoken = (len(one.get(name) or ()) for name in columns)
            assert kinds.count("image") == images
            assert kinds.count("video") == videos + frames
            assert kinds.count("audio") == audios + spoken
            assert [m["role"] for m in views.messages(one)][-2:] == ["user", "assistant"]
            seen += 1
        assert seen, name


TEMPLATE = (
    "{% for message in messages %}{{ message.role }} : {% for part in message.content %}"
    "{% if part.type == 'image' %} <img> <|IMAGE|> </img> {% elif part.type == 'video' %} <vid> <|VIDEO|> </vid> "
    "{% elif part.type == 'audio' %} <aud> <|AUDIO|> </aud> {% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
)


def processor() -> Any:
    """A real omni processor with a vocabulary of its own."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = {
        "image_token": "<|IMAGE|>", "video_token": "<|VIDEO|>", "audio_token": "<|AUDIO|>", "vision_bos_token": "<img>",
        "vision_eos_token": "</img>", "audio_bos_token": "<aud>", "audio_eos_token": "</aud>",
    }  # fmt: skip
    text = ["system", "user", "assistant", ":", "moves", "and", "sounds", "?"]
    words = ["<unk>", "<pad>", *special.values(), "<vid>", "</vid>", *text]
    model = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", pad_token="<pad>", extra_special_tokens=special
    )
    return transformers.Qwen2_5OmniProcessor(
        transformers.Qwen2VLImageProcessor(),
        transformers.Qwen2VLVideoProcessor(),
        transformers.WhisperFeatureExtractor(),
        tokenizer,
        chat_template=TEMPLATE,
    )


def test_a_processor_of_transformers_takes_messages_and_arrays_unchanged(tmp_path: Path) -> None:
    omni = processor()
    example_data.video(str(tmp_path / "clip.mp4"), 1)
    example_data.sound(str(tmp_path / "tone.wav"), 2)
    (tmp_path / "picture.jpg").write_bytes(example_data.picture(3))
    (tmp_path / "a.jsonl").write_text(
        json.dumps(
            {
                "image": "picture.jpg",
                "video": "clip.mp4",
                "conversations": example_data.turns("<image>\nWhat moves in <video> ?", "A square."),
            }
        )
    )
    rows = modalmix.builders.load_dataset("lmms_finetune", data_dir=str(tmp_path), split="train", streaming=True)
    (sample,) = views.training(rows, num_frames=4)
    cell = {"bytes": None, "path": str(tmp_path / "tone.wav")}
    sound = views.decoded({"audios": [cell]}, views.DecodeOptions())["audios"]
    sample = {**sample, "audios": sound, "conversations": [
        {"from": "human", "value": "<image>\nWhat moves in <video> and sounds in <audio> ?"}, sample["conversations"][1]
    ]}  # fmt: skip
    chat = views.messages(sample, media=True)
    carried = omni.apply_chat_template(
        [chat], tokenize=True, return_dict=True, processor_kwargs={"return_tensors": "pt", "do_sample_frames": False}
    )
    apart = omni(
        text=omni.apply_chat_template(views.messages(sample), tokenize=False),
        images=sample["images"],
        videos=sample["videos"],
        audio=sample["audios"],
        return_tensors="pt",
        do_sample_frames=False,
    )
    assert carried.keys() == apart.keys()
    assert all((carried[key] == apart[key]).all() for key in carried)
    assert carried["video_grid_thw"][0][0] == 2, "four frames, two a step"
    ids = carried["input_ids"][0].tolist()
    at = [ids.index(omni.tokenizer.convert_tokens_to_ids(f"<|{kind}|>")) for kind in ("IMAGE", "VIDEO", "AUDIO")]
    assert at == sorted(at), "in the order of the placeholders"
    assert ids.count(omni.image_token_id) == carried["image_grid_thw"].prod() // 4
