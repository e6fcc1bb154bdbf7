"""Decoding: one undecoded row of a dataset as arrays.

::

    row     images [cell]      videos [cell] or frames [[cell, …]]       audios [cell]     masks [[{frame, counts, …}, …]]
              │ read_image       │ sampling → open_video().read            │ read_audio      │ mask_arrays.to_arrays
              ▼                  ▼                                         ▼                 ▼
    sample  images             videos, frame_indices, frame_times        audios            masks, mask_frames,
            [(H, W, 3)]        [(N, H, W, 3)]      [(N,)]                 [(S,)]            region_frames, region_indices

Masks belong to *annotated* frames, and the sampler may miss those.  So a row with masks also has the pictures of its
annotated frames, each once, as VideoRefer's trainer reads them.  Mask `t` of object `o` is ``masks[o][t]``; its picture is
``region_frames[region_indices[o][t]]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.findings import finding
from ..core.mask_payloads import size_finding
from ..core.sample import Mask
from ..media.cells import Cell
from ..media.images import scaled
from ..media.mask_arrays import mask_of, to_arrays, to_grid
from .decode_errors import CannotDecodeError, MaskError, Row, check_mask_frames, errors_at
from .decode_options import DecodeOptions
from .media_decoder import MediaDecoder, Pictures

Sample = dict[str, Any]

_REPLACED = frozenset({"images", "videos", "frames", "audios", "audio_q", "masks"})
"""Columns whose cells give way to arrays."""


def decoded(row: Row, options: DecodeOptions) -> Sample:
    """The sample of a row.

    Args:
        row: of a dataset, media undecoded (``{"bytes", "path"}`` cells).
        options: how to decode it.

    Returns:
        The row's columns, with arrays in place of media cells.  All pictures are RGB, uint8, rows first:

        - ``images``: list of height × width × 3
        - ``videos``: list of N × height × width × 3, for container files and for lists of frames
        - ``frame_indices``: list of (N,) int64: which of the frames that the video shows
        - ``frame_times``: list of (N,) float64, in seconds; NaN for a list of frames, whose times are unknown
        - ``durations``: (videos,) float64, in seconds; NaN for a list of frames
        - ``findings``: warnings about videos that can be read in part: truncated or damaged
        - ``audios``, ``audio_q``: list of (samples,) float32, within ±1
        - ``masks``: list of (T, height, width) bool, one per object in the order of ``<region>``
        - ``mask_frames``: list of (T,) int64: frame numbers as annotated (coded frames of the video)
        - ``region_frames``: M × height × width × 3: the pictures with masks
        - ``region_indices``: list of (T,) int64: the index of each mask's picture in ``region_frames``

        The sample has a key if and only if the dataset has the column (``videos`` also for ``frames``).

    Raises:
        CannotDecodeError: a medium cannot be read, a mask does not fit its picture, or its frame does not exist.
    """
    return _decoded(row, MediaDecoder(options))


def sample_columns(columns: Sequence[str], masks: bool) -> list[str]:
    """The keys of the samples that `decoded` gives for rows with these columns, in order.

    Args:
        columns: of the dataset.
        masks: whether masks are drawn.
    """
    names = [name for name in columns if name not in _REPLACED]
    if "images" in columns:
        names.append("images")
    if "videos" in columns or "frames" in columns:
        names += ["videos", "frame_indices", "frame_times", "durations", "findings"]
    names += [name for name in ("audios", "audio_q") if name in columns]
    if masks and "masks" in columns:
        names += ["masks", "mask_frames", "region_frames", "region_indices"]
    return names


def decoded_samples(rows: Sequence[Row], options: DecodeOptions, seed_row: Row) -> Iterator[Sample | CannotDecodeError]:
    """The samples of rows that have the same media, or the error of each; each medium is decoded once.

    Each sample equals what `decoded` gives for its row alone, with two differences: the arrays of media are shared, and a
    random sampler draws the frames once for all rows.  A video is decoded again only for rows that ask for another number
    of frames, with `DecodeOptions.needed` for rows with masks in other frames, and if a frame of some row's mask does not
    exist.

    Args:
        rows: of a dataset, media undecoded.
        options: how to decode them.
        seed_row: the row that names the seed of a random sampler.
    """
    mask_frames: list[int] = []
    if options.masks and not options.needed:
        frames = {mask.get("frame") for row in rows for masks in row.get("masks") or () for mask in masks}
        mask_frames = sorted(frame for frame in frames if isinstance(frame, int))
    decoder = MediaDecoder(options, seed_row, mask_frames)
    for row in rows:
        try:
            yield _decoded(row, decoder)
        except CannotDecodeError as error:
            yield error


def _decoded(row: Row, decoder: MediaDecoder) -> Sample:
    options = decoder.options
    sample = {name: value for name, value in row.items() if name not in _REPLACED}
    objects, mask_frames = _masks(row) if options.masks else ([], [])
    mask_pictures: Pictures | None = None
    if "images" in row:
        sample["images"], mask_pictures = _images(row, decoder, mask_frames)
    if "videos" in row or "frames" in row:
        pictures = _add_videos(sample, row, decoder, mask_frames)
        mask_pictures = mask_pictures if row.get("images") else pictures
    for name in ("audios", "audio_q"):
        if name in row:
            sample[name] = [decoder.sound(cell, row, f"/{name}/{i}") for i, cell in enumerate(row[name] or ())]
    if options.masks and "masks" in row:
        sample.update(_regions(objects, mask_frames, mask_pictures, row, options))
    return _as_tensors(sample) if options.tensors == "torch" else sample


def _masks(row: Row) -> tuple[list[list[Mask]], list[int]]:
    """The masks of each object, and the frames that have masks, ascending."""
    with errors_at(row, "/masks"):
        objects = [[mask_of(cell) for cell in cells] for cells in row.get("masks") or ()]
        return objects, sorted({mask.frame for masks in objects for mask in masks})


def _images(row: Row, decoder: MediaDecoder, mask_frames: Sequence[int]) -> tuple[list[Pictures], Pictures | None]:
    """The pictures of a row; and the first one alone, at its own size, if the row has masks.

    If a row has pictures, its masks belong to the first one, as in the upstream trainer.
    """
    cells = row["images"] or ()
    images = [
        decoder.image(cell, row, f"/images/{i}", as_stored=bool(mask_frames) and not i) for i, cell in enumerate(cells)
    ]
    if not (images and mask_frames):
        return images, None
    with errors_at(row, "/masks"):
        check_mask_frames(mask_frames, 1)
    mask_pictures = images[0][None]
    images[0] = scaled(mask_pictures, decoder.options.size)[0]
    return images, mask_pictures


def _add_videos(sample: Sample, row: Row, decoder: MediaDecoder, mask_frames: Sequence[int]) -> Pictures | None:
    """Adds the videos to the sample, and gives the mask pictures of the first one; None if there is no video."""
    cells: list[tuple[Cell | list[Cell], str]] = [
        (cell, f"/{name}/{i}") for name in ("videos", "frames") for i, cell in enumerate(row.get(name) or ())
    ]
    with_masks = not row.get("images")
    videos = [
        decoder.video(cell, row, pointer, mask_frames if with_masks and not i else None)
        for i, (cell, pointer) in enumerate(cells)
    ]
    sample["videos"] = [video.frames for video in videos]
    sample["frame_indices"] = [video.indices for video in videos]
    sample["frame_times"] = [video.times for video in videos]
    sample["durations"] = np.array([video.duration for video in videos], np.float64)
    sample["findings"] = [found for video in videos for found in video.findings]
    return videos[0].mask_pictures if videos else None


def _regions(
    objects: Sequence[Sequence[Mask]],
    mask_frames: Sequence[int],
    pictures: Pictures | None,
    row: Row,
    options: DecodeOptions,
) -> Sample:
    """The masks as arrays, and the pictures they belong to.

    Args:
        objects: the masks of each object.
        mask_frames: the frames that have masks, ascending.
        pictures: these frames, at their own size; None if the row has no picture at all.
        row: the row.
        options: how to decode it.
    """
    if pictures is None:
        with errors_at(row, "/masks"):
            if mask_frames:
                raise MaskError(finding("mask-frame-out-of-range", "masks of a row that has no picture", "/masks"))
        pictures = np.zeros((0, 0, 0, 3), np.uint8)
    height, width = pictures.shape[1:3]
    arrays: list[npt.NDArray[np.bool_]] = []
    for i, masks in enumerate(objects):
        pointer = f"/masks/{i}"
        with errors_at(row, pointer):
            for mask in masks:
                if mask.height is not None and (mask.height, mask.width) != (height, width):
                    raise MaskError(size_finding(mask, f"its picture {height} × {width}", pointer))
            drawn = to_arrays(masks, height, width)
            arrays.append(drawn if options.size is None else to_grid(drawn, *options.size))
    position = {frame: i for i, frame in enumerate(mask_frames)}
    return {
        "masks": arrays,
        "mask_frames": [np.array([mask.frame for mask in masks], np.int64) for masks in objects],
        "region_frames": scaled(pictures, options.size),
        "region_indices": [np.array([position[mask.frame] for mask in masks], np.int64) for masks in objects],
    }


def _as_tensors(value: Any) -> Any:
    """The value with tensors in place of arrays; they share the arrays' memory."""
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {name: _as_tensors(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_tensors(inner) for inner in value]
    return value
