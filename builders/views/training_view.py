"""Reading: a dataset as a stream, or a table, of decoded samples.

::

    Dataset          → TableView    by index, in batches, from start to end; for a DataLoader's samplers
    IterableDataset  → StreamView   from start to end; a DataLoader's workers share its shards

Rows that are grouped by their media (`modalmix.builders.pipeline.grouped_rows`) give the samples they stand for, one by one;
those of a row that are asked for together share what was decoded of it.

Rows are decoded in threads, ahead of whoever asks for them, and come in the order of the dataset.  Never are more than
`prefetch` samples on the way, so memory is bounded by that number times the largest sample.

A sample that cannot be decoded is **rejected**: it is left out, counted (`counts`), told, and written down if a file is given
(`rejected`).  None stands in for it, so a batch of a DataLoader has fewer samples then.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, chain
from typing import Any, Literal, NamedTuple

import datasets
import msgspec

from ..core.findings import Finding
from ..pipeline import rejects
from ..pipeline.grouped_rows import is_grouped, lengths, samples
from .decode_row import CannotDecodeError, Recipe, Row, check, decoded, decoded_samples
from .shared_counter import Counts, Tally

logger = logging.getLogger("modalmix")

Sample = dict[str, Any]
_TOLD = 3
"""Rejected samples that are told one by one; after that, only each tenfold number."""


class SampleRejected(CannotDecodeError):  # noqa: N818  what happened, as in FileExistsError
    """Raised for a sample that cannot be decoded: by ``view[i]``, and everywhere with ``on_error="raise"``."""


def training(
    ds: Any,
    *,
    num_frames: int | None = 8,
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

    It takes what `load_dataset` of any builder gives, streaming or not, and what it gives for a built dataset; whether
    the features of `datasets` would decode media makes no difference, as they are never asked to.

    Args:
        ds: one split: a `datasets.Dataset` or `datasets.IterableDataset`; of rows that are grouped by their media the view
            has the samples.
        num_frames: frames of each video; None for the number each annotation asks for, 8 where it asks for none.
        sampling: which frames; a name of `modalmix.builders.views.frame_sampling.SAMPLERS`.
        sampling_options: of that sampler (``rate``, ``stride``, ``seed``); from a seed each sample draws one of its own, the same
            in every run: pass another one for each epoch.
        size: height and width in pixels for all pictures, frames and masks (one number for both); None keeps their own.
        sampling_rate: of all sounds, in Hz; they are mixed to one channel.
        masks: whether to draw masks, and decode the pictures they belong to.
        needed: whether the frames with masks are among the frames of the video, which then may be more than
            `num_frames`; they are in ``region_frames`` either way.  A video with an edit list keeps them apart, as frames
            with masks need not be among those it shows.
        tensors: ``"torch"`` for tensors in place of arrays; they share the arrays' memory.
        on_error: ``"reject"`` leaves samples out that cannot be decoded; ``"raise"`` stops at the first.
        rejected: file to which rejected samples are appended as JSON Lines, by all processes.
        threads: that decode; None for one per processor, shared among a DataLoader's workers.
        prefetch: samples on the way at most; None for twice the threads.

    Returns:
        A view; iterating it gives the samples that `modalmix.builders.views.decoded` describes.

    Raises:
        TypeError: `ds` is no dataset, or has several splits.
        ValueError: an option has a value that it cannot have.
    """
    recipe = Recipe(
        num_frames=num_frames,
        sampling=sampling,
        sampling_options=dict(sampling_options or {}),
        size=(size, size) if isinstance(size, int) else size,
        sampling_rate=sampling_rate,
        masks=masks,
        needed=needed,
        tensors=tensors,
    )
    check(recipe)
    if on_error not in ("reject", "raise"):
        raise ValueError(f'on_error is {on_error!r}; it is "reject" or "raise"')
    for name, number in (("threads", threads), ("prefetch", prefetch)):
        if number is not None and number < 1:
            raise ValueError(f"{name} is {number!r}; it is 1 or more")
    outcome = _Outcome(on_error == "raise", rejected)
    if isinstance(ds, datasets.Dataset):
        return TableView(ds, recipe, outcome, threads, prefetch)
    if isinstance(ds, datasets.IterableDataset):
        return StreamView(ds, recipe, outcome, threads, prefetch)
    if isinstance(ds, dict):
        raise TypeError(f"pass one split: this is a {type(ds).__name__} of {', '.join(map(str, ds))}")
    raise TypeError(f"{type(ds).__name__} is neither a Dataset nor an IterableDataset")


class TableView:
    """The samples of a `datasets.Dataset`.

    ``view[i]`` raises `SampleRejected` where there is nothing to give; iterating, and a DataLoader, which fetches whole
    batches, leave such samples out.
    """

    def __init__(
        self, ds: datasets.Dataset, recipe: Recipe, outcome: _Outcome, threads: int | None, prefetch: int | None
    ) -> None:
        """See `training`."""
        self.recipe = recipe
        self._rows = ds.with_format("arrow")  # as stored: features decode nothing, whatever they say
        self._ends = (
            list(accumulate(lengths(ds))) if is_grouped(ds.features) else None
        )  # behind which sample each row ends
        self._outcome = outcome
        self._threads, self._prefetch = threads, prefetch
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def __len__(self) -> int:
        if self._ends is None:
            return len(self._rows)
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, index: int) -> Sample:
        (made,) = self._samples(self._asked([range(len(self))[index]])[0])
        if isinstance(made, _Failure):
            self._outcome.reject(made)
            raise SampleRejected(made.error.finding) from made.error
        (given,) = self._outcome.given([made])
        return given

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples at these places, but those that are rejected; a DataLoader asks for its batches by this name."""
        if self._pool is None or self._pool[0] != os.getpid():  # threads do not survive a fork
            self._pool = os.getpid(), ThreadPoolExecutor(_threads(self._threads), "modalmix-view")
        asked = self._asked(indices)
        made: list[Sample | _Failure | None] = [None] * len(indices)
        for one, some in zip(asked, self._pool[1].map(self._samples, asked), strict=True):
            for place, sample in zip(one.places, some, strict=True):
                made[place] = sample
        return list(self._outcome.given(sample for sample in made if sample is not None))

    def __iter__(self) -> Iterator[Sample]:
        every = (_Asked(row, None, []) for row in range(len(self._rows)))
        made = _ahead(self._samples, every, _threads(self._threads), self._prefetch)
        yield from self._outcome.given(chain.from_iterable(made))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    @property
    def counts(self) -> Counts:
        """What became of the samples so far, in all processes that read this view."""
        return self._outcome.tally.counts()

    def _asked(self, indices: Sequence[int]) -> list[_Asked]:
        """What is asked of each row, by the places of samples."""
        if self._ends is None:
            return [_Asked(index, None, [place]) for place, index in enumerate(indices)]
        asked: dict[int, _Asked] = {}
        for place, index in enumerate(indices):
            row = bisect_right(self._ends, index)
            one = asked.setdefault(row, _Asked(row, [], []))
            assert one.numbers is not None
            one.numbers.append(index - (self._ends[row - 1] if row else 0))
            one.places.append(place)
        return list(asked.values())

    def _samples(self, asked: _Asked) -> list[Sample | _Failure]:
        row = self._rows[asked.row].to_pylist()[0]
        if self._ends is None:
            return [_made(row, self.recipe)]
        every = samples(row)
        return _made_of(
            [every[number] for number in asked.numbers] if asked.numbers is not None else every, self.recipe
        )


class StreamView:
    """The samples of a `datasets.IterableDataset`; for torch, an iterable dataset, too."""

    def __init__(
        self, ds: datasets.IterableDataset, recipe: Recipe, outcome: _Outcome, threads: int | None, prefetch: int | None
    ) -> None:
        """See `training`."""
        _known_to_torch()
        self.recipe = recipe
        self._rows = (ds if ds.features is None else ds.decode(False)).with_format(None)
        self._outcome = outcome
        self._threads, self._prefetch = threads, prefetch

    def __iter__(self) -> Iterator[Sample]:
        recipe = self.recipe

        def samples_of(row: Row) -> list[Sample | _Failure]:
            return _made_of(samples(row), recipe) if isinstance(row.get("id"), list) else [_made(row, recipe)]

        made = _ahead(samples_of, self._rows, _threads(self._threads), self._prefetch)
        yield from self._outcome.given(chain.from_iterable(made))

    def set_epoch(self, epoch: int) -> None:
        """The epoch that decides the order of a shuffled stream."""
        self._rows.set_epoch(epoch)

    @property
    def num_shards(self) -> int:
        """Into how many parts the stream falls: more workers than that have nothing to do."""
        return int(self._rows.num_shards)

    @property
    def counts(self) -> Counts:
        """What became of the samples so far, in all processes that read this view."""
        return self._outcome.tally.counts()


class _Asked(NamedTuple):
    """What is asked of a row: which of its samples (None: all), and which places they have in the answer."""

    row: int
    numbers: list[int] | None
    places: list[int]


class _Failure(msgspec.Struct):
    """A row that cannot be decoded."""

    row: Row
    error: CannotDecodeError


class _Outcome:
    """What to do with samples, good and bad, and the count of them."""

    def __init__(self, raises: bool, file: str | None) -> None:
        self.raises = raises
        self.file = None if file is None else os.path.abspath(file)
        self.tally = Tally()
        self.warnings = 0

    def give(self) -> None:
        self.tally.add(1, 0)

    def given(self, made: Iterable[Sample | _Failure]) -> Iterator[Sample]:
        """The samples among what was made; the others are rejected."""
        for one in made:
            if isinstance(one, _Failure):
                self.reject(one)
                if self.raises:
                    raise SampleRejected(one.error.finding) from one.error
            else:
                self.give()
                self.tell(one.get("findings") or ())
                yield one

    def tell(self, findings: Sequence[Finding]) -> None:
        """Tells the first warnings about samples that are given all the same; the others stand in the samples alone."""
        for found in findings:
            self.warnings += 1
            if self.warnings <= _TOLD:
                logger.warning("sample given in part: %s", found)

    def reject(self, failure: _Failure) -> None:
        """Counts, tells and writes down a rejected sample."""
        number = self.tally.add(0, 1)
        found = failure.error.finding
        if self.file is not None:
            entry = {
                "file": found.file,
                "row": found.row,
                "id": failure.row.get("id"),
                "code": found.code,
                "name": found.kind.name,
                "pointer": found.pointer,
                "message": found.message,
                "mend": found.kind.mend,
            }
            rejects.append(self.file, [msgspec.json.encode(entry) + b"\n"])
        if number <= _TOLD or str(number).strip("0") == "1":
            logger.warning("sample rejected (%d by now): %s", number, found)


def _made(row: Row, recipe: Recipe) -> Sample | _Failure:
    try:
        return decoded(row, recipe)
    except CannotDecodeError as error:
        return _Failure(row, error)


def _made_of(rows: Sequence[Row], recipe: Recipe, numbers: Sequence[int] | None = None) -> list[Sample | _Failure]:
    """The samples of rows that have the same media; of those with these numbers, if there are any."""
    chosen = rows if numbers is None else [rows[number] for number in numbers]
    made = decoded_samples(chosen, recipe, rows[0]) if chosen else ()
    return [
        _Failure(row, one) if isinstance(one, CannotDecodeError) else one for row, one in zip(chosen, made, strict=True)
    ]


def _ahead(
    make: Callable[[Any], list[Sample | _Failure]], sources: Iterable[Any], threads: int, prefetch: int | None
) -> Iterator[list[Sample | _Failure]]:
    """What `make` gives for each source, in their order, made ahead in threads."""
    limit = prefetch or 2 * threads
    waiting: deque[Future[Any]] = deque()
    pool = ThreadPoolExecutor(min(threads, limit), "modalmix-view")
    try:
        for source in sources:
            waiting.append(pool.submit(make, source))
            if len(waiting) >= limit:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _threads(wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, available // _workers())


def _workers() -> int:
    """How many workers the DataLoader has that this process is a worker of; 1 where it is none."""
    import sys

    if "torch" not in sys.modules:
        return 1
    import torch.utils.data

    info = torch.utils.data.get_worker_info()
    return 1 if info is None else int(info.num_workers)


def _known_to_torch() -> None:
    """Tells torch that a stream is an iterable dataset: a DataLoader would ask for its length and indices otherwise.

    `datasets` does the same for its own streams, so torch is imported by now wherever it is installed.
    """
    if importlib.util.find_spec("torch") is not None:
        import torch.utils.data

        torch.utils.data.IterableDataset.register(StreamView)
