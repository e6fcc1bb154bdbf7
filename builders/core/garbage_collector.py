"""The garbage collector, off for as long as many objects are made that hold no circles.

Rows on their way to a table are thousands of containers that live until the table is made.  The collector would go through all of
them, and at times through everything that the process has imported, to find nothing: up to a fifth of the time of a stream.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Turns the collector off, and back on if it was on; memory without circles is freed all the same."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
