"""Readers: processes that look at slices side by side.

A reader is a process that runs `main`: it is given tasks on its standard input and gives parts back on its standard output, both
pickled; it is a child of this program, and nobody else writes there.  (No `multiprocessing`: nothing of the caller's main module
is run again, and nothing is forked while threads run.)  Parts come in the order of the tasks, whoever is done first, so that a
check says the same with any number of readers.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, NamedTuple

from ..annotations import Slice
from ..core.errors import DataError
from ..pipeline.options import Options
from ..pipeline.rewriters import Rewriters
from .path_cache import Located
from .scan_slice import look
from .slice_result import Depth, Part


class Task(NamedTuple):
    """A slice to look at, and the index of its annotation file."""

    piece: Slice
    file: int


class Looked(NamedTuple):
    """What a slice has told, and the file its findings are in; who takes it removes that file."""

    part: Part
    findings: str


def looked(tasks: Sequence[Task], options: Options, depth: Depth, folder: str, count: int) -> Iterator[Looked]:
    """Looks at slices in `count` processes.

    Args:
        tasks: the slices; each must know its row.
        options: how records become rows.
        depth: as for `look`.
        folder: where the findings of slices are put.
        count: how many readers.

    Yields:
        The parts in the order of the tasks.

    Raises:
        DataError: of a reader.
        OSError: of a reader, or one has died.
    """
    own = threading.local()
    readers: list[subprocess.Popen[bytes]] = []

    def hand(task: Task) -> Looked:
        if not hasattr(own, "reader"):
            command = [sys.executable, "-c", f"from {__name__} import main; main()"]
            own.reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            readers.append(own.reader)
            _send(own.reader.stdin, (options, depth, folder))
        reader = own.reader
        try:
            _send(reader.stdin, task)
            answer = _received(reader.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise OSError(f"a reader of {task.piece.file!r} has ended with code {reader.wait()}") from error
        if isinstance(answer, BaseException):
            raise answer
        return Looked(*answer)

    waiting: deque[Future[Looked]] = deque()
    left = deque(tasks)
    with ThreadPoolExecutor(count, thread_name_prefix="readers") as pool:
        try:
            while left or waiting:
                while left and len(waiting) < 2 * count:
                    waiting.append(pool.submit(hand, left.popleft()))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            for reader in readers:
                reader.kill()  # idle, or nobody waits for its answer
                reader.wait()
                for pipe in (reader.stdin, reader.stdout):
                    if pipe is not None:
                        try:
                            pipe.close()
                        except OSError:
                            continue


def _send(pipe: IO[bytes], value: object) -> None:
    data = pickle.dumps(value, 5)
    pipe.write(struct.pack("<Q", len(data)) + data)
    pipe.flush()


def _received(pipe: IO[bytes]) -> Any:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    (size,) = struct.unpack("<Q", head)
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def _serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    """The reader's side: looks at slices until there are no more."""
    options, depth, folder = _received(asked)
    rewriters = Rewriters(options)
    located: Located | None = None
    while True:
        try:
            task: Task = _received(asked)
        except EOFError:
            return
        try:
            handle, path = tempfile.mkstemp(prefix="part-", suffix=".jsonl", dir=folder)
            with os.fdopen(handle, "wb") as spool:
                rewriter = rewriters.of(task.piece)
                if located is None or located.rewriter is not rewriter:
                    located = Located(rewriter)
                part = look(task.piece, task.file, options, located, spool, depth=depth)
            _send(answers, (part, path))
        except DataError as error:
            _send(answers, DataError(str(error)))
        except OSError as error:
            _send(answers, OSError(str(error)))


def main() -> None:
    """A reader's life."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # whatever a library prints must not come between the answers
        _serve(sys.stdin.buffer, out)
