"""How sure a number is: confidence intervals from drawing the videos again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.chota import VideoSums

FEWEST_VIDEOS = 10
"""With fewer videos the intervals are too narrow: five gave .80 to .84 of the coverage that .95 was written for."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The middle ``level`` of what the draws give."""

    low: float
    high: float


def intervals(
    videos: Sequence[VideoSums], metrics: Sequence[str], *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """A percentile interval for each number, over ``draws`` samples of as many videos, with replacement.

    Every number is a quotient of sums over videos, so a draw only weighs the videos; caption scores are those of the
    whole run. There are none for fewer than ten videos, of which the draws tell too little, and none for a number that
    cannot be had in most draws.

    Source: Efron, Annals of Statistics 1979.
    """
    if len(videos) < FEWEST_VIDEOS:
        return {}
    weights = np.random.default_rng(seed).multinomial(len(videos), [1 / len(videos)] * len(videos), size=draws)
    drawn = _values(videos, metrics, weights.astype(np.float64))
    edges = (50 * (1 - level), 50 * (1 + level))
    found = {}
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        if 2 * len(known) > draws:
            low, high = np.percentile(known, edges)
            found[name] = Interval(float(low), float(high))
    return found


def _values(
    videos: Sequence[VideoSums], metrics: Sequence[str], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    half: NDArray[np.float64] = weights @ np.stack([v.half for v in videos])
    mean = np.asarray(np.tensordot(weights, np.stack([v.mean for v in videos]), axes=1), np.float64)
    tp, fn, fp, associated, located = half.T
    values = {
        "DetA": _over(tp, tp + fn + fp),
        "AssA": _over(associated, tp),
        "LocA": _over(located, tp),
    }
    values["HOTA"] = np.sqrt(values["DetA"] * np.nan_to_num(values["AssA"]))
    found, together = mean[:, 0], mean[:, 3]
    total: NDArray[np.float64] = found + mean[:, 1] + mean[:, 2]
    per_alpha = np.sqrt(_over(found, total) * np.where(found > 0, together, 0.0) / np.maximum(found, 1.0))
    values["HOTA_mean"] = per_alpha.mean(axis=1)
    return values | _caption_intervals(videos, metrics, weights, values["DetA"] * values["AssA"])


def _caption_intervals(
    videos: Sequence[VideoSums], metrics: Sequence[str], weights: NDArray[np.float64], tracking: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """CapA and CHOTA of each draw, under the names that ``caption_values`` gives them."""
    known = [m for m in metrics if any(m in v.captions.scores for v in videos)]
    parts = np.array([(v.captions.found, v.captions.without, v.captions.total) for v in videos])
    found, without, total = (weights @ parts).T
    values: dict[str, NDArray[np.float64]] = {}
    for metric in known:
        score: NDArray[np.float64] = weights @ np.array([v.captions.scores.get(metric, 0.0) for v in videos])
        values[f"CapA_{metric}"] = _over(score + without * score / np.maximum(total, 1.0), found + without)
    if known == list(metrics) and known:
        for name in ("_".join(["CapA", *metrics]), "CapA"):
            values[name] = np.mean([values[f"CapA_{metric}"] for metric in known], axis=0)
    return values | {n.replace("CapA", "CHOTA"): np.cbrt(tracking * capa) for n, capa in values.items()}


def _over(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, not a number where there is nothing to divide by."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)
