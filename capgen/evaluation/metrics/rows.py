"""What each track adds to the result: the ground for breakdowns, for the bootstrap and for the page of examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from capgen.evaluation.metrics.hota import Matches, Sequenced, accepted, track_lengths
from capgen.evaluation.metrics.protocols import Kept, pairs_of
from capgen.evaluation.metrics.text.captions import Pair
from capgen.evaluation.reading.tracks import Detection, Id, VideoTracks, detection_area


@dataclass(slots=True)
class TruthRow:
    """A track of the ground truth and what was found of it, at alpha 0.5.

    Args:
        area: mean pixels over the frames it is on.
        frames: how many frames it is on; ``tp`` of them were found.
        associated: the sum over those of the association accuracy of the two tracks.
        located: the sum over those of the IoU.
        partner: the predicted track that it is matched to most often.
        pairs: reference and candidate of each frame that has a caption and was found, with the number of frames.
        votes: how much this track weighs in the caption scores.
        captions: the sum of its votes' scores, by metric.
    """

    video: Id
    track: Id
    category: Id | None
    area: float
    frames: int
    tp: int = 0
    associated: float = 0.0
    located: float = 0.0
    partner: Id | None = None
    caption: str = ""
    candidate: str = ""
    pairs: Counter[Pair] = field(default_factory=Counter)
    votes: float = 0.0
    captions: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class PredictionRow:
    """A predicted track; ``fp`` of its ``frames`` detections match no truth at alpha 0.5."""

    video: Id
    track: Id
    category: Id | None
    area: float
    frames: int
    score: float
    fp: int
    caption: str


def rows_of(
    video: VideoTracks, kept: Kept, sequence: Sequenced, matches: Matches, read: Callable[[str, str], Pair | None]
) -> tuple[list[TruthRow], list[PredictionRow]]:
    """The rows of one video; ``read`` makes the pair to score of two captions, or None where there is no reference."""
    truths = {track: _truth_row(video, track, side) for track, side in _by_track(kept.truth).items()}
    predictions = {track: _prediction_row(video, track, side) for track, side in _by_track(kept.predictions).items()}
    here = accepted(matches, 0.5)
    partners: dict[Id, Counter[Id]] = {track: Counter() for track in truths}
    jaccard = _jaccard(sequence, matches, here)
    for (truth, prediction, iou), share in zip(pairs_of(sequence.layout, matches, here, kept), jaccard, strict=True):
        row = truths[truth.track]
        row.tp += 1
        row.located += iou
        row.associated += share
        partners[truth.track][prediction.track] += 1
        predictions[prediction.track].fp -= 1
        pair = read(truth.caption, prediction.caption)
        if pair:
            row.pairs[pair] += 1
    for track, row in truths.items():
        if partners[track]:
            row.partner = partners[track].most_common(1)[0][0]
            row.candidate = predictions[row.partner].caption
    return list(truths.values()), list(predictions.values())


def _by_track(side: Sequence[Detection]) -> dict[Id, list[Detection]]:
    found: dict[Id, list[Detection]] = {}
    for one in side:
        found.setdefault(one.track, []).append(one)
    return found


def _truth_row(video: VideoTracks, track: Id, side: list[Detection]) -> TruthRow:
    area = float(np.mean([detection_area(one) for one in side]))
    caption = next((one.caption for one in side if one.caption), "")
    return TruthRow(video.video, track, side[0].category, area, len(side), caption=caption)


def _prediction_row(video: VideoTracks, track: Id, side: list[Detection]) -> PredictionRow:
    area = float(np.mean([detection_area(one) for one in side]))
    score = float(np.mean([one.score for one in side]))
    caption = next((one.caption for one in side if one.caption), "")
    return PredictionRow(video.video, track, side[0].category, area, len(side), score, len(side), caption)


def _jaccard(sequence: Sequenced, matches: Matches, here: np.ndarray) -> list[float]:
    """The association accuracy of the two tracks of each accepted match."""
    truths, predictions = track_lengths(sequence)
    own, other = sequence.truth_ids[matches.row[here]], sequence.prediction_ids[matches.column[here]]
    _, of, shared = np.unique(own * max(len(predictions), 1) + other, return_inverse=True, return_counts=True)
    together = shared[of]
    total: list[float] = (together / np.maximum(1, truths[own] + predictions[other] - together)).tolist()
    return total
