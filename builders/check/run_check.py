"""The doctor: DATA is read once, its media opened once each, and everything that is wrong is told.

::

    slices ──look──► parts ─┬─ duplicates, overlaps, contradictions ──┐
                            ├─ media: headers, or all decoded ────────┼─► late findings ─► told in one more pass over the
                            └─ files nobody refers to                 ┘                     slices that have any

Findings go to a file as they are met, those of the first pass first.  What is held of a record until the end is some ten numbers
(`modalmix.builders.core.int_columns`); the distinct media stand in a temporary SQLite file.
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
from ..loading.hub.requested_paths import AWAITING, check_awaited
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

_PART_BYTES = 16 << 20
"""Of a slice where several processes read: small enough that all of them have work to the end."""
_HELD = 200_000
"""Numbers held before they go into a spread."""


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
    """Examines DATA.

    Args:
        data: annotation files; see `modalmix.builders.pipeline.inputs`.
        options: how records would become rows; `verify_masks` is done from depth ``headers`` on.
        depth: ``quick`` opens no media; ``headers`` opens each once; ``full`` decodes all of each.
        findings: file to write all findings to, as JSON Lines; it appears whole or not at all.
        max_errors: stop reading after so many rejected records.
        seed: for ``random:N`` of a mixture.
        workers: processes that read annotations; one where there are fewer slices, or `max_errors` is given.
        threads: media opened at once; as many as there are processors by default.
        cache: headers known already; that of the user by default.
        progress: told the bytes of annotations read since the last call.
        media_progress: told how many media are done, and how many there are.

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
            run.look_into_archives()
            run.look_around()
            run.tell_late()
            return run.told()
    finally:
        if own:
            cache.close()


class _Awaited(Rewriters):
    """Stands for rewriters where the media are on the Hub, as the annotations are: none is looked up."""

    def __init__(self) -> None:
        super().__init__(DEFAULTS)

    def of(self, slice_: Slice | Source) -> Rewriter:
        return AWAITING  # type: ignore[no-any-return]  # it stands where a rewriter stands


class _Check:
    """One examination; its methods are called in the order of `check`."""

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
            check_awaited(options)
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
        # masks are verified with the headers of all, see `examine`
        self.options = msgspec.structs.replace(options, verify_masks=False)
        self.verify = options.verify_masks
        self.depth, self.spool, self.store, self.progress = depth, spool, store, progress
        self.workers = 1 if self.awaited else workers
        self.rewriters = _Awaited() if self.awaited else Rewriters(options)
        self.whole = bool(options.media_root) or os.path.isdir(data if isinstance(data, str) else data[0])
        self.part = empty_result()
        self.slices: list[tuple[int, Slice, int]] = []
        self.late = CrossRecordFindings(self.options, self.sources, store)
        self.media: dict[str, int] = {}
        self.kinds: dict[str, int] = {}

    # ---- the first pass

    def read(self, max_errors: int | None) -> None:
        """Looks at every record."""
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
                    self.files[slice_.file].show(code, entry.example())
            self.store.add(part.media)
            self.part.join(part)
            self._types(file, types, part)
            if self.progress is not None:
                self.progress(os.path.getsize(slice_.path) if slice_.stop < 0 else slice_.stop - slice_.start)
            if part.stopped:
                break

    def _tasks(self) -> list[Task]:
        """The slices of all files; they know their rows where several processes are to read them."""
        exact = self.workers > 1
        return [
            Task(slice_, file)
            for file, source in enumerate(self.sources)
            for slice_ in plan(source, exact=exact, slice_bytes=_PART_BYTES if exact else SLICE_BYTES)
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
        located: PathCache | None = None
        for task in tasks:
            limit = None if max_errors is None else max(max_errors - self.part.counts.rejected, 1)
            rewriter = self.rewriters.of(task.slice_)
            if located is None or located.rewriter is not rewriter:
                located = PathCache(rewriter)
            yield scan_slice(task.slice_, task.file, self.options, located, self.spool, depth=self.depth, limit=limit)

    def _types(self, file: int, known: dict[str, dict[str, FirstRecord]], part: SliceResult) -> None:
        """Tells where the values of a key are of another type than before in the file."""
        news = [(first, key, name) for key, types in part.types.items() for name, first in types.items()]
        for first, key, name in sorted(news, key=lambda new: (new[0].row, *new[1:])):
            before = known.setdefault(key, {})
            if name in before:
                continue
            if before:
                message = f"{key} is {A_TYPE[name]} here, and {' or '.join(A_TYPE[one] for one in before)} before"
                found = finding("type-change", message, f"/{key}").placed(self.sources[file].file, first.row)
                self._tell(Entry(msgspec.structs.replace(found, offset=first.offset), first.id))
            before[name] = first

    # ---- what all records together tell

    def compare(self) -> None:
        """Finds equal ids and records, overlapping parts of patches, and sizes that contradict each other."""
        part = self.part
        for columns, name in ((part.ids, "id-duplicate"), (part.records, "record-duplicate")):
            places = columns["place"]
            again, first = repeats(columns["hash"])
            self.late.add(name, places[again], places[first])
        self.late.add("patch-overlap", *overlaps(part.ranges, self._overlap))
        self.late.add("media-too-large", *too_large(part.large))
        if self.depth == "quick":  # deeper, the files themselves say who is right
            self.late.add("media-contradiction", *contradictions(part.sizes))

    def _overlap(self, places: Numbers, others: Numbers) -> Booleans:
        return confirmed(places, others, self.slices, self.options, self.rewriters)

    # ---- the media

    def examine(self, cache: HeaderCache, threads: int, progress: Callable[[int, int], None] | None = None) -> None:
        """Opens every distinct medium, and decodes it at depth ``full``."""
        bad = Columns("medium")
        facts = Columns("medium", "frames", "size")
        gathered: dict[str, list[int]] = {}
        total = len(self.store)
        for done, (known, findings) in enumerate(examine_media(self.store, cache, self.depth, threads), 1):
            if progress is not None:
                progress(done, total)
            header = known.header
            self.media[known.medium] = self.media.get(known.medium, 0) + 1
            if header.content:
                self.kinds[header.content] = self.kinds.get(header.content, 0) + 1
            if findings:
                self.store.note(known.number, findings)
                bad.add(known.number)
            if not header.error:
                frames = {"video": header.frames, "frames": len(known.items)}.get(known.medium, -1)
                facts.add(known.number, frames, header.height << 32 | header.width)
                measure(gathered, known)
            if sum(map(len, gathered.values())) > _HELD:
                self._spread(gathered)
        self._spread(gathered)
        part, references = self.part, self.part.references
        marked = members(references["medium"], np.sort(bad["medium"]))
        self.late.add("", references["place"][marked], references["medium"][marked], references["at"][marked])
        if self.verify:
            places, media, frames_of, sizes = mask_mismatches(part.masks, facts)
            self.late.add("mask-size-differs", places, media)
            for medium, count, size in zip(media.tolist(), frames_of.tolist(), sizes.tolist(), strict=True):
                self.late.mask_mismatches[medium] = count, size
        self.late.add("num-frames-too-many", *too_many_frames(part.asked, facts))

    def _spread(self, gathered: dict[str, list[int]]) -> None:
        for name, values in gathered.items():
            self.part.spreads.setdefault(name, Spread()).add(values)
        gathered.clear()

    # ---- archives, and files nobody refers to

    def look_into_archives(self) -> None:
        """Tells what is wrong with the archives that media are looked up in."""
        if self.awaited:
            return
        for one in archive_findings(
            self.options, self.sources, missed=CODE["media-missing"] in self.part.counts.findings
        ):
            self._tell(Entry(one, None))

    def look_around(self) -> None:
        """Finds media files under the roots that no record refers to, where all was read that is there, or roots were named."""
        options = self.options
        some = options.mixes is not None or options.selection != EVERYTHING
        chosen = some or any(source.take.strategy != "all" for source in self.sources)
        if chosen or self.part.stopped or not self.whole:
            return
        known = np.unique(self.part.paths["hash"])
        roots = dict.fromkeys(
            root for _, slice_, _ in self.slices for root in self.rewriters.of(slice_).roots if os.path.isdir(root)
        )
        for _, name in unreferenced_files(list(roots), known):
            self._tell(Entry(Finding(CODE["media-orphan"], f"{name!r}", "", name), None))

    # ---- telling

    def _tell(self, entry: Entry) -> None:
        self.part.counts.note([entry.found])
        if (file := self.files.get(entry.found.file)) is not None:
            file.counts.note([entry.found])
            file.show(entry.found.code, entry.example())
        self.spool.write(entry.line())
        known = self.part.examples.setdefault(entry.found.code, [])
        if len(known) < EXAMPLES:
            known.append(entry)

    def tell_late(self) -> None:
        """Tells what was found out since the records were read."""
        for file, slice_, again in self.late.records(self.slices):
            for one in again.findings:
                self._tell(
                    Entry(Finding(one.code, one.message, one.pointer, slice_.file, again.row, again.offset), again.id)
                )
            if rejects(again.findings):
                self.part.rejected.add(place(file, again.row))
                for counts in (self.part.counts, self.files[slice_.file].counts):
                    counts.rejected += 1
                    counts.written[again.mix] -= 1

    def told(self) -> CheckResult:
        """The result."""
        part = self.part
        for counts in (part.counts, *(one.counts for one in self.files.values())):
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
