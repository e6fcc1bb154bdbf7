"""Prefetching: a thread makes the next items of a source while the consumer works with those before.

::

    thread    ──download, decompress──► [ up to 32 MB ] ──► consumer
              waits while it is full                        waits while it is empty

The order is the source's, and its error comes after all that it gave before. A consumer that stops early stops the thread; the
end of the process stops all of them. A forked process has no such thread, so what was begun before the fork cannot go on there.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")

BYTES = 32 << 20
"""What may wait; one item more is being made."""

_LAST_WAIT = 2.0
"""Seconds the process waits at its end for a thread that has been interrupted."""


def prefetched(
    source: Generator[T, None, None], size: Callable[[T], int], interrupt: Callable[[], None], most: int = BYTES
) -> Iterator[T]:
    """What a source gives, in its order.

    Args:
        source: is gone through, and closed, in a thread of its own.
        size: bytes of an item.
        interrupt: called from other threads to make the source end soon.
        most: bytes that may wait.

    Raises:
        Exception: whatever the source raises.
        RuntimeError: this process was forked since the first item.
    """
    buffer = _Buffer(source, size, interrupt, most)
    try:
        while buffer.has_more():
            yield buffer.take()
    finally:
        buffer.stop()


class _Buffer(Generic[T]):
    """What waits between the thread and the consumer, and who is to stop."""

    def __init__(
        self,
        source: Generator[T, None, None],
        size: Callable[[T], int],
        interrupt: Callable[[], None],
        most: int,
    ) -> None:
        """Begins."""
        self._source, self._size, self._interrupt, self._most = source, size, interrupt, most
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._bytes = 0
        self._failure: BaseException | None = None
        self._ended = self._stopped = False
        # a daemon, because the interpreter waits for others before it calls what is registered to be called at exit
        self.thread = threading.Thread(target=self._fill, name="modalmix-prefetch", daemon=True)
        self.thread.start()
        _running.add(self)

    def has_more(self) -> bool:
        """Whether an item is there, once that is known."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "this stream was begun before the process was forked; begin another one in the new process"
            )
        with self._changed:
            while not self._waiting and not self._ended and not self._stopped:
                self._changed.wait()
            if not self._waiting and self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return bool(self._waiting)

    def take(self) -> T:
        """The next item."""
        with self._changed:
            item = self._waiting.popleft()
            self._bytes -= self._size(item)
            self._changed.notify_all()
        return item

    def stop(self) -> None:
        """Makes the thread end; does not wait for it, as this may be called by the garbage collector in that very thread."""
        if self._ended or self._stopped or os.getpid() != self._process:
            return  # in a forked process the thread is not there, and the lock may be held for ever
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self._interrupt()

    def _fill(self) -> None:
        try:
            for item in self._source:
                with self._changed:
                    while self._bytes >= self._most and not self._stopped:
                        self._changed.wait()
                    if self._stopped:
                        break
                    self._waiting.append(item)
                    self._bytes += self._size(item)
                    self._changed.notify_all()
        except BaseException as error:  # whatever it is, it is the consumer's
            self._failure = error
        finally:
            try:
                self._source.close()
            finally:
                with self._changed:
                    self._ended = True
                    self._changed.notify_all()


_running: WeakSet[_Buffer[Any]] = WeakSet()


def _stop_all() -> None:
    for one in list(_running):
        one.stop()
    for one in list(_running):
        one.thread.join(_LAST_WAIT)


atexit.register(_stop_all)
