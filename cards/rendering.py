"""Rendering: makes the card from the report of a build and the facts of its sources.

Text from the data is escaped for Markdown and HTML.  A YAML library writes the YAML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from string import Template

from ..builders.core.findings import CATALOGUE
from ..builders.core.report import Report
from ..builders.pipeline.features import of_media
from ..builders.pipeline.metadata_columns import FIELDS, SUFFIX
from . import front, provenance, sections
from .facts import Facts, facts_of
from .front import configs
from .markdown import escape, shortened, table
from .statistics import SampleRow, Statistics

__all__ = ["configs", "render"]

_MEANING = {
    "id": "the upstream id, or `<file stem>:<ordinal>` if there is none",
    "source": "the annotation file, and the ordinal of the record in it",
    "system": "the system prompt",
    "conversations": "turns of `human` and `gpt`; placeholders: `<image>`, `<video>`, `<audio>`, `<region>` (`\\<…>` is text)",
    "images": "one per `<image>`, in order",
    "videos": "video files, one per `<video>`, in order",
    "frames": "videos that come as frames: one list of pictures per `<video>`",
    "audios": "one per `<audio>`, in order",
    "audio_q": "the spoken question",
    "text_q": "the text that upstream trains on in place of the first turn",
    "masks": "for each object, in the order of `<region>`, its annotated frames: COCO RLE or polygons; both null: not visible",
    "num_frames": "the number of frames that the annotation asks for",
    "extra": "every other key of the record, as JSON",
    **{
        f"{name}{SUFFIX}": f"for each item of `{name}`: {', '.join(f'`{field}`' for field in fields)}; null if it cannot be read"
        for name, fields in FIELDS.items()
    },
}
_OUTSIDE = """\
> **This dataset works only on the machine it was built on.** It was built with `--annotations-only`: the media columns hold the
> paths of files, and no bytes.
"""
_VIEWS = "\n".join(
    (
        "For training, modalmix gives frames, waveforms and masks as arrays:",
        "",
        "```python",
        "from modalmix.builders import views",
        "",
        "train = views.training(ds, num_frames=32, sampling_rate=16_000)",
        "```",
    )
)
_GROUPED = """

Each row has the samples about the same media, and stores these media once. Every column that is not a media column is a list with
one value per sample. `training` decodes the media of a row once. To get one row per sample:

```python
ds = views.flatten(ds)
```
"""
_DECODING = """\
`datasets` decodes sound and video with torchcodec. Without torchcodec, ask for the encoded bytes:

```python
from datasets import Audio, List, Video

# for "audios" and "audio_q": List(Audio(decode=False))
ds = ds.cast_column("videos", List(Video(decode=False)))
```
"""


def render(
    title: str,
    report: Report,
    *,
    existing: str | None = None,
    here: str = "PATH_OR_REPOSITORY",
    part: str | None = None,
    statistics: Statistics | None = None,
    plots: Mapping[str, str] | None = None,
    explicit: bool = False,
) -> str:
    """The card of a built dataset.

    Args:
        title: heading of the card.
        report: report of the build.
        existing: the present card; its keys, the text of a person and other parts stay.
        here: argument of `load_dataset` in the examples.
        part: name of the build, if the repository has several.
        statistics: statistics of the rows, if there are any.
        plots: path → title.
        explicit: name each shard in the YAML; see `front.made`.

    Returns:
        The text of ``README.md``: YAML front matter and Markdown.

    Raises:
        modalmix.cards.front.CardError: `existing` cannot be read, or has a config of the same name for other files.
    """
    facts = facts_of(report.sources, report.counts.formats)
    ours = front.made(report, facts, part, explicit=explicit)
    body = _body(title, report, facts, here, part, statistics, plots or {})
    if existing is None:
        return front.text(ours) + sections.put(None, part, body)
    above, rest = sections.split_front(existing)
    whole = front.merged(front.read(above), ours, part, sections.has(rest, part))
    return front.text(whole) + sections.put(rest, part, body)


def _body(
    title: str,
    report: Report,
    facts: list[Facts],
    here: str,
    part: str | None,
    statistics: Statistics | None,
    plots: Mapping[str, str],
) -> str:
    by_config = configs(report, part)
    written = f"{sum(report.counts.written.values()):,}"
    rows = f"{report.rows:,}"
    default = next(iter(by_config), None)
    media = set(by_config[default][0]) & {"videos", "audios", "audio_q"} if default else set()
    split = next(iter(by_config[default][1]), "train") if default else "train"
    counts = report.counts
    prefix = f"{part}/" if part else ""
    mapping = {
        "title": escape(title),
        "rows": f"{rows} rows with {written} samples" if report.grouped else f"{rows} rows",
        "formats": ", ".join(sorted(counts.formats)) or "no",
        "media": _OUTSIDE if report.options.get("annotations_only") else "Media files are unchanged, byte for byte.\n",
        "what": _what(facts),
        "version": escape(report.version),
        "given": f'"{here}", "{part}"' if part else f'"{here}"',
        "split": split,
        "views": _VIEWS + _GROUPED if report.grouped else _VIEWS,
        "decoding": _DECODING if media else "",
        "table": _table(by_config),
        "columns": "\n".join(
            f"| `{name}` | {'for each sample: ' if report.grouped and not of_media(name) else ''}{_MEANING[name]} |"
            for name in (by_config[default][0] if default else ())
        ),
        "sample": _sample(statistics.sample) if statistics and statistics.sample else "",
        "statistics": _statistics(statistics, {prefix + path: text for path, text in plots.items()}),
        "read": f"{counts.read:,}",
        "written": written,
        "rejected": f"{counts.rejected:,}",
        "not_selected": f"{counts.not_selected:,}",
        "rejects": f"{prefix}rejected.jsonl",
        "findings": _findings(counts.findings),
        "chosen": provenance.chosen(report),
        "read_as": provenance.read_as(report),
        "sources": provenance.sources(report),
        "attribution": _attribution(facts),
        "citation": _citation(facts),
    }
    return Template(files(__package__).joinpath("card.md").read_text("utf-8")).substitute(mapping)


def _what(facts: Iterable[Facts]) -> str:
    return "\n".join(f"- **{escape(dataset.title)}**: {escape(dataset.holds)}" for dataset in facts)


def _table(by_config: Mapping[str, tuple[object, front.Splits]]) -> str:
    rows = []
    for name, (_, by_split) in by_config.items():
        for split, shards in by_split.items():
            count, size = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
            rows.append((f"`{name}`", escape(split), f"{count:,}", f"{size:,}", str(len(shards))))
    return table(("config", "split", "rows", "bytes", "shards"), rows, right=(2, 3, 4))


def _sample(sample: SampleRow) -> str:
    lines = ["## A row", "", f"The first row of `{sample.mix}`, id {escape(shortened(sample.id, 200))}:", ""]
    for role, text in sample.turns:
        lines += [f"> **{escape(role)}** {escape(shortened(text, 600))}", ">"]
    for column, name, size in sample.media:
        lines.append(f"> {column}: {escape(shortened(name, 200))}{f' ({size:,} bytes)' if size else ''}  ")
    if sample.objects:
        lines.append(f"> masks of {sample.objects} objects")
    return "\n".join(lines).rstrip(">").rstrip() + "\n"


def _statistics(statistics: Statistics | None, plots: Mapping[str, str]) -> str:
    if statistics is None:
        return ""
    rows = []
    for mix, counted in statistics.mixes.items():
        media = "<br>".join(f"{column}&nbsp;{count:,}" for column, count in counted.media.items()) or "–"
        size = sum(counted.media_bytes.values())
        rows.append((f"`{mix}`", f"{counted.rows:,}", media, f"{size:,}", f"{counted.objects:,}"))
    head = ("mix", "rows", "media", "bytes of media columns", "objects")
    lines = ["## Statistics", "", table(head, rows, right=(1, 3, 4)), ""]
    lines += [f"![{meaning}]({path})" for path, meaning in plots.items()]
    return "\n".join(lines) + "\n"


def _findings(findings: Mapping[str, int]) -> str:
    if not findings:
        return ""
    rows = [
        (f"{code} {CATALOGUE[code].name}", CATALOGUE[code].severity, f"{count:,}", escape(CATALOGUE[code].meaning))
        for code, count in sorted(findings.items())
        if code in CATALOGUE
    ]
    return "\n" + table(("finding", "severity", "records", "meaning"), rows, right=(2,)) + "\n"


def _attribution(facts: Iterable[Facts]) -> str:
    lines = []
    for dataset in facts:
        home = f" ([home]({dataset.home}))" if dataset.home else ""
        terms = f"licence `{dataset.license}`" if dataset.license else "licence not known"
        note = f". {escape(dataset.license_note)}" if dataset.license_note else ""
        lines.append(f"- **{escape(dataset.title)}**{home}: {terms}{note}")
        lines += [f"  - known defect: {escape(defect)}" for defect in dataset.defects]
    return "\n".join(lines)


def _citation(facts: Iterable[Facts]) -> str:
    entries = [dataset.citation.strip() for dataset in facts if dataset.citation]
    if not entries:
        return ""
    return "## Citation\n\n```bibtex\n" + "\n\n".join(dict.fromkeys(entries)) + "\n```\n"
