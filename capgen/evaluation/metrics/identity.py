"""MOTA, identity switches and IDF1 at an IoU of 0.5, as TrackEval counts them.

Source: Bernardin and Stiefelhagen, EURASIP JIVP 2008 (CLEAR MOT); Ristani et al., ECCVW 2016 (IDF1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.hota import Sequenced
from capgen.rle import Ints

FIELDS = ("CLR_TP", "CLR_FN", "CLR_FP", "IDSW", "IDTP", "IDFN", "IDFP")
"""What a video adds, in this order."""

_THRESHOLD = 0.5
_KEEP = 1000.0
"""What a pair that was matched on the frame before is worth beside its IoU."""
_EPS = float(np.finfo(float).eps)


def identity_counts(video: Sequenced) -> NDArray[np.float64]:
    """The counts of one video, [7] as in ``FIELDS``; NaN where a track is on a frame twice, which TrackEval refuses."""
    if video.repeats:
        return np.full(len(FIELDS), np.nan)
    truths, predictions = len(video.truth_ids), len(video.prediction_ids)
    pairs = _clear_pairs(video)
    own, other = video.truth_ids[video.layout.row[pairs]], video.prediction_ids[video.layout.column[pairs]]
    order = np.argsort(own, kind="stable")
    switches = np.sum((np.diff(own[order]) == 0) & (np.diff(other[order]) != 0))
    kept = _most_in_common(video)
    hits = len(pairs)
    counts = (hits, truths - hits, predictions - hits, switches, kept, truths - kept, predictions - kept)
    return np.array(counts, np.float64)


def identity_values(counts: Sequence[NDArray[np.float64]]) -> dict[str, float | None]:
    """MOTA, IDSW, IDF1, IDP and IDR over many videos; None where a video could not be counted."""
    total = np.sum(counts, axis=0) if counts else np.zeros(len(FIELDS))
    if np.isnan(total).any():
        return dict.fromkeys(("MOTA", "IDSW", "IDF1", "IDP", "IDR"))
    tp, fn, fp, switches, kept, id_fn, id_fp = (float(one) for one in total)
    return {
        "MOTA": (tp - fp - switches) / max(1.0, tp + fn),
        "IDSW": switches,
        "IDF1": kept / max(1.0, kept + id_fn / 2 + id_fp / 2),
        "IDP": kept / max(1.0, kept + id_fp),
        "IDR": kept / max(1.0, kept + id_fn),
    }


def _clear_pairs(video: Sequenced) -> Ints:
    """The places of the matched pairs, frame by frame: pairs of the frame before go on, then the largest IoUs.

    The frame before is the last that has truths and predictions.
    """
    from scipy.optimize import linear_sum_assignment

    layout, similarity = video.layout, video.similarity
    good = similarity >= _THRESHOLD - _EPS
    rows = np.bincount(layout.row, weights=good, minlength=len(layout.truth))
    columns = np.bincount(layout.column, weights=good, minlength=len(layout.predictions))
    contested = good & ((rows[layout.row] > 1) | (columns[layout.column] > 1))
    hard = np.unique(layout.frame[contested])
    chosen = good & ~np.isin(layout.frame, hard)
    shared = np.flatnonzero(np.diff(layout.pair_starts))
    for frame in hard:
        here = slice(layout.pair_starts[frame], layout.pair_starts[frame + 1])
        worth = similarity[here].astype(np.float64)
        place = int(np.searchsorted(shared, frame))
        if place:
            last = slice(layout.pair_starts[shared[place - 1]], layout.pair_starts[shared[place - 1] + 1])
            worth += _KEEP * np.isin(_cells(video, here), _cells(video, last)[chosen[last]])
        worth[~good[here]] = 0.0
        across = int(layout.prediction_starts[frame + 1] - layout.prediction_starts[frame])
        r, c = linear_sum_assignment(-worth.reshape(-1, across))
        found = r * across + c
        chosen[here.start + found[worth[found] > _EPS]] = True
    return np.flatnonzero(chosen)


def _cells(video: Sequenced, here: slice) -> Ints:
    """A number for the two tracks of each pair."""
    layout = video.layout
    across = int(video.prediction_ids.max(initial=0)) + 1
    return np.asarray(
        video.truth_ids[layout.row[here]] * across + video.prediction_ids[layout.column[here]], dtype=np.int64
    )


def _most_in_common(video: Sequenced) -> int:
    """The most frames that true and predicted tracks share when each has one partner in the whole video."""
    from scipy.optimize import linear_sum_assignment

    if not len(video.similarity):
        return 0
    down, across = int(video.truth_ids.max()) + 1, int(video.prediction_ids.max()) + 1
    here = np.flatnonzero(video.similarity >= _THRESHOLD)
    cells = video.truth_ids[video.layout.row[here]] * across + video.prediction_ids[video.layout.column[here]]
    shared = np.bincount(cells, minlength=down * across).reshape(down, across)
    rows, columns = linear_sum_assignment(-shared)
    return int(shared[rows, columns].sum())
