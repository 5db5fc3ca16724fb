"""The protocol ``official``: scenic's and CaptionFormer's numbers, and TrackEval's over 19 thresholds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics import protocols
from capgen.evaluation.metrics.chota import HALF, ChotaScoring, Scores, Values, caption_values, mean_values, video_sums
from capgen.evaluation.metrics.hota import ALPHAS, HotaCounts, Matches, Sequenced, accepted, combine, count, match
from capgen.evaluation.metrics.identity import identity_values
from capgen.evaluation.metrics.protocols import Kept, pairs_of, sequence_of
from capgen.evaluation.metrics.rows import TruthRow
from capgen.evaluation.metrics.text.captions import Pair, official_cider
from capgen.evaluation.reading.tracks import Detection, Floats, Id, VideoTracks, detection_area

LineBreaks = Literal["cut", "keep"]

PUBLIC_SIZES = {"small": (0.0, 30_000.0), "medium": (30_000.0, 200_000.0), "large": (200_000.0, float("inf"))}
"""CaptionFormer's sizes: the pixels of a detection on its frame, the lower end included."""


@dataclass(slots=True)
class OfficialChota(ChotaScoring):
    """The public evaluators' numbers, in single precision and with all their habits.

    Args:
        alphas: the thresholds that every number but ``HOTA_mean`` is averaged over.
        line_breaks: what follows a line break in a predicted caption is ``cut``, as CaptionFormer does, or ``keep``,
            as scenic does.
    """

    alphas: NDArray[np.float64] = field(default_factory=lambda: HALF)
    line_breaks: LineBreaks = "cut"
    _counts: list[HotaCounts] = field(default_factory=list)
    _mean: list[HotaCounts] = field(default_factory=list)
    _captions: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)
    _captioned: list[Floats] = field(default_factory=list)
    _ids: list[Id] = field(default_factory=list)

    def add(self, video: VideoTracks) -> None:
        """Take in one video."""
        kept = protocols.official(video, self.threshold, self.notes)
        single = sequence_of(kept, len(video.frames), np.float32, video.overlaps)
        matches = match(single)
        counts = count(single, matches, self.alphas, np.float32)
        double = single if self.iou == "mask" else sequence_of(kept, len(video.frames), np.float64)
        mean = count(double, matches if double is single else match(double), ALPHAS, np.float64)
        rows = self.keep(video, kept, single, matches, self._read)
        pairs = [self._pairs(single, matches, kept, alpha) for alpha in self.alphas]
        captioned = np.array([len(p) for p in pairs], np.float32)
        captions = {m: self._scores(m, pairs, captioned, rows) for m in self.available()}
        self._ids.append(video.video)
        self._counts.append(counts)
        self._mean.append(mean)
        self._captions.append(captions)
        self._captioned.append(captioned)
        self.sums.append(video_sums(counts, mean, double))
        self.sums[-1].captions.add(row.captions for row in rows)

    @property
    def _read(self) -> Callable[[str, str], Pair | None]:
        return cut_pair if self.line_breaks == "cut" else whole_pair

    def _pairs(self, sequence: Sequenced, matches: Matches, kept: Kept, alpha: float) -> list[Pair]:
        found = pairs_of(sequence.layout, matches, accepted(matches, alpha), kept)
        broken = sum(bool(t.caption) and "\n" in p.caption for t, p, _ in found)
        what = "cut, as CaptionFormer does" if self.line_breaks == "cut" else "kept, as scenic does"
        self.notes.count(f"matched captions have a line break; what follows it is {what} (--line-breaks)", broken)
        return [pair for t, p, _ in found if (pair := self._read(t.caption, p.caption))]

    def _scores(
        self, metric: str, pairs: Sequence[Sequence[Pair]], captioned: Floats, rows: list[TruthRow]
    ) -> NDArray[np.float64]:
        """The mean score of the pairs of each threshold; the corpus of CIDEr is this one video."""
        means = []
        for at, pairs_at in enumerate(pairs):
            scores = official_cider(pairs_at) if metric == "cider" else self.outside(metric, pairs_at)
            means.append(np.sum(scores) / max(1e-10, float(captioned[at])))
            if not at:
                known = dict(zip(pairs_at, scores, strict=True))
                for row in rows:
                    row.captions.scores[metric] = sum(known.get(pair, 0.0) * n for pair, n in row.pairs.items())
        return np.array(means)

    def finish(self) -> Scores:
        """The result over all videos, combined in the order in which the public code meets them."""
        values: Values = {}
        several = len(self.metrics) not in (1, 3)
        if self._counts:
            places = {video: place for place, video in enumerate(self._ids)}
            combined = combine([self._counts[places[video]] for video in protocols.public_order(self._ids)])
            values = {key: float(value.sum() / len(value)) for key, value in combined.items()}
            values |= self._caption_values(combined, values)
            values |= mean_values(combine(self._mean))
            values |= identity_values([video.identity for video in self.sums])
            if (values.get("CapA_cider") or 0.0) > 1:
                self.notes.say(
                    "CIDEr is on a scale of 0 to 10 here, so CapA may pass 100 (up to 1000), and CHOTA too (up to 215)"
                )
            if several and self.metrics:
                self.notes.say(
                    f"no public code prints the mean of {len(self.metrics)} caption metrics, only that of three: "
                    "CapA and CHOTA are given for each metric by itself"
                )
        notes = self.notes.all()
        metrics = self.metrics
        return Scores("official", values, notes, self.truths, self.predictions, self.sums, metrics, not several)

    def _caption_values(self, combined: dict[str, Floats], values: Values) -> Values:
        """CapA and CHOTA at each threshold, averaged over the thresholds."""
        total = np.cumsum(np.stack(self._captioned), axis=0, dtype=np.float32)[-1]
        values["TP_with_captions"] = float(total.sum() / len(total))
        found: dict[str, Floats] = {}
        for metric in self.available():
            each = [c[metric] * n for c, n in zip(self._captions, self._captioned, strict=True)]
            weighted = np.cumsum(each, axis=0)[-1]
            found[metric] = np.maximum(1e-10, weighted) / np.maximum(1e-10, total.astype(np.float64))
        if self.metrics and not total.any():
            self.notes.say("no caption was compared: the public code then reports a CapA of 1")
        several = len(self.metrics) not in (1, 3)
        at_each = [
            caption_values(
                {metric: float(value[a]) for metric, value in found.items()},
                self.metrics,
                float(combined["DetA"][a] * combined["AssA"][a]),
                combined=not several,
            )
            for a in range(len(self.alphas))
        ]
        return {name: _mean([one[name] for one in at_each]) for name in at_each[0]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def cut_pair(reference: str, candidate: str) -> Pair | None:
    """The pair to score, the candidate up to its first line break; None without reference."""
    return (reference, candidate.split("\n", maxsplit=1)[0]) if reference else None


def whole_pair(reference: str, candidate: str) -> Pair | None:
    """The pair to score as it is; None without reference."""
    return (reference, candidate) if reference else None


@dataclass(slots=True)
class PublicSizes:
    """The official numbers of small, medium and large detections, as CaptionFormer's chota_with_size counts them.

    Truths and predictions of a size are matched among themselves, so that an object found a little too large may be
    missed in one size and wrong in the next. Sizes are of boxes where the file has boxes, else of masks.
    """

    scorings: dict[str, OfficialChota]

    def add(self, video: VideoTracks) -> None:
        """Take in one video."""
        for name, scoring in self.scorings.items():
            low, high = PUBLIC_SIZES[name]

            def of_size(side: Sequence[Detection], low: float = low, high: float = high) -> tuple[Detection, ...]:
                return tuple(one for one in side if low <= _public_area(one) < high and _public_area(one) > 0)

            scoring.add(replace(video, truth=of_size(video.truth), predictions=of_size(video.predictions)))

    def finish(self) -> dict[str, Values]:
        """The values by size."""
        return {name: scoring.finish().values for name, scoring in self.scorings.items()}


def _public_area(one: Detection) -> float:
    if one.box is not None and one.box[2] * one.box[3] > 0:
        return one.box[2] * one.box[3]
    return detection_area(one) if one.mask is not None else 0.0
