"""The builder behind every format: from annotation files and media roots to Arrow tables, for `datasets`.

A format's builder class is this one with its name, its configs and its format.  `datasets` calls `_split_generators` for the
slices and `_generate_tables` for their rows; the slices are the shards, so DataLoader workers, ``num_proc`` and
``split_dataset_by_node`` share the work.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import datasets
import pyarrow as pa
from datasets.builder import Key

from ..annotations import Slice, Source, plan
from ..core.counts import Counts
from ..core.errors import DataError
from ..core.garbage_collector import garbage_collector_off
from ..core.report import REJECTED
from ..formats.turns import Roles
from ..paths import Rewriter, Rules
from ..pipeline import features, rejects, unread_keys
from ..pipeline.arrow_tables import referenced, table
from ..pipeline.hub_urls import HUB
from ..pipeline.infer_rules import looked_up
from ..pipeline.inputs import annotation_files
from ..pipeline.options import Options
from ..pipeline.rewriters import Rewriters
from ..pipeline.rows import Reject, Row, rows
from ..pipeline.selection import Selection, check
from . import prepared

if TYPE_CHECKING:
    from .hub.stream_plan import ArchivePass, StreamPlan

logger = logging.getLogger("modalmix")

ROWS_PER_TABLE = 512

Folders = str | Sequence[str] | None


@dataclass
class AnnotationConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """Options of the builders; every one is an argument of `load_dataset`.

    Attributes:
        media_root: folder or folders under which media are looked up (default: the annotation file's own folder).
        image_folder: folders for images alone, before `media_root` (lmms-finetune's and LLaVA's option).
        video_folder: likewise for videos.
        user_key: name of the user in ``from``/``value`` turns.
        assistant_key: name of the assistant.
        on_error: ``"reject"`` writes rejected records down and goes on; ``"raise"`` stops at the first.
        rejected: file to which rejected records are appended as JSON Lines, besides the one in the cache.
        seed: of every random choice: `sample`, and ``random:N`` of a LLaVA mixture.
        verify_masks: compare masks with the header of their video or picture.
        rules: file with the rules for paths, as ``modalmix paths --save`` writes it; without, they are learned if needed.
        metadata: add columns with what the headers of media say; see `modalmix.builders.pipeline.metadata_columns`.
        slice_bytes: size of a slice of an annotation file; by default its size decides.
        where: condition or conditions that all hold for a row; see `modalmix.builders.pipeline.conditions`.
        sample: fraction of the records to draw, by `seed`.
        ignore_key: key or keys about which nothing is said where the format does not read them, though they hold a medium.
        mixes: names of the mixes a config takes; None for all.
        folder: sub-folder of ``data_dir`` a config stands for (LLaVA-Video-178K's).
        release: an upstream release to stream from the Hub where no files are named (``modalmix download`` lists them), with
            ``@revision`` behind it for another state than the newest.
        subset: subsets of the release.
    """

    media_root: Folders = None
    image_folder: Folders = None
    video_folder: Folders = None
    user_key: str = "human"
    assistant_key: str = "gpt"
    on_error: str = "reject"
    rejected: str | None = None
    seed: int = 42
    verify_masks: bool = True
    rules: str | None = None
    slice_bytes: int | None = None
    metadata: bool = False
    where: str | Sequence[str] | None = None
    sample: float = 1.0
    ignore_key: str | Sequence[str] | None = None
    mixes: tuple[str, ...] | None = None
    modalities: tuple[str, ...] = ()
    folder: str | None = None
    release: str | None = None
    subset: Folders = None


def configs(
    modalities: Sequence[str], folders: Sequence[str] = (), release: str | None = None
) -> list[AnnotationConfig]:
    """The configs of a builder: ``all``, one per mix of its modalities, and one per folder of the upstream release."""
    every = [AnnotationConfig(name=features.ALL, modalities=tuple(modalities), version=VERSION)]
    by_mix = [
        AnnotationConfig(name=name, mixes=(name,), modalities=chosen, version=VERSION)
        for name, chosen in features.mixes(modalities).items()
    ]
    by_folder = [
        AnnotationConfig(
            name=name, modalities=tuple(modalities), folder=name, release=release, subset=name, version=VERSION
        )
        for name in folders
    ]
    return every + by_mix + by_folder


VERSION = datasets.Version("1.0.0")
"""Version of the columns; part of the cache's path."""


class AnnotationBuilder(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Reads annotation files of one format, or of any, as a typed dataset.

    Rows that cannot be read are written to ``rejected.jsonl`` in the dataset's cache folder (and to the ``rejected``
    option's file), counted, and reported at the end.
    """

    BUILDER_CONFIG_CLASS = AnnotationConfig
    DEFAULT_CONFIG_NAME = features.ALL
    FORMAT: ClassVar[str | None] = None

    def _info(self) -> datasets.DatasetInfo:
        config = self.config
        if config.on_error not in ("reject", "raise"):
            raise ValueError(f'on_error is {config.on_error!r}; it must be "reject" or "raise"')
        decode = features.decodes_audio_and_video()
        declared = features.features(config.modalities, decode, config.metadata)
        undecoded = [name for name in ("videos", "audios", "audio_q") if name in declared]
        if undecoded and not decode:
            logger.info(
                "%s come as {'path', 'bytes'}: torchcodec is not installed (pip install 'modalmix[torch]' lets datasets "
                "decode them)",
                ", ".join(undecoded),
            )
        return datasets.DatasetInfo(features=declared)

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        if (stream_plans := self._stream_plans(dl_manager.is_streaming)) is not None:
            return [
                datasets.SplitGenerator(
                    name=split, gen_kwargs={"passes": list(stream_plan.passes), "stream_plan": stream_plan}
                )
                for split, stream_plan in stream_plans.items()
            ]
        by_split = self._sources()
        every = [source for sources in by_split.values() for source in sources]
        options = self.options()
        check(options.selection)
        options = looked_up(options, every)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"slices": self._slices(sources), "options": options})
            for split, sources in by_split.items()
        ]

    def _sources(self) -> dict[str, list[Source]]:
        """The annotation files by split, mixtures resolved."""
        if not self.config.data_files:
            raise DataError("no annotation files: pass data_files=… or data_dir=…")
        root = str(self.config.data_dir) if self.config.data_dir else None
        return {
            str(split): annotation_files(
                [file if file.startswith(HUB) else glob.escape(file) for file in map(str, files)],
                seed=self.config.seed,
                root=root,
                token=self._token,
            )
            for split, files in self.config.data_files.items()
        }

    def _stream_plans(self, streaming: bool) -> dict[str, StreamPlan] | None:
        """The splits, where media are to be streamed from the Hub; None where they are on this disk."""
        config = self.config
        named = [str(file) for files in (config.data_files or {}).values() for file in files]
        roots = folders(config.media_root) or tuple(file for file in named if file.startswith(HUB))
        if named and not any(root.startswith(HUB) for root in roots):
            return None
        if not named and not config.release:
            return None
        from ..formats import formats
        from ..formats.split_names import split_by_name
        from .hub import streams as remote

        if named:
            by_split = self._sources()
            return remote.stream_plans(by_split, roots, self.options(), self._token, streaming)
        split_of = formats()[self.FORMAT].split_of if self.FORMAT else split_by_name
        return remote.release_stream_plans(
            config.release, folders(config.subset), split_of, self.options(), self._token, streaming
        )

    @property
    def _token(self) -> str | None:
        return self.token if isinstance(self.token, str) else None

    def _slices(self, sources: Sequence[Source]) -> list[Slice]:
        total = sum(os.path.getsize(source.path) for source in sources)
        size = self.config.slice_bytes or min(max(total // 64, 1 << 20), 64 << 20)
        return [slice_ for source in sources for slice_ in plan(source, slice_bytes=size)]

    def options(self) -> Options:
        """The config as the row pipeline takes it."""
        config = self.config
        return Options(
            format=self.FORMAT,
            mixes=None if config.mixes is None else frozenset(config.mixes),
            roles=Roles(config.user_key, config.assistant_key),
            media_root=folders(config.media_root or config.data_dir),
            image_folder=folders(config.image_folder),
            video_folder=folders(config.video_folder),
            verify_masks=config.verify_masks,
            rules=None if config.rules is None else Rules.load(config.rules),
            selection=Selection(_texts(config.where), config.sample, config.seed),
            ignore_key=tuple(sorted(set(_texts(config.ignore_key)))),
        )

    def _get_examples_iterable_for_split(self, split_generator: datasets.SplitGenerator) -> Any:
        split_generator.gen_kwargs["streaming"] = True
        return super()._get_examples_iterable_for_split(split_generator)

    def _generate_tables(self, streaming: bool = False, **kwargs: Any) -> Iterator[tuple[Key, pa.Table]]:
        return self._of_passes(**kwargs) if "passes" in kwargs else self._of_slices(streaming=streaming, **kwargs)

    def _of_passes(self, passes: list[ArchivePass], stream_plan: StreamPlan) -> Iterator[tuple[Key, pa.Table]]:
        from .hub.streams import tables

        schema, config = self.info.features.arrow_schema, self.config
        for shard, one in enumerate(passes):
            for batch, made in enumerate(
                tables(stream_plan, one, schema, config.on_error, config.rejected, self._token)
            ):
                yield Key(shard, batch), made

    def _of_slices(self, slices: list[Slice], options: Options, streaming: bool) -> Iterator[tuple[Key, pa.Table]]:
        schema = self.info.features.arrow_schema
        rewriters = Rewriters(options)
        warned: set[tuple[str, str, str]] = set()
        for shard, slice_ in enumerate(slices):
            counts = Counts()
            rewriter = rewriters.of(slice_)
            lines: list[bytes] = []
            made = rows(slice_, options, counts, rewriter)
            batch = 0
            while (next_table := self._next_table(made, schema, lines, warned)) is not None:
                yield Key(shard, batch), next_table
                batch += 1
            self._account(slice_, counts, rewriter, lines, streaming)

    def _next_table(
        self,
        made: Iterator[Row | Reject],
        schema: pa.Schema,
        lines: list[bytes],
        warned: set[tuple[str, str, str]],
    ) -> pa.Table | None:
        """The table of the next rows, which are not kept; None where there are no more.

        Rejects become `lines`; warnings about keys that are not read are logged, unless they are among those `warned` of.
        """
        with garbage_collector_off():
            some: list[Row] = []
            for row in made:
                if isinstance(row, Row):
                    some.append(row)
                    if row.findings:
                        for found in unread_keys.new_warnings(row.findings, warned):
                            logger.warning("%s", found)
                    if len(some) == ROWS_PER_TABLE:
                        break
                elif self.config.on_error == "raise":
                    raise rejects.raised(row)
                else:
                    lines.append(rejects.line(row))
            next_table = table(some, schema, referenced) if some else None
            some.clear()  # nothing is left for the collector to go through
        return next_table

    def _account(
        self, slice_: Slice, counts: Counts, rewriter: Rewriter, lines: Sequence[bytes], streaming: bool
    ) -> None:
        """Writes down what became of a slice's records."""
        if not streaming:
            prepared.add_part(self._output_dir, slice_, counts, rewriter.watched, lines)
            return
        if lines and self.config.rejected:
            rejects.append(self.config.rejected, lines)
        if summary := rejects.summary(counts):
            where = f"; see {self.config.rejected}" if self.config.rejected else "; pass rejected=FILE to keep them"
            logger.warning("%s: %s%s", slice_.file, summary, where)

    def _download_and_prepare(self, dl_manager: Any, verification_mode: Any, **kwargs: Any) -> None:
        prepared.begin(self._output_dir)
        super()._download_and_prepare(dl_manager, verification_mode, **kwargs)
        lines = prepared.finish(
            self._output_dir, [source.path for sources in self._sources().values() for source in sources]
        )
        if lines and self.config.rejected:
            rejects.append(self.config.rejected, lines)

    def download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        """As in `datasets`; a cached result is made anew if an annotation file or a folder of media has changed."""
        if not args and "output_dir" not in kwargs and prepared.is_stale(self._cache_dir):
            kwargs["download_mode"] = datasets.DownloadMode.FORCE_REDOWNLOAD
            self.info.splits = None  # those of the stale result, which the new one need not equal
        super().download_and_prepare(*args, **kwargs)
        if counts := self.counts():
            if summary := rejects.summary(counts):
                logger.warning("%s: %s; see %s", self.dataset_name, summary, self.rejected_file)
            if summary := unread_keys.summary(counts):
                logger.warning("%s: %s", self.dataset_name, summary)

    def _as_dataset(self, split: Any = datasets.Split.TRAIN, in_memory: bool = False) -> datasets.Dataset:
        split_info = (self.info.splits or {}).get(str(split))
        if split_info is not None and split_info.num_examples == 0:  # datasets' reader raises "corresponds to no data"
            empty = self.info.features.arrow_schema.empty_table()
            return datasets.Dataset(empty, info=self.info.copy(), split=split_info.name)
        return super()._as_dataset(split, in_memory)

    @property
    def rejected_file(self) -> str:
        """The rejects of the prepared dataset, as JSON Lines."""
        return os.path.join(self._output_dir, REJECTED)

    def counts(self) -> Counts | None:
        """What became of the records of the prepared dataset; None where there is none yet."""
        return prepared.counts(self._output_dir)


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def folders(value: Folders) -> tuple[str, ...]:
    """One folder, several or none, as a tuple of paths with ``~`` resolved."""
    if value is None:
        return ()
    return tuple(
        os.path.expanduser(os.fspath(one)) for one in ([value] if isinstance(value, (str, os.PathLike)) else value)
    )
