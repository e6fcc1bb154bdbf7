"""The demo: the built-in example, from annotation files to Parquet and back.

For each format the example is read in place (`load_dataset`, map-style and streaming), built into Parquet, and the built folder
is loaded again by stock `load_dataset`, both ways.  All four must give the same rows with the same media bytes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterable
from typing import Any

import datasets
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ... import cards
from .. import build
from ..core.errors import DataError
from ..loading.load import load_dataset
from ..media.cells import data_of
from ..pipeline.features import MEDIA_COLUMNS
from ..pipeline.inputs import known_format
from ..pipeline.options import Options
from . import example_data


def run(out: str, console: Console) -> None:
    """Makes `out` with the example, the built datasets and a cache, and prints a table.

    Raises:
        DataError: `out` holds other files.
        RuntimeError: the four ways of loading differ.
    """
    mark = os.path.join(out, ".modalmix-demo")
    if os.path.isdir(out) and os.listdir(out):
        if not os.path.exists(mark):
            raise DataError(f"{out!r} holds other files; name a new folder with --out")
        shutil.rmtree(out)
    os.makedirs(out, exist_ok=True)
    with open(mark, "w", encoding="utf-8"):
        pass
    began = time.perf_counter()
    folders = example_data.write(os.path.join(out, "example"))
    table = Table(title="the built-in example, read in place and built into Parquet", title_justify="left")
    for name in ("format", "rows by mix", "rejected", "in place", "Parquet", "same bytes"):
        table.add_column(name, justify="right" if name == "rejected" else "left", no_wrap=True)
    datasets.disable_progress_bars()
    logging.getLogger("modalmix").setLevel(logging.ERROR)  # the table has the rejected records
    for name, folder in folders.items():
        table.add_row(name, *_table_row(name, folder, os.path.join(out, "built", name), os.path.join(out, "cache")))
    console.print(table)
    console.print("8 + 8: rows of the map-style dataset, and of the streaming one.", highlight=False)
    seconds = time.perf_counter() - began
    console.print(
        f"[bold]{escape(os.path.join(out, 'example'))}[/bold]  annotation files and media\n"
        f"[bold]{escape(os.path.join(out, 'built'))}[/bold]    the built datasets, with cards and rejects\n"
        f"Done in {seconds:.1f} s. Next:\n"
        f"  modalmix inspect {escape(os.path.join(out, 'example', 'ola'))}\n"
        f"  modalmix build YOUR_ANNOTATIONS --media-root YOUR_MEDIA --out DIR",
        highlight=False,
    )


def _table_row(name: str, folder: str, built: str, cache: str) -> list[str]:
    """The line of a format in the table; ``8 + 8`` are the rows of the map-style and of the streaming dataset."""
    given: dict[str, Any] = {"data_dir": folder, "media_root": _roots(folder), "cache_dir": cache}
    in_place = load_dataset(name, **given)
    streamed = load_dataset(name, streaming=True, **given)
    options = Options(format=known_format(name), media_root=tuple(given["media_root"]))
    report = build.build(folder, built, options, card=cards.write)
    parquet = datasets.load_dataset(built, cache_dir=cache)
    parquet_streamed = datasets.load_dataset(built, streaming=True, cache_dir=cache)
    ways = [_digests(rows) for rows in (in_place, streamed, parquet, parquet_streamed)]
    if any(way != ways[0] for way in ways):
        raise RuntimeError(f"{name}: the rows differ between the ways of loading: {[len(way) for way in ways]}")
    counts = report.counts
    return [
        "\n".join(f"{mix} {count}" for mix, count in counts.written.items()),
        f"{counts.rejected} of {counts.read}",
        f"{len(ways[0])} + {len(ways[1])}",
        f"{len(ways[2])} + {len(ways[3])}",
        f"[green]yes, all {sum(counts.written.values())}[/green]",
    ]


def _roots(folder: str) -> list[str]:
    """The example's media roots: its folder and the folders below that hold annotation files."""
    below = (entry.path for entry in os.scandir(folder) if entry.is_dir())
    return [folder, *sorted(path for path in below if any(name.endswith(".json") for name in os.listdir(path)))]


def _digests(splits: dict[str, Any]) -> list[str]:
    """A digest per row: its text and the bytes of its media, however they are stored."""
    return sorted(f"{split} {_digest(row)}" for split, rows in splits.items() for row in _undecoded(rows))


def _undecoded(rows: Any) -> Iterable[dict[str, Any]]:
    features = datasets.Features(
        {name: _without_decoding(kind) if name in MEDIA_COLUMNS else kind for name, kind in rows.features.items()}
    )
    undecoded: Iterable[dict[str, Any]] = rows.cast(features)
    return undecoded


def _without_decoding(kind: Any) -> Any:
    if isinstance(kind, datasets.List):
        return datasets.List(_without_decoding(kind.feature))
    return type(kind)(decode=False)


def _digest(row: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, value in row.items():
        if name in MEDIA_COLUMNS:
            for cell in _cells(value):
                digest.update(cell)
        elif value is not None:
            digest.update(f"{name}={value!r}".encode())
    return digest.hexdigest()


def _cells(value: Any) -> Iterable[bytes]:
    if isinstance(value, dict):
        data = data_of(value)
        if isinstance(data, bytes):
            yield data
        else:
            with open(data, "rb") as file:
                yield file.read()
    else:
        for item in value or ():
            yield from _cells(item)
