"""HOTA of one video and of many: matching, detection, association and localisation accuracy.

Source: Luiten et al., IJCV 2021, doi:10.1007/s11263-020-01375-2. All thresholds share one matching, as published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from capgen.evaluation.reading.similarity import PairLayout
from capgen.evaluation.reading.tracks import Floats
from capgen.rle import Ints

ALPHAS: NDArray[np.float64] = np.arange(0.05, 0.99, 0.05, dtype=np.float64)
"""The 19 thresholds of HOTA."""

_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A video ready for matching.

    Args:
        truth_ids, prediction_ids: int64, a track number (0, 1, …) for each detection, in the layout's order.
        similarity: [N] for the layout's pairs, in [0, 1].
        repeats: a track is on some frame more than once, which only the ``official`` protocol allows.
    """

    layout: PairLayout
    truth_ids: Ints
    prediction_ids: Ints
    similarity: Floats
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Matches:
    """The pairs that the matching of a video chose, frame by frame; a pair counts at alpha if its IoU reaches it.

    Args:
        frame, row, column: int64 [M], as in the layout.
        iou: [M].
    """

    frame: Ints
    row: Ints
    column: Ints
    iou: Floats


@dataclass(frozen=True, slots=True)
class HotaCounts:
    """What a video adds to HOTA, [A] each, A thresholds: counts, and the means of its true positives."""

    tp: Floats
    fn: Floats
    fp: Floats
    ass_a: Floats
    ass_re: Floats
    ass_pr: Floats
    loc_a: Floats


def match(video: Sequenced) -> Matches:
    """The one-to-one matching of each frame that maximises global alignment times similarity."""
    from scipy.optimize import linear_sum_assignment

    layout, similarity = video.layout, video.similarity
    if not len(similarity):
        none = np.zeros(0, np.int64)
        return Matches(none, none, none, np.zeros(0))
    cost = -(_alignment(video) * similarity)
    hard = _contested(layout, similarity)
    chosen = (similarity > 0) & ~hard[layout.frame]
    for frame in np.flatnonzero(hard):
        start, stop = layout.pair_starts[frame], layout.pair_starts[frame + 1]
        across = layout.prediction_starts[frame + 1] - layout.prediction_starts[frame]
        rows, columns = linear_sum_assignment(cost[start:stop].reshape(-1, across))
        chosen[start + rows * across + columns] = True
    pairs = np.flatnonzero(chosen)
    return Matches(layout.frame[pairs], layout.row[pairs], layout.column[pairs], similarity[pairs])


def _contested(layout: PairLayout, similarity: Floats) -> NDArray[np.bool_]:
    """Frames on which some object overlaps two others: elsewhere the matching is every pair that overlaps."""
    overlaps = similarity > 0
    rows = np.bincount(layout.row, weights=overlaps, minlength=len(layout.truth))
    columns = np.bincount(layout.column, weights=overlaps, minlength=len(layout.predictions))
    contested = (overlaps & ((rows[layout.row] > 1) | (columns[layout.column] > 1))) | (similarity < 0)
    hard = np.zeros(len(layout.pair_starts) - 1, np.bool_)
    hard[layout.frame[contested]] = True
    return hard


def _alignment(video: Sequenced) -> NDArray[np.float64]:
    """The global alignment score of the two tracks of each pair, [N]."""
    layout = video.layout
    truths, predictions = _tracks(video.truth_ids), _tracks(video.prediction_ids)
    cell = video.truth_ids[layout.row] * predictions + video.prediction_ids[layout.column]
    shared = _jaccard(layout, video.similarity)
    lengths = track_lengths(video)
    if video.repeats:
        once = _last_of_each(layout.frame * (truths * predictions) + cell)
        potential = np.bincount(cell[once], weights=shared[once], minlength=truths * predictions)
    else:
        potential = np.bincount(cell, weights=shared, minlength=truths * predictions)
    total = lengths[0][:, None] + lengths[1][None, :] - potential.reshape(truths, predictions)
    return np.asarray((potential / total.ravel())[cell], dtype=np.float64)


def _jaccard(layout: PairLayout, similarity: Floats) -> Floats:
    """Each pair's similarity over all that its two detections have on the frame, in the similarity's dtype.

    Frames of one shape are summed together: the sums then round as they do frame by frame.
    """
    shared = np.zeros_like(similarity)
    down, across = np.diff(layout.truth_starts), np.diff(layout.prediction_starts)
    for g, p in np.unique(np.stack([down, across], 1), axis=0):
        if not g * p:
            continue
        starts = layout.pair_starts[:-1][(down == g) & (across == p)]
        places = starts[:, None] + np.arange(g * p)
        block = similarity[places].reshape(-1, g, p)
        total = block.sum(1)[:, None, :] + block.sum(2)[:, :, None] - block
        share = np.divide(block, total, out=np.zeros_like(block), where=total > _EPS)
        shared[places] = share.reshape(-1, g * p)
    return shared


def _last_of_each(keys: Ints) -> Ints:
    """The places of the last occurrence of each key, in order: a track twice on a frame counts once."""
    _, places = np.unique(keys[::-1], return_index=True)
    return np.sort(len(keys) - 1 - places)


def _tracks(ids: Ints) -> int:
    return int(ids.max()) + 1 if len(ids) else 0


def track_lengths(video: Sequenced) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The number of frames that each truth track and each predicted track is on."""
    layout = video.layout
    if not video.repeats:
        return np.bincount(video.truth_ids).astype(np.float64), np.bincount(video.prediction_ids).astype(np.float64)
    return (
        _lengths(video.truth_ids, layout.truth_starts),
        _lengths(video.prediction_ids, layout.prediction_starts),
    )


def _lengths(ids: Ints, starts: Ints) -> NDArray[np.float64]:
    """Frames of each track, a frame on which it is twice counted once."""
    frame = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    number = _tracks(ids)
    once = np.unique(frame * max(number, 1) + ids)
    return np.bincount(once % max(number, 1), minlength=number).astype(np.float64)


def accepted(matches: Matches, alpha: float) -> NDArray[np.bool_]:
    """The matched pairs that count at ``alpha``: an IoU equal to it does."""
    return np.asarray(matches.iou >= np.float64(alpha) - _EPS)


def count(video: Sequenced, matches: Matches, alphas: NDArray[np.float64], dtype: DTypeLike) -> HotaCounts:
    """What a video adds at each of ``alphas`` (ascending), accumulated in ``dtype``."""
    reached = np.searchsorted(alphas - _EPS, matches.iou.astype(np.float64), side="right")
    tp = _at_least(np.bincount(reached, minlength=len(alphas) + 1)).astype(dtype)
    if dtype == np.float32:
        loc = np.array([_sum_by_frame(matches, reached > a, dtype) for a in range(len(alphas))], dtype)
    else:
        loc = _at_least(np.bincount(reached, weights=matches.iou, minlength=len(alphas) + 1)).astype(dtype)
    sums = _association(video, matches, reached, len(alphas))
    ass_a, ass_re, ass_pr = ((total / np.maximum(1, tp)).astype(dtype) for total in sums)
    return HotaCounts(
        tp=tp,
        fn=(len(video.truth_ids) - tp).astype(dtype),
        fp=(len(video.prediction_ids) - tp).astype(dtype),
        ass_a=ass_a,
        ass_re=ass_re,
        ass_pr=ass_pr,
        loc_a=np.maximum(1e-10, loc) / np.maximum(1e-10, tp),
    )


def _association(
    video: Sequenced, matches: Matches, reached: Ints, alphas: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Sums over the true positives of the Jaccard index, recall and precision of their two tracks, [A] each."""
    predictions = max(_tracks(video.prediction_ids), 1)
    cell = video.truth_ids[matches.row] * predictions + video.prediction_ids[matches.column]
    cells, of = np.unique(cell, return_inverse=True)
    if video.repeats:
        counts = np.zeros((alphas, len(cells)))
        for a in range(alphas):
            here = reached > a
            once = _last_of_each(matches.frame[here] * max(len(cells), 1) + of[here])
            counts[a] = np.bincount(of[here][once], minlength=len(cells))
    else:
        table = np.bincount(reached * len(cells) + of, minlength=(alphas + 1) * len(cells))
        counts = _at_least(table.reshape(alphas + 1, len(cells))).astype(np.float64)
    truth, predicted = track_lengths(video)
    own, other = truth[cells // predictions], predicted[cells % predictions]
    jaccard = counts / np.maximum(1, own + other - counts)
    recall, precision = counts / np.maximum(1, own), counts / np.maximum(1, other)
    return (counts * jaccard).sum(1), (counts * recall).sum(1), (counts * precision).sum(1)


def _at_least(table: NDArray[Any]) -> NDArray[Any]:
    """From counts by how many thresholds are reached, [A + 1, …], those that reach each of them, [A, …]."""
    return np.cumsum(table[::-1], axis=0)[::-1][1:]


def _sum_by_frame(matches: Matches, here: NDArray[np.bool_], dtype: DTypeLike) -> float:
    """The sum of IoUs, frame by frame and then over frames, as single precision needs it to be repeated."""
    if not here.any():
        return 0.0
    per_frame = np.zeros(int(matches.frame.max()) + 1, matches.iou.dtype)
    np.add.at(per_frame, matches.frame[here], matches.iou[here])
    total = np.zeros(1, dtype)
    for frame in per_frame:
        total += frame
    return float(total[0])


def combine(videos: Sequence[HotaCounts]) -> dict[str, Floats]:
    """HOTA and its parts over many videos, [A] each: counts are added, means weighted by true positives."""
    tp, fn, fp = (_add([getattr(v, name) for v in videos]) for name in ("tp", "fn", "fp"))
    parts = {
        key: _add([getattr(v, name) * v.tp for v in videos]) / np.maximum(1.0, tp)
        for key, name in (("AssA", "ass_a"), ("AssRe", "ass_re"), ("AssPr", "ass_pr"))
    }
    located = _add([v.loc_a * v.tp for v in videos])
    values: dict[str, Floats] = {"TP": tp, "FN": fn, "FP": fp, **parts}
    values["LocA"] = np.maximum(1e-10, located) / np.maximum(1e-10, tp)
    values["DetRe"] = tp / np.maximum(1, tp + fn)
    values["DetPr"] = tp / np.maximum(1, tp + fp)
    values["DetA"] = tp / np.maximum(1, tp + fn + fp)
    values["OWTA"] = np.sqrt(values["DetRe"] * values["AssA"])
    values["HOTA"] = np.sqrt(values["DetA"] * values["AssA"])
    return values


def _add(rows: Sequence[Floats]) -> Floats:
    # One after the other: numpy's pairwise sum would round single precision in another way.
    total: Floats = np.cumsum(np.stack(rows), axis=0, dtype=rows[0].dtype)[-1]
    return total
