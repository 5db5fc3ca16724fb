"""The BCa bootstrap, its levels widened for few videos.

Source: Efron, JASA 1987 (BCa); Hesterberg, The American Statistician 2015 (the wider levels).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FEWEST_VIDEOS = 10
"""With fewer videos no interval is given: benchmarks/results/interval_coverage.json has what they cover."""

_BLOCKS = 200
"""Over more videos the jackknife leaves out blocks: the skewness they give is that of single videos."""

Floats64 = NDArray[np.float64]
Statistic = Callable[[Floats64], Mapping[str, Floats64]]
"""Numbers by name, [K] each and NaN where one cannot be had, from the weights of n videos, [K, n]."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The two ends of an interval of a number."""

    low: float
    high: float


def draw(videos: int, draws: int, seed: int = 0) -> Floats64:
    """How often each of the videos is in each of the draws, [draws, videos]."""
    drawn = np.random.default_rng(seed).multinomial(videos, [1 / videos] * videos, size=draws)
    return np.asarray(drawn, np.float64)


def bca_intervals(
    statistic: Statistic, videos: int, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """An interval for each number of the statistic.

    BCa corrects percentiles of the draws for bias and skewness. Its levels are those of Student's t and not of the
    normal distribution, widened by the root of n / (n - 1), as draws of n videos vary less than videos do. A number
    that cannot be had in most draws has no interval.
    """
    from scipy.special import ndtr, ndtri, stdtrit

    whole = statistic(np.ones((1, videos)))
    drawn = statistic(draw(videos, draws, seed))
    left_out = statistic(_jackknife(videos))
    reach = float(stdtrit(videos - 1, 0.5 + level / 2) * np.sqrt(videos / (videos - 1)))
    found = {}
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        value = float(whole[name][0])
        if 2 * len(known) <= draws or not np.isfinite(value):
            continue
        below = np.mean(known < value) + np.mean(known == value) / 2
        bias = float(ndtri(np.clip(below, 0.5 / len(known), 1 - 0.5 / len(known))))
        skew = _acceleration(left_out[name])
        ends = [bias + side * reach for side in (-1, 1)]
        levels = [float(ndtr(bias + end / max(1 - skew * end, 1e-6))) for end in ends]
        low, high = np.quantile(known, levels)
        found[name] = Interval(float(low), float(high))
    return found


def _jackknife(videos: int) -> Floats64:
    """The weights of all videos without one of them, or without one block of them, [blocks, videos]."""
    blocks = min(videos, _BLOCKS)
    own = np.arange(videos) % blocks
    return np.asarray(own[None, :] != np.arange(blocks)[:, None], np.float64)


def _acceleration(values: Floats64) -> float:
    """A sixth of the skewness of what each video, or block, adds."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0
    added = known.mean() - known
    spread = float((added**2).sum() ** 1.5)
    return float((added**3).sum() / (6 * spread)) if spread > 0 else 0.0
