"""A check: DATA is read once, each of its media is opened once, and every defect is a finding.

::

    slices ──scan──► results ─┬─ duplicates, overlaps, contradictions ──┐
                              ├─ media: headers, or all decoded ────────┼─► findings across records, written in one more
                              └─ files that no record refers to         ┘   pass over the slices that have any

Findings go to a file at once, those of the first pass first.  Until the end, some ten numbers are held of each record
(`modalmix.builders.core.int_columns`); the distinct media are in a temporary SQLite file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import msgspec
import numpy as np

from ..annotations import Slice, Source, plan
from ..annotations.slices import SLICE_BYTES
from ..core.atomic_files import atomic_file
from ..core.counts import Counts
from ..core.findings import CODE, Finding, finding, rejects
from ..core.int_columns import Columns, Numbers, members, place, repeats
from ..core.report import modalmix_version
from ..loading.hub.requested_paths import PENDING_REWRITER, check_streamable
from ..media.header_cache import HeaderCache
from ..paths import Rewriter
from ..pipeline.infer_rules import archive_findings, looked_up
from ..pipeline.inputs import splits
from ..pipeline.options import DEFAULTS, Options
from ..pipeline.recognise_files import first_record
from ..pipeline.rewriters import Rewriters
from ..pipeline.selection import EVERYTHING
from .cross_record_checks import contradictions, mask_mismatches, too_large, too_many_frames
from .cross_record_findings import CrossRecordFindings
from .decode_media import examine_media, measure
from .diagnosis import EXAMPLES, CheckResult, Diagnosis, Example, FileDiagnosis
from .media_store import MediaStore
from .patch_overlaps import Booleans, confirmed, overlaps
from .path_cache import PathCache
from .scan_slice import A_TYPE, scan_slice
from .scan_workers import Task, scan_in_workers
from .slice_result import DEPTHS, Depth, Entry, FirstRecord, SliceResult, empty_result
from .statistics import Spread
from .unreferenced_files import unreferenced_files

__all__ = ["DEPTHS", "Depth", "Diagnosis", "Example", "check"]

_SLICE_BYTES = 16 << 20
"""Size of a slice where several processes read: small enough to keep all of them busy to the end."""
_MAX_NUMBERS = 200_000
"""How many numbers are held before they go into a spread."""


def check(
    data: str | Sequence[str],
    options: Options = DEFAULTS,
    *,
    depth: Depth = "headers",
    findings: str | None = None,
    max_errors: int | None = None,
    seed: int = 42,
    workers: int = 1,
    threads: int | None = None,
    cache: HeaderCache | None = None,
    progress: Callable[[int], None] | None = None,
    media_progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Checks DATA.

    Args:
        data: annotation files; see `modalmix.builders.pipeline.inputs`.
        options: how records would become rows; `verify_masks` is done from depth ``headers`` on.
        depth: ``quick`` opens no media, ``headers`` opens each once, ``full`` decodes each to its end.
        findings: file to write all findings to, as JSON Lines; it appears whole or not at all.
        max_errors: number of rejected records after which reading stops.
        seed: for ``random:N`` of a mixture.
        workers: processes that read annotations; one where there are fewer slices, or `max_errors` is given.
        threads: media opened at once; as many as there are processors by default.
        cache: headers of media, and where new ones are kept; the user's cache by default.
        progress: gets the bytes of annotations read since the last call.
        media_progress: gets how many media are done, and how many there are.

    Raises:
        DataError: the data cannot be found.
        ValueError: there is no such depth.
    """
    if depth not in DEPTHS:
        raise ValueError(f"depth is {depth!r}, not one of {', '.join(DEPTHS)}")
    own = cache is None
    cache = HeaderCache(create=depth != "quick") if cache is None else cache
    try:
        with atomic_file(findings) if findings else tempfile.TemporaryFile() as spool, MediaStore() as store:
            run = _Check(data, options, depth, seed, spool, store, progress, workers)
            run.read(max_errors)
            run.compare()
            if depth != "quick":
                run.examine(cache, threads or os.cpu_count() or 1, media_progress)
            run.check_archives()
            run.find_unreferenced_files()
            run.write_cross_record_findings()
            return run.result()
    finally:
        if own:
            cache.close()


class _HubRewriters(Rewriters):
    """Rewriters where the media are on the Hub, as the annotations are: no path is looked up."""

    def __init__(self) -> None:
        super().__init__(DEFAULTS)

    def of(self, slice_: Slice | Source) -> Rewriter:
        return PENDING_REWRITER  # type: ignore[no-any-return]  # it stands where a rewriter stands


class _Check:
    """One check; `check` calls its methods in their order."""

    def __init__(
        self,
        data: str | Sequence[str],
        options: Options,
        depth: Depth,
        seed: int,
        spool: BinaryIO,
        store: MediaStore,
        progress: Callable[[int], None] | None,
        workers: int,
    ) -> None:
        found = splits(data, format=options.format, seed=seed)
        self.sources = [source for sources in found.values() for source in sources]
        self.awaited = depth == "quick" and not options.media_root and any(source.url for source in self.sources)
        if self.awaited:
            check_streamable(options)
        self.files = {
            source.file: FileDiagnosis(
                source.file,
                split,
                os.path.getsize(source.path),
                first_record(source.path),
                Counts(),
                url=source.url if self.awaited else "",
            )
            for split, sources in found.items()
            for source in sources
        }
        if not self.awaited:
            options = looked_up(options, self.sources)
        # `examine` verifies masks, with the headers of all media
        self.options = msgspec.structs.replace(options, verify_masks=False)
        self.verify = options.verify_masks
        self.depth, self.spool, self.store, self.progress = depth, spool, store, progress
        self.workers = 1 if self.awaited else workers
        self.rewriters = _HubRewriters() if self.awaited else Rewriters(options)
        self.whole = bool(options.media_root) or os.path.isdir(data if isinstance(data, str) else data[0])
        self.scanned = empty_result()
        self.slices: list[tuple[int, Slice, int]] = []
        self.cross_record = CrossRecordFindings(self.options, self.sources, store)
        self.media: dict[str, int] = {}
        self.kinds: dict[str, int] = {}

    # ---- the first pass

    def read(self, max_errors: int | None) -> None:
        """Scans every record."""
        types: dict[str, dict[str, FirstRecord]] = {}
        tasks = self._tasks()
        row = 0
        for i, (task, part) in enumerate(zip(tasks, self._parts(tasks, max_errors), strict=False)):
            file, slice_ = task.file, task.slice_
            if i == 0 or file != tasks[i - 1].file:
                types, row = {}, 0
            self.slices.append((file, slice_, row))
            row += part.counts.read
            self.files[slice_.file].counts.add(part.counts)
            for code, entries in part.examples.items():
                for entry in entries:
                    self.files[slice_.file].add_example(code, entry.example())
            self.store.add(part.media)
            self.scanned.join(part)
            self._types(file, types, part)
            if self.progress is not None:
                self.progress(os.path.getsize(slice_.path) if slice_.stop < 0 else slice_.stop - slice_.start)
            if part.stopped:
                break

    def _tasks(self) -> list[Task]:
        """The slices of all files; with several processes, each knows the ordinal of its first record."""
        exact = self.workers > 1
        return [
            Task(slice_, file)
            for file, source in enumerate(self.sources)
            for slice_ in plan(source, exact=exact, slice_bytes=_SLICE_BYTES if exact else SLICE_BYTES)
        ]

    def _parts(self, tasks: list[Task], max_errors: int | None) -> Iterator[SliceResult]:
        if self.workers > 1 and len(tasks) > 1 and max_errors is None:
            with tempfile.TemporaryDirectory(prefix="modalmix-check-") as folder:
                for part, findings in scan_in_workers(
                    tasks, self.options, self.depth, folder, min(self.workers, len(tasks))
                ):
                    with open(findings, "rb") as file:
                        shutil.copyfileobj(file, self.spool)
                    os.unlink(findings)
                    yield part
            return
        paths: PathCache | None = None
        for task in tasks:
            limit = None if max_errors is None else max(max_errors - self.scanned.counts.rejected, 1)
            rewriter = self.rewriters.of(task.slice_)
            if paths is None or paths.rewriter is not rewriter:
                paths = PathCache(rewriter)
            yield scan_slice(task.slice_, task.file, self.options, paths, self.spool, depth=self.depth, limit=limit)

    def _types(self, file: int, of_keys: dict[str, dict[str, FirstRecord]], scanned: SliceResult) -> None:
        """Adds a finding where the values of a key change their type within the file."""
        news = [(first, key, name) for key, types in scanned.types.items() for name, first in types.items()]
        for first, key, name in sorted(news, key=lambda new: (new[0].row, *new[1:])):
            before = of_keys.setdefault(key, {})
            if name in before:
                continue
            if before:
                message = f"{key} is {A_TYPE[name]} here, and {' or '.join(A_TYPE[one] for one in before)} before"
                found = finding("type-change", message, f"/{key}").placed(self.sources[file].file, first.row)
                self._write(Entry(msgspec.structs.replace(found, offset=first.offset), first.id))
            before[name] = first

    # ---- across records

    def compare(self) -> None:
        """Finds equal ids and records, overlapping parts of patches, and sizes that contradict each other."""
        part = self.scanned
        for columns, name in ((part.ids, "id-duplicate"), (part.records, "record-duplicate")):
            places = columns["place"]
            again, first = repeats(columns["hash"])
            self.cross_record.add(name, places[again], places[first])
        self.cross_record.add("patch-overlap", *overlaps(part.ranges, self._overlap))
        self.cross_record.add("media-too-large", *too_large(part.large))
        if self.depth == "quick":  # at other depths the files themselves show who is right
            self.cross_record.add("media-contradiction", *contradictions(part.sizes))

    def _overlap(self, places: Numbers, others: Numbers) -> Booleans:
        return confirmed(places, others, self.slices, self.options, self.rewriters)

    # ---- the media

    def examine(self, cache: HeaderCache, threads: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Opens every distinct medium; at depth ``full``, decodes it."""
        bad = Columns("medium")
        facts = Columns("medium", "frames", "size")
        gathered: dict[str, list[int]] = {}
        total = len(self.store)
        for done, (opened, findings) in enumerate(examine_media(self.store, cache, self.depth, threads), 1):
            if progress is not None:
                progress(done, total)
            header = opened.header
            self.media[opened.kind] = self.media.get(opened.kind, 0) + 1
            if header.content:
                self.kinds[header.content] = self.kinds.get(header.content, 0) + 1
            if findings:
                self.store.note(opened.number, findings)
                bad.add(opened.number)
            if not header.error:
                frames = {"video": header.frames, "frames": len(opened.items)}.get(opened.kind, -1)
                facts.add(opened.number, frames, header.height << 32 | header.width)
                measure(gathered, opened)
            if sum(map(len, gathered.values())) > _MAX_NUMBERS:
                self._spread(gathered)
        self._spread(gathered)
        part, references = self.scanned, self.scanned.references
        marked = members(references["medium"], np.sort(bad["medium"]))
        self.cross_record.add("", references["place"][marked], references["medium"][marked], references["at"][marked])
        if self.verify:
            places, media, frames_of, sizes = mask_mismatches(part.masks, facts)
            self.cross_record.add("mask-size-differs", places, media)
            for medium, count, size in zip(media.tolist(), frames_of.tolist(), sizes.tolist(), strict=True):
                self.cross_record.mask_mismatches[medium] = count, size
        self.cross_record.add("num-frames-too-many", *too_many_frames(part.requested, facts))

    def _spread(self, gathered: dict[str, list[int]]) -> None:
        for name, values in gathered.items():
            self.scanned.spreads.setdefault(name, Spread()).add(values)
        gathered.clear()

    # ---- archives, and files that no record refers to

    def check_archives(self) -> None:
        """Adds what is wrong with the archives that media are looked up in."""
        if self.awaited:
            return
        for found in archive_findings(
            self.options, self.sources, missed=CODE["media-missing"] in self.scanned.counts.findings
        ):
            self._write(Entry(found, None))

    def find_unreferenced_files(self) -> None:
        """Finds media files that no record refers to: where every record is read, and DATA is a folder or roots are given."""
        options = self.options
        is_selection = options.mixes is not None or options.selection != EVERYTHING
        chosen = is_selection or any(source.take.strategy != "all" for source in self.sources)
        if chosen or self.scanned.stopped or not self.whole:
            return
        referenced = np.unique(self.scanned.paths["hash"])
        roots = dict.fromkeys(
            root for _, slice_, _ in self.slices for root in self.rewriters.of(slice_).roots if os.path.isdir(root)
        )
        for _, name in unreferenced_files(list(roots), referenced):
            self._write(Entry(Finding(CODE["media-orphan"], f"{name!r}", "", name), None))

    # ---- output

    def _write(self, entry: Entry) -> None:
        self.scanned.counts.note([entry.finding])
        if (file := self.files.get(entry.finding.file)) is not None:
            file.counts.note([entry.finding])
            file.add_example(entry.finding.code, entry.example())
        self.spool.write(entry.line())
        examples = self.scanned.examples.setdefault(entry.finding.code, [])
        if len(examples) < EXAMPLES:
            examples.append(entry)

    def write_cross_record_findings(self) -> None:
        """Writes the findings that only all records together, or their media, show."""
        for file, slice_, record in self.cross_record.records(self.slices):
            for found in record.findings:
                self._write(
                    Entry(
                        Finding(found.code, found.message, found.pointer, slice_.file, record.row, record.offset),
                        record.id,
                    )
                )
            if rejects(record.findings):
                self.scanned.rejected.add(place(file, record.row))
                for counts in (self.scanned.counts, self.files[slice_.file].counts):
                    counts.rejected += 1
                    counts.written[record.mix] -= 1

    def result(self) -> CheckResult:
        """The result."""
        part = self.scanned
        for counts in (part.counts, *(file.counts for file in self.files.values())):
            counts.written = {mix: count for mix, count in counts.written.items() if count}
        examples = {code: [entry.example() for entry in entries] for code, entries in part.examples.items()}
        diagnosis = Diagnosis(
            modalmix_version(),
            self.depth,
            part.counts,
            examples,
            part.spreads,
            self.files,
            self.media,
            self.kinds,
            not part.stopped,
        )
        return CheckResult(diagnosis, np.sort(part.rejected["place"]), self.sources)
