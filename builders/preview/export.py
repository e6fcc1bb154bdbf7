"""Export: some samples as a page that needs no server: a folder to open from the disk, to zip, or to put on a web server.

::

    OUT/index.html                    or  OUT.html, with its files in OUT_files/
    OUT/index_files/page.css, *.js    the page's own files
    OUT/index_files/samples.js        the sheets of the samples that were chosen
    OUT/index_files/3-images-0.jpg    their media, frames and masks
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from ..core.atomic_files import atomic_file
from ..core.errors import DataError
from ..media.errors import MediaError
from .entry_index import Filter
from .server import PAGE, POLICY, page, page_file
from .viewer import Answer, Viewer

SAMPLES = "samples.js"
_PIECE = 1 << 20
_SUFFIXES = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "image/bmp": "bmp", "image/avif": "avif",
    "video/mp4": "mp4", "video/webm": "webm", "video/ogg": "ogv", "video/x-msvideo": "avi", "video/mpeg": "mpg",
    "video/x-flv": "flv", "audio/wav": "wav", "audio/flac": "flac", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/mp4": "m4a",
    "audio/webm": "weba",
}  # fmt: skip
_MARK = re.compile(r'<meta name="generator" content="modalmix preview">')


def export(
    viewer: Viewer, out: str, wanted: Filter, samples: int = 24, progress: Callable[[int], None] | None = None
) -> str:
    """Writes a page with some samples.

    Args:
        viewer: over the collection.
        out: the folder to make, or an ``.html`` file, whose own files then lie in a folder beside it.  What an earlier export
            has written there is replaced.
        wanted: which samples to choose from.
        samples: how many at most.  They are spread over the mixes and over each mix's samples; rejected ones are among them.
        progress: told how many samples are written since the last call.

    Returns:
        The path of the page.

    Raises:
        DataError: no sample is wanted, not all samples could be listed, or something else lies at `out`.
        OSError: it cannot be written.
    """
    path = out if out.lower().endswith(".html") else os.path.join(out, "index.html")
    beside = f"{path.rpartition('.')[0]}_files"
    _check(path, beside, os.path.isdir(out) and path != out, out)
    viewer.list_all()
    if wrong := viewer.overview()["wrong"]:
        raise DataError(wrong)
    numbers = chosen(viewer, wanted, samples)
    if not numbers:
        raise DataError("there is no such sample, and so there is nothing to write")
    making = f"{beside}.tmp"
    shutil.rmtree(making, ignore_errors=True)
    os.makedirs(making)
    sheets: dict[int, Any] = {}
    columns: dict[int, Any] = {}
    for n in numbers:
        sheets[n] = json.loads(_bytes(viewer.answer(f"sample/{n}", {})))
        columns[n] = json.loads(_bytes(viewer.answer(f"columns/{n}", {})))
        for held in _with_addresses(sheets[n]):
            _write_down(viewer, held, making, os.path.basename(beside))
        if progress:
            progress(1)
    data = {"overview": viewer.overview(), "lines": _lines(viewer, numbers), "sheets": sheets, "columns": columns}
    with open(os.path.join(making, SAMPLES), "w", encoding="utf-8") as file:
        file.write(f"window.modalmixSamples = {json.dumps(data)};\n")
    for name in PAGE:
        with open(os.path.join(making, name), "wb") as written:
            written.write(page_file(name))
    assets = f"{os.path.basename(beside)}/"
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">\n'
        f'<script defer src="{html.escape(assets)}{SAMPLES}"></script>'
    )
    with atomic_file(path, fsync=False) as written:
        written.write(page(html.escape(assets), head))
        shutil.rmtree(beside, ignore_errors=True)
        os.replace(making, beside)
    return path


def chosen(viewer: Viewer, wanted: Filter, samples: int) -> list[int]:
    """Numbers of at most that many samples: spread over the mixes and the rejected, and evenly inside each."""
    index = viewer.index
    everything = index.numbers(wanted)
    mixes = [mix for mix in index.mixes if mix] if not wanted.mix else []
    groups = [index.numbers(wanted._replace(mix=mix)) for mix in mixes]
    if not wanted.finding:
        groups.append(index.numbers(wanted._replace(finding="rejected")))
    groups = [group for group in groups if group] or [everything]
    share = -(-samples // len(groups))
    picks = [_spread(group, share) for group in groups]
    found: dict[int, None] = {}
    for turn in range(share):
        for pick in picks:
            if turn < len(pick) and len(found) < samples:
                found[pick[turn]] = None
    for n in _spread(everything, samples):
        if len(found) < samples:
            found[n] = None
    return sorted(found)


def _spread(numbers: array[int], count: int) -> list[int]:
    if len(numbers) <= count:
        return numbers.tolist()
    return [numbers[i * len(numbers) // count] for i in range(count)]


def _check(path: str, beside: str, in_folder: bool, out: str) -> None:
    """That nothing but an earlier export is replaced.

    Raises:
        DataError: something else lies there.
    """
    if in_folder and set(os.listdir(out)) - {os.path.basename(path), os.path.basename(beside)}:
        raise DataError(f"{out!r} holds other files; name a new folder with --out")
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            if not _MARK.search(file.read(4096)):
                raise DataError(f"{path!r} is no page of modalmix; name another one with --out")
    elif os.path.exists(beside):
        raise DataError(f"{beside!r} is there already; name another page with --out")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)


def _with_addresses(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a sheet that has an address."""
    if isinstance(value, dict):
        if "url" in value:
            yield value
        for inner in value.values():
            yield from _with_addresses(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _with_addresses(inner)


def _write_down(viewer: Viewer, held: dict[str, Any], folder: str, assets: str) -> None:
    """Writes what an address gives into a file, and makes the address that file's."""
    try:
        answer = viewer.answer(held["url"], {})
    except (OSError, LookupError, MediaError, ValueError) as error:
        held["missing"] = " ".join(str(error).split())[:300]
        del held["url"]
        return
    kind, _, rest = held["url"].partition("/")
    n, _, place = rest.partition("/")
    name = f"{n}-{'' if kind == 'media' else f'{kind}-'}{place.replace('/', '-')}.{_SUFFIXES.get(answer.type, 'bin')}"
    with open(os.path.join(folder, name), "wb") as file:
        for piece in _pieces(answer):
            file.write(piece)
    held["url"] = f"{assets}/{name}"


def _bytes(answer: Answer) -> bytes:
    return b"".join(_pieces(answer))


def _pieces(answer: Answer) -> Iterator[bytes]:
    body = answer.body
    if isinstance(body, bytes):
        yield body
        return
    with open(body.path, "rb") as file:
        file.seek(body.start)
        left = body.size
        while left and (piece := file.read(min(_PIECE, left))):
            yield piece
            left -= len(piece)


def _lines(viewer: Viewer, numbers: list[int]) -> list[dict[str, Any]]:
    """The lines of the list, with what the page needs to filter them itself."""
    return [
        {**line._asdict(), "codes": codes, "text": text} for line, codes, text in map(viewer.index.everything, numbers)
    ]
