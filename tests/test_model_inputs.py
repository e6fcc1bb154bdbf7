from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import encoded_videos
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modalmix.builders import views
from modalmix.builders.cli import example_data

SECONDS = 13


def sample_of(cells: dict[str, Any], question: str = "<video>\nWhat?", **options: Any) -> dict[str, Any]:
    row = {"id": "1", "source": {"file": "a.json", "row": 0}, "conversations": example_data.turns(question, "A.")}
    return views.decoded({**row, **cells}, views.DecodeOptions(**options))


def cell(path: str) -> dict[str, Any]:
    return {"bytes": None, "path": path}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> str:
    """13 seconds at 24 frames per second."""
    return encoded_videos.encode(str(tmp_path_factory.mktemp("long") / "long.mp4"), frames=SECONDS * encoded_videos.FPS)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Frames whose intervals grow."""
    stamps = list(itertools.accumulate(range(48)))
    return encoded_videos.encode(str(tmp_path_factory.mktemp("uneven") / "uneven.mp4"), stamps=stamps)


@pytest.fixture(scope="module")
def pictures() -> list[dict[str, Any]]:
    return [{"bytes": example_data.picture(i, "PNG"), "path": None} for i in range(8)]


def stamps_of(metadata: dict[str, Any]) -> list[float]:
    return [index / metadata["fps"] for index in metadata["frames_indices"]]


# ---- the metadata


def test_metadata_say_the_rate_the_length_and_the_place_of_each_frame(long: str) -> None:
    sample = sample_of({"videos": [cell(long)]}, num_frames=32)
    (found,) = views.video_metadata(sample)
    assert found["frames_indices"] == sample["frame_indices"][0].tolist()
    assert all(type(index) is int for index in found["frames_indices"])
    assert found["fps"] == pytest.approx(encoded_videos.FPS)
    assert (found["total_num_frames"], found["duration"]) == (SECONDS * encoded_videos.FPS, SECONDS)
    assert (found["height"], found["width"]) == sample["videos"][0].shape[1:3]


def test_stamps_of_an_uneven_video_are_its_times(uneven: str) -> None:
    sample = sample_of({"videos": [cell(uneven)]}, num_frames=9)
    times = sample["frame_times"][0]
    assert len(set(np.diff(times).round(3))) > 2
    (found,) = views.video_metadata(sample)
    assert stamps_of(found) == pytest.approx(times.tolist())


@given(st.integers(1, 40), st.integers(1, 400), st.fractions(Fraction(1, 2), 120, max_denominator=1001))
def test_stamps_are_times_at_every_rate(number: int, frames: int, rate: Fraction) -> None:
    indices = np.array(sorted({i * frames // number for i in range(number)}), np.int64)
    sample = {
        "videos": [np.zeros((len(indices), 4, 6, 3), np.uint8)],
        "frame_indices": [indices],
        "frame_times": [indices / float(rate)],
        "durations": np.array([frames / float(rate)]),
    }
    (found,) = views.video_metadata(sample)
    assert stamps_of(found) == pytest.approx(sample["frame_times"][0].tolist())
    assert found["total_num_frames"] / found["fps"] == pytest.approx(found["duration"], abs=1 / found["fps"])


def test_a_list_of_pictures_needs_a_frame_rate(pictures: list[dict[str, Any]]) -> None:
    sample = sample_of({"frames": [pictures]}, num_frames=4)
    with pytest.raises(ValueError, match=r"video 0 are unknown.*frame_rate"):
        views.video_metadata(sample)
    (found,) = views.video_metadata(sample, frame_rate=2.0)
    assert stamps_of(found) == [index / 2.0 for index in sample["frame_indices"][0].tolist()]
    (whole,) = views.video_metadata(sample_of({"frames": [pictures]}, num_frames=8), frame_rate=2.0)
    assert (whole["total_num_frames"], whole["duration"]) == (8, 4.0)
    with pytest.raises(ValueError, match="frame_rate is 0"):
        views.video_metadata(sample, frame_rate=0)


def test_a_sample_without_videos_has_no_metadata() -> None:
    assert views.video_metadata({"images": []}) == []


def test_options_that_the_samples_decide_are_refused() -> None:
    for name in ("fps", "num_frames", "do_sample_frames", "video_metadata"):
        with pytest.raises(ValueError, match=f"{name}: the samples decide"):
            views.model_inputs(None, [], processor_kwargs={name: 1})


# ---- processors of transformers, where torchvision is installed

TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
)


def tokenizer(transformers: Any) -> Any:
    """One token per byte, so that tokens decode to the very text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    special = {
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "vision_start_token": "<|vision_start|>",
        "vision_end_token": "<|vision_end|>", "vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>",
        "audio_token": "<|audio_pad|>", "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>",
    }  # fmt: skip
    words = ["<pad>", *dict.fromkeys(special.values()), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", extra_special_tokens=special)


@pytest.fixture(scope="module")
def processors() -> Iterator[dict[str, Any]]:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    text, image = tokenizer(transformers), transformers.Qwen2VLImageProcessor()
    old, new = transformers.Qwen2VLVideoProcessor(), transformers.Qwen3VLVideoProcessor()
    yield {
        "qwen2.5-vl": transformers.Qwen2_5_VLProcessor(image, text, old, chat_template=TEMPLATE),
        "qwen3-vl": transformers.Qwen3VLProcessor(image, text, new, chat_template=TEMPLATE),
        "qwen2.5-omni": transformers.Qwen2_5OmniProcessor(
            image, old, transformers.WhisperFeatureExtractor(), text, chat_template=TEMPLATE
        ),
    }


def stamps(processor: Any, inputs: Any, number: int = 0) -> list[float]:
    """The times that the text of a sample says, in seconds."""
    text = processor.tokenizer.decode(inputs["input_ids"][number])
    return [float(stamp) for stamp in re.findall(r"<([\d.]+) seconds>", text)]


def expected(sample: dict[str, Any]) -> list[float]:
    """The mean time of each pair of frames, an odd last one twice: a step of Qwen3-VL."""
    times = sample["frame_times"][0].tolist()
    times += times[-1:] * (len(times) % 2)
    return [round((a + b) / 2, 1) for a, b in zip(times[::2], times[1::2], strict=True)]


def near(found: list[float], expected: list[float]) -> bool:
    return len(found) == len(expected) and bool(np.allclose(found, expected, atol=0.051))


@pytest.mark.parametrize("number", [2, 7, 32])
@pytest.mark.parametrize("video", ["long", "uneven"])
def test_qwen3_vl_gets_every_frame_and_its_time(
    processors: dict[str, Any], video: str, number: int, request: pytest.FixtureRequest
) -> None:
    sample = sample_of({"videos": [cell(request.getfixturevalue(video))]}, num_frames=number)
    inputs = views.model_inputs(processors["qwen3-vl"], sample)
    assert inputs["video_grid_thw"][0][0] == (number + 1) // 2
    assert near(stamps(processors["qwen3-vl"], inputs), expected(sample))


def test_qwen2_5_gets_the_seconds_between_its_steps(processors: dict[str, Any], long: str) -> None:
    samples = [sample_of({"videos": [cell(long)]}, num_frames=number) for number in (32, 8)]
    inputs = views.model_inputs(processors["qwen2.5-vl"], samples, processor_kwargs={"padding": True})
    assert inputs["video_grid_thw"][:, 0].tolist() == [16, 4]
    assert inputs["second_per_grid_ts"].tolist() == pytest.approx([2 * SECONDS / 32, 2 * SECONDS / 8])
    omni = views.model_inputs(processors["qwen2.5-omni"], samples, processor_kwargs={"padding": True})
    assert omni["video_second_per_grid"].tolist() == pytest.approx([2 * SECONDS / 32, 2 * SECONDS / 8])


def test_a_list_of_pictures_has_the_times_of_the_given_rate(
    processors: dict[str, Any], pictures: list[dict[str, Any]]
) -> None:
    sample = sample_of({"frames": [pictures]}, num_frames=8)
    qwen = processors["qwen3-vl"]
    with pytest.raises(ValueError, match="frame_rate"):
        views.model_inputs(qwen, sample)
    assert near(stamps(qwen, views.model_inputs(qwen, sample, frame_rate=2)), [0.25, 1.25, 2.25, 3.25])
    inputs = views.model_inputs(processors["qwen2.5-vl"], sample, frame_rate=2)
    assert inputs["second_per_grid_ts"].tolist() == [1.0]


def test_samples_of_a_batch_keep_their_own_times(processors: dict[str, Any], long: str, uneven: str) -> None:
    image = {"images": [{"bytes": example_data.picture(1), "path": None}]}
    batch = [
        sample_of({"videos": [cell(long)]}, num_frames=6),
        sample_of(image, "<image>\nWho?"),
        sample_of({}, "Why?"),
        sample_of({"videos": [cell(uneven)]}, num_frames=4),
    ]
    qwen = processors["qwen3-vl"]
    inputs = views.model_inputs(qwen, batch, processor_kwargs={"padding": True})
    assert [near(stamps(qwen, inputs, i), expected(batch[i])) for i in (0, 3)] == [True, True]
    assert [stamps(qwen, inputs, i) for i in (1, 2)] == [[], []]
    assert len(inputs["image_grid_thw"]) == 1


def test_tensors_are_taken_as_arrays(processors: dict[str, Any], long: str) -> None:
    arrays, tensors = (sample_of({"videos": [cell(long)]}, num_frames=6, tensors=kind) for kind in ("numpy", "torch"))
    one, other = (views.model_inputs(processors["qwen3-vl"], sample) for sample in (arrays, tensors))
    assert one["input_ids"].tolist() == other["input_ids"].tolist()
    assert (one["pixel_values_videos"] == other["pixel_values_videos"]).all()
