"""Run-length encoding of masks as COCO writes it: decoding, encoding and checking its text.

**Run lengths** count pixels column by column from the top left, background first, and fill the picture exactly.
**Compressed counts** are those numbers as text: each but the first three minus the last run of its own colour, five
bits a character, the lowest first, as in https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c

::

    a 3 × 4 picture    . # . .
                       . # # .      runs [3, 3, 1, 1, 4]   →   differences 3, 3, 1, 1-3, 4-1   →   "331N3"
                       . # . .

pycocotools reads such text without looking where it ends, so text from a dataset is never handed to it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

Runs = npt.NDArray[np.int64]

PIXELS = 2**32
"""A picture of this many pixels or more is none: COCO's counts and sizes are 32-bit."""

_ALPHABET = bytes(range(48, 112))
_MORE = 80
"""From this character on, another one of the same number follows; below it, the number ends."""
_LONGEST = 7
"""Characters of the longest number: 35 bits hold every difference of two 32-bit counts."""
_FEW = 160
"""Up to this many characters a plain loop is faster than numpy's fixed cost."""

_LONG = 256
"""Numbers of a mask from which on a call for each mask costs less than more passes over all of them."""

_VALUE = np.zeros(256, np.int64)
_VALUE[48:80] = (np.arange(32) ^ 16) - 16  # the last five bits of a number carry its sign
_VALUE[80:112] = np.arange(32)


def run_lengths(counts: str) -> Runs:
    """The run lengths of compressed counts: int64, background first.

    Raises:
        ValueError: a character that RLE does not have, a number that does not end, or one of more than 35 bits.
            Whether the runs are non-negative and fill the picture is not looked at (`misfit` does that).
    """
    text = counts.encode("utf-8", "surrogatepass")
    if len(text) <= _FEW:
        return np.array(_few(text), np.int64)
    runs, _ = _numbers(text)
    _accumulate(runs)
    return runs


def compress(counts: Sequence[int] | Runs) -> str:
    """Run lengths as compressed counts, the same text as pycocotools'.

    Raises:
        ValueError: a run that is negative or has 2³² pixels or more.
    """
    runs = np.asarray(counts, dtype=np.int64)
    if not runs.size:
        return ""
    if runs.min() < 0 or runs.max() >= PIXELS:
        raise ValueError(f"run lengths lie between {runs.min()} and {runs.max()}")
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    codes: list[npt.NDArray[np.uint8]] = []  # one array for each place in a number, lowest five bits first
    written: list[npt.NDArray[np.bool_]] = []
    more = np.ones(len(runs), np.bool_)
    while more.any():
        written.append(more)
        low = rest & 31
        rest >>= 5
        more = more & (rest != np.where(low & 16, -1, 0))  # ended once all that is left is the sign
        codes.append((low + np.where(more, 80, 48)).astype(np.uint8))
    return np.stack(codes, 1)[np.stack(written, 1)].tobytes().decode("ascii")


def union(masks: Sequence[Sequence[int]], pixels: int) -> list[int]:
    """The run lengths of the union of masks of the same picture, none of them drawn.

    Args:
        masks: run lengths of each, non-negative and summing to `pixels`.
        pixels: of the picture.
    """
    inside: list[tuple[int, int]] = []
    for runs in masks:
        ends = list(accumulate(runs))
        inside += [(start, end) for start, end in zip(ends[::2], ends[1::2], strict=False) if start < end]
    joined: list[list[int]] = []
    for start, end in sorted(inside):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([start, end])
    edges = [0, *(edge for span in joined for edge in span)]
    edges += [pixels] if edges[-1] < pixels else []
    return [end - start for start, end in pairwise(edges)]


def misfit(counts: str, height: int, width: int) -> str:
    """Why compressed counts do not describe a picture of `height` × `width` pixels; empty if they do."""
    try:
        runs = run_lengths(counts).tolist()
    except ValueError as wrong:
        return f"the counts {reprlib.repr(counts)} cannot be read: {wrong}"
    return misfit_runs(runs, height, width)


def misfit_runs(runs: Sequence[int], height: int, width: int) -> str:
    """Why run lengths do not fill a picture of `height` × `width` pixels; empty if they do."""
    if runs and (min(runs) < 0 or max(runs) >= PIXELS):  # such numbers may be too long to print, too
        return (
            "the counts hold a run of fewer than 0 pixels" if min(runs) < 0 else "the counts hold a run of 2³² pixels"
        )
    if (total := sum(runs)) != height * width:
        return f"the counts sum to {total}, the picture has {height} × {width} = {height * width} pixels"
    return ""


def all_fit(texts: Sequence[str], pixels: Sequence[int]) -> bool:
    """Whether many compressed counts each fill their pictures, in one go: a third of the time of one after the other.

    Args:
        texts: compressed counts.
        pixels: of each one's picture, fewer than 2³².
    """
    text = "".join(texts)
    if len(text) <= _FEW:
        return not any(misfit(one, size, 1) for one, size in zip(texts, pixels, strict=True))
    if not all(one and ord(one[-1]) < _MORE for one in texts):  # else a number would run on into the next text
        return False
    try:
        numbers, starts = _numbers(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    firsts = np.searchsorted(starts, [0, *accumulate(map(len, texts[:-1]))])
    runs = _accumulate_each(numbers, firsts)
    if runs.min() < 0 or runs.max() >= PIXELS:
        return False
    sums: list[int] = np.add.reduceat(runs, firsts).tolist()
    return sums == list(pixels)


def _few(text: bytes) -> list[int]:
    """`run_lengths` of a short text."""
    runs: list[int] = []
    value = shift = 0
    for code in text:
        if not 48 <= code < 112:
            raise ValueError(f"{chr(code)!r} is no RLE character")
        if shift >= 5 * _LONGEST:
            raise ValueError("a number of more than 35 bits")
        if code < _MORE:
            value += ((code - 48 ^ 16) - 16) << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
        else:
            value += code - _MORE << shift
            shift += 5
    if shift:
        raise ValueError("the text ends inside a number")
    return runs


def _numbers(text: bytes) -> tuple[Runs, Runs]:
    """The numbers of a non-empty text before `_accumulate`, and where each one's first character stands."""
    if strange := text.translate(None, _ALPHABET):
        raise ValueError(f"{chr(strange[0])!r} is no RLE character")
    if text[-1] >= _MORE:
        raise ValueError("the text ends inside a number")
    codes = np.frombuffer(text, np.uint8)
    starts = np.flatnonzero(codes < _MORE)
    lengths = starts + 1
    starts[1:] = lengths[:-1]
    starts[0] = 0
    lengths -= starts
    if lengths.max() > _LONGEST:
        raise ValueError("a number of more than 35 bits")
    shifts = np.arange(len(text))
    shifts -= starts.repeat(lengths)
    shifts *= 5
    return np.add.reduceat(_VALUE[codes] << shifts, starts), starts


def _accumulate(numbers: Runs) -> None:
    """Differences to run lengths, in place: from the fourth number on, each is added to the last of its colour."""
    np.cumsum(numbers[1::2], out=numbers[1::2])
    np.cumsum(numbers[2::2], out=numbers[2::2])


def _accumulate_each(numbers: Runs, firsts: Runs) -> Runs:
    """`_accumulate` for many masks.

    Args:
        numbers: of all of them, one mask behind the other; may be changed.
        firsts: where each mask begins.
    """
    if len(numbers) > _LONG * len(firsts):
        for first, end in pairwise([*firsts.tolist(), len(numbers)]):
            _accumulate(numbers[first:end])
        return numbers
    counts = np.empty_like(firsts)
    np.subtract(firsts[1:], firsts[:-1], out=counts[:-1])
    counts[-1] = len(numbers) - firsts[-1]
    odd = np.arange(len(numbers))
    odd -= firsts.repeat(counts)
    odd &= 1
    odds = numbers * odd
    evens = numbers - odds
    evens[firsts] = 0  # the first number is of the background, and no other one is added to it
    odds.cumsum(out=odds)
    evens.cumsum(out=evens)
    runs: Runs = np.where(odd, odds - odds[firsts].repeat(counts), evens - evens[firsts].repeat(counts))
    runs[firsts] = numbers[firsts]
    return runs
