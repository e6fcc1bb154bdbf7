"""Training views: a dataset as a stream, or a table, of decoded samples.

::

    Dataset          → TableView    by index, in batches, from start to end; for a DataLoader's samplers
    IterableDataset  → StreamView   from start to end; a DataLoader's workers share its shards

A row that is grouped by its media (`modalmix.builders.pipeline.grouped_rows`) gives its samples one by one.  Samples of one row
that are requested together share the decoded media.

Threads decode rows ahead, and samples come in the order of the dataset.  At most `prefetch` samples are in memory at a time.

A sample that cannot be decoded is **rejected**: it is left out, counted (`counts`), logged, and written to a file if one is
named (`rejected`).  Nothing replaces it, so that batch of a DataLoader has fewer samples.
"""

from __future__ import annotations

import importlib.util
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain, groupby
from typing import Any, Literal, NamedTuple, overload

import datasets
import numpy as np
import numpy.typing as npt

from ..pipeline.grouped_rows import is_grouped, lengths, samples
from .decode_ahead import in_order, thread_count
from .decode_errors import CannotDecodeError, Row
from .decode_options import DecodeOptions, validate
from .decode_row import Sample, decoded, decoded_samples, sample_columns
from .sample_outcomes import Failure, Outcomes, SampleRejected
from .shared_counter import ViewCounts


def training(
    ds: Any,
    *,
    num_frames: int | None = None,
    sampling: str = "uniform",
    sampling_options: Mapping[str, Any] | None = None,
    size: int | tuple[int, int] | None = None,
    sampling_rate: int = 16_000,
    masks: bool = True,
    needed: bool = False,
    tensors: Literal["numpy", "torch"] = "numpy",
    on_error: Literal["reject", "raise"] = "reject",
    rejected: str | None = None,
    threads: int | None = None,
    prefetch: int | None = None,
) -> TableView | StreamView:
    """What a trainer sees of a dataset: its media as arrays.

    It takes what `load_dataset` returns, for any builder, streaming or not, and for a built dataset.  Whether the features of
    `datasets` decode media makes no difference: the view reads the undecoded cells.

    Args:
        ds: one split: a `datasets.Dataset` or `datasets.IterableDataset`.  Rows that are grouped by their media give their
            samples.
        num_frames: frames of each video; None takes the number that each annotation names, and 8 where it names none.
        sampling: how frames are chosen; a name in `modalmix.builders.views.frame_sampling.SAMPLERS`.
        sampling_options: options of that sampler (``rate``, ``repeat``, ``stride``, ``seed``).  Each sample derives its own seed
            from ``seed``, the same in every run; pass another seed in each epoch.
        size: height and width in pixels of all pictures, frames and masks (one number for both); None keeps their own size.
        sampling_rate: of all sounds, in Hz; channels are mixed to one.
        masks: draw the masks, and decode the pictures they belong to.
        needed: add the frames with masks to the frames of the video, which then may be more than `num_frames`.  They are in
            ``region_frames`` in any case.  A video with an edit list keeps the two apart, as it need not show the frames
            with masks.
        tensors: ``"torch"`` gives tensors in place of arrays; they share the arrays' memory.
        on_error: ``"reject"`` leaves out samples that cannot be decoded; ``"raise"`` stops at the first.
        rejected: file to which all processes append rejected samples, as JSON Lines.
        threads: that decode; None for one per processor, shared among a DataLoader's workers.
        prefetch: samples in memory at most; None for twice the threads.

    Returns:
        A view; iterating it gives the samples that `modalmix.builders.views.decoded` describes.

    Raises:
        TypeError: `ds` is not a dataset, or has several splits.
        ValueError: an option has an invalid value.
        NotImplementedError: `ds` is a stream with a loaded state.
    """
    options = DecodeOptions(
        num_frames=num_frames,
        sampling=sampling,
        sampling_options=dict(sampling_options or {}),
        size=(size, size) if isinstance(size, int) else size,
        sampling_rate=sampling_rate,
        masks=masks,
        needed=needed,
        tensors=tensors,
    )
    validate(options)
    if on_error not in ("reject", "raise"):
        raise ValueError(f'on_error is {on_error!r}; it must be "reject" or "raise"')
    for name, number in (("threads", threads), ("prefetch", prefetch)):
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number!r}; it must be 1 or more")
    outcomes = Outcomes(on_error == "raise", rejected)
    if isinstance(ds, datasets.Dataset):
        return TableView(ds, options, outcomes, threads, prefetch)
    if isinstance(ds, datasets.IterableDataset):
        return StreamView(ds, options, outcomes, threads, prefetch)
    raise not_one_split(ds)


def not_one_split(ds: Any) -> TypeError:
    """The error for an argument that is neither a `Dataset` nor an `IterableDataset`."""
    if isinstance(ds, dict):
        return TypeError(f"pass one split: this is a {type(ds).__name__} of {', '.join(map(str, ds))}")
    return TypeError(f"{type(ds).__name__} is neither a Dataset nor an IterableDataset")


class TableView:
    """The samples of a `datasets.Dataset`.

    ``view[i]`` is a sample, and raises `SampleRejected` if it cannot be decoded.  ``view[5:8]`` and ``view[[5, 2]]`` are lists of
    samples.  They leave out what cannot be decoded, and so do iterating and a DataLoader, which reads whole batches.
    """

    def __init__(
        self,
        ds: datasets.Dataset,
        options: DecodeOptions,
        outcomes: Outcomes,
        threads: int | None,
        prefetch: int | None,
        order: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """See `training`; `order`: which samples of the dataset the view has, by index, None for all in their order."""
        self.options = options
        self._ds = ds
        self._rows = ds.with_format("arrow")  # as stored: the features decode nothing
        # of a grouped dataset: how many samples the rows up to each one have
        self._sample_ends = list(accumulate(lengths(ds))) if is_grouped(ds.features) else None
        self._outcomes = outcomes
        self._threads, self._prefetch = threads, prefetch
        self._order = order
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def __repr__(self) -> str:
        return f"TableView({{\n    columns: {self.column_names},\n    num_samples: {len(self)}\n}})"

    @property
    def column_names(self) -> list[str]:
        """The keys of the samples."""
        return sample_columns(self._ds.column_names, self.options.masks)

    def select(self, indices: Iterable[int]) -> TableView:
        """A view of the samples at these indices, in their order; it counts for itself.

        Raises:
            IndexError: there is no such sample.
        """
        own = range(len(self))
        return self._reordered(np.fromiter((own[index] for index in indices), np.int64))

    def shuffle(self, seed: int | None = None) -> TableView:
        """A view of the samples in random order, the same for equal seeds; it counts for itself.

        Ungrouped samples are in the order of ``ds.shuffle(seed)``.  Samples of a grouped row are torn apart, and each decodes the
        media anew: ``ds.shuffle(seed)`` keeps them together.
        """
        return self._reordered(np.random.default_rng(seed).permutation(len(self)))

    def _reordered(self, chosen: npt.NDArray[np.int64]) -> TableView:
        outcomes = Outcomes(self._outcomes.raises, self._outcomes.file)
        order = chosen if self._order is None else self._order[chosen]
        return TableView(self._ds, self.options, outcomes, self._threads, self._prefetch, order)

    def __len__(self) -> int:
        if self._order is not None:
            return len(self._order)
        if self._sample_ends is None:
            return len(self._rows)
        return int(self._sample_ends[-1]) if len(self._sample_ends) else 0

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[Sample]: ...

    def __getitem__(self, index: int | slice | Sequence[int] | npt.NDArray[np.integer[Any]]) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return self.__getitems__(range(len(self))[index])
        if isinstance(index, str):
            raise TypeError(
                f"{index!r}: a view is indexed by sample; view[0][{index!r}] is one value, and a loop gives all"
            )
        if isinstance(index, (Sequence, np.ndarray)):
            return self.__getitems__([range(len(self))[position] for position in index])
        (request,) = self._requests([range(len(self))[index]])
        (result,) = self._results(request)
        if isinstance(result, Failure):
            self._outcomes.reject(result)
            raise SampleRejected(result.error.finding) from result.error
        (sample,) = self._outcomes.given([result])
        return sample

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples at these indices without the rejected ones; a DataLoader calls this method for its batches."""
        if self._pool is None or self._pool[0] != os.getpid():  # threads do not survive a fork
            self._pool = os.getpid(), ThreadPoolExecutor(thread_count(self._threads), "modalmix-view")
        requests = self._requests(indices)
        results: dict[int, Sample | Failure] = {}
        for request, of_row in zip(requests, self._pool[1].map(self._results, requests), strict=True):
            results.update(zip(request.positions, of_row, strict=True))
        return list(self._outcomes.given(results[position] for position in range(len(indices))))

    def __iter__(self) -> Iterator[Sample]:
        results = in_order(self._results, self._all_requests(), thread_count(self._threads), self._prefetch)
        yield from self._outcomes.given(chain.from_iterable(results))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    @property
    def counts(self) -> ViewCounts:
        """What became of the samples so far, in all processes that read this view."""
        return self._outcomes.counter.counts()

    def _requests(self, indices: Sequence[int]) -> list[_RowRequest]:
        """The requests, one for each row, for samples at these indices."""
        if self._order is not None:
            indices = self._order[np.asarray(indices, np.int64)].tolist()
        if self._sample_ends is None:
            return [_RowRequest(index, None, [position]) for position, index in enumerate(indices)]
        requests: dict[int, _RowRequest] = {}
        for position, index in enumerate(indices):
            row = bisect_right(self._sample_ends, index)
            request = requests.setdefault(row, _RowRequest(row, [], []))
            assert request.numbers is not None
            request.numbers.append(index - (self._sample_ends[row - 1] if row else 0))
            request.positions.append(position)
        return list(requests.values())

    def _all_requests(self) -> Iterator[_RowRequest]:
        """The requests for all samples, in order; neighbours of one row have one request."""
        if self._order is None:
            yield from (_RowRequest(row, None, []) for row in range(len(self._rows)))
        elif self._sample_ends is None:
            yield from (_RowRequest(row, None, []) for row in self._order.tolist())
        else:
            ends = self._sample_ends
            for row, run in groupby(self._order.tolist(), lambda index: bisect_right(ends, index)):
                yield _RowRequest(row, [index - (ends[row - 1] if row else 0) for index in run], [])

    def _results(self, request: _RowRequest) -> list[Sample | Failure]:
        row = self._rows[request.row].to_pylist()[0]
        if self._sample_ends is None:
            return [_decode(row, self.options)]
        rows = samples(row)
        chosen = rows if request.numbers is None else [rows[number] for number in request.numbers]
        return _decode_group(chosen, self.options, seed_row=rows[0])


class StreamView:
    """The samples of a `datasets.IterableDataset`; torch, too, takes it for an iterable dataset."""

    def __init__(
        self,
        ds: datasets.IterableDataset,
        options: DecodeOptions,
        outcomes: Outcomes,
        threads: int | None,
        prefetch: int | None,
    ) -> None:
        """See `training`."""
        _register_with_torch()
        self.options = options
        self._ds = ds
        self._refuse_state()
        self._rows = (ds if ds.features is None else ds.decode(False)).with_format(None)
        self._outcomes = outcomes
        self._threads, self._prefetch = threads, prefetch

    def __repr__(self) -> str:
        columns = "Unknown" if self.column_names is None else self.column_names
        return f"StreamView({{\n    columns: {columns},\n    num_shards: {self.num_shards}\n}})"

    @property
    def column_names(self) -> list[str] | None:
        """The keys of the samples; None if the stream does not say its columns."""
        columns = self._ds.column_names
        return None if columns is None else sample_columns(columns, self.options.masks)

    def shuffle(self, seed: int | None = None, buffer_size: int = 1000) -> StreamView:
        """A view of the stream in random order, as `datasets.IterableDataset.shuffle` gives it; it counts for itself."""
        outcomes = Outcomes(self._outcomes.raises, self._outcomes.file)
        shuffled = self._ds.shuffle(seed=seed, buffer_size=buffer_size)
        return StreamView(shuffled, self.options, outcomes, self._threads, self._prefetch)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises `NotImplementedError`, with what to do: a view cannot start from a saved state."""
        raise NotImplementedError(_NO_RESUME)

    def _refuse_state(self) -> None:
        """Raises `NotImplementedError` for a stream with a loaded state: the view would start at its first row."""
        if getattr(self._ds, "_starting_state_dict", None) is not None:
            raise NotImplementedError(_NO_RESUME)

    def __iter__(self) -> Iterator[Sample]:
        self._refuse_state()
        options = self.options

        def results_of(row: Row) -> list[Sample | Failure]:
            if not isinstance(row.get("id"), list):
                return [_decode(row, options)]
            rows = samples(row)
            return _decode_group(rows, options, seed_row=rows[0]) if rows else []

        results = in_order(results_of, self._rows, thread_count(self._threads), self._prefetch)
        yield from self._outcomes.given(chain.from_iterable(results))

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, which decides the order of a shuffled stream."""
        self._rows.set_epoch(epoch)

    @property
    def num_shards(self) -> int:
        """The number of parts that the stream is read in; workers beyond that number have nothing to do."""
        return int(self._rows.num_shards)

    @property
    def counts(self) -> ViewCounts:
        """What became of the samples so far, in all processes that read this view."""
        return self._outcomes.counter.counts()


_NO_RESUME = (
    "a view of a stream cannot start from a saved state: its samples are decoded ahead.  Load the stream anew and skip the rows "
    "that are done: views.training(ds.skip(n))"
)


class _RowRequest(NamedTuple):
    """A request for samples of one row.

    Attributes:
        row: index of the row.
        numbers: which samples of a grouped row; None for all.
        positions: the indices of these samples in the answer.
    """

    row: int
    numbers: list[int] | None
    positions: list[int]


def _decode(row: Row, options: DecodeOptions) -> Sample | Failure:
    try:
        return decoded(row, options)
    except CannotDecodeError as error:
        return Failure(row, error)


def _decode_group(rows: Sequence[Row], options: DecodeOptions, seed_row: Row) -> list[Sample | Failure]:
    """The samples of rows that have the same media."""
    results = decoded_samples(rows, options, seed_row)
    return [
        Failure(row, result) if isinstance(result, CannotDecodeError) else result
        for row, result in zip(rows, results, strict=True)
    ]


def _register_with_torch() -> None:
    """Registers `StreamView` as an iterable dataset of torch: a DataLoader would ask for its length and indices otherwise.

    `datasets` does the same for its own streams, so torch is already imported if it is installed.
    """
    if importlib.util.find_spec("torch") is not None:
        import torch.utils.data

        torch.utils.data.IterableDataset.register(StreamView)
