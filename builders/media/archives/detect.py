"""Detection: which files are archives, and which are pieces of one.

A name only says which files to check; their first bytes say what they are. Large archives come in pieces::

    X.tar.0  X.tar.1  X.tar.2          Ola's LibriSpeech.tar.0 …
    X.tar.gz.00  X.tar.gz.01  …        VideoRefer-700K's panda_70m_split.tar.gz.00 …
    X.zip.001  X.tar.part-aa           split, 7-Zip and others

Both readings of such names occur: one archive cut by bytes (only the first piece starts with a header), or archives of their
own. `group` decides, piece by piece.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

from .archive import Archive
from .tar import BLOCK, is_header

_BY_NAME = {
    ".tar": "tar",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    ".tar.zst": "tar.zst",
    ".tzst": "tar.zst",
    ".zip": "zip",
    ".parquet": "parquet",
}
_NAME = re.compile(
    r".*(?P<suffix>\.tar\.gz|\.tgz|\.tar\.zst|\.tzst|\.tar|\.zip|\.parquet)"
    r"(?P<piece>[._-]?(?:part)?[._-]?(?P<order>[0-9]{1,6}|[a-j][a-z]|a[a-z]{2}))?",
    re.IGNORECASE | re.DOTALL,
)
_GZIP, _ZSTD, _ZIP, _PARQUET = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06"), b"PAR1"
_HEAD = 256 << 10  # bytes that hold the first block of zstd (up to 128 KB of output) for certain
_ZIP_END = b"PK\x05\x06"

Opener = Callable[[str], BinaryIO]


def _on_disk(path: str) -> BinaryIO:
    return open(path, "rb", buffering=0)


def kind(path: str) -> str | None:
    """What kind of archive a file is: one of `archive.KINDS`, or None where its name is not that of an archive.

    The first bytes decide: a ``.tar`` that is really gzip is ``tar.gz``. A file that begins like no archive (a damaged download,
    a later piece) is of the kind its name says, so that listing it says what is wrong.

    Raises:
        OSError: the file cannot be read.
    """
    match = _NAME.fullmatch(os.path.basename(path))
    if match is None:
        return None
    lettered = (match["order"] or "").isalpha()  # X.tar.asc, X.tar.br: no piece unless there is an X.tar.aa beside it
    return _begins(path, _on_disk) or (None if lettered else _BY_NAME[match["suffix"].lower()])


def kind_by_name(name: str) -> str | None:
    """What kind of archive a file would be by its name alone; None for another file, or a piece of an archive."""
    match = _NAME.fullmatch(name)
    return None if match is None or match["piece"] is not None else _BY_NAME[match["suffix"].lower()]


def stem_of(name: str) -> str:
    """The name of an archive without what says that it is one, and which piece: ``X`` of ``X.tar.gz.00``."""
    match = _NAME.fullmatch(name)
    return name if match is None else name[: match.start("suffix")]


def kind_by_head(head: bytes) -> str | None:
    """What kind of archive begins with these 512 bytes; None where none does."""
    if head.startswith(_GZIP):
        return "tar.gz"
    if head.startswith(_ZSTD) or (head[1:4] == b"\x2a\x4d\x18" and head[:1] and head[0] & 0xF0 == 0x50):
        return "tar.zst"
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_PARQUET):
        return "parquet"
    return "tar" if is_header(head) else None


def group(paths: Iterable[str], open_file: Opener = _on_disk) -> list[Archive]:
    """The archives among files, each with its pieces.

    Pieces are files of one folder whose names differ only in a counter behind ``.tar``, ``.tar.gz``, …. A piece starts an archive
    of its own if it begins as one (for tar in gzip or zstd: if a tar header comes out first; for zip: if it also ends as one)
    and, for plain tar, if the piece before does not run on into it. A piece missing in between ends an archive: what follows is
    given apart, and listing it says that its beginning is missing.

    Args:
        paths: files; those with other names are left out.
        open_file: opens one of them, for reading from any place.

    Raises:
        OSError: a file cannot be read.
    """
    archives: list[Archive] = []
    pieces: dict[tuple[str, str, int], list[tuple[int, str]]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        if match["piece"] is None:
            archives.append(Archive((path,), _begins(path, open_file) or _BY_NAME[match["suffix"].lower()]))
        else:
            order = match["order"]
            shape = name[: -len(order)]
            width = 0 if order.isdigit() else len(order)
            pieces.setdefault((folder, shape, width), []).append((_ordinal(order), path))
    for (_, shape, _), found in pieces.items():
        match = _NAME.fullmatch(shape.rstrip("._-").removesuffix("part").rstrip("._-"))
        named = _BY_NAME[match["suffix"].lower()] if match else "tar"
        found.sort()
        if not width or found[0][0] == 0:  # letters count from aa
            archives += _joined(found, named, open_file)
    return sorted(archives, key=lambda archive: archive.paths)


def _joined(pieces: list[tuple[int, str]], named: str, open_file: Opener) -> list[Archive]:
    archives: list[Archive] = []
    run: list[str] = []
    run_kind = named
    last = -1
    for ordinal, path in pieces:
        starts = _starts(path, open_file)
        if run and starts == "tar" and run_kind == "tar" and not _ended(run, open_file):
            starts = None  # cut right before a header
        if starts is not None or not run or ordinal != last + 1:
            if run:
                archives.append(Archive(tuple(run), run_kind))
            run, run_kind = [], starts or named
        run.append(path)
        last = ordinal
    archives.append(Archive(tuple(run), run_kind))
    return archives


def _ordinal(order: str) -> int:
    if order.isdigit():
        return int(order)
    value = 0
    for char in order.lower():
        value = value * 26 + ord(char) - ord("a")
    return value


def _begins(path: str, open_file: Opener) -> str | None:
    """The kind of archive a file's first bytes are of."""
    with open_file(path) as file:
        return kind_by_head(file.read(BLOCK))


def _starts(path: str, open_file: Opener) -> str | None:
    """The kind of archive a piece starts for certain, however unlikely its first bytes are by chance; None for none."""
    begins = _begins(path, open_file)
    if begins in ("tar", "parquet", None):
        return begins
    with open_file(path) as file:
        head = file.read(_HEAD)
        if begins == "zip":
            file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16) - 22))
            return begins if _ZIP_END in file.read() else None
    return begins if is_header(_first_block(head, begins)) else None


def _first_block(head: bytes, kind: str) -> bytes:
    """The first 512 bytes that come out of a compressed beginning; fewer where it is none."""
    if kind == "tar.gz":
        try:
            return zlib.decompressobj(wbits=31).decompress(head, BLOCK)
        except zlib.error:
            return b""
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(head, read_across_frames=True) as reader:
            return reader.read(BLOCK)
    except zstandard.ZstdError:
        return b""


def _ended(run: list[str], open_file: Opener) -> bool:
    """Whether a tar of these pieces cannot run on into a next one: its end mark is there, or its size is no multiple of 512.

    Where a file was cut right before a header and the member before ends in zeros, both readings list the same members.
    """
    size = 0
    for path in run:
        with open_file(path) as file:
            last = file.seek(0, os.SEEK_END)
            size += last
            if path == run[-1]:
                file.seek(max(0, last - 2 * BLOCK))
                tail = file.read()
    if size % BLOCK:
        return True
    return not any(tail)
