"""CHOTA: the geometric mean of detection, association and caption accuracy, under either protocol.

Source: Zhou et al., ECCV 2024, arXiv:2306.11729. ``Official`` gives the numbers of the public evaluators, in single
precision and with all their habits; ``Clean`` gives ours. Both see one video at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol as Interface

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics import protocols
from capgen.evaluation.metrics.hota import ALPHAS, HotaCounts, Matches, Sequenced, accepted, combine, count, match
from capgen.evaluation.metrics.protocols import Kept, Protocol, pairs_of, sequence_of
from capgen.evaluation.metrics.rows import PredictionRow, TruthRow, rows_of
from capgen.evaluation.metrics.text.captions import Pair, clean_cider, corpus, official_cider
from capgen.evaluation.metrics.text.java_metrics import Scorer, ScorerFailed
from capgen.evaluation.reading.tracks import Floats, Id, Iou, Notes, VideoTracks
from capgen.text import normal

METRICS = ("cider", "meteor", "spice")
HALF: NDArray[np.float64] = np.array([0.5])
Values = dict[str, float | None]


@dataclass(slots=True)
class Sums:
    """What one video adds to every number, so that videos can be drawn again for confidence intervals.

    Args:
        half: tp, fn, fp, sum of association, sum of IoU at alpha 0.5, [5].
        mean: tp, fn, fp, sum of association at the 19 alphas, [4, 19].
        captions: the sum of the caption scores, by metric; ``votes`` is what they are divided by.
    """

    half: NDArray[np.float64]
    mean: NDArray[np.float64]
    captions: dict[str, float] = field(default_factory=dict)
    votes: float = 0.0


@dataclass(slots=True)
class Scores:
    """The result under one protocol; a value that cannot be had is None, and a note says why."""

    protocol: Protocol
    values: Values
    notes: list[str]
    truths: list[TruthRow]
    predictions: list[PredictionRow]
    videos: list[Sums]


class Scoring(Interface):
    """Scores videos one after the other."""

    def add(self, video: VideoTracks) -> None:
        """Take in one video."""
        ...

    def finish(self) -> Scores:
        """The result over all of them."""
        ...


@dataclass(slots=True)
class _Base:
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
    sums: list[Sums] = field(default_factory=list)
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
    ) -> list[TruthRow]:
        """Note the tracks of a video."""
        truths, predictions = rows_of(video, kept, sequence, matches, read)
        self.truths += truths
        self.predictions += predictions
        return truths


@dataclass(slots=True)
class Official(_Base):
    """The numbers of scenic's and CaptionFormer's chota.py, and TrackEval's mean over 19 thresholds.

    Args:
        alphas: the thresholds that every number but ``HOTA_mean`` is averaged over.
    """

    alphas: NDArray[np.float64] = field(default_factory=lambda: HALF)
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
        rows = self.keep(video, kept, single, matches, _official_pair)
        pairs = [self._pairs(single, matches, kept, alpha) for alpha in self.alphas]
        captioned = np.array([len(p) for p in pairs], np.float32)
        captions = {m: self._scores(m, pairs, captioned, rows) for m in self.available()}
        self._ids.append(video.video)
        self._counts.append(counts)
        self._mean.append(mean)
        self._captions.append(captions)
        self._captioned.append(captioned)
        sums = {m: float(v[0] * captioned[0]) for m, v in captions.items()}
        self.sums.append(Sums(_half(counts), _means(mean), sums, float(captioned[0])))

    def _pairs(self, sequence: Sequenced, matches: Matches, kept: Kept, alpha: float) -> list[Pair]:
        found = pairs_of(sequence.layout, matches, accepted(matches, alpha), kept)
        return [pair for t, p, _ in found if (pair := _official_pair(t.caption, p.caption))]

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
                    row.votes = float(row.pairs.total())
                    row.captions[metric] = sum(known.get(pair, 0.0) * n for pair, n in row.pairs.items())
        return np.array(means)

    def finish(self) -> Scores:
        """The result over all videos, combined in the order in which the public code meets them."""
        values: Values = {}
        if self._counts:
            # The public code goes through a set of video ids: single precision keeps the order of its sums.
            places = {video: place for place, video in enumerate(self._ids)}
            combined = combine([self._counts[places[video]] for video in set(self._ids)])
            values = {key: float(value.sum() / len(value)) for key, value in combined.items()}
            captions = self._combined_captions(values)
            if captions:
                capa = np.asarray(sum(captions) / len(captions))
                chota = (combined["DetA"] * combined["AssA"] * capa) ** (1.0 / 3.0)
                values["CapA"], values["CHOTA"] = float(capa.mean()), float(chota.sum() / len(chota))
            values |= _mean_values(combine(self._mean))
        if len(self.available()) != 3:
            self.notes.say("the public code prints CapA only for three metrics; here it is the mean of those counted")
        return Scores("official", values, self.notes.all(), self.truths, self.predictions, self.sums)

    def _combined_captions(self, values: Values) -> list[NDArray[np.float64]]:
        total = np.cumsum(np.stack(self._captioned), axis=0, dtype=np.float32)[-1]
        values["TP_with_captions"] = float(total.sum() / len(total))
        found = []
        for metric in self.metrics:
            if metric not in self.available():
                values[f"CapA_{metric}"] = None
                continue
            weighted = np.cumsum([c[metric] * n for c, n in zip(self._captions, self._captioned, strict=True)], axis=0)[
                -1
            ]
            mean = np.maximum(1e-10, weighted) / np.maximum(1e-10, total.astype(np.float64))
            values[f"CapA_{metric}"] = float(mean.mean())
            found.append(mean)
        if not total.any():
            self.notes.say("no caption was compared: the public code then reports a CapA of 1")
        return found


def _official_pair(reference: str, candidate: str) -> Pair | None:
    # CaptionFormer cuts what a model writes at the first line break, and takes a missing caption for an empty one.
    return (reference, candidate.split("\n", maxsplit=1)[0]) if reference else None


@dataclass(slots=True)
class Clean(_Base):
    """capgen's numbers: captions normalised, one corpus of tracks, a vote a caption of a track, CapA in 0 to 1."""

    _counts: list[HotaCounts] = field(default_factory=list)
    _mean: list[HotaCounts] = field(default_factory=list)
    _references: Counter[str] = field(default_factory=Counter)
    _last: list[int] = field(default_factory=list)

    def add(self, video: VideoTracks) -> None:
        """Take in one video.

        Raises:
            UserError: the video's tracks are not one detection a frame.
        """
        kept = protocols.clean(video, self.threshold, self.iou, self.notes)
        sequence = sequence_of(kept, len(video.frames), np.float64, video.overlaps)
        matches = match(sequence)
        self._counts.append(count(sequence, matches, HALF, np.float64))
        self._mean.append(count(sequence, matches, ALPHAS, np.float64))
        # Every caption of every track is a document, found or not: the corpus is the benchmark's, not the model's.
        captions = {(t.track, t.caption) for t in kept.truth}
        self._references.update(text for _, text in {(track, normal(c)) for track, c in captions} if text)
        self.keep(video, kept, sequence, matches, _clean_pair)
        self.sums.append(Sums(_half(self._counts[-1]), _means(self._mean[-1])))
        self._last.append(len(self.truths))

    def finish(self) -> Scores:
        """The result over all videos; captions are scored here, when the corpus is complete."""
        values: Values = {}
        if self._counts:
            combined = combine(self._counts)
            values = {key: float(value[0]) for key, value in combined.items()}
            self._score_captions(values)
            values |= _mean_values(combine(self._mean))
        return Scores("clean", values, self.notes.all(), self.truths, self.predictions, self.sums)

    def _score_captions(self, values: Values) -> None:
        pairs = list({pair for row in self.truths for pair in row.pairs})
        collection = corpus(self._references.elements())
        known: dict[str, dict[Pair, float]] = {}
        for metric in self.available():
            scores = clean_cider(pairs, collection) if metric == "cider" else self.outside(metric, pairs)
            known[metric] = dict(zip(pairs, scores, strict=True))
        self._vote({metric: known[metric] for metric in self.available()})
        votes = sum(row.votes for row in self.truths)
        values["tracks_with_captions"] = votes
        values |= dict.fromkeys((f"CapA_{metric}" for metric in self.metrics), None)
        found = []
        for metric in self.available():
            if votes:
                found.append(sum(row.captions[metric] for row in self.truths) / votes)
                values[f"CapA_{metric}"] = found[-1]
        values["CapA"] = sum(found) / len(found) if found else None
        values["CHOTA"] = _chota(values)
        if not votes and self.metrics:
            self.notes.say("CapA is left out: no track with a caption was found")

    def _vote(self, known: Mapping[str, Mapping[Pair, float]]) -> None:
        """Each caption of a track is one vote, the mean over the frames on which it was found."""
        start = 0
        for sums, stop in zip(self.sums, self._last, strict=True):
            for row in self.truths[start:stop]:
                references = {reference for reference, _ in row.pairs}
                row.votes = float(len(references))
                for metric, scores in known.items():
                    row.captions[metric] = sum(_mean_of(row.pairs, reference, scores) for reference in references)
                    sums.captions[metric] = sums.captions.get(metric, 0.0) + row.captions[metric]
                sums.votes += row.votes
            start = stop


def _mean_of(pairs: Counter[Pair], reference: str, scores: Mapping[Pair, float]) -> float:
    own = {pair: n for pair, n in pairs.items() if pair[0] == reference}
    return sum(scores[pair] * n for pair, n in own.items()) / sum(own.values())


@lru_cache(maxsize=1 << 16)
def _clean_pair(reference: str, candidate: str) -> Pair | None:
    text = normal(reference)
    return (text, normal(candidate)) if text else None


def _chota(values: Values) -> float | None:
    deta, assa, capa = values["DetA"], values["AssA"], values["CapA"]
    if not deta or not assa:
        return 0.0
    return float((deta * assa * capa) ** (1 / 3)) if capa is not None else None


def _mean_values(combined: Mapping[str, Floats]) -> Values:
    return {f"{key}_mean": float(combined[key].mean()) for key in ("HOTA", "DetA", "AssA", "LocA")}


def _half(counts: HotaCounts) -> NDArray[np.float64]:
    parts = (counts.tp, counts.fn, counts.fp, counts.ass_a * counts.tp, counts.loc_a * counts.tp)
    return np.array([part[0] for part in parts], np.float64)


def _means(counts: HotaCounts) -> NDArray[np.float64]:
    return np.stack([counts.tp, counts.fn, counts.fp, counts.ass_a * counts.tp]).astype(np.float64)
