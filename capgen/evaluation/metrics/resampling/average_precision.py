"""Mask AP of videos drawn again: the ranked predictions are kept, and each counts as often as its video was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.resampling.bootstrap import Floats64
from capgen.rle import Ints

_CELLS = 4_000_000
"""Draws times predictions that are looked at together: 32 MB."""


@dataclass(frozen=True, slots=True)
class RankedTracks:
    """The predictions of one category in all videos, best first.

    Args:
        video: int64 [D], the place of each prediction's video.
        end: int64 [D], the place of the last prediction that is counted together with each.
        hit, counts: bool [T, D] for T thresholds of IoU; a hit counts.
        truths: int64 [n, 2]: places of videos and how many truths count in them.
    """

    video: Ints
    end: Ints
    hit: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    truths: Ints

    def of(self, videos: Ints) -> RankedTracks:
        """The same category in a few of the videos, which are then numbered anew."""
        place = {int(video): n for n, video in enumerate(videos)}
        keep = np.flatnonzero(np.isin(self.video, videos))
        video = np.array([place[int(v)] for v in self.video[keep]], np.int64)
        _, last = np.unique(self.end[keep][::-1], return_index=True)
        ends = np.sort(len(keep) - 1 - last)
        end = ends[np.searchsorted(ends, np.arange(len(keep)))] if len(keep) else keep
        truths = [(place[int(v)], count) for v, count in self.truths if int(v) in place]
        hit, counts = self.hit[:, keep], self.counts[:, keep]
        return RankedTracks(video, end, hit, counts, np.array(truths, np.int64).reshape(-1, 2))


@dataclass(frozen=True, slots=True)
class ApSample:
    """What AP of drawn videos is made of.

    Args:
        recalls: [R], where precision is read.
        categories: those that have a truth.
        groups: places of categories by name, ``base`` and ``novel``; empty without partitions.
    """

    recalls: Floats64
    categories: Sequence[RankedTracks]
    groups: Mapping[str, Sequence[int]]

    def values(self, weights: Floats64) -> dict[str, Floats64]:
        """AP, AP50, AP75 and AR100, and AP of base and novel, [K] each, from the weights of videos, [K, n]."""
        shape = (len(self.categories), len(weights))
        found = {name: np.full(shape, np.nan) for name in ("AP", "AP50", "AP75", "AR100")}
        for place, ranked in enumerate(self.categories):
            step = max(1, _CELLS // max(1, len(ranked.video)))
            for start in range(0, len(weights), step):
                here = slice(start, start + step)
                precision, recall = self._of_category(ranked, weights[here])
                found["AP"][place, here] = precision.mean(axis=0)
                found["AP50"][place, here], found["AP75"][place, here] = precision[0], precision[5]
                found["AR100"][place, here] = recall.mean(axis=0)
        values = {name: _known_mean(each) for name, each in found.items()}
        return values | {f"AP_{name}": _known_mean(found["AP"][list(p)]) for name, p in self.groups.items()}

    def _of_category(self, ranked: RankedTracks, weights: Floats64) -> tuple[Floats64, Floats64]:
        """Average precision and highest recall, [T, K] each, NaN in draws without a truth of the category."""
        positives: Floats64 = weights[:, ranked.truths[:, 0]] @ ranked.truths[:, 1].astype(np.float64)
        positives = np.where(positives > 0, positives, np.nan)
        weight = weights[:, ranked.video]
        precision, recall = np.zeros((2, len(ranked.hit), len(weights)))
        for t, (hit, counts) in enumerate(zip(ranked.hit, ranked.counts, strict=True)):
            hits = np.flatnonzero(hit & counts)
            # Precision is highest just where a hit, or the tie it is in, is complete: no other place matters.
            places = np.unique(ranked.end[hits])
            if not len(places):
                continue
            tp = np.cumsum(weight[:, hits], axis=1)[:, np.searchsorted(hits, places, side="right") - 1]
            total = np.cumsum(np.where(counts, weight, 0.0), axis=1)[:, places]
            share = np.divide(tp, total, out=np.zeros_like(tp), where=total > 0)
            highest = np.maximum.accumulate(share[:, ::-1], axis=1)[:, ::-1]
            reached = tp / positives[:, None]
            # How many of the recalls are reached at each place for the first time.
            steps = np.diff(np.searchsorted(self.recalls, reached, side="right"), axis=1, prepend=0)
            precision[t] = (steps * highest).sum(axis=1) / len(self.recalls)
            recall[t] = reached[:, -1]
        return np.where(np.isnan(positives), np.nan, precision), np.where(np.isnan(positives), np.nan, recall)


def _known_mean(values: Floats64) -> Floats64:
    """The mean over categories, [K], of [C, K], without those that are not known; NaN where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    mean: Floats64 = np.divide(total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0))
    return mean
