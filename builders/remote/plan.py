"""The plan of a stream: which annotation files make a split, and the passes through the archives of their media."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, cast

import msgspec

from ...cards.facts import Download as Release
from ...upload.downloading import chosen, names, next_command
from ...upload.planning import Remote
from ..annotations import DataError, Source
from ..media.archives import Archive, group
from ..media.archives.recognition import kind_by_name
from ..rows import Options
from .repository import Place, is_annotation, is_inside, is_remote, listed, place_of
from .transfer import RemoteFile


class Pass(msgspec.Struct, frozen=True):
    """One archive, gone through once: a shard of a stream.

    Attributes:
        number: its position among the passes; the first one also gives the rows that need no archive.
        archive: its files as URLs; None where there is no archive at all.
        sizes: of its files, in bytes.
        digest: of its bytes.
    """

    number: int
    archive: Archive | None = None
    sizes: tuple[int, ...] = ()
    digest: str = ""


class Feed(msgspec.Struct, frozen=True):
    """What a split is streamed from.

    Attributes:
        sources: annotation files; the `path` of one on the Hub is its URL.
        options: how records become rows.
        passes: all of them.
    """

    sources: tuple[Source, ...]
    options: Options
    passes: tuple[Pass, ...]


def passes_under(roots: Sequence[str], token: str | None = None) -> tuple[Pass, ...]:
    """A pass for each archive under some places on the Hub, in alphabetical order.

    Args:
        roots: folders or archives; of an annotation file, its folder counts.
        token: instead of the one that is logged in.

    Raises:
        DataError: a root is none, or the Hub does not give it.
    """
    archives: dict[str, tuple[int, str]] = {}
    for root in roots:
        if not is_remote(root):
            raise DataError(f"the media root {root!r} is on this disk and another one on the Hub; download that one")
        place = place_of(root)
        head = listed(place.repository, place.revision, token)
        folder = place.path.rpartition("/")[0] if place.path in head and is_annotation(place.path) else place.path
        under = {path: entry for path, entry in head.items() if is_inside(path, folder)}
        archives.update(_files(place.repository, str(head.commit), under))
    return _passes(archives, token)


def of_release(
    name: str, subsets: Sequence[str], split_of: Callable[[str], str], options: Options, token: str | None = None
) -> dict[str, Feed]:
    """The splits of an upstream release.

    Args:
        name: of the release, with ``@revision`` behind it for another state than the newest.
        subsets: of the release; see its facts.
        split_of: the split of an annotation file by its name.
        options: how records become rows.
        token: instead of the one that is logged in.

    Raises:
        DataError: there is no such release or subset, or it holds nothing that can be streamed.
    """
    name, _, revision = name.partition("@")
    known = names()
    if name not in known:
        raise DataError(f"there is no release {name!r}: it is one of {', '.join(known)}")
    release = cast(Release, known[name].download)
    head = listed(release.repo, revision or None, token)
    files = {path: head[path] for path in chosen(release, head, subsets)}
    passes = _passes(_files(release.repo, str(head.commit), files), token)
    by_split: dict[str, list[Source]] = {}
    for path in files:
        if is_annotation(path):
            source = Source(Place(release.repo, head.commit, path).url, path)
            by_split.setdefault(split_of(path), []).append(source)
    if not by_split:
        raise DataError(
            f"{release.repo} holds no annotation files for {name}; pass data_files=… beside media_root='hf://…'"
        )
    return {split: Feed(tuple(sources), options, passes) for split, sources in sorted(by_split.items())}


def local_part(name: str, subsets: Sequence[str]) -> str:
    """What to do to have a release on this disk: two commands in one line."""
    plain = name.partition("@")[0]
    release = names()[plain].download if plain in names() else None
    wanted = "".join(f" --subset {subset}" for subset in subsets)
    build = f", then {next_command(release, 'DIR', subsets)}" if release else ""
    return f"{plain} is not on this disk: pass streaming=True, or run modalmix download {plain}{wanted} --to DIR{build}"


def _files(repository: str, commit: str, files: Mapping[str, Remote]) -> dict[str, tuple[int, str]]:
    """URL → size and digest."""
    return {
        Place(repository, commit, path).url: (entry.size, entry.sha256 or entry.git_sha1)
        for path, entry in files.items()
    }


def _passes(files: Mapping[str, tuple[int, str]], token: str | None) -> tuple[Pass, ...]:
    """A pass for each archive among files; only pieces are looked into, all others are what their names say."""

    def opened(url: str) -> BinaryIO:
        return cast(BinaryIO, RemoteFile([url], [files[url][0]], token))

    archives: list[Archive] = []
    others: list[str] = []
    for url in files:
        kind = kind_by_name(url.rpartition("/")[2])
        if kind:
            archives.append(Archive((url,), kind))
        else:
            others.append(url)
    archives += group(others, opened)
    passes: list[Pass] = []
    for archive in sorted(archives, key=lambda one: one.paths):
        digests = "".join(files[path][1] for path in archive.paths)
        digest = digests if len(archive.paths) == 1 else hashlib.sha256(digests.encode()).hexdigest()
        passes.append(Pass(len(passes), archive, tuple(files[path][0] for path in archive.paths), digest))
    return tuple(passes) or (Pass(0),)
