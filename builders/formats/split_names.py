"""Splits: which split an annotation file belongs to by its name."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[^a-z0-9]+")
_SPLITS = {
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""The words by which `datasets` itself infers splits from file names (`datasets.data_files.SPLIT_KEYWORDS`)."""


def words_of(file: str) -> list[str]:
    """The words of a file's name, in lower case, without its folders."""
    return [word for word in _WORDS.split(file.replace("\\", "/").rpartition("/")[2].lower()) if word]


def split_by_name(file: str) -> str:
    """``train``, unless a word of the file's name says ``validation`` or ``test``."""
    return next((_SPLITS[word] for word in words_of(file) if word in _SPLITS), "train")
