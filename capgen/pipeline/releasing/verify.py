"""The ledger: every planned object is kept, dropped or failed, none is missing or twice, every file is as recorded.

Everything is read from the disk again, range by range; beside that, memory holds sixteen bytes for each object.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.dataset.reader import read_columns, read_media, read_plan
from capgen.dataset.release_record import Release, ReviewCounts, read_release, release_path
from capgen.dataset.shards import ShardState, such_as
from capgen.display import plain
from capgen.errors import CapgenError, LedgerError
from capgen.pipeline.releasing.checking.audit import ReleaseAudit, note_files
from capgen.pipeline.releasing.checking.books import BooksTask, RangeBooks, read_range, text_digest
from capgen.pipeline.releasing.dedup import find_duplicates
from capgen.pipeline.releasing.outcomes import ShardProgress
from capgen.pipeline.releasing.pack import counted_steps
from capgen.pipeline.releasing.ranges import files_of, ranges_of, released_ranges
from capgen.pipeline.releasing.reviewed import Reviewed
from capgen.pipeline.tasks import InThisProcess, TaskRunner

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Ledger:
    """The accounts of a run; ``planned`` is ``kept`` + ``dropped`` + ``failed`` + ``missing_keys`` where they close.

    Args:
        kept: objects whose caption is released.
        dropped, failed: the others, each once, by the first reason; ``duplicate`` is dedup's.
        duplicate_keys: candidates beyond the first of their key.
        missing_keys: planned objects without a candidate.
        problems: what is wrong, a sentence each.
        examples: what one object says of each reason.
        warning: why the release is marked; see ``Release``.
    """

    planned: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    duplicate_keys: int
    missing_keys: int
    ok: bool
    problems: tuple[str, ...] = ()
    examples: dict[str, str] = field(default_factory=dict)
    warning: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The ledger as JSON holds it."""
        return {name: getattr(self, name) for name in self.__slots__} | {"problems": list(self.problems)}

    def text(self) -> str:
        """The ledger as a person reads it."""
        counts = f"{self.kept:,} kept + {sum(self.dropped.values()):,} dropped + {sum(self.failed.values()):,} failed"
        missing = f" + {self.missing_keys:,} missing" if self.missing_keys else ""
        lines = [f"{self.planned:,} planned = {counts}{missing}"]
        for name, reasons in (("dropped", self.dropped), ("failed", self.failed)):
            for code, count in reasons.items():
                lines.append(f"  {name}: {code} {count:,}{such_as(self.examples.get(code))}")
        if self.duplicate_keys:
            lines.append(f"  {self.duplicate_keys:,} candidates beyond the first of their key")
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  warning: {self.warning}"] if self.warning else []
        lines.append("ok: the ledger closes" if self.ok else "NOT ok")
        return "\n".join(map(plain, lines))  # a reason with a line break makes no line of its own


def verify(
    out: Path, progress: ShardProgress | None = None, *, tasks: TaskRunner | None = None, scratch: Path | None = None
) -> Ledger:
    """Read a run's folder again and prove its ledger, or say what is wrong.

    Args:
        progress: is told of each shard twice where there is a release with dedup, else once.
        tasks: where ranges are read; None in this process, one after the other.
        scratch: an empty folder for what tasks leave for each other, which all of them see; None is one in this
            machine's folder for temporary files, and OUT is only read.

    Raises:
        MissingFile: ``out`` holds no run.
        LedgerError: ``OUT/plan.json`` is damaged, so that nothing can be said.
    """
    plan = read_plan(out)
    runner = tasks or InThisProcess()
    books = _Books(out, plan.fingerprint, plan.legacy_root)
    release = books.release(len(plan.shards))
    reviews = books.reviews(release)
    rules = release.rules if release is not None else None
    tell = counted_steps(progress, (1 + (rules is not None)) * len(plan.shards))
    place: AbstractContextManager[Path | str] = (
        tempfile.TemporaryDirectory() if scratch is None else nullcontext(scratch)
    )
    with place as folder:
        compared = ranges_of(plan.shards)
        found = None
        if rules is not None:
            found = find_duplicates(out, compared, rules, reviews, Path(folder), runner, tell)
        files = release.files if release is not None else ()
        numbers = {entry.index: one.number for one in compared for entry in one.shards}
        work = [
            BooksTask(
                out,
                shards,
                plan.fingerprint,
                plan.legacy_root,
                reviews,
                None if release is None else files_of(shards, files),
                keep_alike=release is None or release.keep_alike,
                marks=release is not None and release.dedup_rules is not None,
                duplicates=found,
                repetitions=sorted({numbers[entry.index] for entry in shards.shards}),
            )
            for shards in (released_ranges(plan.shards, files) if files else compared)
        ]
        audit = books.audit(plan, release, work)
        for read in runner.map(read_range, work, tell):
            books.take(read, audit)
        audit.finish()
    return books.close(plan.shards, release)


def _repeated_digests(parts: Sequence[NDArray[np.uint64]]) -> set[int]:
    """Digests that come more than once."""
    values = np.sort(np.concatenate([np.zeros(0, np.uint64), *parts]))
    return set(values[1:][values[1:] == values[:-1]].tolist())


@dataclass(slots=True)
class _Books:
    """The accounts of all ranges that were read so far."""

    out: Path
    fingerprint: str
    legacy_root: str | None
    planned: int = 0
    kept: int = 0
    missing: int = 0
    unreleased: bool = False
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unfinished: Counter[ShardState] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)
    keys: list[NDArray[np.uint64]] = field(default_factory=list)
    media: list[NDArray[np.uint64]] = field(default_factory=list)
    reviewed: Reviewed | None = None
    _left_out: dict[int, list[tuple[Any, ...]] | None] = field(default_factory=dict)
    _next: list[int] = field(default_factory=list)

    def note(self, problem: str) -> None:
        """Write a problem down."""
        self.problems.append(problem)

    def release(self, shards: int) -> Release | None:
        """The release's record, if there is one that belongs to this run."""
        try:
            release = read_release(self.out)
        except LedgerError as error:
            self.note(str(error))
            return None
        if release is None:
            self.unreleased = True
        elif release.fingerprint != self.fingerprint:
            self.note(f"{release_path(self.out)} is of another run; delete it and run the same command again")
            return None
        elif release.shards != shards:
            self.note(f"{release_path(self.out)} is of {release.shards} of {shards} shards: the release is partial")
        return release

    def reviews(self, release: Release | None) -> ReviewCounts | None:
        """What people had said when the release was made, as tasks find it."""
        try:
            self.reviewed = Reviewed.of_release(self.out, release.reviews if release is not None else None)
        except (LedgerError, OSError) as error:
            self.note(str(error))
            self.reviewed = Reviewed(self.out, b"")
        return self.reviewed.used

    def audit(self, plan: PlanRecord, release: Release | None, work: Sequence[BooksTask]) -> ReleaseAudit:
        """What is said of the release as a whole; the audit of ``OUT/dedup.parquet``, for ``take``."""
        self._next = [entry.index for entry in reversed(plan.shards)]
        if release is None:
            return ReleaseAudit(self.out, {}, self.note)
        ranges = {file.path for task in work for files in (task.files or {}).values() for file in files}
        path = RunLayout(self.out).record_of(RunLayout(self.out).dedup)
        known = release.dedup_rules is not None or not release.dedup  # older releases have another column
        dedup = [file for file in release.files if file.path == path and known]
        others = [file for file in release.files if file.path not in ranges and file not in dedup]
        note_files(self.out, release, others, self.note)
        return ReleaseAudit(self.out, {"dedup": dedup} if known else {}, self.note)

    def take(self, read: RangeBooks, audit: ReleaseAudit) -> None:
        """Add a range."""
        for name in ("planned", "kept", "missing"):
            setattr(self, name, getattr(self, name) + getattr(read, name))
        self.dropped.update(read.dropped)
        self.failed.update(read.failed)
        self.unfinished.update(read.unfinished)
        self.problems += read.problems
        self.examples = {**read.examples, **self.examples}
        self.keys += read.keys
        self.media += read.media
        if self.reviewed is not None:
            self.reviewed.count(read.effects)
        self._left_out |= read.left_out
        while self._next and self._next[-1] in self._left_out:  # in the order of the plan
            rows = self._left_out.pop(self._next.pop())
            if rows is None:
                audit.give_up()
            else:
                audit.expect("dedup", rows)

    def close(self, shards: Sequence[ShardEntry], release: Release | None) -> Ledger:
        """Look across the shards, and sum up."""
        if self.unreleased and self.planned and not self.kept and not self.unfinished:
            self.note(f"{self.out}: nothing was kept, so nothing is released; mend the reasons above, then retry")
        elif self.unreleased:
            self.note(f"{release_path(self.out)} is missing: nothing is released yet; run the same command again")
        if self.unfinished:
            count = self.unfinished.total()
            self.note(f"{self.out}: {count} of {len(shards)} shards are not written yet; run the same command again")
        twice = _repeated(self.keys, self._all_keys(shards))
        for key, count in sorted(twice.items()):
            self.note(f"the key {key} has {count} candidates")
        for medium, count in sorted(_repeated(self.media, self._all_media(shards)).items()):
            self.note(f"{medium} is planned {count} times: {RunLayout(self.out).plan_dir}")
        accounted = self.kept + self.dropped.total() + self.failed.total()
        if accounted + self.missing != self.planned and not self.problems:
            self.note(f"{self.planned} objects are planned, but {accounted} accounted for and {self.missing} missing")
        if release is not None and not self.problems:
            self._match_release(release)
        return Ledger(
            planned=self.planned,
            kept=self.kept,
            dropped=dict(sorted(self.dropped.items())),
            failed=dict(sorted(self.failed.items())),
            duplicate_keys=sum(count - 1 for count in twice.values()),
            missing_keys=self.missing,
            ok=not self.problems,
            problems=_shortened(self.problems),
            examples=dict(sorted(self.examples.items())),
            warning=release.warning if release is not None else None,
        )

    def _match_release(self, release: Release) -> None:
        counts = release.counts
        told = (counts.planned, counts.kept, counts.dropped, counts.failed)
        if self.reviewed is not None and self.reviewed.counts() != release.reviews:
            self.note(f"{release_path(self.out)} counts other reviews than it names; delete it and run again")
        if told != (self.planned, self.kept, dict(self.dropped), dict(self.failed)):
            self.note(f"{release_path(self.out)} counts other objects than the candidates; delete it and run again")

    def _all_keys(self, shards: Iterable[ShardEntry]) -> Iterator[str]:
        for entry in shards:
            try:
                yield from read_columns(self.out, entry.index, ["key"]).column("key").to_pylist()
            except LedgerError:
                continue  # noted when the shard was read first

    def _all_media(self, shards: Iterable[ShardEntry]) -> Iterator[str]:
        for entry in shards:
            try:
                yield from (one.name for one in read_media(self.out, entry, legacy_root=self.legacy_root))
            except (CapgenError, OSError):
                continue  # noted when the shard was read first


def _repeated(digests: Sequence[NDArray[np.uint64]], texts: Iterator[str]) -> Counter[str]:
    """The texts that really come more than once, and how often; ``texts`` is read only where digests say so."""
    suspects = _repeated_digests(digests)
    if not suspects:
        return Counter()
    counts = Counter(text for text in texts if text_digest(text) in suspects)
    return Counter({text: count for text, count in counts.items() if count > 1})


def _shortened(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _SHOWN
    return tuple(problems[:_SHOWN]) + ((f"and {more} more",) if more > 0 else ())
