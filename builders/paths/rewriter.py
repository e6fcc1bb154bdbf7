"""The rewriter: from a path as somebody else wrote it to a media item here.

Annotations carry the paths of the machine they were made on.  A **media root** is a folder here that holds media, or an archive
of them; with no rules, a path is looked up under each root by its *longest existing suffix*:

::

    written    /mnt/lustre/omni/data/finevideo_videos/a.mp4
    tried      ROOT/mnt/lustre/omni/data/finevideo_videos/a.mp4 … ROOT/data/finevideo_videos/a.mp4
               ROOT/finevideo_videos/a.mp4   ← there
    (never)    anything outside of ROOT, by ``..`` or by a symbolic link

With rules (see `rules`), which `learning` infers and a person may change, they decide, for folders of any depth, other spellings
and archives under the roots.  Two files that fit equally are a finding, never a guess.  `Rewriter` is the one door: the rest of
modalmix gives it a `Reference` and gets items or a finding back.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from stat import S_ISREG
from typing import Any

from ..core.findings import Finding, finding
from ..core.sample import Reference
from ..media.items import Item, PatchItems
from .path_parts import split_path
from .roots import all_roots
from .rules import Rule, Rules
from .scan_root import FOLDER
from .suffix_lookup import Lookup
from .tree_backends import Disk, Here, LocalPath, Refused

_IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif"}
)
_NO_RULES = (Rule("anywhere"),)
_NO_NAMES = frozenset({"", ".", ".."})
_CACHED_FOLDERS = 100_000


class Rewriter:
    """Looks up written paths under media roots.  It can be pickled, and works after fork.

    Attributes:
        roots: real paths of the roots for all kinds of media.
        rules: the rules that decide; None for the longest existing suffix.
    """

    def __init__(
        self,
        roots: Sequence[str],
        by_kind: Mapping[str, Sequence[str]] | None = None,
        rules: Rules | None = None,
        *,
        cache: str | None = None,
    ) -> None:
        """Takes the roots.

        Args:
            roots: folders or archives.
            by_kind: roots for ``image`` or ``video`` paths, besides those.
            rules: how paths are rewritten.
            cache: folder for the index of archives; by default in the user's cache.
        """
        self._arguments = (tuple(roots), dict(by_kind or {}), rules, cache)
        self._where = all_roots(roots, by_kind)
        self.roots = tuple(self._where.paths[i] for i in self._where.general)
        self.rules = rules
        self._disk = Disk(self._where.paths, cache, deep=rules is not None)
        self._only_folders: dict[tuple[str, str], str] = {}
        self._lookup: Lookup[Here, LocalPath] = Lookup(
            rules.rules if rules else _NO_RULES, self._disk, flat=rules is None
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, self._arguments

    @property
    def watched(self) -> dict[str, int]:
        """Every folder and archive whose content decided something, with its modification time in nanoseconds.

        As long as none has changed, the same paths give the same items.
        """
        return self._disk.watched

    def item(self, reference: Reference, kind: str, at: str) -> Item | Finding:
        """The item of one image or sound.

        Args:
            reference: as written.
            kind: ``image``, ``audio`` or ``video``: what to say, and which roots.
            at: JSON pointer of the reference, for the finding.
        """
        if file := self._file(reference.path, kind):
            items = [file] if reference.sizes is None else self._patch(file, reference, at)
            return items if isinstance(items, Finding) else items[0]
        found = self.locate(reference.path, kind, at)
        if isinstance(found, Finding):
            return found
        if found.size == FOLDER:
            return finding("media-kind", f"{reference.path!r} is a folder, not {_A[kind]}", at)
        whole = self._whole(found, reference.path, at)
        if reference.sizes is None or isinstance(whole, Finding):
            return whole
        items = self._patch(whole, reference, at, found)
        return items if isinstance(items, Finding) else items[0]

    def video(self, reference: Reference | list[Reference], at: str) -> Item | Sequence[Item] | Finding:
        """The item of a container file, or the items of a video's frames (patch, folder, list of pictures)."""
        if isinstance(reference, list):
            frames: list[Item] = []
            for i, frame in enumerate(reference):
                item = self.item(frame, "video", f"{at}/{i}")
                if isinstance(item, Finding):
                    return item
                frames.append(item)
            return frames
        if file := self._file(reference.path, "video"):
            return file if reference.sizes is None else self._patch(file, reference, at)
        found = self.locate(reference.path, "video", at)
        if isinstance(found, Finding):
            return found
        if reference.sizes is not None:
            if found.size == FOLDER:
                return finding("media-kind", f"{reference.path!r} is a folder, not a patch", at)
            whole = self._whole(found, reference.path, at)
            return whole if isinstance(whole, Finding) else self._patch(whole, reference, at, found)
        return self._frames(found, at) if found.size == FOLDER else self._whole(found, reference.path, at)

    def _file(self, written: str, kind: str) -> Item | None:
        """What `item` gives for a file in the one folder that comes first for it, as nearly always; None for all else."""
        folder, _, name = written.rpartition("/")
        here = self._only_folders.get((folder, kind))
        if name in _NO_NAMES:
            return None
        if here is None:
            first = self._lookup.first_level(written, self._where.of(kind))
            only = first[0] if len(first) == 1 else None
            here = only.path if only is not None and only.path is not None and only.number is None else ""
            if len(self._only_folders) >= _CACHED_FOLDERS:
                self._only_folders.clear()
            self._only_folders[folder, kind] = here
        if not here:
            return None
        path = f"{here}/{name}"
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return None
        return Item(name, path, 0, status.st_size) if S_ISREG(status.st_mode) and status.st_size else None

    def locate(self, written: str, kind: str, at: str) -> LocalPath | Finding:
        """Where a written path is here: the one lookup everything else builds on."""
        try:
            hits = self._lookup.find(written, self._where.of(kind))
        except Refused as refused:
            return refused.as_finding(written, at)
        if len(hits) == 1:
            return hits[0].place
        if hits:
            return finding("media-ambiguous", f"{written!r} fits {' and '.join(sorted(hit.place for hit in hits))}", at)
        path = split_path(written)
        if path is None:
            return finding("path-invalid", f"the path is {written!r}", at)
        if ".." in path:
            return finding("path-outside-root", f"{written!r} leads above its own start", at)
        if os.path.isabs(written) and os.path.exists(written):
            return finding("path-outside-root", f"{written!r} exists, but under none of the media roots", at)
        return finding("media-missing", f"{written!r} is under none of {len(self.roots)} media root(s)", at)

    def _whole(self, found: LocalPath, written: str, at: str) -> Item | Finding:
        if found.size == 0:
            return finding("media-empty", f"{written!r} has no bytes", at)
        if found.place is not None:
            return self._disk.index(found.place.root).item(found.place.entry)
        return Item(found.rpartition("/")[2], str(found), 0, found.size)

    def _patch(self, file: Item, reference: Reference, at: str, where: str = "") -> Sequence[Item] | Finding:
        if not file.direct:
            return finding(
                "media-unreadable", f"{reference.path!r} is a patch in a compressed archive ({where}); unpack it", at
            )
        start, sizes = reference.start, reference.sizes or ()
        if sizes and min(sizes) <= 0:
            first = next(i for i, size in enumerate(sizes) if size <= 0)
            place = f"the part of {reference.path!r} at byte {start + sum(sizes[:first])}"
            return finding("media-empty", f"{place} has {sizes[first]} bytes", at)
        stop = start + sum(sizes)
        if start < 0 or stop > file.size or not sizes:
            message = f"bytes {start}–{stop} of {reference.path!r}, which has {file.size}"
            return finding("patch-out-of-range", message, at)
        return PatchItems(file, start, sizes, reference.base64)

    def _frames(self, folder: LocalPath, at: str) -> Sequence[Item] | Finding:
        if folder.place is not None:
            return self._frames_in_archives(folder, at)
        self._disk.watch(str(folder))
        listed = frames_in(str(folder), self._disk.watched.get(str(folder), 0))
        for name, path, size in listed:
            if size == 0:
                return finding("media-empty", f"the frame {name!r} has no bytes", at)
            if not path.startswith(self._disk.inside):
                return finding("path-outside-root", f"the frame {name!r} is a link to {path!r}", at)
        if not listed:
            return finding("media-empty", f"the folder {str(folder)!r} holds no pictures", at)
        return [Item(name, path, 0, size) for name, path, size in listed]

    def _frames_in_archives(self, folder: LocalPath, at: str) -> list[Item] | Finding:
        assert folder.place is not None
        root_index = self._disk.index(folder.place.root)
        found = root_index.frames(folder.place.entry, folder.place.folder)
        frames = {
            root_index.entries.name(entry): entry for entry in found if is_picture(root_index.entries.name(entry))
        }
        for name, entry in frames.items():
            if root_index.entries.size[entry] == 0:
                return finding("media-empty", f"the frame {name!r} has no bytes", at)
        if not frames:
            return finding("media-empty", f"the folder {str(folder)!r} holds no pictures", at)
        if len(frames) < sum(is_picture(root_index.entries.name(entry)) for entry in found):
            return finding("media-ambiguous", f"several archives hold frames of one name in {str(folder)!r}", at)
        return [root_index.item(frames[name]) for name in sorted(frames)]


_A = {"image": "an image", "audio": "a sound", "video": "a video"}


def _made(
    roots: Sequence[str], by_kind: Mapping[str, Sequence[str]], rules: Rules | None, cache: str | None
) -> Rewriter:
    return Rewriter(roots, by_kind, rules, cache=cache)


def is_picture(name: str) -> bool:
    """Whether a file in a folder of frames is one of them, by its name."""
    return os.path.splitext(name)[1].lower() in _IMAGE_SUFFIXES


@lru_cache(maxsize=1024)
def frames_in(folder: str, _modified: int) -> tuple[tuple[str, str, int], ...]:
    """The pictures of a folder of frames: name, real path and size in bytes, in VideoRefer's order.

    A frame's index is its position in the *lexicographic* order of the names, not the number in its name
    (VideoRefer, ``videorefer/mm_utils.py``, ``process_video``).
    """
    found: list[tuple[str, str, int]] = []
    for entry in os.scandir(folder):
        if is_picture(entry.name) and entry.is_file():
            found.append((entry.name, os.path.realpath(entry.path), entry.stat().st_size))
    return tuple(sorted(found))
