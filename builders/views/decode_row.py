"""Decoding: one undecoded row of a dataset as arrays.

::

    row     images [cell]      videos [cell] or frames [[cell, …]]       audios [cell]     masks [[{frame, counts, …}, …]]
              │ read_image       │ sampling → open_video().read            │ read_audio      │ regions.to_arrays
              ▼                  ▼                                         ▼                 ▼
    sample  images             videos, frame_indices, frame_times        audios            masks, mask_frames,
            [(H, W, 3)]        [(N, H, W, 3)]      [(N,)]                 [(S,)]            region_frames, region_indices

Masks are of *annotated* frames, which sampling need not hit: so a row with masks has the pictures of those frames as well,
once each, as VideoRefer's trainer reads them.  Mask `t` of object `o` is ``masks[o][t]``, and belongs to the picture
``region_frames[region_indices[o][t]]``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ..core.findings import Finding, finding
from ..core.sample import NOTES, Mask
from ..media.audio import read_audio
from ..media.cells import Cell
from ..media.errors import MediaError
from ..media.images import read_image, scaled
from ..media.mask_arrays import mask_of, to_arrays, to_grid
from ..media.video import open_video
from . import frame_sampling

Pictures = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Row = Mapping[str, Any]

ASKED = 8
"""Frames of a video for which neither the view nor the annotation asks for a number: VideoRefer's default."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a row; equal recipes and equal rows give equal arrays.

    Attributes:
        num_frames: frames of each video; None for the number each annotation asks for (8 where it asks for none).
        sampling: a name of `modalmix.builders.views.frame_sampling.SAMPLERS`.
        sampling_options: of that sampler; from a ``seed`` each sample draws a seed of its own.
        size: height and width in pixels to which pictures, frames and masks are resized; None keeps their own.
        sampling_rate: of the sounds, in Hz; they are mixed to one channel.
        masks: whether masks are drawn, and the pictures they belong to decoded.
        needed: whether the frames with masks are among the sampled ones, too.
        tensors: ``"numpy"`` or ``"torch"``.
    """

    num_frames: int | None = ASKED
    sampling: str = "uniform"
    sampling_options: Mapping[str, Any] = {}
    size: tuple[int, int] | None = None
    sampling_rate: int = 16_000
    masks: bool = True
    needed: bool = False
    tensors: Literal["numpy", "torch"] = "numpy"


class CannotDecodeError(ValueError):
    """A sample cannot be decoded; `finding` says what and where."""

    def __init__(self, found: Finding) -> None:
        super().__init__(str(found))
        self.finding = found

    def __reduce__(self) -> tuple[type[CannotDecodeError], tuple[Finding]]:
        return type(self), (self.finding,)


class _Clip(NamedTuple):
    """What was read of one video.

    Attributes:
        frames: N × height × width × 3, RGB.
        indices: of the frames, among those the video shows.
        times: of the frames in seconds; NaN for a list of pictures.
        duration: in seconds; NaN for a list of pictures.
        masked: the pictures of the frames with masks, likewise.
        findings: warnings about the file.
    """

    frames: Pictures
    indices: Indices
    times: npt.NDArray[np.float64]
    duration: float
    masked: Pictures
    findings: list[Finding]


def decoded(row: Row, recipe: Recipe) -> dict[str, Any]:
    """The sample of a row.

    Args:
        row: of a dataset, media undecoded (``{"bytes", "path"}`` cells).
        recipe: how to decode it.

    Returns:
        The row's columns, with media in place of cells.  All pictures are RGB, uint8, rows first:

        - ``images``: list of height × width × 3
        - ``videos``: list of N × height × width × 3, of container files and lists of frames alike
        - ``frame_indices``: list of (N,) int64: which of the frames that the video shows
        - ``frame_times``: list of (N,) float64, in seconds; NaN for a list of frames, whose times are not known
        - ``durations``: (videos,) float64, in seconds; likewise
        - ``findings``: what is to say about videos that can be read in part: truncated or damaged
        - ``audios``, ``audio_q``: list of (samples,) float32, within ±1
        - ``masks``: list of (T, height, width) bool, one per object in the order of ``<region>``
        - ``mask_frames``: list of (T,) int64: the frames' numbers in the annotation (coded frames of the video)
        - ``region_frames``: M × height × width × 3: the pictures with masks
        - ``region_indices``: list of (T,) int64: where in ``region_frames`` the picture of a mask is

        A key is there exactly if the dataset has its column (``videos`` for ``frames``, too).

    Raises:
        CannotDecodeError: a medium cannot be read, a mask does not fit its picture, or its frame is not there.
    """
    return _decoded(row, recipe, _Once())


def decoded_samples(rows: Sequence[Row], recipe: Recipe, first: Row) -> Iterator[dict[str, Any] | CannotDecodeError]:
    """The samples of rows that have the same media, or why there is none; each medium is decoded once.

    They are what `decoded` gives for each row alone, but that arrays of media are shared, and that a sampler with a seed draws
    the frames once for all: those of the `first` row.  A video is decoded more than once only for rows that ask for other
    numbers of frames, with `Recipe.needed` for other frames, and where masks of some row are of frames that are not there.

    Args:
        rows: of a dataset, media undecoded.
        recipe: how to decode them.
        first: of all rows that have these media.
    """
    once = _Once(first)
    if recipe.masks and not recipe.needed:
        frames = {mask.get("frame") for row in rows for masks in row.get("masks") or () for mask in masks}
        once.wanted = tuple(sorted(frame for frame in frames if isinstance(frame, int)))
    for row in rows:
        try:
            yield _decoded(row, recipe, once)
        except CannotDecodeError as error:
            yield error


class _Once:
    """Media that were decoded, or could not be, for the other rows that show them.

    Attributes:
        first: the row whose name a sampler's seed is made of; None for each row's own.
        wanted: the frames that any of the rows has masks of, ascending.
    """

    def __init__(self, first: Row | None = None) -> None:
        self.first = first
        self.wanted: tuple[int, ...] = ()
        self._known: dict[tuple[Any, ...], Any] = {}

    def get(self, row: Row, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives for all rows; what it raises, for each with its own place."""
        if key not in self._known:
            try:
                self._known[key] = make()
            except CannotDecodeError as error:
                self._known[key] = error
                raise
        made = self._known[key]
        if isinstance(made, CannotDecodeError):
            raise CannotDecodeError(_placed(made.finding, row)) from made
        return made

    def clip(self, cell: Cell | list[Cell], row: Row, recipe: Recipe, wanted: Sequence[int] | None, at: str) -> _Clip:
        """One video as `_clip` reads it; `wanted` is None if masks are not of it.

        It is read with the frames of all rows' masks at once, unless some of those are not there.
        """
        named = row if self.first is None else self.first
        number = recipe.num_frames or row.get("num_frames") or ASKED
        order = _channel_order(row) if isinstance(cell, list) else ""

        def read(frames: tuple[int, ...]) -> _Clip:
            key = at, number, order, frames
            made: _Clip = self.get(row, key, lambda: _clip(cell, row, recipe, frames, at, _options(named, recipe)))
            return made._replace(findings=[_placed(one, row) for one in made.findings])

        if wanted is None:
            return read(())
        if not set(wanted) < set(self.wanted):
            return read(tuple(wanted))
        try:
            clip = read(self.wanted)
        except CannotDecodeError:
            return read(tuple(wanted))
        return clip._replace(masked=clip.masked[[self.wanted.index(frame) for frame in wanted]])


def _decoded(row: Row, recipe: Recipe, once: _Once) -> dict[str, Any]:
    sample = {name: value for name, value in row.items() if name not in _DECODED}
    with _place(row, "/masks"):
        objects = [[mask_of(cell) for cell in cells] for cells in row.get("masks") or ()] if recipe.masks else []
        wanted = sorted({mask.frame for masks in objects for mask in masks})
    of_image = bool(row.get("images"))  # with pictures, the masks are of the first of them, as upstream
    pictures: Pictures | None = None
    if "images" in row:
        cells = row["images"] or ()
        images = [_image(cell, row, recipe, once, bool(wanted) and not i, i) for i, cell in enumerate(cells)]
        if of_image and wanted:
            with _place(row, "/masks"):
                _check_frames(wanted, 1)
            pictures = images[0][None]
            images[0] = scaled(pictures, recipe.size)[0]
        sample["images"] = images
    if "videos" in row or "frames" in row:
        clips = [
            once.clip(cell, row, recipe, None if i or of_image else wanted, at)
            for i, (cell, at) in enumerate(_videos(row))
        ]
        if clips and not of_image:
            pictures = clips[0].masked
        sample["videos"] = [clip.frames for clip in clips]
        sample["frame_indices"] = [clip.indices for clip in clips]
        sample["frame_times"] = [clip.times for clip in clips]
        sample["durations"] = np.array([clip.duration for clip in clips], np.float64)
        sample["findings"] = [found for clip in clips for found in clip.findings]
    for name in ("audios", "audio_q"):
        if name in row:
            sample[name] = [_sound(cell, row, recipe, once, f"/{name}/{i}") for i, cell in enumerate(row[name] or ())]
    if recipe.masks and "masks" in row:
        sample.update(_regions(objects, wanted, pictures, row, recipe))
    return _as_tensors(sample) if recipe.tensors == "torch" else sample


def check(recipe: Recipe) -> None:
    """Raises `ValueError` for a recipe by which no row can be decoded."""
    for name in ("num_frames", "sampling_rate"):
        number = getattr(recipe, name)
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number!r}; it is 1 or more")
    if recipe.size is not None and (len(recipe.size) != 2 or min(recipe.size) < 1):
        raise ValueError(f"size is {recipe.size!r}; it is (height, width) in pixels")
    if recipe.tensors not in ("numpy", "torch"):
        raise ValueError(f'tensors is {recipe.tensors!r}; it is "numpy" or "torch"')
    frame_sampling.indices(
        recipe.sampling, 2, 1.0, 1, **recipe.sampling_options
    )  # raises for what is no sampler, or no option


_DECODED = frozenset({"images", "videos", "frames", "audios", "audio_q", "masks"})


def _videos(row: Row) -> Iterator[tuple[Cell | list[Cell], str]]:
    """The videos of a row, with the pointer to each: containers, or else lists of frames."""
    for name in ("videos", "frames"):
        for i, cell in enumerate(row.get(name) or ()):
            yield cell, f"/{name}/{i}"


def _image(cell: Cell, row: Row, recipe: Recipe, once: _Once, native: bool, number: int) -> Pictures:
    """A picture; `native` as it is stored, for masks are of that."""
    at = f"/images/{number}"

    def read() -> Pictures:
        with _place(row, at):
            return read_image(cell, size=None if native else recipe.size, upright=not native)

    made: Pictures = once.get(row, (at, native), read)
    return made


def _sound(cell: Cell, row: Row, recipe: Recipe, once: _Once, at: str) -> npt.NDArray[np.float32]:
    def read() -> npt.NDArray[np.float32]:
        with _place(row, at):
            return read_audio(cell, sampling_rate=recipe.sampling_rate).samples

    made: npt.NDArray[np.float32] = once.get(row, (at,), read)
    return made


def _clip(
    cell: Cell | list[Cell], row: Row, recipe: Recipe, wanted: Sequence[int], at: str, options: Mapping[str, Any]
) -> _Clip:
    """One video: its sampled frames, and those numbered `wanted` among its coded frames."""
    with _place(row, at), open_video(cell) as video:
        _check_frames(wanted, video.coded_frames)
        number = recipe.num_frames or row.get("num_frames") or ASKED
        chosen = frame_sampling.indices(recipe.sampling, video.frames, video.fps, number, **options)
        indices = np.array(chosen, np.int64)
        if not wanted:
            frames = video.read(chosen)
            masked = frames[:0]
        elif video.frames == video.coded_frames:  # every coded frame is shown: one pass reads them all
            if recipe.needed:
                indices = np.array(frame_sampling.with_needed(chosen, wanted), np.int64)
            every, back = np.unique(np.concatenate([indices, np.asarray(wanted, np.int64)]), return_inverse=True)
            pictures = video.read(every.tolist())
            frames = pictures[back[: len(indices)]]
            masked = pictures[back[len(indices) :]]
        else:
            frames = video.read(indices.tolist())
            masked = video.read(wanted, coded=True)
        still = isinstance(cell, list)  # of pictures, and nobody has written down when they were taken
        if still and _channel_order(row) == "BGR":
            frames, masked = (np.ascontiguousarray(one[..., ::-1]) for one in (frames, masked))
        times = np.full(len(indices), np.nan) if still else np.array(video.times(indices.tolist()), np.float64)
        duration = np.nan if video.duration is None else video.duration
        told = [msgspec.structs.replace(one, pointer=at) for one in video.findings if one.severity != "info"]
        return _Clip(scaled(frames, recipe.size), indices, times, duration, masked, told)


def _placed(found: Finding, row: Row) -> Finding:
    """A finding with the place of a row."""
    source = row.get("source") or {}
    return found.placed(source.get("file") or "", source.get("row", -1))


def _check_frames(wanted: Sequence[int], frames: int) -> None:
    for frame in wanted:
        if not 0 <= frame < frames:
            raise _Wrong("mask-frame-out-of-range", f"a mask in frame {frame} of {frames}", "/masks")


def _options(row: Row, recipe: Recipe) -> Mapping[str, Any]:
    """The sampler's options; the seed of a row is that of the recipe and the row's name, wherever the row lies."""
    if recipe.sampling not in ("jitter", "clip"):
        return recipe.sampling_options
    name = f"{recipe.sampling_options.get('seed', 0)} {(row.get('source') or {}).get('row')} {row.get('id')}"
    return {**recipe.sampling_options, "seed": zlib.crc32(name.encode("utf-8", "surrogatepass"))}


def _regions(
    objects: Sequence[Sequence[Mask]], wanted: Sequence[int], pictures: Pictures | None, row: Row, recipe: Recipe
) -> dict[str, Any]:
    """The masks as arrays, and the pictures they belong to.

    Args:
        objects: the masks.
        wanted: the frames that have masks, ascending.
        pictures: of those frames, at their own size; None where the row has no picture at all.
        row: the row.
        recipe: how to decode it.
    """
    if pictures is None:
        with _place(row, "/masks"):
            if wanted:
                raise _Wrong("mask-frame-out-of-range", "masks of a row that has no picture", "/masks")
        pictures = np.zeros((0, 0, 0, 3), np.uint8)
    height, width = pictures.shape[1:3]
    drawn: list[npt.NDArray[np.bool_]] = []
    for i, masks in enumerate(objects):
        with _place(row, f"/masks/{i}"):
            for mask in masks:
                if mask.height is not None and (mask.height, mask.width) != (height, width):
                    message = f"the mask has {mask.height} × {mask.width} pixels, its picture {height} × {width}"
                    raise _Wrong("mask-size-differs", message, f"/masks/{i}")
            arrays = to_arrays(masks, height, width)
            drawn.append(arrays if recipe.size is None else to_grid(arrays, *recipe.size))
    position = {frame: i for i, frame in enumerate(wanted)}
    return {
        "masks": drawn,
        "mask_frames": [np.array([mask.frame for mask in masks], np.int64) for masks in objects],
        "region_frames": scaled(pictures, recipe.size),
        "region_indices": [np.array([position[mask.frame] for mask in masks], np.int64) for masks in objects],
    }


def _channel_order(row: Row) -> str:
    """The order in which the upstream trainer sees the channels of the row's frames; see `modalmix.builders.formats.ola`."""
    extra = row.get("extra")
    if not extra or '"BGR"' not in extra:
        return "RGB"
    notes = json.loads(extra).get(NOTES)
    return "BGR" if isinstance(notes, dict) and notes.get("channel_order") == "BGR" else "RGB"


class _Wrong(ValueError):  # noqa: N818  becomes a `CannotDecodeError` in `_place`
    """A finding of another kind than "cannot be read"."""

    def __init__(self, name: str, message: str, at: str) -> None:
        super().__init__(message)
        self.found = finding(name, message, at)


@contextmanager
def _place(row: Row, at: str) -> Iterator[None]:
    """What goes wrong in here is told with the row and the place in it.

    Decoders are given whatever lies on the disk, and raise whatever their authors thought of: all of it is one sample's end,
    not the training's.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, _Wrong):
            found = error.found
        else:
            missing = isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)
            words = str(error) if isinstance(error, (MediaError, OSError)) else f"{type(error).__name__}: {error}"
            found = finding("media-missing" if missing else "media-unreadable", words, at)
        raise CannotDecodeError(_placed(found, row)) from error


def _as_tensors(value: Any) -> Any:
    """The value with tensors for its arrays, which share their memory."""
    import torch

    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {name: _as_tensors(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_as_tensors(one) for one in value]
    return value
