"""What each track adds to the result: the ground for breakdowns, for the bootstrap and for the page of examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from capgen.evaluation.metrics.hota import Matches, Sequenced, accepted, track_lengths
from capgen.evaluation.metrics.protocols import Kept, pairs_of
from capgen.evaluation.metrics.text.captions import Pair
from capgen.evaluation.reading.tracks import Detection, Floats, Id, VideoTracks, detection_area


@dataclass(slots=True)
class CaptionSums:
    """What captions add to CapA, over a track, a video or all videos.

    Args:
        weight: what the scores are divided by: under ``official`` the matched detections whose truth has a caption,
            under ``clean`` the association of all matched ones.
        found: the weight of those whose truth has a caption.
        without: under ``clean`` the weight of those whose truth has none.
        total: how many detections of the ground truth have a caption, found or not.
        scores: the sum of weight times score over the matched detections with captions, by metric.
    """

    weight: float = 0.0
    found: float = 0.0
    without: float = 0.0
    total: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)

    def add(self, others: Iterable[CaptionSums]) -> None:
        """Add the sums of parts."""
        for other in others:
            self.weight += other.weight
            self.found += other.found
            self.without += other.without
            self.total += other.total
            for metric, score in other.scores.items():
                self.scores[metric] = self.scores.get(metric, 0.0) + score

    @property
    def uncompared(self) -> float | None:
        """CHOTA where no caption was compared: 0 if there were some to be found, else None."""
        return 0.0 if self.total else None

    def accuracy(self, metric: str) -> float | None:
        """CapA by a metric; None where no caption was compared.

        A matched detection whose truth has no caption counts with the score over all captioned truths, those that were
        missed with 0. Were it left out, a model would gain by not finding the objects that it cannot describe.
        """
        if not self.found:
            return None
        score = self.scores.get(metric, 0.0)
        value = (score + self.without * score / max(self.total, 1.0)) / self.weight
        # A prediction that lies on a captioned and on an uncaptioned truth is in both sums.
        return min(value, 1.0) if self.without else value


@dataclass(slots=True)
class TruthRow:
    """A track of the ground truth and what was found of it, at alpha 0.5.

    Args:
        area: mean pixels over the frames it is on.
        frames: how many frames it is on; ``tp`` of them were found.
        associated: the sum over those of the association accuracy of the two tracks.
        located: the sum over those of the IoU.
        partner: the predicted track that it is matched to most often.
        pairs: reference and candidate of the frames that have a caption and were found, with their weight: 1 a frame
            under ``official``, the association accuracy under ``clean``.
        captions: what the track adds to CapA.
        switches: how often its predicted caption is another than on the frame before on which it was found.
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
    pairs: dict[Pair, float] = field(default_factory=dict)
    captions: CaptionSums = field(default_factory=CaptionSums)
    switches: int = 0


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
    video: VideoTracks,
    kept: Kept,
    sequence: Sequenced,
    matches: Matches,
    read: Callable[[str, str], Pair | None],
    association: Floats | None = None,
) -> tuple[list[TruthRow], list[PredictionRow]]:
    """The rows of one video.

    Args:
        read: makes the pair to score of two captions; None where there is no reference.
        association: of each match, what it adds to the association of its truth, and what its caption weighs; without,
            that of the matches themselves, and a caption weighs 1.
    """
    truths = {track: _truth_row(video, track, side) for track, side in _by_track(kept.truth).items()}
    predictions = {track: _prediction_row(video, track, side) for track, side in _by_track(kept.predictions).items()}
    here = accepted(matches, 0.5)
    partners: dict[Id, Counter[Id]] = {track: Counter() for track in truths}
    jaccard = _jaccard(sequence, matches, here) if association is None else association[here].tolist()
    said: dict[Id, str] = {}
    for (truth, prediction, iou), share in zip(pairs_of(sequence.layout, matches, here, kept), jaccard, strict=True):
        row = truths[truth.track]
        row.tp += 1
        row.located += iou
        row.associated += share
        partners[truth.track][prediction.track] += 1
        predictions[prediction.track].fp -= 1
        pair = read(truth.caption, prediction.caption)
        text = pair[1] if pair else prediction.caption
        row.switches += said.get(truth.track, text) != text
        said[truth.track] = text
        weight = 1.0 if association is None else share
        if pair:
            row.captions.found += weight
            row.captions.weight += weight
            row.pairs[pair] = row.pairs.get(pair, 0.0) + weight
        elif association is not None:
            row.captions.without += weight
            row.captions.weight += weight
    for one in kept.truth:
        truths[one.track].captions.total += bool(read(one.caption, ""))
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
