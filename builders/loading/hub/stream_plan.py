"""The plan of a stream: which annotation files make a split, and the passes through the archives of their media."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, NamedTuple, cast

import msgspec

from ....cards.facts import Download as Release
from ....cards.facts.releases import all_releases, chosen_files, next_commands
from ...annotations import Source
from ...annotations.sources import is_annotation
from ...core.errors import DataError
from ...media.archives import Archive, group
from ...media.archives.detect import kind_by_name, stem_of
from ...paths.path_parts import extension, is_medium
from ...pipeline.hub_client import RemoteEntry, listed
from ...pipeline.hub_urls import Place, is_inside, is_remote, place_of
from ...pipeline.options import Options
from .remote_file import RemoteFile

_MOST_LOOSE = 64
"""Passes through media files that lie in no archive."""


class ArchivePass(msgspec.Struct, frozen=True):
    """One archive, or some media files that lie in none, gone through once: a shard of a stream.

    Attributes:
        number: its position among the passes; the first one also gives the rows that need no media.
        archive: its files as URLs.
        files: URLs of media files where there is no archive; both are empty where there is nothing at all.
        names: of the files, relative to their media root.
        sizes: of the files, in bytes.
        digest: of the archive's bytes.
    """

    number: int
    archive: Archive | None = None
    files: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    digest: str = ""

    @property
    def place(self) -> str:
        """Where the archive is under its media root, as a folder of its own name; empty where there is no archive."""
        if not self.archive or not self.names:
            return ""
        folder, slash, name = self.names[0].rpartition("/")
        return f"{folder}{slash}{stem_of(name)}"

    def __str__(self) -> str:
        urls = self.archive.paths if self.archive else self.files
        return str(place_of(urls[0])) + (f" … ({len(urls):,} files)" if len(urls) > 1 else "") if urls else "no media"


class StreamPlan(msgspec.Struct, frozen=True):
    """What a split is streamed from.

    Attributes:
        sources: annotation files; the `path` of one on the Hub is its URL.
        options: how records become rows.
        passes: all of them.
    """

    sources: tuple[Source, ...]
    options: Options
    passes: tuple[ArchivePass, ...]


def passes_under(roots: Sequence[str], token: str | None = None) -> tuple[ArchivePass, ...]:
    """A pass for each archive under some places on the Hub, in alphabetical order.

    Args:
        roots: folders or archives; of an annotation file, its folder counts.
        token: instead of the one that is logged in.

    Raises:
        DataError: a root is none, or the Hub does not give it.
    """
    files: dict[str, _File] = {}
    for root in roots:
        if not is_remote(root):
            raise DataError(f"the media root {root!r} is on this disk and another one on the Hub; download that one")
        place = place_of(root)
        head = listed(place.repository, place.revision, token)
        folder = place.path.rpartition("/")[0] if place.path in head and is_annotation(place.path) else place.path
        under = {path: entry for path, entry in head.items() if is_inside(path, folder)}
        files.update(_files(place.repository, str(head.commit), under, folder))
    return _passes(files, token)


def of_release(
    name: str, subsets: Sequence[str], split_of: Callable[[str], str], options: Options, token: str | None = None
) -> dict[str, StreamPlan]:
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
    releases = all_releases()
    if name not in releases:
        raise DataError(f"there is no release {name!r}: it is one of {', '.join(releases)}")
    release = cast(Release, releases[name].download)
    head = listed(release.repo, revision or None, token)
    files = {path: head[path] for path in chosen_files(release, head, subsets)}
    passes = _passes(_files(release.repo, str(head.commit), files, ""), token)
    by_split: dict[str, list[Source]] = {}
    for path in files:
        if is_annotation(path):
            source = Source(Place(release.repo, head.commit, path).url, path)
            by_split.setdefault(split_of(path), []).append(source)
    if not by_split:
        raise DataError(
            f"{release.repo} holds no annotation files for {name}; pass data_files=… beside media_root='hf://…'"
        )
    return {split: StreamPlan(tuple(sources), options, passes) for split, sources in sorted(by_split.items())}


def how_to_download(name: str, subsets: Sequence[str]) -> str:
    """How to get a release onto this disk: the commands in one line."""
    plain_name = name.partition("@")[0]
    release = all_releases()[plain_name].download if plain_name in all_releases() else None
    subset_options = "".join(f" --subset {subset}" for subset in subsets)
    build = f", then {' && '.join(next_commands(release, 'DIR', subsets))}" if release else ""
    command = f"modalmix download {plain_name}{subset_options} --to DIR{build}"
    return f"{plain_name} is not on this disk: pass streaming=True, or run {command}"


class _File(NamedTuple):
    """A file of a repository: bytes, digest, and its path under the media root."""

    size: int
    digest: str
    name: str


def _files(repository: str, commit: str, files: Mapping[str, RemoteEntry], root: str) -> dict[str, _File]:
    """URL → file."""
    return {
        Place(repository, commit, path).url: _File(
            entry.size, entry.sha256 or entry.git_sha1, path.removeprefix(f"{root}/") if root else path
        )
        for path, entry in files.items()
    }


def _passes(files: Mapping[str, _File], token: str | None) -> tuple[ArchivePass, ...]:
    """A pass for each archive among files, and some passes through the media files that lie in none.

    Only pieces of archives are looked into; all other files are what their names say.
    """

    def open_url(url: str) -> BinaryIO:
        return cast(BinaryIO, RemoteFile([url], [files[url].size], token))

    archives: list[Archive] = []
    others: list[str] = []
    for url in files:
        kind = kind_by_name(url.rpartition("/")[2])
        if kind:
            archives.append(Archive((url,), kind))
        else:
            others.append(url)
    archives += group(others, open_url)
    passes: list[ArchivePass] = []
    for archive in sorted(archives, key=lambda one: one.paths):
        digests = "".join(files[path].digest for path in archive.paths)
        digest = digests if len(archive.paths) == 1 else hashlib.sha256(digests.encode()).hexdigest()
        sizes = tuple(files[path].size for path in archive.paths)
        names = tuple(files[path].name or path.rpartition("/")[2] for path in archive.paths)
        passes.append(ArchivePass(len(passes), archive, names=names, sizes=sizes, digest=digest))
    parts = {path for archive in archives for path in archive.paths}
    loose = sorted(url for url in files if url not in parts and _may_be_loose(url.rpartition("/")[2]))
    step = -(-len(loose) // _MOST_LOOSE) or 1
    for first in range(0, len(loose), step):
        some = tuple(loose[first : first + step])
        every = [files[url] for url in some]
        sizes, relative = tuple(one.size for one in every), tuple(one.name for one in every)
        passes.append(ArchivePass(len(passes), files=some, names=relative, sizes=sizes))
    return tuple(passes) or (ArchivePass(0),)


def _may_be_loose(name: str) -> bool:
    """Whether a file may hold media by its name: patches have any name, mostly without an extension."""
    if is_medium(name) or extension(name).lower() in (".bin", ".patch"):
        return True
    return not extension(name) and not name.startswith(".") and not name.isupper()  # LICENSE, README, …
