"""Front matter: the YAML of a card, which gives `datasets` and the Hub the configs, and how several builds share it.

A repository may hold several builds (parts), and a person may add keys by hand.  A part owns the entries of ``configs`` and
``dataset_info`` whose files are its own.  Lists of words are merged.  Every other key that exists stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from datasets import DatasetInfo, Features, SplitDict, SplitInfo

from ..builders.core.names import MODALITIES
from ..builders.core.report import Report, Shard
from ..builders.pipeline import features, grouped_rows
from .facts import Facts

OURS = frozenset(("configs", "dataset_info", "size_categories"))
"""Keys whose entries modalmix writes."""

Splits = dict[str, list[Shard]]
Front = dict[str, Any]

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
_MODALITY = {"image": "image", "video": "video", "audio": "audio", "audio_q": "audio", "masks": None}
_TASKS = {
    "image": ["visual-question-answering", "image-text-to-text"],
    "video": ["video-text-to-text"],
    "audio": ["audio-text-to-text"],
    "masks": ["mask-generation"],
}

_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times faster, if libyaml is installed


class CardError(ValueError):
    """An existing card cannot be read: its front matter is not a YAML mapping."""


def configs(report: Report, part: str | None = None) -> dict[str, tuple[Features, Splits]]:
    """The configs of a built dataset, the default first: name → its features, and its shards by split.

    Each mix is a config.  If there are several, the default is ``all``, with the columns of all of them.  In a repository with
    several builds, the configs of the part ``NAME`` are ``NAME`` (all of it) and ``NAME-<mix>``.
    """
    every = features.mixes(MODALITIES)
    by_config = {mix: (_columns(report, every[mix]), by_split) for mix, by_split in report.shards.items()}
    if len(by_config) == 1 and part:
        return {part: next(iter(by_config.values()))}
    if len(by_config) < 2:
        return by_config
    present = [modality for modality in MODALITIES if any(modality in every[mix] for mix in report.shards)]
    together: Splits = {}
    for by_split in report.shards.values():
        for split, shards in by_split.items():
            together.setdefault(split, []).extend(shards)
    named = {f"{part}-{mix}" if part else mix: described for mix, described in by_config.items()}
    return {part or features.ALL: (_columns(report, present), together), **named}


def _columns(report: Report, modalities: Iterable[str]) -> Features:
    columns = features.features(modalities, metadata=bool(report.options.get("metadata")))
    return grouped_rows.grouped(columns) if report.grouped else columns


def made(report: Report, facts: list[Facts], part: str | None = None, *, explicit: bool = False) -> Front:
    """The front matter of one build.

    Args:
        report: report of the build.
        facts: facts of the upstream datasets in it.
        part: its name in the repository.
        explicit: list each shard, because a pattern would match files of another build.
    """
    by_config = configs(report, part)
    infos, listed = [], []
    for number, (name, (kinds, by_split)) in enumerate(by_config.items()):
        infos.append({"config_name": name, **_info(name, kinds, by_split)})
        listed.append(
            {
                "config_name": name,
                "data_files": [
                    {"split": split, "path": _paths(shards, split, part, explicit)}
                    for split, shards in by_split.items()
                ],
                "columns": list(kinds),
                **({"default": True} if not number else {}),
            }
        )
    present = {modality for mix in report.shards for modality in features.mixes(MODALITIES)[mix]}
    tasks = [task for modality, tasks in _TASKS.items() if modality in present for task in tasks]
    licenses = list(dict.fromkeys(dataset.license for dataset in facts if dataset.license))
    languages = list(dict.fromkeys(language for dataset in facts for language in dataset.language))
    return {
        **({"license": licenses if len(licenses) > 1 else licenses[0]} if licenses else {}),
        **({"language": languages} if languages else {}),
        **({"task_categories": tasks} if tasks else {}),
        "size_categories": [_size(report.rows)],
        "modalities": sorted({"text", *(_MODALITY[modality] or "image" for modality in present)}),
        "tags": ["modalmix", *sorted(report.counts.formats)],
        "configs": listed,
        "dataset_info": infos,
    }


def merged(existing: Front, ours: Front, part: str | None, again: bool) -> Front:
    """The front matter of an existing card, with that of one build added.

    Args:
        existing: front matter of the card.
        ours: front matter of the build; see `made`.
        part: name of the build.
        again: the card has a section of this part; then its keys win, because a person may have changed them.
    """
    out = dict(existing)
    kept = [entry for entry in _entries(existing.get("configs")) if not _is_of(entry, part)]
    names = {entry.get("config_name") for entry in kept}
    gone = {entry.get("config_name") for entry in _entries(existing.get("configs")) if _is_of(entry, part)}
    own = [dict(entry) for entry in ours["configs"]]
    for entry in own:
        if entry["config_name"] in names:
            raise CardError(f"the config {entry['config_name']!r} exists and reads other files")
    if any(entry.get("default") for entry in kept):
        for entry in own:
            entry.pop("default", None)
    infos = [entry for entry in _entries(existing.get("dataset_info")) if entry.get("config_name") not in gone]
    for key, value in ours.items():
        if key in OURS:
            continue
        if key not in out or out[key] in (None, "", []):
            out[key] = value
        elif isinstance(value, list) or (key == "license" and not again):
            out[key] = list(dict.fromkeys([*_words(out[key]), *_words(value)]))
            if key == "license" and len(out[key]) == 1:
                out[key] = out[key][0]
    out["configs"] = [*kept, *own]
    out["dataset_info"] = [*infos, *ours["dataset_info"]]
    out["size_categories"] = [_size(_rows(out))]
    return out


def read(text: str) -> Front:
    """The front matter of a text.

    Raises:
        CardError: it is not a YAML mapping.
    """
    try:
        front = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        raise CardError(f"the front matter is not YAML: {' '.join(str(error).split())}") from None
    if front is None:
        return {}
    if not isinstance(front, dict):
        raise CardError("the front matter is not a mapping")
    return front


def text(front: Front) -> str:
    """The front matter as YAML, with its fences."""
    return f"---\n{yaml.dump(front, Dumper=_DUMPER, sort_keys=False, allow_unicode=True, width=120)}---\n"


def _info(name: str, kinds: Features, by_split: Splits) -> dict[str, Any]:
    splits = SplitDict()
    for split, shards in by_split.items():
        count, size = sum(shard.rows for shard in shards), sum(shard.bytes for shard in shards)
        splits.add(SplitInfo(name=split, num_examples=count, num_bytes=size))
    size = sum(shard.bytes for shards in by_split.values() for shard in shards)
    info = DatasetInfo(features=kinds, splits=splits, config_name=name, download_size=size, dataset_size=size)
    described: dict[str, Any] = info._to_yaml_dict()
    return described


def _paths(shards: list[Shard], split: str, part: str | None, explicit: bool) -> str | list[str]:
    prefix = f"{part}/" if part else ""
    if explicit:
        return [prefix + shard.path for shard in shards]
    folders = {shard.path.split("/")[1] for shard in shards}
    return f"{prefix}data/{next(iter(folders)) if len(folders) == 1 else '*'}/{split}-*.parquet"


def _entries(value: Any) -> list[dict[str, Any]]:
    """``configs`` or ``dataset_info`` as a list; the Hub also accepts a single mapping."""
    values = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, dict)]


def _is_of(config: Mapping[str, Any], part: str | None) -> bool:
    """Whether all files of a config belong to this part."""
    prefix = f"{part}/data/" if part else "data/"
    paths = list(_files(config.get("data_files")))
    return bool(paths) and all(path.startswith(prefix) for path in paths)


def _files(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = value.get("path", list(value.values()))
        return _files(value)
    if isinstance(value, list):
        return [path for entry in value for path in _files(entry)]
    return []


def _words(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _rows(front: Front) -> int:
    """The rows of all parts: of each config that is no subset of another one."""
    total = 0
    seen: list[str] = []
    counts = {entry.get("config_name"): _examples(entry) for entry in _entries(front.get("dataset_info"))}
    for entry in _entries(front.get("configs")):
        folders = {path.partition("data/")[0] for path in _files(entry.get("data_files"))}
        if folders and folders.issubset(seen):
            continue
        seen.extend(folders)
        total += counts.get(entry.get("config_name"), 0)
    return total


def _examples(info: Mapping[str, Any]) -> int:
    splits = info.get("splits")
    found = splits if isinstance(splits, list) else []
    return sum(int(entry.get("num_examples") or 0) for entry in found if isinstance(entry, dict))


def _size(rows: int) -> str:
    return next((label for limit, label in _SIZES if rows < limit), "n>1T" if rows >= 10**12 else "1B<n<10B")
