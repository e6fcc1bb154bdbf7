"""Rewriters: one for each set of media roots that annotation files have."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..annotations import Slice, Source
from ..core.errors import DataError
from ..paths import Rewriter
from .options import Options


class Rewriters:
    """One rewriter per set of roots (`roots_of`)."""

    def __init__(self, options: Options) -> None:
        """Checks that the roots are there.

        Raises:
            DataError: a media root is neither a folder nor a file.
        """
        for root in (*options.media_root, *options.image_folder, *options.video_folder):
            if not os.path.exists(root):
                raise DataError(f"the media root {root!r} does not exist")
        self.options = options
        self._by_root: dict[tuple[str, ...], Rewriter] = {}

    def of(self, slice_: Slice | Source) -> Rewriter:
        """The rewriter for the records of an annotation file."""
        options = self.options
        roots = roots_of(slice_, options)
        rewriter = self._by_root.get(roots)
        if rewriter is None:
            rules = options.rules or options.learned.get(key_of(roots))
            by_kind = {"image": options.image_folder, "video": options.video_folder}
            rewriter = self._by_root[roots] = Rewriter(roots, by_kind, rules)
        return rewriter


def roots_of(slice_: Slice | Source, options: Options) -> tuple[str, ...]:
    """The media roots for an annotation file.

    They are the options' media roots; without any, the file's own folder and the folder that was given as data (an annotation
    file in ``DIR/sub`` of the data ``DIR`` has the roots ``DIR/sub`` and ``DIR``).
    """
    if options.media_root:
        return options.media_root
    given = slice_.path[: -len(slice_.file)] if slice_.path.endswith(f"/{slice_.file}") else "/"
    return tuple(dict.fromkeys(folder for folder in (os.path.dirname(slice_.path), given.rstrip("/")) if folder))


def key_of(roots: Sequence[str]) -> str:
    """The key of a set of roots in `Options.learned`."""
    return "\n".join(roots)
