"""Retrying: which failures of the Hub pass by themselves, and how long to wait for that.

The clients repeat single requests, but not a commit, and no longer than some 20 seconds; here the whole step is taken again,
which is safe because every step first asks what the Hub already has.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

Result = TypeVar("Result")

_PASSING = frozenset((408, 409, 412, 423, 425, 429, 500, 502, 503, 504))


class Patience(NamedTuple):
    """How long to keep trying.

    Attributes:
        first: seconds before the second try; each further wait is twice as long.
        longest: seconds of one wait at most.
        tries: how often a step is tried without any progress.
    """

    first: float = 1.0
    longest: float = 60.0
    tries: int = 10


def wait_after(error: BaseException, number: int, patience: Patience) -> float | None:
    """Seconds to wait after the number-th failure (from 0); None where another try would fail alike.

    409 and 412 (somebody else's commit came first), 429 and 5xx (the Hub has too much to do; ``Retry-After`` is heeded), and
    broken connections pass.  So does a failure of the Xet client: it says nothing better than ``RuntimeError``.
    """
    if number + 1 >= patience.tries or not passes(error):
        return None
    wait = min(patience.first * 2**number, patience.longest)
    asked = _retry_after(error)
    return min(asked, 600.0) if asked is not None else wait * random.uniform(0.75, 1.25)


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, HfHubHTTPError):
        response = getattr(error, "response", None)
        return response is None or response.status_code in _PASSING
    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return False
    module = type(error).__module__.partition(".")[0]
    return isinstance(error, (ConnectionError, TimeoutError, RuntimeError)) or module in ("httpx", "httpx2", "hf_xet")


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def retry(
    step: Callable[[], Result],
    patience: Patience,
    told: Callable[[str], None],
    what: str,
    mark: Callable[[], int] = lambda: 0,
) -> Result:
    """Takes a step until it succeeds.

    Args:
        step: it may be taken again after any failure.
        patience: how long.
        told: told of each wait, in one line.
        what: the step in words.
        mark: how far the step has come; where it has come further than at its last failure, patience begins anew.

    Raises:
        Exception: that of the last try.
    """
    number, reached = 0, mark()
    while True:
        try:
            return step()
        except Exception as error:
            if mark() != reached:
                number, reached = 0, mark()
            wait = wait_after(error, number, patience)
            if wait is None:
                raise
            told(f"{what}: {type(error).__name__}; trying again in {wait:.0f} s")
        time.sleep(wait)
        number += 1
