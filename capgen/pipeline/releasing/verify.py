"""The ledger: every planned object is kept, dropped or failed, none is missing or twice, every file is as recorded.

Everything is read from the disk again, one shard at a time; beside that, memory holds eight bytes for each object.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia, ShardEntry
from capgen.dataset.reader import read_columns, read_media, read_plan
from capgen.dataset.release_record import Release, read_release, release_path
from capgen.dataset.shards import (
    Manifest,
    ShardState,
    candidates_path,
    manifest_path,
    read_manifest,
    shard_state,
    such_as,
)
from capgen.dataset.stats import RowOutcome
from capgen.errors import CapgenError, LedgerError
from capgen.pipeline.releasing.audit import ReleaseAudit
from capgen.pipeline.releasing.dedup import RepeatedCaption, find_duplicates
from capgen.pipeline.releasing.outcomes import OUTCOME_COLUMNS, ShardProgress, outcomes_of, planned_keys
from capgen.pipeline.releasing.reviewed import Reviewed

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
        return "\n".join([*lines, "ok: the ledger closes" if self.ok else "NOT ok"])


def verify(out: Path, progress: ShardProgress | None = None) -> Ledger:
    """Read a run's folder again and prove its ledger, or say what is wrong.

    Raises:
        MissingFile: ``out`` holds no run.
        LedgerError: ``OUT/plan.json`` is damaged, so that nothing can be said.
    """
    plan = read_plan(out)
    books = _Books(out, plan.fingerprint, plan.legacy_root)
    release = books.release(len(plan.shards))
    reviewed = books.reviews(release)
    audit = ReleaseAudit(out, release, plan.table.splits, books.note) if release is not None else None
    rules = release.rules if release is not None else None
    found = find_duplicates(out, plan.shards, rules, reviewed) if rules is not None else None
    for number, entry in enumerate(plan.shards, 1):
        books.add(entry, audit, found.of_shard(entry.index) if found is not None else {})
        if progress:
            progress(number, len(plan.shards))
    if audit is not None:
        audit.finish()
    return books.close(plan.shards, release)


def _digest(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())


class _Digests:
    """Digests of many texts, eight bytes each, to find which may come twice."""

    def __init__(self) -> None:
        self._values = array("Q")

    def add(self, texts: Iterable[str]) -> None:
        """Remember texts."""
        self._values.extend(map(_digest, texts))

    def repeated(self) -> set[int]:
        """Digests that came more than once."""
        values = np.sort(np.frombuffer(self._values, dtype=np.uint64))
        return set(values[1:][values[1:] == values[:-1]].tolist())


@dataclass(slots=True)
class _Books:
    """The running accounts."""

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
    keys: _Digests = field(default_factory=_Digests)
    media: _Digests = field(default_factory=_Digests)
    reviewed: Reviewed | None = None

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

    def reviews(self, release: Release | None) -> Reviewed:
        """What people had said when the release was made."""
        try:
            self.reviewed = Reviewed.of_release(self.out, release.reviews if release is not None else None)
        except (LedgerError, OSError) as error:
            self.note(str(error))
            self.reviewed = Reviewed(self.out, b"")
        return self.reviewed

    def add(self, entry: ShardEntry, audit: ReleaseAudit | None, repeated: Mapping[str, RepeatedCaption]) -> None:
        """Read a shard's plan and candidates."""
        media = self._plan(entry)
        keys = planned_keys(media or ())
        planned = entry.objects if media is None else len(keys)
        self.planned += planned
        outcomes = self._outcomes(entry, repeated)
        if outcomes is None:
            self.missing += planned
        else:
            self._account(entry, outcomes)
            if media is not None:
                self._match(entry, keys, [outcome.key for outcome in outcomes])
        if audit is not None:
            matched = media is not None and outcomes is not None and {*keys} == {v.key for v in outcomes}
            if matched and media is not None and outcomes is not None:
                audit.compare(entry.split, media, _in_order(keys, outcomes))
            else:
                audit.give_up(entry.split)

    def _plan(self, entry: ShardEntry) -> list[PlannedMedia] | None:
        path = RunLayout(self.out).plan_file(entry.file)
        try:
            damaged = sha256_of(path) != entry.sha256
            media = list(read_media(self.out, entry, legacy_root=self.legacy_root))
        except OSError:
            self.note(f"{path} is missing; restore it, or start anew in another --out")
            return None
        except CapgenError:
            damaged, media = True, None
        if damaged:
            self.note(f"{path} differs from its record in plan.json; restore it, or start anew in another --out")
        elif media is not None and (len(media), sum(len(m.objects) for m in media)) != (entry.media, entry.objects):
            self.note(f"{path} does not hold what plan.json says: {entry.media} media, {entry.objects} objects")
        self.media.add(one.name for one in media or ())
        return media

    def _outcomes(self, entry: ShardEntry, repeated: Mapping[str, RepeatedCaption]) -> list[RowOutcome] | None:
        state = shard_state(self.out, entry.index, self.fingerprint, deep=True)
        path = candidates_path(self.out, entry.index)
        if state is ShardState.ABSENT:
            self.unfinished[state] += 1
            return None
        if state is ShardState.DAMAGED:
            self.note(f"{path} differs from its manifest; delete it and run the same command again")
        elif state is not ShardState.COMMITTED:
            named = manifest_path(self.out, entry.index) if state is ShardState.BAD_MANIFEST else path
            self.note(f"{named}: {state.value}; run the same command again")
        if state not in (ShardState.COMMITTED, ShardState.DAMAGED):
            return None
        try:
            rows = read_columns(self.out, entry.index, OUTCOME_COLUMNS)
            self._match_manifest(entry, rows)
            outcomes = outcomes_of(rows if self.reviewed is None else self.reviewed.apply(rows, count=True), repeated)
        except (LedgerError, ValueError) as error:
            if state is ShardState.COMMITTED:  # its hash fits: somebody wrote both
                what = str(error).partition(";")[0]
                self.note(f"{what}; delete {path} and run the same command again")
            return None
        self.keys.add(outcome.key for outcome in outcomes)
        return outcomes

    def _match_manifest(self, entry: ShardEntry, rows: pa.Table) -> None:
        manifest = read_manifest(self.out, entry.index)
        if manifest is not None and not _agrees(manifest, outcomes_of(rows, {})):
            self.note(f"{manifest_path(self.out, entry.index)} counts other rows than {manifest.file} holds")

    def _account(self, entry: ShardEntry, outcomes: Sequence[RowOutcome]) -> None:
        for outcome in outcomes:
            if outcome.status == "kept":
                self.kept += 1
            else:
                (self.dropped if outcome.status == "dropped" else self.failed)[outcome.reason or "unknown"] += 1
        manifest = read_manifest(self.out, entry.index)
        if manifest is not None:
            self.examples = {**manifest.examples, **self.examples}

    def _match(self, entry: ShardEntry, keys: list[str], found: list[str]) -> None:
        missing, extra = Counter(keys) - Counter(found), Counter(found) - Counter(keys)
        path = candidates_path(self.out, entry.index)
        self.missing += missing.total()
        if missing:
            self.note(f"{path} lacks {missing.total()} planned objects, such as {next(iter(missing))}")
        if extra:
            self.note(
                f"{path} holds {extra.total()} rows that plan/{entry.file} does not plan, such as {next(iter(extra))}"
            )

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


def _repeated(digests: _Digests, texts: Iterator[str]) -> Counter[str]:
    """The texts that really come more than once, and how often; ``texts`` is read only where digests say so."""
    suspects = digests.repeated()
    if not suspects:
        return Counter()
    counts = Counter(text for text in texts if _digest(text) in suspects)
    return Counter({text: count for text, count in counts.items() if count > 1})


def _in_order(keys: Sequence[str], outcomes: Sequence[RowOutcome]) -> list[RowOutcome]:
    by_key = {outcome.key: outcome for outcome in outcomes}
    return [by_key[key] for key in keys]


def _agrees(manifest: Manifest, outcomes: Sequence[RowOutcome]) -> bool:
    """Whether a manifest counts what its rows say, before dedup and people's judgements."""
    kept = sum(outcome.status == "kept" for outcome in outcomes)
    failed = Counter(outcome.reason for outcome in outcomes if outcome.status == "failed")
    return (manifest.rows, manifest.kept, manifest.failed) == (len(outcomes), kept, failed)


def _shortened(problems: list[str]) -> tuple[str, ...]:
    more = len(problems) - _SHOWN
    return tuple(problems[:_SHOWN]) + ((f"and {more} more",) if more > 0 else ())
