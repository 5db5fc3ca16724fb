"""Intervals of all numbers: those that are quotients of sums over videos, and mask AP."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.chota import Scores, VideoSums
from capgen.evaluation.metrics.resampling.bootstrap import FEWEST_VIDEOS, Interval, Statistic, bca_intervals


def intervals(scores: Scores, *, draws: int = 1000) -> dict[str, Interval]:
    """A 95 % interval for each number that has one, of ``draws`` samples of as many videos, with replacement.

    Caption scores, CIDEr's corpus with them, are those of the whole run. There are none for fewer than ten videos.
    They are counted once for a result, however often they are asked for.
    """
    if len(scores.videos) < FEWEST_VIDEOS:
        return {}
    if draws not in scores.intervals:
        found = bca_intervals(sums_statistic(scores.videos, scores.metrics), len(scores.videos), draws=draws)
        if scores.ap_sample:
            found |= bca_intervals(scores.ap_sample.values, len(scores.videos), draws=draws)
        scores.intervals[draws] = found
    return scores.intervals[draws]


def sums_statistic(videos: Sequence[VideoSums], metrics: Sequence[str]) -> Statistic:
    """DetA, AssA, LocA, HOTA, CapA and CHOTA from the weights of the videos."""
    return lambda weights: _values(videos, metrics, weights)


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
    identity = weights @ np.stack([v.identity for v in videos])
    clear_tp, clear_fn, clear_fp, switches, kept, id_fn, id_fp = identity.T
    values["MOTA"] = _over(clear_tp - clear_fp - switches, clear_tp + clear_fn)
    values["IDF1"] = _over(kept, kept + id_fn / 2 + id_fp / 2)
    values["caption_switches"] = _over(*(weights @ np.stack([v.switches for v in videos])).T)
    return values | _caption_intervals(videos, metrics, weights, values["DetA"] * values["AssA"])


def _caption_intervals(
    videos: Sequence[VideoSums], metrics: Sequence[str], weights: NDArray[np.float64], tracking: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """CapA and CHOTA of each draw, under the names that ``caption_values`` gives them."""
    known = [m for m in metrics if any(m in v.captions.scores for v in videos)]
    parts = np.array([(v.captions.weight, v.captions.without, v.captions.total) for v in videos])
    weight, without, total = (weights @ parts).T
    values: dict[str, NDArray[np.float64]] = {}
    for metric in known:
        score: NDArray[np.float64] = weights @ np.array([v.captions.scores.get(metric, 0.0) for v in videos])
        accuracy = _over(score + without * score / np.maximum(total, 1.0), weight)
        values[f"CapA_{metric}"] = np.where(without > 0, np.minimum(accuracy, 1.0), accuracy)
    if known == list(metrics) and known:
        for name in ("_".join(["CapA", *metrics]), "CapA"):
            values[name] = np.mean([values[f"CapA_{metric}"] for metric in known], axis=0)
    return values | {n.replace("CapA", "CHOTA"): np.cbrt(tracking * capa) for n, capa in values.items()}


def _over(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The quotient, not a number where there is nothing to divide by."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b > 0)
