"""The card's section on quality as values for its template: plain numbers, and tables that are Markdown already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from capgen.dataset.quality.calibration import Calibration, CurvePoint
from capgen.dataset.quality.counts import BINS, CONTRASTS, CodeCount, QualityCounts
from capgen.dataset.quality.judge_scores import JudgeCounts
from capgen.dataset.stats import NOT_DISTINCT
from capgen.display import markdown

_BAR = 30  # characters of the longest bar
_JUDGE_TABLE = "judge"
"""What a calibration by the scores of ``OUT/judge.parquet`` calls its score: the name of the file."""


def quality_values(
    counts: QualityCounts,
    checks: Sequence[str],
    advisory: Sequence[str],
    calibration: Calibration | None,
    judges: Sequence[JudgeCounts] = (),
) -> dict[str, Any]:
    """What the template ``_quality.md`` uses.

    Args:
        checks, advisory: the checks that ran, which are named also where they found nothing.
        judges: what each method of ``capgen judge`` says.
    """
    told = {code: counts.dropped.get(code, CodeCount()) for code in checks}
    told |= {code: counts.dropped[code] for code in sorted(counts.dropped)}
    advised = {code: counts.advised.get(code, CodeCount()) for code in advisory}
    advised |= {code: counts.advised[code] for code in sorted(counts.advised)}
    return {
        "counts": counts,
        "dropped": _codes(told, "dropped"),
        "advised": _codes(advised, "advised against"),
        "not_distinct": counts.dropped[NOT_DISTINCT].objects if NOT_DISTINCT in counts.dropped else 0,
        "distinct": 1 - counts.alike / counts.neighbours if counts.neighbours else None,
        "contrasts": _contrasts(counts),
        "judges": [_judge(one, calibration) for one in judges],
        "histogram": _histogram(counts),
        "calibration": calibration,
        "curve": _curve(calibration.curve) if calibration else "",
    }


def _codes(counts: Mapping[str, CodeCount], label: str) -> str:
    lines = [f"| check | {label} | for example |", "|---|---:|---|"]
    for code, one in counts.items():
        example = f"`{markdown(one.key)}`: {markdown(one.example)}" if one.objects and one.example else ""
        lines.append(f"| {markdown(code)} | {one.objects} | {example} |")
    return "\n".join(lines) if counts else ""


def _histogram(counts: QualityCounts) -> str:
    """Bars in a block of code, one a tenth of probability; empty where no confidence is known."""
    largest = max(counts.confidence.values(), default=0)
    if not largest:
        return ""
    lines = []
    for number in range(BINS):
        count = counts.confidence[number]
        bar = "#" * (-(-_BAR * count // largest))
        lines.append(f"{number / BINS:.1f} to {(number + 1) / BINS:.1f}  {count:>9,}  {bar}".rstrip())
    return "\n".join(["```", *lines, "```"])


def _contrasts(counts: QualityCounts) -> str:
    """Captions by how much more probable they are for their own object than for the best of its neighbours."""
    if not counts.scored:
        return ""
    names = ["under 0 (a neighbour is preferred)"]
    names += [f"{low:g} to {high:g}" for low, high in pairwise(CONTRASTS)] + [f"{CONTRASTS[-1]:g} and more"]
    lines = [f"| {name} | {counts.contrasts[number]} |" for number, name in enumerate(names)]
    return "\n".join(["| contrast (natural logarithm) | captions |", "|---|---:|", *lines])


def _judge(one: JudgeCounts, calibration: Calibration | None) -> dict[str, Any]:
    """One method: plain values, what a stranger's table may hold as Markdown, and its curve as a table."""
    lines = [f"| {threshold:g} | {share:.1%} |" for threshold, share in one.curve]
    return {
        "method": markdown(one.method),
        "model": markdown(one.model) if one.model else "",
        "threshold": one.threshold,
        "category_told": one.category_told,
        "captions": one.captions,
        "judged": one.judged,
        "verdicts": one.verdicts,
        "example": tuple(map(markdown, one.example)) if one.example else None,
        "curve": "\n".join(["| threshold | captions that reach it |", "|---:|---:|", *lines]),
        "calibrated": calibration is not None and calibration.score == _JUDGE_TABLE,
    }


def _curve(curve: Sequence[CurvePoint]) -> str:
    """About a line a tenth of the kept share."""
    shown = {min(curve, key=lambda point: abs(point.kept_share - tenth / 10)) for tenth in range(5, 11)}
    lines = ["| kept | right | 95 % interval | threshold |", "|---:|---:|---|---:|"]
    for point in sorted(shown, key=lambda point: point.kept_share):
        interval = f"{point.low:.1%} to {point.high:.1%}"
        lines.append(f"| {point.kept_share:.1%} | {point.precision:.1%} | {interval} | {point.threshold:.4f} |")
    return "\n".join(lines)
