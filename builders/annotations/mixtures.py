"""YAML mixtures of LLaVA: annotation files, each with a strategy that selects some of its records.

Paths inside of a mixture are text from somebody else's machine.  They are searched for under the mixture's own folder only.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from typing import Any, Literal, cast

import yaml

from ..core.errors import DataError
from .names import check_readable, expand_groups, file_under
from .record_counts import count
from .source import Take

_STRATEGY = re.compile(r"(first|end|random):(\d+)(%?)")


def mixture(path: str, seed: int, root: str | None) -> Iterator[tuple[str, str, Take]]:
    """The files of a YAML mixture with their takes."""
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise DataError(f"{path!r} is no YAML: {' '.join(str(error).split())}") from error
    entries = content.get("datasets") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path!r} is no mixture: expected a list 'datasets' of {{json_path, sampling_strategy}}")
    folder = os.path.dirname(os.path.abspath(path))
    for number, entry in enumerate(entries):
        where = f"{path!r}, datasets[{number}]"
        written = entry.get("json_path") if isinstance(entry, dict) else None
        if not isinstance(written, str) or not written:
            raise DataError(f"{where}: expected a json_path, found {entry!r:.120}")
        for name in expand_groups(written):
            file_path = file_under(name, [folder, *([os.path.abspath(root)] if root else [])])
            if file_path is None:
                raise DataError(f"{where}: no part of {name!r} is a file under {folder!r}; put the file there")
            check_readable(file_path)
            yield file_path, folder, _take(entry.get("sampling_strategy", "all"), file_path, seed, where)


def _take(strategy: Any, path: str, seed: int, where: str) -> Take:
    """A mixture's sampling strategy, resolved to a number of records."""
    text = str(strategy).strip()
    if text == "all":
        return Take()
    match = _STRATEGY.fullmatch(text)
    if match is None:
        raise DataError(f"{where}: sampling_strategy {strategy!r} is none of all, first:N, end:N, random:N (N or N%)")
    kind = cast(Literal["first", "end", "random"], match[1])
    number = int(match[2])
    total = None if kind == "first" and not match[3] else _counted(path)
    if match[3] and total is not None:
        number = math.ceil(number * total / 100)
    if total is not None:
        number = min(number, total)
    return Take(kind, number, total, seed)


def _counted(path: str) -> int:
    try:
        return count(path)
    except OSError as error:
        raise DataError(f"cannot read {path!r}: {error.strerror}") from error
