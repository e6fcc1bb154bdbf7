"""Options: what decides how records become rows."""

from __future__ import annotations

import msgspec

from ..formats.turns import Roles
from ..paths import Rules
from .selection import EVERYTHING, Selection


class Options(msgspec.Struct, frozen=True):
    """What decides how records become rows; equal options and equal files give equal rows.

    Attributes:
        format: name of the format all records are in; None recognises each record.
        mixes: names of the selected mixes; None for all.
        roles: the speakers' names in ``from``/``value`` turns.
        media_root: folders under which media are looked up; empty for the annotation file's own folder.
        image_folder: roots for images alone, before `media_root`.
        video_folder: roots for videos alone, before `media_root`.
        verify_masks: compare masks with the header of their video or picture (number of frames, size).
        rules: how written paths are rewritten, as a person has given it; None for learning where it is needed.
        learned: what was learned for the annotation files that share media roots; see `modalmix.builders.pipeline.infer_rules`.
        selection: which records of those mixes are selected.
        ignore_key: keys about which nothing is said where a format does not read them, sorted.
    """

    format: str | None = None
    mixes: frozenset[str] | None = None
    roles: Roles = Roles()
    media_root: tuple[str, ...] = ()
    image_folder: tuple[str, ...] = ()
    video_folder: tuple[str, ...] = ()
    verify_masks: bool = True
    rules: Rules | None = None
    learned: dict[str, Rules] = {}
    selection: Selection = EVERYTHING
    ignore_key: tuple[str, ...] = ()


DEFAULTS = Options()
