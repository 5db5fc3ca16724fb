"""Reads a run, finished or not, shard by shard, into the figures of its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord, ShardEntry
from capgen.dataset.quality.calibration import read_calibration
from capgen.dataset.quality.counts import BINS
from capgen.dataset.quality.release_counts import COLUMNS, ReleaseCounts
from capgen.dataset.reader import read_columns, read_plan
from capgen.dataset.release_record import read_release
from capgen.dataset.sessions.session_record import read_sessions
from capgen.dataset.shards import Manifest, committed_manifest, is_committed
from capgen.dataset.stats import RowOutcome
from capgen.errors import LedgerError, UserError
from capgen.pipeline.releasing.outcomes import outcomes_of
from capgen.pipeline.releasing.recorded_repeats import RecordedRepeats
from capgen.pipeline.releasing.reviewed import Reviewed
from capgen.pipeline.running.status import RunStatus, run_status
from capgen.report import parts
from capgen.report.figures import ConfidenceFigures, RunFigures, TokenFigures, TryFigures
from capgen.report.judged import CurrentCaptions, judge_figures
from capgen.report.speed import speed_figures
from capgen.report.truth import KnownTruth

_TOKENS = ("prompt_tokens", "cached_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """What a report is asked for.

    Args:
        price: of an hour of one GPU, in any currency.
        facts: ``facts.json`` of the sample world that was captioned; ``labels``: captions found right or wrong.
    """

    price: float | None = None
    facts: Path | None = None
    labels: Path | None = None


@dataclass(slots=True)
class _Read:
    """What one pass over a run's finished shards gives."""

    counts: ReleaseCounts
    truth: KnownTruth
    reviewed: Reviewed
    current: CurrentCaptions = field(default_factory=CurrentCaptions)
    tokens: Counter[str] = field(default_factory=Counter)
    shards: int = 0


def run_figures(
    out: Path, wanted: ReportRequest | None = None, progress: Callable[[int, int], None] | None = None
) -> RunFigures:
    """The figures of a run.

    Args:
        progress: is told how many shards were read, and how many there are.

    Raises:
        UserError: OUT is no run, or a release that was copied without its candidates, or a file of the request is
            not what it should be.
        LedgerError: a file of the run is damaged.
    """
    wanted = wanted or ReportRequest()
    if wanted.price is not None and not 0 <= wanted.price < float("inf"):
        raise UserError(f"--price {wanted.price:g} is no price", "give the price of an hour of one GPU, such as 2.5")
    plan, state = read_plan(out), run_status(out)
    if not RunLayout(out).all_candidates() and read_release(out) is not None:
        raise UserError(
            f"{out} holds a release without its candidates", "its counts are in README.md; report the run's own folder"
        )
    read = _read(out, plan, state, KnownTruth.of(out, wanted.facts, wanted.labels), progress)
    stats, quality = read.counts.stats, read.counts.quality
    confidence = ConfidenceFigures(
        tenths=tuple(quality.confidence[number] for number in range(BINS)),
        unknown=quality.no_confidence,
        curve=read_calibration(out),
        here=read.truth.curve(read.truth.confidence.items(), "logprob_min"),
    )
    return RunFigures(
        out=out.resolve().name,
        title=str(plan.settings.get("card", {}).get("title") or out.resolve().name),
        dataset=str(plan.settings.get("dataset", "")),
        kind=str(plan.settings.get("kind", "")),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        state=_state(state),
        running=state.running,
        warning=state.warning,
        fingerprint=plan.fingerprint,
        planned=state.planned,
        kept=stats.kept,
        dropped=stats.dropped.total(),
        failed=stats.failed.total(),
        settled=state.settled,
        left=max(0, state.planned - stats.objects - state.settled),
        shards=state.shards,
        shards_done=read.shards,
        left_out=state.left_out,
        splits=parts.splits(stats),
        reasons=parts.reasons(read.counts),
        captions=parts.captions(stats),
        categories=parts.categories(read.counts),
        repetition=parts.repetition(read.counts, known=state.released),
        confidence=confidence,
        reviews=read.reviewed.counts(),
        judges=judge_figures(out, read.current, read.truth),
        truth=read.truth.figures(),
        tokens=TokenFigures(
            prompt=stats.prompt_tokens,
            cached=stats.cached_tokens,
            output=read.counts.output_tokens,
            all_prompt=read.tokens["prompt_tokens"],
            all_cached=read.tokens["cached_tokens"],
            all_output=read.tokens["output_tokens"],
        ),
        tries=TryFigures(
            answers=quality.answers,
            attempts=read.counts.attempts,
            asked_again=quality.asked_again,
            mended=quality.mended,
            asked_to_differ=quality.asked_to_differ,
            differing=quality.differing,
            retried=state.retried,
        ),
        speed=speed_figures(read_sessions(out), kept=stats.kept, price=wanted.price),
        origins=parts.origins(stats),
    )


def _state(state: RunStatus) -> str:
    if state.running:
        return "running"
    if state.released:
        return "released"
    return "answered" if state.shards_done == state.shards else "unfinished"


def _read(
    out: Path,
    plan: PlanRecord,
    state: RunStatus,
    truth: KnownTruth,
    progress: Callable[[int, int], None] | None,
) -> _Read:
    found = _Read(ReleaseCounts(), truth, Reviewed(out, b""))
    release = read_release(out) if state.released else None
    repeats = RecordedRepeats(out, release)
    found.reviewed = Reviewed.of_release(out, release.reviews) if release else Reviewed.of_run(out)
    for split in plan.table.splits:
        found.counts.stats.open_split(split)
    for number, entry in enumerate(plan.shards, 1):
        for manifest, asked in _rows(out, plan, entry):
            rows = found.reviewed.apply(asked, count=True)
            outcomes = outcomes_of(rows, repeats.of_shard(entry.split, rows.column("key").to_pylist()))
            found.counts.add(entry.split, entry.media, rows, outcomes)
            truth.add(rows.select(["key", "logprob_min"]).to_pylist(), outcomes)
            _note(found, manifest, outcomes)
        if progress:
            progress(number, len(plan.shards))
    return found


def _rows(out: Path, plan: PlanRecord, entry: ShardEntry) -> Iterator[tuple[Manifest, Any]]:
    """The manifest and rows of a shard; nothing where it is not finished, or is opened again while it is read."""
    manifest = committed_manifest(out, entry.index, plan.fingerprint)
    if manifest is None:
        return
    try:
        rows = read_columns(out, entry.index, COLUMNS)
    except LedgerError:
        if is_committed(out, entry.index, plan.fingerprint):
            raise
        return
    yield manifest, rows


def _note(found: _Read, manifest: Manifest, outcomes: list[RowOutcome]) -> None:
    found.shards += 1
    told = {name: manifest.extra.get(name, 0) for name in _TOKENS}
    found.tokens.update({name: count for name, count in told.items() if isinstance(count, int)})
    for one in outcomes:
        if one.caption is not None:
            found.current.add(one.key, one.caption)
