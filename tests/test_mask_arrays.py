from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from modalmix.builders.cli import example_data
from modalmix.builders.core.sample import Mask
from modalmix.builders.media import mask_arrays
from modalmix.builders.media.errors import MediaError
from modalmix.builders.media.mask_arrays import Box

pictures = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))
grids = st.tuples(st.integers(1, 30), st.integers(1, 30))


def blob(seed: int, height: int = 360, width: int = 500) -> npt.NDArray[np.bool_]:
    y = np.arange(height)[:, None]
    edge = height / 5 + np.random.default_rng(seed).normal(0, 3, width).cumsum()
    return np.asarray(abs(y - height / 2) < edge)


def encoded(picture: npt.NDArray[np.bool_]) -> dict[str, Any]:
    found: dict[str, Any] = coco.encode(np.asfortranarray(picture, np.uint8))
    return found


@given(pictures, st.integers(0, 9))
def test_arrays_become_the_rle_of_pycocotools_and_come_back(picture: npt.NDArray[np.bool_], frame: int) -> None:
    mask = mask_arrays.from_array(picture, frame)
    expected = encoded(picture)
    assert (mask.frame, [mask.height, mask.width]) == (frame, expected["size"])
    assert mask.counts == expected["counts"].decode()
    assert np.array_equal(mask_arrays.to_array(mask), picture)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.bool_])
def test_every_value_but_zero_is_inside(kind: type) -> None:
    picture = (blob(1, 20, 30) * 7).astype(kind)
    assert mask_arrays.from_array(picture).counts == encoded(picture != 0)["counts"].decode()


@pytest.mark.parametrize("shape", [(4,), (0, 4), (2, 3, 4)])
def test_what_is_no_picture_has_no_rle(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="height × width"):
        mask_arrays.from_array(np.zeros(shape))


@given(pictures)
def test_area_and_box_are_those_of_the_drawn_mask(picture: npt.NDArray[np.bool_]) -> None:
    mask = mask_arrays.from_array(picture)
    assert mask_arrays.area(mask) == picture.sum()
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    expected = Box(rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if len(rows) else None
    assert mask_arrays.box(mask) == expected


def test_area_and_box_of_a_blob_are_those_of_pycocotools() -> None:
    found = encoded(blob(3))
    mask = Mask(0, 360, 500, found["counts"].decode())
    left, top, width, height = coco.toBbox(found).astype(int).tolist()
    assert mask_arrays.box(mask) == Box(top, left, top + height, left + width)
    assert mask_arrays.area(mask) == coco.area(found)


def test_runs_without_pixels_do_not_widen_a_box() -> None:
    mask = Mask(0, 2, 3, mask_arrays.compress([0, 0, 3, 1, 0, 0, 2, 0]))
    assert mask_arrays.to_array(mask).tolist() == [[0, 0, 0], [0, 1, 0]]
    assert mask_arrays.box(mask) == Box(1, 1, 2, 2)


def test_what_is_annotated_as_not_there_is_empty() -> None:
    assert mask_arrays.area(Mask(3)) == 0
    assert mask_arrays.box(Mask(3)) is None
    assert mask_arrays.to_arrays([Mask(3)], 4, 5).shape == (1, 4, 5)
    assert not mask_arrays.to_arrays([Mask(3)], 4, 5).any()


polygon = st.lists(st.floats(-20, 70, width=32), min_size=6, max_size=16).map(lambda p: p[: len(p) // 2 * 2])


@settings(max_examples=60)
@given(st.lists(polygon, min_size=1, max_size=3), st.integers(1, 50), st.integers(1, 50))
def test_polygons_are_drawn_and_measured_as_pycocotools_does(
    polygons: list[list[float]], height: int, width: int
) -> None:
    merged = coco.merge(coco.frPyObjects(polygons, height, width))
    mask = Mask(0, height, width, None, polygons)
    assert np.array_equal(mask_arrays.to_array(mask), coco.decode(merged))
    assert mask_arrays.area(mask) == coco.area(merged)


@pytest.mark.parametrize(
    ("polygons", "message"),
    [
        ([[1.0, 2.0, 3.0, 4.0]], "at least 6"),
        ([[1.0] * 7], "at least 6"),
        ([[]], "at least 6"),
        ([[float("nan")] * 6], "reaches further"),
        ([[1.0, 2.0, 1.0, float("nan"), 1.0, 5.0]], "reaches further"),
        ([[1e300] * 6], "reaches further"),
    ],
)
def test_polygons_that_cannot_be_drawn_are_reported(polygons: list[list[float]], message: str) -> None:
    with pytest.raises(MediaError, match=message):
        mask_arrays.to_array(Mask(0, 8, 8, None, polygons))


@pytest.mark.parametrize(
    "mask",
    [
        Mask(0, 0, 4, "0"),
        Mask(0, -4, 4, "0"),
        Mask(0, 2**16, 2**16, "0"),
        Mask(0, 2, 2, ""),
        Mask(0, 2, 2, "~~"),
        Mask(0, 2**15, 2**15, None, [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0]]),
    ],
)
def test_masks_that_fill_no_picture_are_refused(mask: Mask) -> None:
    with pytest.raises(MediaError):
        mask_arrays.to_array(mask)


def test_the_masks_of_one_object_are_one_array() -> None:
    drawn = [blob(seed, 40, 60) for seed in range(3)]
    masks = [mask_arrays.from_array(picture) for picture in drawn]
    polygons = Mask(9, 40, 60, None, [[3.0, 3.0, 30.0, 3.0, 30.0, 30.0]])
    arrays = mask_arrays.to_arrays([masks[0], Mask(1), masks[1], polygons, masks[2]], 40, 60)
    assert arrays.dtype == np.bool_ and arrays.shape == (5, 40, 60)
    expected = [drawn[0], np.zeros((40, 60)), drawn[1], mask_arrays.to_array(polygons), drawn[2]]
    assert all(np.array_equal(one, other) for one, other in zip(arrays, expected, strict=True))
    assert mask_arrays.to_arrays([], 40, 60).shape == (0, 40, 60)


def test_a_mask_of_another_size_than_its_picture_is_no_guess() -> None:
    with pytest.raises(MediaError, match="2 × 3 pixels, its picture 3 × 2"):
        mask_arrays.to_arrays([Mask(0, 2, 3, "6")], 3, 2)


@given(pictures, grids)
def test_a_cell_is_touched_if_a_pixel_reaches_into_it(picture: npt.NDArray[np.bool_], grid: tuple[int, int]) -> None:
    (height, width), (rows, columns) = picture.shape, grid
    fine = picture.repeat(rows, 0).repeat(columns, 1)  # pixels and cells as points that divide both
    expected = fine.reshape(rows, height, columns, width).any((1, 3))
    assert np.array_equal(mask_arrays.to_grid(picture, rows, columns), expected)


@given(pictures, grids)
def test_the_nearest_pixel_is_the_one_at_the_middle(picture: npt.NDArray[np.bool_], grid: tuple[int, int]) -> None:
    rows, columns = (
        [int(Fraction(2 * cell + 1, 2 * n) * m) for cell in range(n)] for n, m in zip(grid, picture.shape, strict=True)
    )
    assert np.array_equal(mask_arrays.to_grid(picture, *grid, how="nearest"), picture[np.ix_(rows, columns)])


@settings(deadline=None)  # the first call may have to import torch
@given(pictures, grids)
def test_bilinear_is_what_upstream_computes(picture: npt.NDArray[np.bool_], grid: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    source = torch.from_numpy(picture).float()[None, None]
    expected = torch.nn.functional.interpolate(source, grid, mode="bilinear", align_corners=False)[0, 0] > 0
    assert np.array_equal(mask_arrays.to_grid(picture, *grid, how="bilinear"), expected.numpy())


def test_grids_take_masks_of_several_frames() -> None:
    masks = np.stack([blob(seed, 40, 60) for seed in range(2)])
    for how in ("touched", "bilinear", "nearest"):
        fitted = mask_arrays.to_grid(masks, 7, 9, how=how)  # type: ignore[arg-type]
        single = [mask_arrays.to_grid(mask, 7, 9, how=how) for mask in masks]  # type: ignore[arg-type]
        assert np.array_equal(fitted, single) and 0 < fitted.sum() < fitted.size


def test_a_small_object_stays_on_a_coarse_grid() -> None:
    picture = np.zeros((448, 448), np.bool_)
    picture[3, 5] = True
    assert mask_arrays.to_grid(picture, 16, 16).sum() == 1
    assert mask_arrays.to_grid(picture, 16, 16, how="bilinear").sum() == 0


@pytest.mark.parametrize(("grid", "how"), [((0, 4), "touched"), ((4, 4), "cubic")])
def test_a_grid_that_is_none_is_refused(grid: tuple[int, int], how: Any) -> None:
    with pytest.raises(ValueError):
        mask_arrays.to_grid(np.ones((4, 4), np.bool_), *grid, how=how)


def test_a_box_surrounds_the_object() -> None:
    mask = mask_arrays.mask_of({"frame": 0, "height": 64, "width": 96, **{"counts": example_data.rle(0)["counts"]}})
    assert mask_arrays.box(mask) == Box(*example_data.square(0))
