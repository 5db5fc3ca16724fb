"""The accounts of one range of shards: what is planned, what became of it, and whether the release says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.reader import read_columns, read_media
from capgen.dataset.release_record import ReleasedFile, ReviewCounts
from capgen.dataset.shards import Manifest, ShardState, candidates_path, manifest_path, read_manifest, shard_state
from capgen.dataset.stats import RowOutcome
from capgen.errors import CapgenError, LedgerError
from capgen.pipeline.releasing.checking.audit import ReleaseAudit, left_out
from capgen.pipeline.releasing.dedup import Duplicates, RepeatedCaption
from capgen.pipeline.releasing.outcomes import OUTCOME_COLUMNS, outcomes_of, planned_keys
from capgen.pipeline.releasing.ranges import ShardRange
from capgen.pipeline.releasing.reviewed import Effect, judged_in
from capgen.pipeline.tasks import Tell


def text_digest(text: str) -> int:
    """Eight bytes that tell two texts apart, nearly always."""
    return xxhash.xxh3_64_intdigest(text.encode())


@dataclass(frozen=True, slots=True)
class BooksTask:
    """A range to be read again.

    Args:
        files: the released files of each config that hold its rows; None where nothing is to be compared.
        keep_alike, marks: see ``ReleaseAudit.compare``.
        repetitions: the numbers of the ranges among which dedup found what it says of these shards.
    """

    out: Path
    shards: ShardRange
    fingerprint: str
    legacy_root: str | None
    reviews: ReviewCounts | None
    files: Mapping[str, Sequence[ReleasedFile]] | None
    keep_alike: bool
    marks: bool
    duplicates: Duplicates | None
    repetitions: Sequence[int]


@dataclass(slots=True)
class RangeBooks:
    """What was read of a range.

    Args:
        missing: planned objects without a candidate.
        keys, media: digests of the candidates' keys and of the planned images and videos.
        effects: what people's judgements did.
        left_out: by shard, the rows that dedup leaves out; None where that is not known.
    """

    planned: int = 0
    kept: int = 0
    missing: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unfinished: Counter[ShardState] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    examples: dict[str, str] = field(default_factory=dict)
    keys: list[NDArray[np.uint64]] = field(default_factory=list)
    media: list[NDArray[np.uint64]] = field(default_factory=list)
    effects: Counter[Effect] = field(default_factory=Counter)
    left_out: dict[int, list[tuple[Any, ...]] | None] = field(default_factory=dict)


def read_range(task: BooksTask, tell: Tell) -> RangeBooks:
    """Read a range's plan and candidates again, one shard at a time, and compare the release with them."""
    reading = _Reading(task)
    repeated = {} if task.duplicates is None else task.duplicates.of_ranges(task.repetitions)
    for entry in task.shards.shards:
        reading.add(entry, repeated)
        tell()
    return reading.close()


class _Reading:
    """The running accounts."""

    def __init__(self, task: BooksTask) -> None:
        self.books = RangeBooks()
        self._task, self._out = task, task.out
        self._reviewed = judged_in(task.out, task.reviews)
        self._audit = None if task.files is None else ReleaseAudit(task.out, task.files, self.books.problems.append)

    def add(self, entry: ShardEntry, repeated: Mapping[str, RepeatedCaption]) -> None:
        """Read a shard's plan and candidates."""
        media = self._plan(entry)
        keys = planned_keys(media or ())
        planned = entry.objects if media is None else len(keys)
        self.books.planned += planned
        outcomes = self._outcomes(entry, repeated)
        if outcomes is None:
            self.books.missing += planned
        else:
            self._account(entry, outcomes)
            if media is not None:
                self._match(entry, keys, [outcome.key for outcome in outcomes])
        matched = media is not None and outcomes is not None and {*keys} == {v.key for v in outcomes}
        if matched and media is not None and outcomes is not None:
            self._compare(entry, media, _in_order(keys, outcomes))
        else:
            self.books.left_out[entry.index] = None
            if self._audit is not None:
                self._audit.give_up()

    def close(self) -> RangeBooks:
        """After the last shard."""
        if self._audit is not None:
            self._audit.finish()
        self.books.effects = self._reviewed.effects
        return self.books

    def _compare(self, entry: ShardEntry, media: Sequence[PlannedMedia], outcomes: Sequence[RowOutcome]) -> None:
        self.books.left_out[entry.index] = left_out(outcomes)
        if self._audit is not None:
            self._audit.compare(media, outcomes, keep_alike=self._task.keep_alike, marks=self._task.marks)

    def _note(self, problem: str) -> None:
        self.books.problems.append(problem)

    def _plan(self, entry: ShardEntry) -> list[PlannedMedia] | None:
        path = RunLayout(self._out).plan_file(entry.file)
        try:
            damaged = sha256_of(path) != entry.sha256
            media = list(read_media(self._out, entry, legacy_root=self._task.legacy_root))
        except OSError:
            self._note(f"{path} is missing; restore it, or start anew in another --out")
            return None
        except CapgenError:
            damaged, media = True, None
        if damaged:
            self._note(f"{path} differs from its record in plan.json; restore it, or start anew in another --out")
        elif media is not None and (len(media), sum(len(m.objects) for m in media)) != (entry.media, entry.objects):
            self._note(f"{path} does not hold what plan.json says: {entry.media} media, {entry.objects} objects")
        self.books.media.append(_digests(one.name for one in media or ()))
        return media

    def _outcomes(self, entry: ShardEntry, repeated: Mapping[str, RepeatedCaption]) -> list[RowOutcome] | None:
        state = shard_state(self._out, entry.index, self._task.fingerprint, deep=True)
        path = candidates_path(self._out, entry.index)
        if state is ShardState.ABSENT:
            self.books.unfinished[state] += 1
            return None
        if state is ShardState.DAMAGED:
            self._note(f"{path} differs from its manifest; delete it and run the same command again")
        elif state is not ShardState.COMMITTED:
            named = manifest_path(self._out, entry.index) if state is ShardState.BAD_MANIFEST else path
            self._note(f"{named}: {state.value}; run the same command again")
        if state not in (ShardState.COMMITTED, ShardState.DAMAGED):
            return None
        try:
            rows = read_columns(self._out, entry.index, OUTCOME_COLUMNS)
            self._match_manifest(entry, rows)
            outcomes = outcomes_of(self._reviewed.apply(rows, count=True), repeated)
        except (LedgerError, ValueError) as error:
            if state is ShardState.COMMITTED:  # its hash fits: somebody wrote both
                what = str(error).partition(";")[0]
                self._note(f"{what}; delete {path} and run the same command again")
            return None
        self.books.keys.append(_digests(outcome.key for outcome in outcomes))
        return outcomes

    def _match_manifest(self, entry: ShardEntry, rows: pa.Table) -> None:
        manifest = read_manifest(self._out, entry.index)
        if manifest is not None and not _agrees(manifest, outcomes_of(rows, {})):
            self._note(f"{manifest_path(self._out, entry.index)} counts other rows than {manifest.file} holds")

    def _account(self, entry: ShardEntry, outcomes: Sequence[RowOutcome]) -> None:
        for outcome in outcomes:
            if outcome.status == "kept":
                self.books.kept += 1
            else:
                (self.books.dropped if outcome.status == "dropped" else self.books.failed)[
                    outcome.reason or "unknown"
                ] += 1
        manifest = read_manifest(self._out, entry.index)
        if manifest is not None:
            self.books.examples = {**manifest.examples, **self.books.examples}

    def _match(self, entry: ShardEntry, keys: list[str], found: list[str]) -> None:
        missing, extra = Counter(keys) - Counter(found), Counter(found) - Counter(keys)
        path = candidates_path(self._out, entry.index)
        self.books.missing += missing.total()
        if missing:
            self._note(f"{path} lacks {missing.total()} planned objects, such as {next(iter(missing))}")
        if extra:
            self._note(
                f"{path} holds {extra.total()} rows that plan/{entry.file} does not plan, such as {next(iter(extra))}"
            )


def _digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.fromiter(map(text_digest, texts), np.uint64)


def _in_order(keys: Sequence[str], outcomes: Sequence[RowOutcome]) -> list[RowOutcome]:
    by_key = {outcome.key: outcome for outcome in outcomes}
    return [by_key[key] for key in keys]


def _agrees(manifest: Manifest, outcomes: Sequence[RowOutcome]) -> bool:
    """Whether a manifest counts what its rows say, before dedup and people's judgements."""
    kept = sum(outcome.status == "kept" for outcome in outcomes)
    failed = Counter(outcome.reason for outcome in outcomes if outcome.status == "failed")
    return (manifest.rows, manifest.kept, manifest.failed) == (len(outcomes), kept, failed)
