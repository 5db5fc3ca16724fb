"""AP_M: average precision of captioned boxes, over thresholds of IoU and of METEOR at once.

Source: Johnson et al., CVPR 2016, arXiv:1511.07571, on the frames of a video as scenic's densecap evaluation does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.mask_ap import ends_of_ties
from capgen.evaluation.metrics.protocols import Protocol, of_any_score, public_order
from capgen.evaluation.metrics.text.captions import caption_text
from capgen.evaluation.metrics.text.java_metrics import References, Scorer
from capgen.evaluation.reading.similarity import box_iou, boxes
from capgen.evaluation.reading.tracks import Detection, Floats, Id, VideoTracks

IOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
METEORS = (-1.0, 0.0, 0.05, 0.1, 0.15, 0.2, 0.25)
"""A score must be above the threshold; -1 asks for the box alone."""

_MERGE = 0.7
EMPTY = "EMPTY"
"""What the public code reads for whatever is said of a truth without caption."""


@dataclass(slots=True)
class _Record:
    """One prediction: its best truth's IoU, whether it had that truth for itself, and the captions to compare."""

    score: float
    iou: float
    matched: bool
    references: References
    candidate: str


@dataclass(slots=True)
class DenseCap:
    """AP of captioned boxes over all frames of all videos; every prediction counts, whatever its score.

    Under ``official`` truths that overlap by 0.7 are merged, a prediction competes for the truth it overlaps most even
    where that one is taken, and a truth without caption is right for whatever is said of it. Under ``clean`` truths are
    left as they are, a prediction gets the best truth that is free, captions are normalised, truths without caption
    count for detection only, crowds and what lies in them are left out as for CHOTA, and predictions of one score are
    counted together.
    """

    protocol: Protocol
    _frames: dict[Id, list[_Record]] = field(default_factory=dict)
    _positives: int = 0
    _captioned: int = 0

    def add(self, video: VideoTracks) -> None:
        """Take in one video of boxes."""
        kept = video if self.protocol == "official" else of_any_score(video, "box")
        truths, predictions = by_frame(kept.truth), by_frame(kept.predictions)
        for frame, image in enumerate(video.frames):
            truth, found = truths.get(frame, []), predictions.get(frame, [])
            if self.protocol == "official":
                self._frames[image] = self._official(truth, sorted(found, key=lambda one: -one.score))
            else:
                self._frames[image] = self._clean(truth, found)

    def _official(self, truth: Sequence[Detection], found: Sequence[Detection]) -> list[_Record]:
        merged, captions, _ = merged_truths(truth)
        self._positives += len(merged)
        self._captioned += len(merged)
        ious = iou_table(boxes(found, np.float64), merged)
        used = np.zeros(len(merged), np.bool_)
        records = []
        for i, one in enumerate(found):
            best = int(ious[i].argmax()) if len(merged) else -1
            iou = float(ious[i, best]) if len(merged) else -1.0
            matched = iou > 0 and not used[best]
            references, candidate = captions[best] if len(merged) else ("",), one.caption
            if matched:
                used[best] = True
                if "" in references:
                    references, candidate = (EMPTY,), EMPTY
            records.append(_Record(one.score, iou, matched, references, candidate))
        return records

    def _clean(self, truth: Sequence[Detection], found: Sequence[Detection]) -> list[_Record]:
        self._positives += len(truth)
        self._captioned += sum(bool(caption_text(one.caption)) for one in truth)
        ious = iou_table(boxes(found, np.float64), boxes(truth, np.float64))
        order = sorted(range(len(found)), key=lambda i: (-found[i].score, -ious[i].max(initial=0.0)))
        free = np.ones(len(truth), np.bool_)
        records = []
        for i in order:
            one = found[i]
            own = np.where(free, ious[i], -1.0)
            best = int(own.argmax()) if len(own) else -1
            matched = bool(len(own)) and own[best] > 0
            references = (caption_text(truth[best].caption),) if matched else ("",)
            if matched:
                free[best] = False
            iou = float(own[best]) if matched else -1.0
            records.append(_Record(one.score, iou, matched, references, caption_text(one.caption)))
        return records

    def finish(self, meteor: Scorer | None) -> dict[str, float | None]:
        """``AP_M``, ``AP_detection`` and the AP of each cell; the former is None without METEOR.

        Raises:
            ScorerFailed: METEOR ended.
        """
        records = [record for image in public_order(list(self._frames)) for record in self._frames[image]]
        records.sort(key=lambda record: -record.score)
        meteors = self._meteors(records, meteor) if meteor else np.ones(len(records))
        by_cell: dict[str, float] = {}
        detection = []
        for iou in IOUS:
            for threshold in METEORS if meteor else METEORS[:1]:
                value = self._cell(records, meteors, iou, threshold)
                if threshold < 0:
                    detection.append(value)
                    by_cell[f"AP_detection_iou{iou:.1f}"] = float(value)
                else:
                    by_cell[f"AP_iou{iou:.1f}_meteor{threshold:.2f}"] = float(value)
        captioned = [value for key, value in by_cell.items() if "_meteor" in key]
        values: dict[str, float | None] = {"AP_M": sum(captioned) / len(captioned) if captioned else None}
        return values | {"AP_detection": float(sum(detection) / len(detection))} | by_cell

    def _meteors(self, records: Sequence[_Record], meteor: Scorer) -> NDArray[np.float64]:
        """METEOR of the matched predictions; no other can be right."""
        asked = [i for i, r in enumerate(records) if r.matched and any(r.references)]
        scores = meteor.score([(records[i].references, records[i].candidate) for i in asked])
        found = np.zeros(len(records))
        found[asked] = scores
        return found

    def _cell(self, records: Sequence[_Record], meteors: NDArray[np.float64], iou: float, threshold: float) -> float:
        hit = np.array([r.matched and r.iou >= iou for r in records], np.bool_) & (meteors > threshold)
        count, positives = np.ones(len(records), np.bool_), self._positives
        if self.protocol == "clean" and threshold >= 0:
            # What found a truth that nobody captioned is neither right nor wrong about its caption.
            count = np.array([not (r.matched and r.iou >= iou and not r.references[0]) for r in records], np.bool_)
            positives = self._captioned
        if not positives or not count.any():
            return 0.0
        scores = np.array([r.score for r in records], np.float64)[count]
        ends = ends_of_ties(scores) if self.protocol == "clean" else np.arange(len(scores))
        return float(_ap(hit[count], ends, positives))


def by_frame(side: Sequence[Detection]) -> dict[int, list[Detection]]:
    """The detections of each frame, in their order."""
    found: dict[int, list[Detection]] = {}
    for one in side:
        found.setdefault(one.frame, []).append(one)
    return found


def _ap(hit: NDArray[np.bool_], ends: NDArray[np.int64], positives: int) -> Floats:
    """The mean of the best precision at 100 recalls, in single precision as the public code sums it.

    Args:
        hit: bool [D], best score first.
        ends: the places in ``hit`` after which precision and recall are looked at.
    """
    tp, fp = np.cumsum(hit.astype(np.float32))[ends], np.cumsum((~hit).astype(np.float32))[ends]
    recall, precision = tp / positives, tp / (tp + fp)
    total = np.zeros((), np.float32)
    for t in range(100):
        total = total + (precision * (recall >= t / 100.0)).max()
    mean: Floats = total / 100.0
    return mean


def iou_table(a: NDArray[np.float64], b: NDArray[np.floating]) -> NDArray[np.float64]:
    """Intersection over union of boxes, [A, B]."""
    rows, columns = np.indices((len(a), len(b))).reshape(2, -1)
    return np.asarray(box_iou(a[rows], b[columns]), np.float64).reshape(len(a), len(b))


def merged_truths(truth: Sequence[Detection]) -> tuple[NDArray[np.float32], list[References], list[Id]]:
    """Boxes that overlap by 0.7 as one, their mean, with all their captions; the largest cluster first.

    Returns:
        The boxes, [M, 4], their captions, and the track of the first of each.
    """
    own = boxes(truth, np.float32)
    rows, columns = np.indices((len(own), len(own))).reshape(2, -1)
    close = box_iou(own[rows], own[columns]).reshape(len(own), len(own)) >= _MERGE
    if close.diagonal().all() and close.sum() == len(own):  # nothing to merge, as on most frames
        return own, [(one.caption.replace("\n", ""),) for one in truth], [one.track for one in truth]
    merged: list[NDArray[np.float32]] = []
    captions: list[References] = []
    tracks: list[Id] = []
    while close.any():
        members = np.flatnonzero(close[close.sum(1).argmax()])
        merged.append(own[members].mean(axis=0))
        captions.append(tuple(truth[i].caption.replace("\n", "") for i in members))
        tracks.append(truth[members[0]].track)
        close[members, :] = False
        close[:, members] = False
    return np.array(merged, np.float32).reshape(-1, 4), captions, tracks
