"""What a thread makes ahead of its consumer: order, bounds, errors, and ends."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator

import pytest

from modalmix.builders.loading.hub.prefetch import prefetched


class Source:
    """Items of 10 bytes, and what became of them."""

    def __init__(self, items: int, fails: bool = False) -> None:
        self.made = 0
        self.closed = threading.Event()
        self.interrupted = 0
        self._items, self._fails = items, fails

    def __iter__(self) -> Generator[int, None, None]:
        try:
            for number in range(self._items):
                self.made += 1
                yield number
            if self._fails:
                raise OSError("gone")
        finally:
            self.closed.set()

    def interrupt(self) -> None:
        self.interrupted += 1


def settled(source: Source) -> int:
    """How many items were made once no more are."""
    made = -1
    while made != source.made:
        made = source.made
        time.sleep(0.05)
    return made


def test_items_come_in_their_order() -> None:
    source = Source(1000)
    assert list(prefetched(iter(source), lambda _: 10, source.interrupt, 100)) == list(range(1000))
    assert source.closed.is_set() and not source.interrupted


def test_no_more_waits_than_may() -> None:
    source = Source(1000)
    items = prefetched(iter(source), lambda _: 10, source.interrupt, 100)
    assert next(items) == 0
    assert 10 <= settled(source) <= 12  # the one that was taken, ten that wait, one that is made


def test_an_error_comes_after_what_came_before_it() -> None:
    source = Source(5, fails=True)
    items = prefetched(iter(source), lambda _: 10, source.interrupt)
    settled(source)
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="gone"):
        next(items)


@pytest.mark.parametrize("collected", [False, True])
def test_a_consumer_that_stops_early_ends_the_thread(collected: bool) -> None:
    source = Source(1000)
    items = prefetched(iter(source), lambda _: 10, source.interrupt, 100)
    next(items)
    if collected:
        del items
        gc.collect()
    else:
        items.close()  # type: ignore[attr-defined]  # a generator
    assert source.closed.wait(10) and source.interrupted == 1 and source.made < 20


def test_a_forked_process_gets_an_error_as_it_has_no_such_thread() -> None:
    source = Source(1000)
    items = prefetched(iter(source), lambda _: 10, source.interrupt, 100)
    next(items)
    child = os.fork()
    if not child:
        code = 1
        try:
            next(items)
        except RuntimeError as error:
            code = 0 if "begun before the process was forked" in str(error) else 2
        finally:
            del items
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert next(items) == 1


def test_a_process_ends_while_items_are_being_made() -> None:
    code = """
import time
from modalmix.builders.loading.hub.prefetch import prefetched
def source():
    while not stop:
        time.sleep(0.01)
        yield b"item"
    print("was told")
stop = []
items = prefetched(source(), len, lambda: stop.append(1))
next(items)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
