"""The rewriter: from a path as somebody else wrote it to a media item here.

Annotations carry the paths of the machine they were made on.  A **media root** is a folder here that holds media; a path is
looked up under each root by its *longest existing suffix*:

::

    written    /mnt/lustre/omni/data/finevideo_videos/a.mp4
    tried      ROOT/mnt/lustre/omni/data/finevideo_videos/a.mp4 … ROOT/data/finevideo_videos/a.mp4
               ROOT/finevideo_videos/a.mp4   ← there
    (never)    anything outside of ROOT, by ``..`` or by a symbolic link

Two roots that hold the file under equally long suffixes are a finding, never a guess.  `Rewriter` is the one door: the rest
of modalmix gives it a `Reference` and gets items or a finding back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from functools import lru_cache

from .findings import Finding, finding
from .media.items import Item
from .sample import Reference

_KNOWN_FOLDERS = 100_000
_IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif"}
)


class Located(str):
    """A local path the rewriter has found, with the file's size in bytes; -1 for a folder."""

    size: int

    def __new__(cls, path: str, size: int) -> Located:
        """A path and what `os.lstat` said of it."""
        self = super().__new__(cls, path)
        self.size = size
        return self


class Rewriter:
    """Looks up written paths under media roots.

    Attributes:
        watched: every folder whose content decided something, with its modification time in nanoseconds: as long as
            none has changed, the same paths give the same items.
    """

    def __init__(self, roots: Sequence[str], by_kind: Mapping[str, Sequence[str]] | None = None) -> None:
        """Roots in general, and roots for ``image`` or ``video`` paths that go before them."""
        self.roots = tuple(dict.fromkeys(os.path.realpath(root) for root in roots))
        self.by_kind = {
            kind: tuple(dict.fromkeys([*(os.path.realpath(root) for root in own), *self.roots]))
            for kind, own in (by_kind or {}).items()
            if own
        }
        self.watched: dict[str, int] = {}
        self._folders: dict[tuple[tuple[str, ...], str], list[list[str]]] = {}
        self._inside = tuple(
            root if root.endswith("/") else f"{root}/"
            for roots in (self.roots, *self.by_kind.values())
            for root in roots
        )

    def item(self, reference: Reference, kind: str, at: str) -> Item | Finding:
        """The item of one image or sound.

        Args:
            reference: as written.
            kind: ``image``, ``audio`` or ``video``: what to say, and which roots.
            at: JSON pointer of the reference, for the finding.
        """
        found = self.locate(reference.path, kind, at)
        if isinstance(found, Finding):
            return found
        if found.size < 0:
            return finding("media-kind", f"{reference.path!r} is a folder, not {_A[kind]}", at)
        if reference.sizes is None:
            return self._whole(found, reference.path, at)
        items = self._patch(found, reference, at)
        return items if isinstance(items, Finding) else items[0]

    def video(self, reference: Reference | list[Reference], at: str) -> Item | list[Item] | Finding:
        """The item of a container file, or the items of a video's frames (patch, folder, list of pictures)."""
        if isinstance(reference, list):
            frames: list[Item] = []
            for i, one in enumerate(reference):
                item = self.item(one, "video", f"{at}/{i}")
                if isinstance(item, Finding):
                    return item
                frames.append(item)
            return frames
        found = self.locate(reference.path, "video", at)
        if isinstance(found, Finding):
            return found
        if reference.sizes is not None:
            if found.size < 0:
                return finding("media-kind", f"{reference.path!r} is a folder, not a patch", at)
            return self._patch(found, reference, at)
        return self._frames(found, at) if found.size < 0 else self._whole(found, reference.path, at)

    def locate(self, written: str, kind: str, at: str) -> Located | Finding:
        """Where a written path is here: the one lookup everything else builds on."""
        folder, _, name = written.rpartition("/")
        roots = self.by_kind.get(kind, self.roots)
        levels = self._folders.get((roots, folder))
        if levels is None:
            steps = _steps(written)
            if steps is None:
                return finding("path-invalid", f"the path is {written!r}", at)
            if ".." in steps:
                return finding("path-outside-root", f"{written!r} leads above its own start", at)
            if name not in ("", ".", ".."):
                levels = self._levels(roots, steps[:-1])
                if len(self._folders) >= _KNOWN_FOLDERS:
                    self._folders.clear()
                self._folders[roots, folder] = levels
            else:  # "folder/", "folder/." or "folder/x/..": the last real step is the name
                levels, name = self._levels(roots, steps[:-1]), steps[-1]
        elif name in ("", ".", "..") or "\0" in name:
            return finding("path-invalid", f"the path is {written!r}", at)
        for level in levels:
            hits: list[Located] = []
            for here in level:
                path = f"{here}/{name}"
                try:
                    status = os.lstat(path)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                except (OSError, ValueError) as error:
                    return finding("media-unreadable", f"{written!r}: {error}", at)
                if stat.S_ISLNK(status.st_mode):
                    path = os.path.realpath(path)
                    if not f"{path}/".startswith(self._inside):
                        return finding("path-outside-root", f"{written!r} is a link to {path!r}", at)
                    try:
                        status = os.stat(path)
                    except OSError:
                        continue
                if stat.S_ISREG(status.st_mode):
                    hits.append(Located(path, status.st_size))
                elif stat.S_ISDIR(status.st_mode):
                    hits.append(Located(path, -1))
                else:
                    return finding("media-unreadable", f"{written!r} is neither a file nor a folder", at)
            if len(set(hits)) > 1:
                return finding("media-ambiguous", f"{written!r} fits {' and '.join(sorted(hits))}", at)
            if hits:
                return hits[0]
        return self._missing(written, at)

    def _levels(self, roots: tuple[str, ...], steps: list[str]) -> list[list[str]]:
        """The folders that exist for the suffixes of `steps` under the roots: one list per suffix length, longest first."""
        levels: list[list[str]] = []
        for first in range(len(steps) + 1):
            level: list[str] = []
            for root in roots:
                folder: str | None = root
                self._watch(root)
                for step in steps[first:]:
                    folder = f"{folder}/{step}"
                    if not os.path.isdir(folder):
                        folder = None
                        break
                    self._watch(folder)
                if folder is None:
                    continue
                folder = os.path.realpath(folder)
                if f"{folder}/".startswith(self._inside) and folder not in level:
                    level.append(folder)
            if level:
                levels.append(level)
        return levels

    def _watch(self, folder: str) -> None:
        if folder not in self.watched and len(self.watched) < _KNOWN_FOLDERS:
            self.watched[folder] = modified(folder)

    def _missing(self, written: str, at: str) -> Finding:
        if os.path.isabs(written) and os.path.exists(written):
            return finding("path-outside-root", f"{written!r} exists, but under none of the media roots", at)
        return finding("media-missing", f"{written!r} is under none of {len(self.roots)} media root(s)", at)

    def _whole(self, found: Located, written: str, at: str) -> Item | Finding:
        if found.size == 0:
            return finding("media-empty", f"{written!r} has no bytes", at)
        return Item(found.rpartition("/")[2], str(found), 0, found.size)

    def _patch(self, found: Located, reference: Reference, at: str) -> list[Item] | Finding:
        name = found.rpartition("/")[2]
        start = reference.start
        items: list[Item] = []
        for size in reference.sizes or ():
            if size <= 0:
                return finding("media-empty", f"the part of {reference.path!r} at byte {start} has {size} bytes", at)
            items.append(Item(f"{name}.{start}", str(found), start, size, whole=False, base64=reference.base64))
            start += size
        if reference.start < 0 or start > found.size or not items:
            return finding(
                "patch-out-of-range",
                f"bytes {reference.start}–{start} of {reference.path!r}, which has {found.size}",
                at,
            )
        return items

    def _frames(self, folder: Located, at: str) -> list[Item] | Finding:
        self._watch(str(folder))
        listed = frames_in(str(folder), self.watched.get(str(folder), 0))
        for name, path, size in listed:
            if size == 0:
                return finding("media-empty", f"the frame {name!r} has no bytes", at)
            if not path.startswith(self._inside):
                return finding("path-outside-root", f"the frame {name!r} is a link to {path!r}", at)
        if not listed:
            return finding("media-empty", f"the folder {str(folder)!r} holds no pictures", at)
        return [Item(name, path, 0, size) for name, path, size in listed]


_A = {"image": "an image", "audio": "a sound", "video": "a video"}


def modified(path: str) -> int:
    """Modification time of a file or folder in nanoseconds; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1024)
def frames_in(folder: str, _modified: int) -> tuple[tuple[str, str, int], ...]:
    """The pictures of a folder of frames: name, real path and size in bytes, in VideoRefer's order.

    A frame's index is its position in the *lexicographic* order of the names, not the number in its name
    (VideoRefer, ``videorefer/mm_utils.py``, ``process_video``).
    """
    found: list[tuple[str, str, int]] = []
    for entry in os.scandir(folder):
        if os.path.splitext(entry.name)[1].lower() in _IMAGE_SUFFIXES and entry.is_file():
            found.append((entry.name, os.path.realpath(entry.path), entry.stat().st_size))
    return tuple(sorted(found))


def _steps(written: str) -> list[str] | None:
    """The steps of a written path with ``.`` and inner ``..`` resolved; None where it is no path at all."""
    if not written or any(ord(char) < 32 or ord(char) == 127 for char in written):
        return None
    steps: list[str] = []
    for step in written.split("/"):
        if step == ".." and steps and steps[-1] != "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    return steps or None
