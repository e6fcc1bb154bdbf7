"""Export: some samples as a page that needs no server: open it from the disk, zip it, or put it on a web server.

::

    OUT/index.html                    or  OUT.html, with its files in OUT_files/
    OUT/index_files/page.css, *.js    the page's own files
    OUT/index_files/samples.js        the sheets of the chosen samples
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
from .page_files import MEDIA_TYPES, POLICY, page, page_file
from .viewer import Answer, Viewer

SAMPLES = "samples.js"
_CHUNK = 1 << 20
_SUFFIXES = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "image/bmp": "bmp", "image/avif": "avif",
    "video/mp4": "mp4", "video/webm": "webm", "video/ogg": "ogv", "video/x-msvideo": "avi", "video/mpeg": "mpg",
    "video/x-flv": "flv", "audio/wav": "wav", "audio/flac": "flac", "audio/mpeg": "mp3", "audio/ogg": "ogg", "audio/mp4": "m4a",
    "audio/webm": "weba",
}  # fmt: skip
_MARK = re.compile(r'<meta name="generator" content="modalmix preview">')


def export(
    viewer: Viewer, out: str, filter_: Filter, samples: int = 24, progress: Callable[[int], None] | None = None
) -> str:
    """Writes a page with some samples.

    Args:
        viewer: of the collection.
        out: a folder, or an ``.html`` file, whose other files are then in a folder beside it.  An earlier export there is
            replaced.
        filter_: which samples to choose from.
        samples: how many at most.  They are spread over the mixes and over each mix's samples, rejected records included.
        progress: called with the number of samples written since the last call.

    Returns:
        The path of the page.

    Raises:
        DataError: no sample matches, the samples cannot be listed, or `out` holds something else.
        OSError: the page cannot be written.
    """
    path = out if out.lower().endswith(".html") else os.path.join(out, "index.html")
    beside = f"{path.rpartition('.')[0]}_files"
    _check_replaceable(path, beside, os.path.isdir(out) and path != out, out)
    viewer.list_all()
    if error := viewer.overview()["error"]:
        raise DataError(error)
    numbers = _choose(viewer, filter_, samples)
    if not numbers:
        raise DataError("no sample matches, so there is nothing to write")
    unfinished = f"{beside}.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(unfinished)
    sheets: dict[int, Any] = {}
    columns: dict[int, Any] = {}
    for n in numbers:
        sheets[n] = json.loads(_bytes(viewer.answer(f"sample/{n}", {})))
        columns[n] = json.loads(_bytes(viewer.answer(f"columns/{n}", {})))
        for linked in _linked(sheets[n]):
            _write_linked(viewer, linked, unfinished, os.path.basename(beside))
        if progress:
            progress(1)
    data = {"overview": viewer.overview(), "lines": _lines(viewer, numbers), "sheets": sheets, "columns": columns}
    with open(os.path.join(unfinished, SAMPLES), "w", encoding="utf-8") as file:
        file.write(f"window.modalmixSamples = {json.dumps(data)};\n")
    for name in MEDIA_TYPES:
        with open(os.path.join(unfinished, name), "wb") as asset:
            asset.write(page_file(name))
    assets = f"{os.path.basename(beside)}/"
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">\n'
        f'<script defer src="{html.escape(assets)}{SAMPLES}"></script>'
    )
    with atomic_file(path, temporary=f"{path}.tmp", fsync=False) as document:
        document.write(page(html.escape(assets), head))
        shutil.rmtree(beside, ignore_errors=True)
        os.replace(unfinished, beside)
    return path


def _choose(viewer: Viewer, filter_: Filter, samples: int) -> list[int]:
    """The numbers of at most that many samples: spread over the mixes and the rejected records, and evenly in each."""
    index = viewer.index
    all_numbers = index.numbers(filter_)
    mixes = [mix for mix in index.mixes if mix] if not filter_.mix else []
    groups = [index.numbers(filter_._replace(mix=mix)) for mix in mixes]
    if not filter_.finding:
        groups.append(index.numbers(filter_._replace(finding="rejected")))
    groups = [group for group in groups if group] or [all_numbers]
    share = -(-samples // len(groups))
    picks = [_spread(group, share) for group in groups]
    chosen: dict[int, None] = {}
    for i in range(share):
        for pick in picks:
            if i < len(pick) and len(chosen) < samples:
                chosen[pick[i]] = None
    for n in _spread(all_numbers, samples):
        if len(chosen) < samples:
            chosen[n] = None
    return sorted(chosen)


def _spread(numbers: array[int], count: int) -> list[int]:
    """At most `count` of the numbers, evenly spaced."""
    if len(numbers) <= count:
        return numbers.tolist()
    return [numbers[i * len(numbers) // count] for i in range(count)]


def _check_replaceable(path: str, beside: str, in_folder: bool, out: str) -> None:
    """Checks that the page replaces nothing but an earlier export, and creates its folder.

    Raises:
        DataError: `out` holds something else.
    """
    own = [os.path.basename(name) for name in (path, beside)]
    if in_folder and set(os.listdir(out)) - {*own, *(f"{name}.tmp" for name in own)}:
        raise DataError(f"{out!r} holds other files; name a new folder with --out")
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            if not _MARK.search(file.read(4096)):
                raise DataError(f"{path!r} is not a page of modalmix; name another file with --out")
    elif os.path.exists(beside):
        raise DataError(f"{beside!r} exists already; name another page with --out")
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)


def _linked(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a sheet that has an address."""
    if isinstance(value, dict):
        if "url" in value:
            yield value
        for inner in value.values():
            yield from _linked(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _linked(inner)


def _write_linked(viewer: Viewer, linked: dict[str, Any], folder: str, assets: str) -> None:
    """Writes the answer of an object's address into a file, and points the address to that file."""
    try:
        answer = viewer.answer(linked["url"], {})
    except (OSError, LookupError, MediaError, ValueError) as error:
        linked["missing"] = " ".join(str(error).split())[:300]
        del linked["url"]
        return
    kind, _, rest = linked["url"].partition("/")
    n, _, place = rest.partition("/")
    name = f"{n}-{'' if kind == 'media' else f'{kind}-'}{place.replace('/', '-')}.{_SUFFIXES.get(answer.type, 'bin')}"
    with open(os.path.join(folder, name), "wb") as file:
        for chunk in _chunks(answer):
            file.write(chunk)
    linked["url"] = f"{assets}/{name}"


def _bytes(answer: Answer) -> bytes:
    return b"".join(_chunks(answer))


def _chunks(answer: Answer) -> Iterator[bytes]:
    body = answer.body
    if isinstance(body, bytes):
        yield body
        return
    with open(body.path, "rb") as file:
        file.seek(body.start)
        left = body.size
        while left and (chunk := file.read(min(_CHUNK, left))):
            yield chunk
            left -= len(chunk)


def _lines(viewer: Viewer, numbers: list[int]) -> list[dict[str, Any]]:
    """The lines of the list, with the codes and texts that the page needs to filter them itself."""
    return [
        {**line._asdict(), "codes": codes, "text": text} for line, codes, text in map(viewer.index.searchable, numbers)
    ]
