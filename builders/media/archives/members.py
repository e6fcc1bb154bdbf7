"""The members of an archive of any kind, and the bytes of many in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator

from ...core.findings import Finding
from . import tar, zip_members
from .archive import DEFAULT_LIMITS, Archive, BombError, DamageError, Gate, Limits, Member
from .decompress import Decompressed, in_order
from .joined_file import ArchiveFile, JoinedFile
from .seek_index import gzip_file, points_path, save_points


def _no_bytes(member: Member) -> bool:
    return False


def members(
    archive: Archive, *, cache: str | None = None, limits: Limits = DEFAULT_LIMITS, id_column: str | None = None
) -> Iterator[Member | Finding]:
    """The members of an archive, in its order, in bounded memory.

    A plain tar is read header by header, a zip by its directory, a Parquet file by its columns. A compressed tar is decompressed
    as a whole; the seek points of a ``tar.gz`` are found on the way and kept, unless the cache has them.

    Args:
        archive: from `group`.
        cache: folder for seek points; see `modalmix.builders.core.cache_dir`.
        limits: what is taken for a bomb.
        id_column: of a Parquet file whose cells have no paths; see `parquet_members`.

    Yields:
        Members, and findings about what is refused. A damaged archive, or a bomb, ends with a finding after the members before.
    """
    gate = Gate(archive, limits)
    try:
        with JoinedFile(archive.paths) as file:
            if archive.kind == "tar.gz" and not os.path.exists(points_path(archive, cache)):
                yield from _find_points(archive, file, gate, cache)
            elif archive.kind == "zip":
                yield from zip_members.walk(file, gate)
            else:  # a tar.gz, too: seeking from member to member takes up to thirty times as long as isal does for all of it
                for found in _walk(archive, file, gate, _no_bytes, id_column):
                    yield found if isinstance(found, Finding) else found[0]
    except DamageError as error:
        yield gate.refuse("archive-bomb" if isinstance(error, BombError) else "archive-damaged", str(error))
    except OSError as error:
        yield gate.refuse("archive-damaged", f"it cannot be read: {error}")


def read_through(
    archive: Archive,
    wanted: Container[int] | None = None,
    *,
    limits: Limits = DEFAULT_LIMITS,
    id_column: str | None = None,
) -> Iterator[tuple[Member, bytes] | Finding]:
    """The bytes of many members in one pass, in the archive's order, at the speed of decompression.

    At any time one member's bytes are held; the bytes of other members are skipped.

    Args:
        archive: from `group`.
        wanted: the `start` of the members to read (a set, or a mapping by `start`); None for all.
        limits: what is taken for a bomb.
        id_column: see `members`.

    Yields:
        Members with their bytes, and the findings that `members` yields. The pass goes on to the archive's end.
    """

    def select(member: Member) -> bool:
        return wanted is None or member.start in wanted

    try:
        with JoinedFile(archive.paths) as file:
            for found in pass_through(archive, file, select, limits=limits, id_column=id_column):
                if isinstance(found, Finding):
                    yield found
                elif found[1] is not None:
                    yield found[0], found[1]
    except OSError as error:
        yield Gate(archive, limits).refuse("archive-damaged", f"it cannot be read: {error}")


def pass_through(
    archive: Archive,
    file: ArchiveFile,
    select: Callable[[Member], bool],
    *,
    limits: Limits = DEFAULT_LIMITS,
    id_column: str | None = None,
) -> Iterator[tuple[Member, bytes | None] | Finding]:
    """Every member of an archive in its order, the selected ones with their bytes.

    Args:
        archive: what is read, as findings name it.
        file: its bytes, which are read from the beginning to the end, and hardly ever back.
        select: says of a member whether its bytes are needed.
        limits: what is taken for a bomb.
        id_column: see `members`.

    Yields:
        Members, and the findings that `members` yields. The pass goes on to the archive's end.

    Raises:
        OSError: the file cannot be read.
    """
    gate = Gate(archive, limits)
    try:
        yield from _walk(archive, file, gate, select, id_column)
    except DamageError as error:
        yield gate.refuse("archive-bomb" if isinstance(error, BombError) else "archive-damaged", str(error))


def _find_points(archive: Archive, file: JoinedFile, gate: Gate, cache: str | None) -> Iterator[Member | Finding]:
    """The members of a ``tar.gz`` whose seek points are not in the cache; afterwards they are."""
    unpacked, _ = gzip_file(archive, file, cache)
    try:
        stream = Decompressed(unpacked, file.size, gate.limits)
        for found in tar.walk(stream, gate, _no_bytes):
            yield found if isinstance(found, Finding) else found[0]
        while stream.skip(1 << 20):  # what comes after the last member, so that the points are all there
            pass
        save_points(unpacked, archive, cache)
    finally:
        unpacked.close()


def _walk(
    archive: Archive, file: ArchiveFile, gate: Gate, select: Callable[[Member], bool], id_column: str | None
) -> Iterator[tuple[Member, bytes | None] | Finding]:
    if archive.kind == "parquet":
        from . import parquet_members

        for source in archive.paths if isinstance(file, JoinedFile) else (file,):
            yield from parquet_members.walk(parquet_members.open_parquet(source), gate, select, id_column)
    elif archive.kind == "zip":
        for found in zip_members.walk(file, gate):
            if isinstance(found, Finding) or not select(found):
                yield found if isinstance(found, Finding) else (found, None)
                continue
            data = file.pread(found.packed or found.size, found.start)
            try:
                yield found, zip_members.inflate(data, found.size) if found.packed else data
            except OSError as error:
                yield gate.refuse("member-size", f"{found.name!r}: {error}")
    else:
        yield from tar.walk(in_order(archive, file, gate.limits), gate, select)
