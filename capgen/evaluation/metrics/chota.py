"""CHOTA: the geometric mean of detection, association and caption accuracy; what both protocols share.

Source: Zhou et al., ECCV 2024, arXiv:2306.11729. ``OfficialChota`` gives the numbers of the public evaluators, and
``CleanChota`` ours; both see one video at a time. docs/evaluation.md has the formulae and says where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.hota import HotaCounts, Matches, Sequenced
from capgen.evaluation.metrics.identity import identity_counts
from capgen.evaluation.metrics.protocols import Kept, Protocol
from capgen.evaluation.metrics.resampling.average_precision import ApSample
from capgen.evaluation.metrics.resampling.bootstrap import Interval
from capgen.evaluation.metrics.rows import CaptionSums, PredictionRow, TruthRow, rows_of
from capgen.evaluation.metrics.text.captions import Pair
from capgen.evaluation.metrics.text.java_metrics import Scorer, ScorerFailed
from capgen.evaluation.reading.tracks import Floats, Iou, Notes, VideoTracks

METRICS = ("cider", "meteor", "spice")
HALF: NDArray[np.float64] = np.array([0.5])
Values = dict[str, float | None]


@dataclass(slots=True)
class VideoSums:
    """What one video adds to every number, so that videos can be drawn again for confidence intervals.

    Args:
        half: tp, fn, fp, sum of association, sum of IoU at alpha 0.5, [5].
        mean: tp, fn, fp, sum of association at the 19 alphas, [4, 19].
        identity: the counts of MOTA and IDF1, [7].
        switches: how often the caption of a found object changed, and how often it could have, [2].
    """

    half: NDArray[np.float64]
    mean: NDArray[np.float64]
    identity: NDArray[np.float64]
    switches: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    captions: CaptionSums = field(default_factory=CaptionSums)


@dataclass(slots=True)
class Scores:
    """The result under one protocol; a value that cannot be had is None, and a note says why.

    Args:
        metrics: the caption metrics that were asked for.
        combined: whether their mean is a number of this protocol.
        ap_sample: what mask AP is made of, to draw its videos again; None where masks are not compared.
        intervals: those that were counted already, by the number of draws.
    """

    protocol: Protocol
    values: Values
    notes: list[str]
    truths: list[TruthRow]
    predictions: list[PredictionRow]
    videos: list[VideoSums]
    metrics: tuple[str, ...] = ()
    combined: bool = True
    ap_sample: ApSample | None = None
    intervals: dict[int, dict[str, Interval]] = field(default_factory=dict)


class Scoring(Interface):
    """Scores videos one after the other."""

    def add(self, video: VideoTracks) -> None:
        """Take in one video."""
        ...

    def finish(self) -> Scores:
        """The result over all of them."""
        ...


@dataclass(slots=True)
class ChotaScoring:
    """What both protocols keep.

    Args:
        metrics: the caption metrics asked for.
        scorers: the programs of those that run outside of Python; a metric that is in neither place is left out.
    """

    iou: Iou
    threshold: float
    metrics: tuple[str, ...]
    scorers: Mapping[str, Scorer]
    notes: Notes = field(default_factory=Notes)
    sums: list[VideoSums] = field(default_factory=list)
    truths: list[TruthRow] = field(default_factory=list)
    predictions: list[PredictionRow] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)

    def available(self) -> list[str]:
        """The metrics that can be counted here."""
        return [m for m in self.metrics if (m == "cider" or m in self.scorers) and m not in self.failed]

    def outside(self, metric: str, pairs: Sequence[Pair]) -> list[float]:
        """Scores by a program; where it fails the metric is left out from then on, and that is said."""
        try:
            return self.scorers[metric].score([((reference,), candidate) for reference, candidate in pairs])
        except ScorerFailed as error:
            self.failed.add(metric)
            self.notes.say(f"{metric.upper()} is left out: {error}")
            return [0.0] * len(pairs)

    def keep(
        self,
        video: VideoTracks,
        kept: Kept,
        sequence: Sequenced,
        matches: Matches,
        read: Callable[[str, str], Pair | None],
        association: Floats | None = None,
    ) -> list[TruthRow]:
        """Note the tracks of a video; the arguments are those of ``rows_of``."""
        truths, predictions = rows_of(video, kept, sequence, matches, read, association)
        self.truths += truths
        self.predictions += predictions
        return truths


def caption_values(
    accuracy: Mapping[str, float | None],
    metrics: Sequence[str],
    tracking: float | None,
    *,
    combined: bool,
    uncompared: float | None = None,
) -> Values:
    """CapA and CHOTA under names that say which caption metrics are in them.

    ``CapA_cider`` and ``CHOTA_cider`` are of one metric, ``CapA_cider_meteor`` of the mean of two. ``CapA`` and
    ``CHOTA`` are those of all ``metrics``; they are None where one of them cannot be had, so that a number never
    changes its meaning with what is installed.

    Args:
        accuracy: CapA by metric, None where no caption was compared; without the metrics that cannot be had.
        tracking: the product of DetA and AssA.
        combined: False where the mean of several metrics is no number of the protocol.
        uncompared: CHOTA where no caption was compared.
    """
    values: Values = {}
    for metric in metrics:
        values[f"CapA_{metric}"] = accuracy.get(metric)
        known = metric in accuracy
        values[f"CHOTA_{metric}"] = chota_of(tracking, accuracy[metric], uncompared) if known else None
    if not metrics or not all(metric in accuracy for metric in metrics) or (not combined and len(metrics) > 1):
        names = ["CapA", "CHOTA"] if combined or len(metrics) < 2 else []
        missing = [f"{name}_{'_'.join(metrics)}" for name in names if len(metrics) > 1]
        return values | dict.fromkeys([*missing, "CapA", "CHOTA"])
    each = [value for metric in metrics if (value := accuracy[metric]) is not None]
    whole = sum(each) / len(each) if len(each) == len(metrics) else None
    chota = chota_of(tracking, whole, uncompared)
    name = "_".join(metrics)
    return values | {f"CapA_{name}": whole, f"CHOTA_{name}": chota, "CapA": whole, "CHOTA": chota}


def chota_of(tracking: float | None, captions: float | None, uncompared: float | None = None) -> float | None:
    """CHOTA from DetA times AssA and from CapA; ``uncompared`` where no caption was compared."""
    if tracking is None or captions is None:
        return uncompared
    return float((tracking * captions) ** (1 / 3))


def mean_values(combined: Mapping[str, Floats]) -> Values:
    """The means over the 19 thresholds."""
    return {f"{key}_mean": float(combined[key].mean()) for key in ("HOTA", "DetA", "AssA", "LocA")}


def video_sums(half: HotaCounts, mean: HotaCounts, video: Sequenced) -> VideoSums:
    """What a video adds, from its counts at alpha 0.5 and at the 19 thresholds, and from its pairs."""
    parts = (half.tp, half.fn, half.fp, half.ass_a * half.tp, half.loc_a * half.tp)
    return VideoSums(
        np.array([part[0] for part in parts], np.float64),
        np.stack([mean.tp, mean.fn, mean.fp, mean.ass_a * mean.tp]).astype(np.float64),
        identity_counts(video),
    )
