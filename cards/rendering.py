"""Rendering: from a build's report to its card.

Text that comes from the data (file names) is escaped for Markdown; the YAML is written by a YAML library, never by hand.
"""

from __future__ import annotations

import re
from importlib.resources import files
from string import Template
from typing import Any

import yaml
from datasets import DatasetInfo, Features, SplitDict, SplitInfo

from ..builders import features
from ..builders.findings import CATALOGUE
from ..builders.report import Report, Shard
from ..builders.sample import MODALITIES

_MEANING = {
    "id": "upstream id, or `<file stem>:<ordinal>`",
    "source": "annotation file and the ordinal of the record in it",
    "system": "system prompt",
    "conversations": "turns of `human` and `gpt`; `<image>`, `<video>`, `<audio>`, `<region>` stand for media (`\\<…>` is text)",
    "images": "one per `<image>`, in order",
    "videos": "container files, one per `<video>`, in order",
    "frames": "pre-sampled videos: a list of pictures per `<video>`",
    "audios": "one per `<audio>`, in order",
    "audio_q": "the question as speech",
    "text_q": "its transcript",
    "masks": "per object in `<region>` order, per annotated frame: COCO RLE or polygons; both null means not there",
    "num_frames": "frames the annotation asks for",
    "extra": "everything else the record said, as JSON",
}
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def render(title: str, report: Report) -> str:
    """The card of a built dataset.

    Args:
        title: its heading.
        report: what the build did.

    Returns:
        The text of ``README.md``: YAML front matter and Markdown.
    """
    shown = configs(report)
    rows = sum(report.counts.written.values())
    default = next(iter(shown), None)
    mapping = {
        "yaml": yaml.safe_dump(_metadata(report, shown), sort_keys=False, allow_unicode=True),
        "title": _escape(title),
        "rows": f"{rows:,}",
        "formats": ", ".join(sorted(report.counts.formats)) or "no",
        "version": report.version,
        "here": "PATH_OR_REPOSITORY",
        "split": next(iter(shown[default][1]), "train") if default else "train",
        "decoding": _DECODING if default and set(shown[default][0]) & {"videos", "audios", "audio_q"} else "",
        "table": _table(shown),
        "columns": "\n".join(f"| `{name}` | {_MEANING[name]} |" for name in (shown[default][0] if default else ())),
        "read": f"{report.counts.read:,}",
        "written": f"{rows:,}",
        "rejected": f"{report.counts.rejected:,}",
        "not_selected": f"{report.counts.not_selected:,}",
        "findings": _findings(report.counts.findings),
        "sources": ", ".join(f"`{_escape(name)}`" for name in sorted(report.sources)) or "none",
    }
    return Template(files(__package__).joinpath("card.md").read_text("utf-8")).substitute(mapping)


_DECODING = """\
Sound and video decode with torchcodec. Without it, ask for the encoded bytes:

```python
from datasets import Audio, List, Video

ds = ds.cast_column("videos", List(Video(decode=False)))   # and "audios", "audio_q": List(Audio(decode=False))
```

"""


def configs(report: Report) -> dict[str, tuple[Features, dict[str, list[Shard]]]]:
    """The configs of a built dataset, the default first: name → its features and its shards by split.

    Each mix is a config; where there are several, the default is ``all``, with the columns of all of them.
    """
    every = features.mixes(MODALITIES)
    shown = {mix: (features.features(every[mix]), by_split) for mix, by_split in report.shards.items()}
    if len(shown) < 2:
        return shown
    present = [modality for modality in MODALITIES if any(modality in every[mix] for mix in report.shards)]
    together: dict[str, list[Shard]] = {}
    for by_split in report.shards.values():
        for split, shards in by_split.items():
            together.setdefault(split, []).extend(shards)
    return {features.ALL: (features.features(present), together), **shown}


def _metadata(report: Report, shown: dict[str, tuple[Features, dict[str, list[Shard]]]]) -> dict[str, Any]:
    rows = sum(report.counts.written.values())
    infos, listed = [], []
    for number, (name, (kinds, by_split)) in enumerate(shown.items()):
        splits = SplitDict()
        for split, shards in by_split.items():
            count, size = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
            splits.add(SplitInfo(name=split, num_examples=count, num_bytes=size))
        info = DatasetInfo(features=kinds, splits=splits, config_name=name)
        infos.append({"config_name": name, **info._to_yaml_dict()})
        folder = "*" if name == features.ALL else name
        files_of = [{"split": split, "path": f"data/{folder}/{split}-*.parquet"} for split in by_split]
        listed.append(
            {
                "config_name": name,
                "data_files": files_of,
                "columns": list(kinds),
                **({"default": True} if not number else {}),
            }
        )
    return {
        "size_categories": [next((label for limit, label in _SIZES if rows < limit), "n>10M")],
        "tags": ["modalmix", *sorted(report.counts.formats)],
        "configs": listed,
        "dataset_info": infos,
    }


def _table(shown: dict[str, tuple[Features, dict[str, list[Shard]]]]) -> str:
    lines = ["| config | split | rows | bytes | shards |", "|---|---|---:|---:|---:|"]
    for name, (_, by_split) in shown.items():
        for split, shards in by_split.items():
            rows, size = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
            lines.append(f"| `{name}` | {split} | {rows:,} | {size:,} | {len(shards)} |")
    return "\n".join(lines)


def _findings(findings: dict[str, int]) -> str:
    if not findings:
        return ""
    lines = ["\n| finding | severity | records | meaning |", "|---|---|---:|---|"]
    for code, count in sorted(findings.items()):
        kind = CATALOGUE[code]
        lines.append(f"| {code} {kind.name} | {kind.severity} | {count:,} | {_escape(kind.meaning)} |")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Text from the data as Markdown text: no markup, no HTML, one line."""
    return re.sub(r"([\\`*_{}\[\]<>|#$])", r"\\\1", " ".join(text.split()))
