from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modalmix.builders.views import frame_sampling

frames_and_number = (st.integers(0, 3000), st.integers(1, 128))
BY_NUMBER = ["uniform", "linspace", "midpoint", "arange", "starts", "aria", "jitter", "clip"]
REPEATING = {"midpoint", "arange", "starts", "aria"}


@pytest.mark.parametrize("name", BY_NUMBER)
@given(*frames_and_number)
def test_indices_ascend_inside_the_video_in_the_right_number(name: str, frames: int, number: int) -> None:
    found = frame_sampling.indices(name, frames, None, number)
    assert all(type(index) is int and 0 <= index < frames for index in found)
    assert found == sorted(found)
    if name in REPEATING:
        assert len(found) == (number if frames else 0)
    else:
        assert len(found) == len(set(found)) == min(frames, number)


@pytest.mark.parametrize("name", ["uniform", "linspace"])
@given(st.integers(2, 3000), st.integers(2, 128))
def test_both_ends_are_chosen(name: str, frames: int, number: int) -> None:
    found = frame_sampling.indices(name, frames, None, number)
    assert (found[0], found[-1]) == (0, frames - 1)


@pytest.mark.parametrize("name", sorted(set(BY_NUMBER) - {"clip", "aria"}))
@given(st.integers(1, 3000), st.integers(1, 128))
def test_no_part_of_the_video_is_left_out(name: str, frames: int, number: int) -> None:
    found = frame_sampling.indices(name, frames, None, number)
    if number > 1:
        gaps = np.diff([0, *found, frames - 1])
        assert max(gaps) <= 2 * frames / number + 1


@given(st.integers(1, 3000), st.integers(2, 128))
def test_uniform_is_even(frames: int, number: int) -> None:
    steps = np.diff(frame_sampling.uniform(frames, number))
    assert not len(steps) or steps.max() - steps.min() <= 1


@given(*frames_and_number)
def test_linspace_is_numpys_as_llava_and_ola_use_it(frames: int, number: int) -> None:
    found = frame_sampling.linspace(frames, number)
    upstream = np.linspace(0, frames - 1, number, dtype=int).tolist() if frames > number else list(range(frames))
    assert found == upstream


@given(st.integers(1, 3000), st.integers(1, 128))
def test_midpoint_is_videorefers(frames: int, number: int) -> None:
    width = (frames - 1) / number
    middles = [(width * i + width * (i + 1)) / 2 for i in range(number)]
    assert frame_sampling.midpoint(frames, number) == np.round(np.array(middles) + 1e-6).astype(int).tolist()


@given(st.integers(1, 3000), st.integers(1, 128))
def test_arange_is_lmms_finetunes_without_its_extra_index(frames: int, number: int) -> None:
    upstream = np.arange(0, frames, frames / number).astype(int).tolist()
    assert frame_sampling.arange(frames, number) == upstream[:number]


def test_arange_of_upstream_sometimes_gives_an_extra_index() -> None:
    assert len(np.arange(0, 17, 17 / 7)) == 8
    assert len(frame_sampling.arange(17, 7)) == 7


@given(st.integers(1, 60), st.integers(1, 64))
def test_aria_is_starts_if_the_parts_are_equal(times: int, number: int) -> None:
    frames = times * number
    assert frame_sampling.aria(frames, number) == frame_sampling.starts(frames, number)


def test_aria_sees_the_head_of_a_video_and_starts_the_whole() -> None:
    assert frame_sampling.aria(299, 150)[-1] == 149
    assert frame_sampling.starts(299, 150)[-1] == 297
    assert frame_sampling.aria(3, 8) == [0] * 8
    assert frame_sampling.starts(3, 8) == [0, 0, 0, 1, 1, 1, 2, 2]


def test_frames_of_a_short_video_repeat_on_demand() -> None:
    assert frame_sampling.indices("linspace", 3, None, 5, repeat=True) == [0, 0, 1, 1, 2]
    assert frame_sampling.indices("linspace", 0, None, 5, repeat=True) == []
    assert frame_sampling.indices("arange", 3, None, 5, repeat=False) == [0, 1, 2]
    assert frame_sampling.indices("arange", 0, None, 5, repeat=False) == []


@given(st.integers(0, 3000), st.floats(1, 120), st.floats(0.1, 10), st.integers(1, 128))
def test_stride_fps_is_llavas(frames: int, fps: float, rate: float, bound: int) -> None:
    found = frame_sampling.stride_fps(frames, fps, rate, bound)
    assert found == frame_sampling.indices("stride_fps", frames, fps, bound, rate=rate)
    assert len(found) <= bound
    if step := round(fps / rate):
        upstream = list(range(0, frames, step))
        if len(upstream) > bound:
            upstream = np.linspace(0, frames - 1, bound, dtype=int).tolist()
        assert found == upstream
    else:
        assert found == frame_sampling.linspace(frames, bound)


def test_a_slow_video_gives_every_frame() -> None:
    assert round(1 / 4) == 0
    assert frame_sampling.stride_fps(5, 1.0, 4.0) == [0, 1, 2, 3, 4]


def test_a_missing_or_invalid_frame_rate_is_refused() -> None:
    for fps in (None, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="frame rate"):
            frame_sampling.indices("stride_fps", 10, fps, 4)
    with pytest.raises(ValueError, match="rate=0"):
        frame_sampling.stride_fps(10, 25.0, 0)


@pytest.mark.parametrize(("name", "one"), [("uniform", [5]), ("linspace", [0]), ("midpoint", [5]), ("arange", [0])])
def test_one_frame_of_eleven(name: str, one: list[int]) -> None:
    assert frame_sampling.indices(name, 11, None, 1) == one


@given(st.integers(1, 3000), st.integers(1, 64), st.integers(0, 2**64))
def test_equal_seeds_give_equal_frames(frames: int, number: int, seed: int) -> None:
    for name in ("jitter", "clip"):
        assert frame_sampling.indices(name, frames, None, number, seed=seed) == frame_sampling.indices(
            name, frames, None, number, seed=seed
        )


def test_seeds_reach_every_frame_and_every_start() -> None:
    assert {i for seed in range(300) for i in frame_sampling.jitter(10, 3, seed)} == set(range(10))
    assert {frame_sampling.clip(10, 3, seed)[0] for seed in range(300)} == set(range(8))
    assert frame_sampling.jitter(100, 4, 1) == [3, 46, 69, 81]  # on every machine
    assert frame_sampling.clip(100, 4, 1, 3) == [12, 15, 18, 21]


@given(st.integers(0, 500), st.integers(1, 40), st.integers(1, 20), st.integers(0, 50))
def test_a_clip_keeps_its_stride(frames: int, number: int, stride: int, seed: int) -> None:
    found = frame_sampling.clip(frames, number, seed, stride)
    assert set(np.diff(found)) <= {stride}
    assert len(found) == min(number, -(-frames // stride))


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 50)))
def test_needed_frames_are_always_included(indices: list[int], needed: list[int]) -> None:
    found = frame_sampling.with_needed(indices, needed)
    assert found == sorted(set(found))
    assert set(found) == {*indices, *needed}


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="'random' is not one of uniform, midpoint"):
        frame_sampling.indices("random", 10, 25.0, 4)
    with pytest.raises(ValueError, match="has no option seed"):
        frame_sampling.indices("uniform", 10, 25.0, 4, seed=1)
    with pytest.raises(ValueError, match="stride=0"):
        frame_sampling.clip(10, 2, stride=0)
    for name in frame_sampling.SAMPLERS:
        with pytest.raises(ValueError, match="frames=-1"):
            frame_sampling.indices(name, -1, 25.0, 4)
    for name in BY_NUMBER:
        with pytest.raises(ValueError, match="num_frames=0"):
            frame_sampling.indices(name, 10, 25.0, 0)
