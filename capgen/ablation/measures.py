"""What came out of a variant, read from its run's folder: the figures of its report, its confidence and its speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
import pyarrow as pa

from capgen.dataset.layout import RunLayout
from capgen.dataset.parquet.opened import opened_parquet
from capgen.dataset.reader import read_columns, read_plan
from capgen.dataset.shards import Manifest, read_manifest
from capgen.errors import LedgerError, first_line
from capgen.report.collect import ReportRequest, run_figures
from capgen.report.figures import TokenFigures, TruthFigures

LEAKS = ("marker_leak", "coordinates")
"""Checks that find what was drawn or said to show the object in the caption about it."""
FIT = "fit"
"""The method of ``capgen judge`` that tells how probable a caption is for its own object against the others."""


class VariantMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a variant. Shares are of ``objects``, but for ``right``.

    Args:
        values: the name of the value of each axis.
        reasons: objects dropped or failed, by their first reason.
        leaks: answers in which a check of ``LEAKS`` found something.
        invented: captions that answers about several objects gave to numbers that no object has.
        right: released captions in which no word is wrong, of the ``labelled`` ones, a share in [low, high] with 95 %;
            None where no truth is known.
        attributes: with facts, by attribute, the share of released captions that say it and say it right.
        logprob_min, logprob_mean: median over all answers that have it.
        fit: mean score where ``capgen judge --method fit`` has scored the variant's run.
        prompt_tokens, cached_tokens, computed_tokens, output_tokens: an object.
        objects_per_s: while objects were asked for, the engine's start left out; of the last session where the variant
            was resumed.
    """

    values: dict[str, str]
    folder: str
    model: str
    prompt: str
    highlight: str
    objects: int
    kept: int
    reasons: dict[str, int]
    leaks: int
    invented: int
    labelled: int
    right: float | None
    low: float | None
    high: float | None
    attributes: dict[str, float]
    logprob_min: float | None
    logprob_mean: float | None
    fit: float | None
    prompt_tokens: float
    cached_tokens: float
    computed_tokens: float
    output_tokens: float
    objects_per_s: float | None

    @property
    def name(self) -> str:
        """The values, as people read them."""
        return ", ".join(self.values.values())

    @property
    def kept_share(self) -> float:
        """Released captions of all objects."""
        return self.kept / self.objects if self.objects else 0.0


def measured(out: Path, values: Mapping[str, str], facts: Path | None) -> VariantMeasures:
    """The measures of a variant whose run is finished.

    Args:
        out: the run's folder.
        facts: of the sample world that was captioned.

    Raises:
        UserError: the facts are none, or not of these objects.
        LedgerError: a file of the run is damaged.
    """
    figures = run_figures(out, ReportRequest(facts=facts))
    shards = read_plan(out).shards
    manifests = [one for entry in shards if (one := read_manifest(out, entry.index)) is not None]
    rows = [row for entry in shards for row in read_columns(out, entry.index, _COLUMNS).to_pylist()]
    counted = [one for one in figures.reasons if one.status in ("dropped", "failed")]
    truth, first = figures.truth, rows[0] if rows else {}
    return VariantMeasures(
        values=dict(values),
        folder=out.name,
        model=str(first.get("model")),
        prompt=str(first.get("prompt")),
        highlight=str(first.get("highlight")),
        objects=figures.planned,
        kept=figures.kept,
        reasons={one.code: one.objects for one in counted if one.objects},
        leaks=sum(bool(set(LEAKS) & set(row["reasons"] or ())) for row in rows),
        invented=sum(_counted(one, "invented") for one in manifests),
        labelled=truth.labelled if truth else 0,
        right=truth.right / truth.labelled if truth else None,
        low=truth.low if truth else None,
        high=truth.high if truth else None,
        attributes=_rates(truth),
        logprob_min=_median(row["logprob_min"] for row in rows),
        logprob_mean=_median(row["logprob_mean"] for row in rows),
        fit=_fit(out),
        **_tokens(figures.tokens, max(1, figures.planned)),
        objects_per_s=_rate(manifests),
    )


_COLUMNS = ("model", "prompt", "highlight", "reasons", "logprob_min", "logprob_mean")


def _tokens(found: TokenFigures, objects: int) -> dict[str, float]:
    """Tokens an object, of all that was asked."""
    return {
        "prompt_tokens": found.all_prompt / objects,
        "cached_tokens": found.all_cached / objects,
        "computed_tokens": (found.all_prompt - found.all_cached) / objects,
        "output_tokens": found.all_output / objects,
    }


def _rates(truth: TruthFigures | None) -> dict[str, float]:
    if truth is None:
        return {}
    return {name: tally["rate"] for name, tally in truth.attributes.items() if tally["rate"] is not None}


def _counted(manifest: Manifest, name: str) -> int:
    value = manifest.extra.get(name, 0)
    return value if isinstance(value, int) else 0


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _rate(manifests: Iterable[Manifest]) -> float | None:
    """Objects asked for a second, of the time in which at least one shard was worked on."""
    asked, seconds, until = 0, 0.0, 0.0
    worked = [(_second(one.started), _second(one.finished), _counted(one, "asked")) for one in manifests]
    for started, finished, count in sorted(worked):
        asked += count
        seconds += max(0.0, finished - max(started, until))
        until = max(until, finished)
    return asked / seconds if asked and seconds else None


def _second(told: str | None) -> float:
    return datetime.fromisoformat(told).timestamp() if told else 0.0


def _fit(out: Path) -> float | None:
    """The mean score of the run's judge by ``FIT``, where somebody has run it."""
    file = RunLayout(out).judge
    if not file.is_file():
        return None
    try:
        with opened_parquet(file, ("method", "score")) as parquet:
            table: Any = parquet.read(columns=["method", "score"])
        scores = [row["score"] for row in table.to_pylist() if row["method"] == FIT and row["score"] is not None]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise LedgerError(
            f"{file} is no table of `capgen judge` ({first_line(error)}); delete it, or judge again"
        ) from error
    return fmean(scores) if scores else None
