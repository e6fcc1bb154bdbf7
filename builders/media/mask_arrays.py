"""Mask arrays: masks drawn as arrays, measured, fitted to a grid, and written back as RLE.

Numbers of runs are small where numbers of pixels are not: area and box come from the run lengths alone, and drawing is one
`numpy.repeat` over them, which takes a third to a tenth of pycocotools' time.  Polygons become run lengths in pycocotools,
the rasteriser that the upstream trainers use; others differ at the edges.

::

    runs [3, 3, 1, 1, 4] of a 3 × 4 picture      . # . .
    area 4, box (0, 1, 3, 3)                     . # # .
                                                 . # . .
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..core import rle
from ..core.rle import Runs, compress, run_lengths
from ..core.sample import Mask
from .errors import MediaError

Picture = npt.NDArray[np.bool_]

_FAR = 100_000
"""Pixels; no picture format reaches this far, and pycocotools takes coordinates for 32-bit numbers."""
_BOUNDARY = 4_000_000
"""Pixels of boundary that are drawn at most: the rasteriser takes some 120 bytes for each."""
_POLYGON_PIXELS = 3 * 2**24
"""Pictures with polygons have no more pixels: pycocotools' buffer has six characters a run, and none for the zero that it writes
behind them; in smaller pictures not every run is so long."""


class Box(NamedTuple):
    """A rectangle of whole pixels: rows `top` to `bottom`, columns `left` to `right`, the last two excluded."""

    top: int
    left: int
    bottom: int
    right: int


def mask_of(cell: Mask | Mapping[str, Any]) -> Mask:
    """The mask of a cell of the ``masks`` column (``{"frame", "height", "width", "counts", "polygons"}``)."""
    if isinstance(cell, Mask):
        return cell
    return Mask(cell["frame"], cell.get("height"), cell.get("width"), cell.get("counts"), cell.get("polygons"))


def runs(mask: Mask, height: int | None = None, width: int | None = None) -> Runs:
    """The run lengths of a mask, background first, which fill its picture exactly; polygons are rasterised.

    Args:
        mask: the mask; "annotated as not there" is one run of background.
        height: of the picture, in pixels; used only for a mask that has no size of its own.
        width: likewise.

    Raises:
        MediaError: no size is known, the counts cannot be read or do not fill the picture, or the polygons have a boundary
            of more than 4 million pixels.
    """
    h, w = _size(mask, height, width)
    if mask.counts is not None:
        try:
            found = run_lengths(mask.counts)
        except ValueError as wrong:
            raise MediaError(f"the counts of a mask cannot be read: {wrong}") from wrong
        if not found.size or found.min() < 0 or found.max() >= rle.PIXELS or int(found.sum()) != h * w:
            raise MediaError(rle.misfit_runs(found.tolist(), h, w))
        return found
    if not mask.polygons:
        return np.array([h * w], np.int64)
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask.polygons):
        raise MediaError("a polygon takes an even number of numbers, at least 6")
    if not all(abs(np.asarray(polygon)).max() <= _FAR for polygon in mask.polygons):  # NaN is not, either
        raise MediaError(f"a polygon that reaches further than {_FAR:,} pixels")
    if sum(map(_boundary, mask.polygons)) > _BOUNDARY:
        raise MediaError(f"the boundary of the polygons is longer than {_BOUNDARY:,} pixels")
    if h * w > _POLYGON_PIXELS:
        raise MediaError(f"polygons in a picture of {h} × {w} pixels, over {_POLYGON_PIXELS:,}")
    from pycocotools import mask as coco

    try:
        drawn = coco.merge(coco.frPyObjects(mask.polygons, h, w))
    except (TypeError, ValueError, IndexError) as wrong:
        raise MediaError(f"the polygons cannot be drawn: {wrong}") from wrong
    return run_lengths(drawn["counts"].decode("ascii"))


def to_array(mask: Mask, height: int | None = None, width: int | None = None) -> npt.NDArray[np.uint8]:
    """The mask as a picture, equal to what pycocotools draws.

    Args:
        mask: the mask; RLE is decoded here, polygons by pycocotools (upstream's rasteriser).
        height: of the picture, in pixels; used only for a mask that has no size of its own.
        width: likewise.

    Returns:
        uint8, height × width, 1 inside and 0 outside, column-major as pycocotools gives it.

    Raises:
        MediaError: as `runs`.
    """
    h, w = _size(mask, height, width)
    drawn: npt.NDArray[np.uint8] = _filled([runs(mask, h, w)]).reshape(w, h).T.view(np.uint8)
    return drawn


def to_arrays(masks: Sequence[Mask], height: int, width: int) -> Picture:
    """The masks of one object in several pictures of the same size.

    Args:
        masks: one per picture; each that has a size must have the pictures' size.
        height: of the pictures, in pixels.
        width: likewise.

    Returns:
        bool, masks × height × width; all False where the object is annotated as not there.  It is a view on column-major
        pictures, as RLE counts in columns: `numpy.ascontiguousarray` copies it into rows.

    Raises:
        MediaError: a mask has another size than its picture, or as `runs`.
    """
    for mask in masks:
        if mask.height is not None and (mask.height, mask.width) != (height, width):
            raise MediaError(f"the mask has {mask.height} × {mask.width} pixels, its picture {height} × {width}")
    if not masks:
        return np.zeros((0, height, width), np.bool_)
    columns = _filled([runs(mask, height, width) for mask in masks]).reshape(-1, width, height)
    arrays: Picture = columns.transpose(0, 2, 1)
    return arrays


def from_array(array: npt.ArrayLike, frame: int = 0) -> Mask:
    """A picture as a mask, with the counts that pycocotools writes for it.

    Args:
        array: height × width; every value but zero is inside.
        frame: index of the frame, for the mask.

    Raises:
        ValueError: the array has not two axes, or no pixels.
    """
    picture = np.asarray(array)
    if picture.ndim != 2 or not picture.size:
        raise ValueError(f"a mask is height × width with at least one pixel; the array has the shape {picture.shape}")
    height, width = picture.shape
    flat = picture.ravel("F")
    if flat.dtype != np.bool_:
        flat = flat != 0
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate(([0], edges) if not flat[0] else ([0, 0], edges))
    return Mask(frame, height, width, compress(np.diff(starts, append=flat.size)))


def area(mask: Mask) -> int:
    """How many pixels of the picture are inside; 0 for "annotated as not there".  Nothing is drawn.

    Raises:
        MediaError: as `runs`.
    """
    return int(runs(mask)[1::2].sum()) if _drawable(mask) else 0


def box(mask: Mask) -> Box | None:
    """The smallest box around the pixels inside; None where there are none.  Nothing is drawn.

    Raises:
        MediaError: as `runs`.
    """
    if not _drawable(mask):
        return None
    found = runs(mask)
    stops = np.cumsum(found)
    lasts = stops[1::2] - 1
    firsts = lasts - found[1::2] + 1
    inside = firsts <= lasts
    firsts, lasts = firsts[inside], lasts[inside]
    if not firsts.size:
        return None
    height, _ = _size(mask, None, None)
    left, right = int(firsts[0]) // height, int(lasts[-1]) // height
    if (firsts // height != lasts // height).any():  # a run that goes on in the next column touches both edges
        return Box(0, left, height, right + 1)
    return Box(int((firsts % height).min()), left, int((lasts % height).max()) + 1, right + 1)


def to_grid(
    masks: npt.NDArray[Any], height: int, width: int, how: Literal["touched", "bilinear", "nearest"] = "touched"
) -> Picture:
    """Masks at the size of a grid: the patches of a vision tower, or a resized picture.

    Args:
        masks: … × height × width; every value but zero is inside.
        height: rows of the grid.
        width: columns of the grid.
        how: ``"touched"``: a cell is inside if a pixel inside reaches into it, so that no object vanishes, however small;
            ``"bilinear"``: VideoRefer's way (bilinear without antialiasing, then ``> 0``), under which small objects
            can fall between the samples; ``"nearest"``: the pixel at the middle of the cell.

    Returns:
        bool, … × grid height × grid width.

    Raises:
        ValueError: `how` is none of these, or the grid has no cells.
    """
    inside = masks if masks.dtype == np.bool_ else masks != 0
    if height < 1 or width < 1:
        raise ValueError(f"a grid of {height} × {width} cells")
    if how == "touched":
        return _touched(_touched(inside, height, -2), width, -1)
    if how == "nearest":
        rows, columns = (_middles(n, m) for n, m in ((inside.shape[-2], height), (inside.shape[-1], width)))
        picked: Picture = inside[..., rows[:, None], columns]
        return picked
    if how == "bilinear":
        return _reached(_reached(inside, height, -2), width, -1)
    raise ValueError(f'how is {how!r}; it is one of "touched", "bilinear", "nearest"')


# ---- drawing and fitting


def _filled(each: Sequence[Runs]) -> Picture:
    """The pixels of several pictures after each other, column by column."""
    colours = np.zeros(sum(map(len, each)), np.bool_)
    start = 0
    for runs_of_mask in each:
        colours[start + 1 : start + len(runs_of_mask) : 2] = True
        start += len(runs_of_mask)
    return colours.repeat(each[0] if len(each) == 1 else np.concatenate(each))


def _touched(inside: Picture, cells: int, axis: int) -> Picture:
    """One axis fitted: a cell is the union of all pixels that overlap it."""
    pixels = inside.shape[axis]
    edges = np.arange(cells + 1) * pixels  # in units of 1 / cells of a pixel
    firsts, ends = edges[:-1] // cells, -(-edges[1:] // cells)
    # reduceat takes pairs [first, end); the results between them are thrown away, and a pair may not end past the axis
    padded = np.concatenate([inside, np.zeros_like(inside.take([0], axis))], axis)
    found = np.logical_or.reduceat(padded, np.stack([firsts, ends], 1).ravel(), axis=axis)
    kept: Picture = found[..., ::2, :] if axis == -2 else found[..., ::2]
    return kept


def _middles(pixels: int, cells: int) -> npt.NDArray[np.int64]:
    return ((2 * np.arange(cells) + 1) * pixels) // (2 * cells)


def _reached(inside: Picture, cells: int, axis: int) -> Picture:
    """One axis fitted: whether linear interpolation at the middles of the cells gives more than nothing."""
    pixels = inside.shape[axis]
    # the product in 64 bits, as torch's multiply-add does not round it: a weight of 1e-8 is more than nothing, too
    scale = np.float64(np.float32(pixels) / np.float32(cells))
    at = np.clip(((np.arange(cells) + 0.5) * scale - 0.5).astype(np.float32), 0, None)
    first = at.astype(np.int64)
    second = np.where(at > first, np.minimum(first + 1, pixels - 1), first)  # no weight, no share
    reached: Picture = inside.take(first, axis) | inside.take(second, axis)
    return reached


def _size(mask: Mask, height: int | None, width: int | None) -> tuple[int, int]:
    h = mask.height if mask.height is not None else height
    w = mask.width if mask.width is not None else width
    if h is None or w is None:
        raise MediaError("a mask that is annotated as not there needs the picture's height and width")
    if h < 1 or w < 1 or h * w >= rle.PIXELS:
        raise MediaError(f"a mask of {h} × {w} pixels")
    return h, w


def _drawable(mask: Mask) -> bool:
    return mask.counts is not None or bool(mask.polygons)


def _boundary(polygon: Sequence[float]) -> float:
    """Pixels the rasteriser walks along a polygon."""
    x, y = np.asarray(polygon[0::2]), np.asarray(polygon[1::2])
    return float(np.maximum(abs(x - np.roll(x, 1)), abs(y - np.roll(y, 1))).sum())
