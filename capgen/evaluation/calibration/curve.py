"""The curve of precision against kept share, and the threshold for a wanted precision.

Keeping the captions whose score is at least a threshold keeps a share of them, of which a share is right. A threshold
that is chosen on some captions looks better on those than on others: it is therefore also chosen on one half of the
images and videos and tried on the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from capgen.dataset.quality.calibration import Calibration, CurvePoint
from capgen.errors import UserError

_POINTS = 200
_Z = 1.959964  # of 95 %


class Labelled(NamedTuple):
    """A caption with its score and whether it is right."""

    key: str
    score: float
    right: bool


def calibrate(
    labelled: Sequence[Labelled], wanted: float, *, score: str, truth: str, model: str | None, without_score: int = 0
) -> Calibration:
    """Find the threshold for a precision of ``wanted``, and the curve.

    Raises:
        UserError: ``wanted`` is no share, or nothing is labelled.
    """
    if not 0 < wanted <= 1:
        raise UserError(f"--precision {wanted:g} is not a share", "give a number above 0 and at most 1, such as 0.98")
    if not labelled:
        raise UserError(
            "no caption has both a score and a label",
            "give labels of this OUT's keys; an engine that tells log-probabilities gives scores",
        )
    points = all_points(labelled)
    return Calibration(
        score=score,
        truth=truth,
        model=model,
        captions=len(labelled),
        right=sum(one.right for one in labelled),
        without_score=without_score,
        wanted=wanted,
        chosen=chosen(points, wanted),
        held_out=_held_out(labelled, wanted),
        auroc=_auroc(labelled),
        curve=_thinned(points),
    )


def all_points(labelled: Sequence[Labelled]) -> list[CurvePoint]:
    """A point for each score that occurs, from the highest threshold to the lowest."""
    ranked = sorted(labelled, key=lambda one: -one.score)
    points, right = [], 0
    for kept, one in enumerate(ranked, 1):
        right += one.right
        if kept == len(ranked) or ranked[kept].score < one.score:
            low, high = wilson(right, kept)
            points.append(CurvePoint(one.score, kept, kept / len(ranked), right / kept, low, high))
    return points


def chosen(points: Sequence[CurvePoint], wanted: float) -> CurvePoint | None:
    """The point that keeps most among those that reach a precision; None where none does."""
    return max((point for point in points if point.precision >= wanted), key=lambda point: point.kept, default=None)


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    Source: E. B. Wilson, "Probable inference", JASA 22 (1927).
    """
    share, z2 = right / total, _Z**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _held_out(labelled: Sequence[Labelled], wanted: float) -> tuple[float, float] | None:
    halves: tuple[list[Labelled], list[Labelled]] = ([], [])
    for one in labelled:
        medium = one.key.rpartition("/")[0]
        halves[hashlib.blake2b(medium.encode(), digest_size=1).digest()[0] % 2].append(one)
    kept = right = 0
    for ours, others in (halves, halves[::-1]):
        point = chosen(all_points(ours), wanted) if ours else None
        if point is None:
            return None
        passing = [one for one in others if one.score >= point.threshold]
        kept += len(passing)
        right += sum(one.right for one in passing)
    return kept / len(labelled), right / max(1, kept)


def _auroc(labelled: Sequence[Labelled]) -> float | None:
    """Mann and Whitney's statistic from ranks, of which equal scores share the mean."""
    ranked = sorted(labelled, key=lambda one: one.score)
    right = sum(one.right for one in ranked)
    if right in (0, len(ranked)):
        return None
    total, start = 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end].score == ranked[start].score:
            end += 1
        total += (start + 1 + end) / 2 * sum(one.right for one in ranked[start:end])
        start = end
    return (total - right * (right + 1) / 2) / (right * (len(ranked) - right))


def _thinned(points: Sequence[CurvePoint]) -> tuple[CurvePoint, ...]:
    """At most ``_POINTS`` of them, the last one included."""
    step = max(1, math.ceil(len(points) / _POINTS))
    return tuple(points[len(points) - 1 :: -step][::-1])


def as_text(found: Calibration) -> str:
    """The calibration for people."""
    share = found.right / found.captions
    lines = [f"{found.captions:,} captions with {found.score} and a label, {found.right:,} of them right ({share:.1%})"]
    if found.without_score:
        lines.append(f"{found.without_score:,} labelled captions have no {found.score} and were left out")
    if found.auroc is not None:
        lines.append(f"AUROC of {found.score}, right against wrong: {found.auroc:.3f}")
    lines += ["", f"{'kept':>8}{'precision':>12}{'95 % interval':>18}{'threshold':>12}", *_table(found.curve), ""]
    if found.chosen is None:
        best = max(point.precision for point in found.curve)
        return "\n".join([*lines, f"no threshold reaches a precision of {found.wanted:.1%}; the best is {best:.1%}"])
    point = found.chosen
    lines.append(
        f"for a precision of {found.wanted:.1%}: threshold {point.threshold:.4f} keeps {point.kept_share:.1%}, "
        f"of which {point.precision:.1%} are right"
    )
    if found.held_out is not None:
        kept, precision = found.held_out
        lines.append(f"chosen on one half of the media and tried on the other: {precision:.1%} right, {kept:.1%} kept")
    return "\n".join(lines)


def _table(curve: Sequence[CurvePoint]) -> list[str]:
    """Lines for about every tenth of the kept share."""
    shown = {min(curve, key=lambda point: abs(point.kept_share - tenth / 10)) for tenth in range(5, 11)}
    return [_line(point) for point in sorted(shown, key=lambda point: point.kept_share)]


def _line(point: CurvePoint) -> str:
    interval = f"{point.low:.1%} to {point.high:.1%}"
    return f"{point.kept_share:>8.1%}{point.precision:>12.1%}{interval:>18}{point.threshold:>12.4f}"


def scores_of(rows: Mapping[str, float | None], labels: Mapping[str, bool]) -> tuple[list[Labelled], int]:
    """Scores joined with labels by key, in the order of the rows, and how many labelled rows have no score."""
    known = [(key, score, labels[key]) for key, score in rows.items() if key in labels]
    return [Labelled(key, s, right) for key, s, right in known if s is not None], sum(s is None for _, s, _ in known)
