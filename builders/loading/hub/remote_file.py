"""Transfer: a file of the Hub, or several end to end, as one that is read from its beginning to its end.

One connection gives bytes for as long as they are asked for in order; a place a little further on is reached by reading, any
other one by a new request. A connection that breaks, or a Hub that has too much to do, is met by asking again for the bytes that
have not come yet, and for none that have.
"""

from __future__ import annotations

import os
import socket
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import accumulate
from typing import Any
from weakref import WeakSet

from huggingface_hub import constants, get_session, hf_hub_url
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]  # no __all__ there

from ...core.errors import DataError, one_line
from ...media.archives.joined_file import ArchiveFile
from ...pipeline.hub_client import DATASET, PATIENCE, Repository, gated
from ...pipeline.hub_retry import wait_after
from ...pipeline.hub_urls import Place, place_of

_FURTHER = 1 << 20
"""Bytes that are read and dropped rather than asked for anew behind them."""


class RemoteFile(ArchiveFile):
    """Files of the Hub end to end. Not for several threads at once, but for `interrupt`.

    Attributes:
        size: of all together, in bytes.
        failure: why the Hub could not be read; decompressors tell of it as of damage, which it is not.
        requests: how often the Hub was asked.
        until: place where the next request ends; None for the end of the file it begins in.
    """

    def __init__(self, urls: Sequence[str], sizes: Sequence[int], token: str | None = None) -> None:
        """Names the files; nothing is asked for yet.

        Args:
            urls: of the files, each with a revision.
            sizes: in bytes.
            token: instead of the one that is logged in.
        """
        super().__init__()
        self._places = [place_of(url) for url in urls]
        self._starts = [0, *accumulate(sizes)]
        self.size = self._starts[-1]
        self.failure: DataError | None = None
        self.requests = 0
        self.until: int | None = None
        self._token = token
        self._connection = ExitStack()
        self._pieces: Iterator[bytes] | None = None
        self._end = 0
        self._buffer = memoryview(b"")
        self._buffer_at = 0
        self._interrupted = threading.Event()
        self._socket: Any = None
        self.asking = threading.Lock()
        with _registering:
            _alive.add(self)

    def interrupt(self) -> None:
        """Makes whoever reads it fail soon: called from another thread when nobody wants the bytes any more."""
        self._interrupted.set()
        with suppress(Exception):  # there may be none, or one that is closed
            self._socket.shutdown(socket.SHUT_RDWR)

    def pread(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end.

        Raises:
            DataError: the Hub does not give them.
        """
        stop = min(offset + size, self.size)
        parts: list[bytes | memoryview] = []
        while offset < stop:
            at = offset - self._buffer_at
            if not 0 <= at < len(self._buffer):
                self._more(offset)
                continue
            part = self._buffer[at : at + stop - offset]
            parts.append(part)
            offset += len(part)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer: object) -> int:
        """As `io.RawIOBase` has it: as many bytes as are at hand, not as many as fit."""
        with memoryview(buffer).cast("B") as view:  # type: ignore[arg-type]  # a buffer
            at = self._at - self._buffer_at
            if not 0 <= at < len(self._buffer) and self._at < self.size:
                self._more(self._at)
                at = self._at - self._buffer_at
            data = self._buffer[at : at + len(view)] if self._at < self.size else self._buffer[:0]
            view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Lets go of the connection."""
        if not self.closed:
            with self.asking:
                self._drop()
        super().close()

    def _more(self, offset: int) -> None:
        """Puts the bytes from a place at or a little before `offset` on into the buffer."""
        tries = 0
        while True:
            try:
                with self.asking:
                    reached = self._next(offset)
                if reached <= offset < reached + len(self._buffer):
                    return
                tries = 0
            except Exception as error:
                with self.asking:
                    self._drop()
                wait = None if self._interrupted.is_set() else wait_after(error, tries, PATIENCE)
                if wait is None:
                    self.failure = self._file_reject(error, offset)
                    raise self.failure from None
                tries += 1
                self._interrupted.wait(wait)

    def _next(self, offset: int) -> int:
        """Puts the next piece into the buffer, of a new connection if need be; gives its place."""
        reached = self._buffer_at + len(self._buffer)
        if self._pieces is None or not reached <= offset <= min(reached + _FURTHER, self._end - 1):
            self._ask(offset)
            reached = offset
        assert self._pieces is not None
        piece = next(self._pieces, None)
        if piece is None:
            raise ConnectionError(f"the connection ended {self._end - reached:,} bytes early")
        self._buffer, self._buffer_at = memoryview(piece), reached
        if reached + len(piece) == self._end:
            with suppress(
                Exception
            ):  # the end of an answer is read, too: only then is its connection kept for the next
                next(self._pieces, None)
            self._drop()
        return reached

    def _ask(self, offset: int) -> None:
        """Begins to read at `offset`, to the end of the file it lies in."""
        self._drop()
        if self._interrupted.is_set():
            raise ConnectionError("it was interrupted")
        number = bisect_right(self._starts, offset) - 1
        start, end = self._starts[number], self._starts[number + 1]
        self._end = end if self.until is None else min(end, max(self.until, offset + 1))
        place = self._places[number]
        url = hf_hub_url(place.repository, place.path, repo_type=DATASET, revision=place.revision)
        token = Repository(place.repository, self._token).token
        headers = {
            **build_hf_headers(token=token or False),
            "Range": f"bytes={offset - start}-{'' if self._end == end else self._end - start - 1}",
            "Accept-Encoding": "identity",
        }
        self.requests += 1
        response = self._connection.enter_context(
            get_session().stream(
                "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
            )
        )
        with suppress(Exception):  # how the client names it; without, an interrupted read ends with its timeout
            self._socket = response.extensions["network_stream"].get_extra_info("socket")
        hf_raise_for_status(response)
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        if (response.status_code != 206 and offset > start) or (total.isdigit() and int(total) != end - start):
            raise DataError(f"{place}: asked for bytes from {offset - start:,} on, the Hub sent something else")
        self._pieces = response.iter_raw()

    def _drop(self) -> None:
        connection, self._connection, self._pieces, self._socket = self._connection, ExitStack(), None, None
        with suppress(Exception):  # a broken connection may break again while it is closed
            connection.close()

    def _file_reject(self, error: Exception, offset: int) -> DataError:
        place: Place = self._places[min(bisect_right(self._starts, offset), len(self._places)) - 1]
        if isinstance(error, DataError):
            return error
        if isinstance(error, GatedRepoError):
            return gated(place.repository)
        token = Repository(place.repository, self._token).token
        return DataError(f"{place}: the Hub could not be read at byte {offset:,}: {one_line(error, token)}")


_alive: WeakSet[RemoteFile] = WeakSet()
_registering = threading.Lock()
_held: list[threading.Lock] = []


def _hold() -> None:
    """Waits until no thread is inside the client, whose locks would stay locked in the forked process for ever."""
    for lock in (_registering, *(file.asking for file in list(_alive))):
        lock.acquire()
        _held.append(lock)


def _let_go() -> None:
    while _held:
        _held.pop().release()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_let_go)
