"""How much two objects of a frame cover each other, for all pairs of all frames of a video at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pycocotools import mask as coco

from capgen.evaluation.reading.tracks import Detection, Floats, Iou
from capgen.rle import Ints


@dataclass(frozen=True, slots=True)
class PairLayout:
    """The detections of a video sorted by frame, and the pairs of truth and prediction that share a frame.

    Args:
        truth, predictions: places in the sequences given to ``lay_out``, frame by frame, stable.
        truth_starts, prediction_starts: int64 [T + 1], where each frame begins.
        pair_starts: int64 [T + 1]; a frame with G truths and P predictions has G x P pairs, row-major.
        frame, row, column: int64 [N] for each pair: its frame, its truth and its prediction, as places in
            ``truth`` and ``predictions``.
    """

    truth: Ints
    predictions: Ints
    truth_starts: Ints
    prediction_starts: Ints
    pair_starts: Ints
    frame: Ints
    row: Ints
    column: Ints


def lay_out(truth_frames: Ints, prediction_frames: Ints, frames: int) -> PairLayout:
    """Pair up the detections of each of ``frames`` frames, given the frame of each detection."""
    truth = np.argsort(truth_frames, kind="stable")
    predictions = np.argsort(prediction_frames, kind="stable")
    edges = np.arange(frames + 1)
    truth_starts = np.searchsorted(truth_frames[truth], edges)
    prediction_starts = np.searchsorted(prediction_frames[predictions], edges)
    per_frame = np.diff(prediction_starts)
    pairs = np.diff(truth_starts) * per_frame
    pair_starts = np.r_[0, np.cumsum(pairs)]
    frame = np.repeat(np.arange(frames), pairs)
    within = np.arange(pair_starts[-1]) - pair_starts[frame]
    across = np.maximum(per_frame[frame], 1)
    row = truth_starts[frame] + within // across
    column = prediction_starts[frame] + within % across
    return PairLayout(truth, predictions, truth_starts, prediction_starts, pair_starts, frame, row, column)


def box_pairs(
    layout: PairLayout, truth: Sequence[Detection], predictions: Sequence[Detection], dtype: DTypeLike
) -> Floats:
    """Intersection over union of the boxes of every pair of a layout, [N], in ``dtype``."""
    return box_iou(
        boxes(truth, dtype)[layout.truth[layout.row]], boxes(predictions, dtype)[layout.predictions[layout.column]]
    )


def boxes(detections: Sequence[Detection], dtype: DTypeLike) -> NDArray[Any]:
    """The boxes, [N, 4]: x, y, width, height in pixels."""
    return np.array([one.box or (0.0, 0.0, 0.0, 0.0) for one in detections], dtype).reshape(-1, 4)


def box_iou(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of a[i] and b[i], [N], in their dtype; 0 where the union has no area.

    The order of the operations is that of the public evaluators, so that single precision rounds as theirs does.
    """
    area_a, area_b = a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]
    low = np.maximum(a[:, :2], b[:, :2])
    high = np.minimum(a[:, 2:] + a[:, :2], b[:, 2:] + b[:, :2])
    side = (high - low).clip(0.0)
    common = side[:, 0] * side[:, 1]
    union = area_a + area_b - common
    share: NDArray[Any] = np.divide(common, union, out=np.zeros_like(union), where=union > 0)
    return share


class Overlaps:
    """Intersection over union of the masks of one video, each frame counted once, whoever asks for it."""

    def __init__(self, truth: Sequence[Detection], predictions: Sequence[Detection]) -> None:
        self._sides: tuple[dict[int, list[Detection]], dict[int, list[Detection]]] = ({}, {})
        for by_frame, side in zip(self._sides, (truth, predictions), strict=True):
            for one in side:
                by_frame.setdefault(one.frame, []).append(one)
        self._tables: dict[int, tuple[dict[int, int], dict[int, int], NDArray[np.float64]]] = {}

    def between(self, frame: int, truth: Sequence[Detection], predictions: Sequence[Detection]) -> NDArray[np.float64]:
        """The IoU of some of a frame's truths (rows) and predictions (columns), [G, P]."""
        if frame not in self._tables:
            own, other = (side.get(frame, []) for side in self._sides)
            table = coco.iou([one.mask for one in own], [one.mask for one in other], [0] * len(other))
            ious = np.asarray(table, np.float64).reshape(len(own), len(other))
            self._tables[frame] = (_places(own), _places(other), ious)
        rows, columns, ious = self._tables[frame]
        chosen = np.ix_([rows[id(one)] for one in truth], [columns[id(one)] for one in predictions])
        return np.asarray(ious[chosen], np.float64)


def _places(side: Sequence[Detection]) -> dict[int, int]:
    return {id(one): n for n, one in enumerate(side)}


def mask_pairs(
    layout: PairLayout, truth: Sequence[Detection], predictions: Sequence[Detection], overlaps: Overlaps
) -> NDArray[np.float64]:
    """Intersection over union of the masks of every pair of a layout, float64 [N]."""
    values = np.zeros(layout.pair_starts[-1])
    for frame in np.flatnonzero(np.diff(layout.pair_starts)).tolist():
        rows = [truth[i] for i in layout.truth[layout.truth_starts[frame] : layout.truth_starts[frame + 1]]]
        places = layout.predictions[layout.prediction_starts[frame] : layout.prediction_starts[frame + 1]]
        columns = [predictions[i] for i in places]
        pairs = overlaps.between(frame, rows, columns)
        values[layout.pair_starts[frame] : layout.pair_starts[frame + 1]] = pairs.reshape(-1)
    return values


def covered(of: Sequence[Detection], by: Sequence[Detection], iou: Iou) -> NDArray[np.float64]:
    """The share of each detection of ``of`` that each of ``by`` covers, [N, M], all on one frame."""
    if not of or not by:
        return np.zeros((len(of), len(by)))
    if iou == "mask":
        shapes: tuple[list[Any], list[Any]] = [one.mask for one in of], [one.mask for one in by]
    else:
        shapes = [list(one.box or ()) for one in of], [list(one.box or ()) for one in by]
    share = coco.iou(*(shapes if iou == "mask" else tuple(np.array(s, np.float64) for s in shapes)), [1] * len(by))
    return np.asarray(share, np.float64).reshape(len(of), len(by))
