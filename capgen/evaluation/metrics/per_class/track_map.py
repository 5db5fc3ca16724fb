"""Track mAP: whole tracks, ranked by score, are matched with the truths of their class.

Source: Yang et al., ICCV 2019, arXiv:1905.04804 (YouTube-VIS); Dave et al., ECCV 2020, arXiv:2005.10356 (TAO). The
numbers are those of TrackEval, its habits included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from capgen.evaluation.metrics.mask_ap import precision_recall
from capgen.evaluation.metrics.per_class.rules import PerClassRules, Range
from capgen.evaluation.metrics.resampling.average_precision import RankedTracks
from capgen.evaluation.reading.similarity import box_iou, boxes
from capgen.evaluation.reading.tracks import Detection, Id, Iou

_IOUS = np.arange(0.5, 0.96, 0.05)
_EPS = float(np.finfo(float).eps)
_EVERYTHING: Range = (-1.0, np.inf)

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class WholeTrack:
    """One track of one video.

    Args:
        shown: its detections by frame.
        area: mean pixels; ``length`` is the number of frames that it is on.
        reusable: a truth that it is matched to stays free: TrackEval takes the id 0 for "not matched".
    """

    shown: Mapping[int, Detection]
    area: float
    length: int
    score: float = 1.0
    crowd: bool = False
    reusable: bool = False


@dataclass(frozen=True, slots=True)
class _Matched:
    """One class of one video in one range: [D] scores, bool [T, D] each, and how many truths count."""

    scores: NDArray[np.float64]
    hit: Flags
    counts: Flags
    positives: int


@dataclass(slots=True)
class TrackMap:
    """Collects videos and classes; ``values`` gives the numbers of a class."""

    rules: PerClassRules
    _found: dict[tuple[Id, str], list[tuple[Id, _Matched]]] = field(default_factory=dict)
    _without_reuse: dict[tuple[Id, str], dict[Id, _Matched]] = field(default_factory=dict)

    def add(
        self, video: Id, category: Id, truths: Sequence[WholeTrack], found: Sequence[WholeTrack], *, ignore: bool
    ) -> None:
        """Take in one class of one video.

        Args:
            found: in the order of the file.
            ignore: predictions that match nothing do not count: the class is not labelled exhaustively here.
        """
        if not truths and not found:
            return
        ranked = sorted(found, key=lambda track: -track.score)
        ious = _track_ious(ranked, truths, self.rules.iou)
        reusable = [track.reusable for track in ranked]
        for name, (own, other) in self._ranges(truths, ranked).items():
            outside = np.ones(len(ranked), np.bool_) if ignore else other
            matched = _match(ranked, ious, own, outside, reusable)
            self._found.setdefault((category, name), []).append((video, matched))
            if any(reusable):
                plain = _match(ranked, ious, own, outside, [False] * len(ranked))
                self._without_reuse.setdefault((category, name), {})[video] = plain

    def _ranges(self, truths: Sequence[WholeTrack], found: Sequence[WholeTrack]) -> dict[str, tuple[Flags, Flags]]:
        """For each range: which truths and which predictions are outside; crowds are outside of every range."""
        crowd = np.array([track.crowd for track in truths], np.bool_)
        by_area = {"": _EVERYTHING, **self.rules.areas}
        flags = {}
        for name, (low, high) in (*by_area.items(), *self.rules.lengths.items()):
            sides = []
            for tracks in (truths, found):
                values = [track.length if name in self.rules.lengths else track.area for track in tracks]
                inside = [low - _EPS <= value <= high + _EPS for value in values]
                sides.append(~np.array(inside, np.bool_))
            flags[name] = (sides[0] | crowd, sides[1])
        return flags

    def values(self, category: Id, order: Mapping[Id, int], reuse_in: Id | None) -> dict[str, float]:
        """AP, AP50, AP75, AR and those of each range of a class; those without truth are left out.

        Args:
            order: the place of each video; predictions of one score count in the order of videos.
            reuse_in: the video whose reusable track is that in TrackEval.
        """
        values: dict[str, float] = {}
        for name in ("", *self.rules.areas, *self.rules.lengths):
            key = category, name
            plain = self._without_reuse.get(key, {})
            groups = [
                plain.get(video, one) if video != reuse_in else one
                for video, one in sorted(self._found.get(key, []), key=lambda pair: order[pair[0]])
            ]
            positives = sum(group.positives for group in groups)
            if not positives:
                continue
            precision, recall = precision_recall(_ranked(groups), positives, guarded=True)
            values |= {f"AP{name}": float(precision.mean()), f"AR{name}": float(recall.mean())}
            if not name:
                values |= {"AP50": float(precision[0].mean()), "AP75": float(precision[5].mean())}
        return values


def _ranked(groups: Sequence[_Matched]) -> RankedTracks:
    scores = np.concatenate([group.scores for group in groups])
    order = np.argsort(-scores, kind="stable")
    hit = np.concatenate([group.hit for group in groups], axis=1)[:, order]
    counts = np.concatenate([group.counts for group in groups], axis=1)[:, order]
    places = np.arange(len(order))
    return RankedTracks(places, places, hit & counts, counts, np.zeros((0, 2), np.int64))


def _match(
    found: Sequence[WholeTrack], ious: NDArray[np.float64], aside: Flags, outside: Flags, reusable: Sequence[bool]
) -> _Matched:
    """Give each prediction, best first, the free truth that it covers most, those that count first."""
    order = np.argsort(aside, kind="stable")
    hit = np.zeros((len(_IOUS), len(found)), np.bool_)
    ignored = np.zeros_like(hit)
    for t, threshold in enumerate(_IOUS):
        free = np.ones(len(aside), np.bool_)
        for d in range(len(found)):
            best = _best(ious[d], order, aside, free, min(float(threshold), 1 - 1e-10))
            if best is None:
                continue
            free[best] = reusable[d]
            hit[t, d], ignored[t, d] = True, aside[best]
    counts = ~(ignored | (~hit & outside))
    return _Matched(np.array([track.score for track in found], np.float64), hit, counts, int((~aside).sum()))


def _best(
    ious: NDArray[np.float64], order: NDArray[np.int64], aside: Flags, free: Flags, threshold: float
) -> int | None:
    """The truth that a prediction is given; of equal ones the later is taken."""
    best: int | None = None
    for g in order.tolist():
        if not free[g]:
            continue
        if best is not None and not aside[best] and aside[g]:
            break
        if ious[g] >= threshold - _EPS:
            best, threshold = g, float(ious[g])
    return best


def _track_ious(found: Sequence[WholeTrack], truths: Sequence[WholeTrack], iou: Iou) -> NDArray[np.float64]:
    """The IoU of whole tracks, [D, G]: intersections of all frames over unions of all frames."""
    common, total = np.zeros((2, len(found), len(truths)))
    for frame in sorted({f for track in (*found, *truths) for f in track.shown}):
        own = [track.shown.get(frame) for track in found]
        other = [track.shown.get(frame) for track in truths]
        areas = [np.array([_area(one, iou) for one in side]) for side in (own, other)]
        both = np.add.outer(*areas)
        rows, columns = ([i for i, one in enumerate(side) if one] for side in (own, other))
        if rows and columns:
            share = _frame_ious([one for one in own if one], [one for one in other if one], iou)
            inside = share / (1 + share) * both[np.ix_(rows, columns)]
            # Of masks whole pixels come back exactly.
            common[np.ix_(rows, columns)] += np.round(inside) if iou == "mask" else inside
        total += both
    total -= common
    ious: NDArray[np.float64] = np.divide(common, total, out=np.zeros_like(common), where=total > 0)
    return ious


def _area(one: Detection | None, iou: Iou) -> float:
    if one is None:
        return 0.0
    if iou == "mask":
        return float(coco.area(one.mask) if one.pixels is None else one.pixels)
    return one.box[2] * one.box[3] if one.box else 0.0


def _frame_ious(own: Sequence[Detection], other: Sequence[Detection], iou: Iou) -> NDArray[np.float64]:
    if iou == "mask":
        table = coco.iou([one.mask for one in own], [one.mask for one in other], [0] * len(other))
        return np.asarray(table, np.float64).reshape(len(own), len(other))
    pairs = np.indices((len(own), len(other))).reshape(2, -1)
    a, b = boxes(own, np.float64), boxes(other, np.float64)
    return box_iou(a[pairs[0]], b[pairs[1]]).reshape(len(own), len(other))
