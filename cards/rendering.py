"""Rendering: from a build's report, and what is known of its sources, to its card.

Text that comes from the data is escaped for Markdown and HTML; the YAML is written by a YAML library, never by hand.
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
    **{
        f"{name}{SUFFIX}": f"of each of the `{name}`: {', '.join(f'`{field}`' for field in fields)}; null where unreadable"
        for name, fields in FIELDS.items()
    },
}
_OUTSIDE = """\
> **For the machine it was built on.** Built with `--annotations-only`: the media columns hold no bytes, but where the files lie.
"""
_VIEWS = "\n".join(
    (
        "For training, with modalmix installed (frames, waveforms and masks as arrays):",
        "",
        "```python",
        "from modalmix.builders import views",
        "",
        "train = views.training(ds, num_frames=32, sampling_rate=16_000)",
        "```",
    )
)
_GROUPED = """

Each row holds media once, with all samples that ask about them: every column but those of the media is a list, with a value for
each sample. `training` decodes the media of a row once for all of them. For one row per sample:

```python
ds = views.flatten(ds)
```
"""
_DECODING = """\
Sound and video decode with torchcodec. Without it, ask for the encoded bytes:

```python
from datasets import Audio, List, Video

# "audios" and "audio_q" likewise: List(Audio(decode=False))
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
        title: its heading.
        report: what the build did.
        existing: the card that is there; a person's text and keys in it, and other parts, stay.
        here: what `load_dataset` is given in the examples.
        part: name of the build among several in one repository.
        statistics: of its rows, where they were counted.
        plots: path → what it shows.
        explicit: name each shard in the YAML; see `front.made`.

    Returns:
        The text of ``README.md``: YAML front matter and Markdown.

    Raises:
        modalmix.cards.front.CardError: `existing` cannot be read, or has a config of that name from something else.
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
    shown = configs(report, part)
    written = f"{sum(report.counts.written.values()):,}"
    rows = f"{report.rows:,}"
    default = next(iter(shown), None)
    media = set(shown[default][0]) & {"videos", "audios", "audio_q"} if default else set()
    split = next(iter(shown[default][1]), "train") if default else "train"
    counts = report.counts
    prefix = f"{part}/" if part else ""
    mapping = {
        "title": escape(title),
        "rows": f"{rows} rows with {written} samples" if report.grouped else f"{rows} rows",
        "formats": ", ".join(sorted(counts.formats)) or "no",
        "media": _OUTSIDE if report.options.get("annotations_only") else "Media are byte for byte as they were.\n",
        "what": _what(facts),
        "version": escape(report.version),
        "given": f'"{here}", "{part}"' if part else f'"{here}"',
        "split": split,
        "views": _VIEWS + _GROUPED if report.grouped else _VIEWS,
        "decoding": _DECODING if media else "",
        "table": _table(shown),
        "columns": "\n".join(
            f"| `{name}` | {'of each sample: ' if report.grouped and not of_media(name) else ''}{_MEANING[name]} |"
            for name in (shown[default][0] if default else ())
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
    return "\n".join(f"- **{escape(one.title)}**: {escape(one.holds)}" for one in facts)


def _table(shown: Mapping[str, tuple[object, front.Splits]]) -> str:
    rows = []
    for name, (_, by_split) in shown.items():
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
    for mix, one in statistics.mixes.items():
        media = "<br>".join(f"{column}&nbsp;{count:,}" for column, count in one.media.items()) or "–"
        size = sum(one.media_bytes.values())
        rows.append((f"`{mix}`", f"{one.rows:,}", media, f"{size:,}", f"{one.objects:,}"))
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
    for one in facts:
        home = f" ([home]({one.home}))" if one.home else ""
        terms = f"licence `{one.license}`" if one.license else "licence unknown"
        note = f". {escape(one.license_note)}" if one.license_note else ""
        lines.append(f"- **{escape(one.title)}**{home}: {terms}{note}")
        lines += [f"  - known defect: {escape(defect)}" for defect in one.defects]
    return "\n".join(lines)


def _citation(facts: Iterable[Facts]) -> str:
    entries = [one.citation.strip() for one in facts if one.citation]
    if not entries:
        return ""
    return "## Citation\n\n```bibtex\n" + "\n\n".join(dict.fromkeys(entries)) + "\n```\n"
