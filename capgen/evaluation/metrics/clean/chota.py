"""The protocol ``clean``: what capgen stands for. docs/evaluation.md has each choice, its reason and an example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from capgen.evaluation.metrics import protocols
from capgen.evaluation.metrics.caption_switches import clean_switches, switch_share
from capgen.evaluation.metrics.chota import ChotaScoring, Scores, Values, caption_values, mean_values, video_sums
from capgen.evaluation.metrics.clean.matching import ContestedGroup, clean_counts, clean_match
from capgen.evaluation.metrics.hota import ALPHAS, HotaCounts, Sequenced, combine, count, match
from capgen.evaluation.metrics.identity import identity_values
from capgen.evaluation.metrics.protocols import Kept, sequence_of
from capgen.evaluation.metrics.rows import CaptionSums, TruthRow
from capgen.evaluation.metrics.text.captions import Pair, caption_text, clean_cider, corpus
from capgen.evaluation.reading.tracks import Id, VideoTracks, sort_key

CLEAN_VERSION = 3
"""Changed whenever a number of ``clean`` may change.

Version 1 gave each caption of a found track one vote. Version 2 had HOTA's matching, in which a correct detection more
could lower DetA.
"""


@dataclass(frozen=True, slots=True)
class _ContestedCaptions:
    """A contested group with the row of each pair's truth, and the captions to compare; None without reference."""

    group: ContestedGroup
    rows: list[TruthRow]
    pairs: list[Pair | None]


@dataclass(slots=True)
class CleanChota(ChotaScoring):
    """capgen's numbers: captions normalised, one corpus of tracks, captions weighed by association, CapA in 0 to 1.

    A matched detection whose truth has a caption weighs as much as in AssA: by the association accuracy A(c) of its two
    tracks. So CHOTA is the cube root of the sum of A(c) s(c) over TP + FN + FP, where every truth has a caption. Each
    of the sums is the largest that a one-to-one matching can have, and a correct detection, however badly described,
    lowers nothing. HOTA_mean and the numbers about identities are TrackEval's.
    """

    _counts: list[HotaCounts] = field(default_factory=list)
    _mean: list[HotaCounts] = field(default_factory=list)
    _references: Counter[str] = field(default_factory=Counter)
    _contested: list[list[_ContestedCaptions]] = field(default_factory=list)
    _last: list[int] = field(default_factory=list)
    _ids: list[Id] = field(default_factory=list)

    def add(self, video: VideoTracks) -> None:
        """Take in one video.

        Raises:
            UserError: the video's tracks are not one detection a frame.
        """
        kept = protocols.clean(video, self.threshold, self.iou, self.notes)
        sequence = sequence_of(kept, len(video.frames), np.float64, video.overlaps)
        found = clean_match(sequence)
        self._counts.append(clean_counts(sequence, found))
        self._mean.append(count(sequence, match(sequence), ALPHAS, np.float64))
        # Every caption of every track is a document, found or not: the corpus is the benchmark's, not the model's.
        captions = {(t.track, t.caption) for t in kept.truth}
        self._references.update(text for _, text in {(track, caption_text(c)) for track, c in captions} if text)
        association = np.where(found.alone, found.association, 0.0)
        rows = self.keep(video, kept, sequence, found.matches, _clean_pair, association)
        self._contested.append(_contested_captions(found.contested, sequence, kept, rows))
        self.sums.append(video_sums(self._counts[-1], self._mean[-1], sequence))
        self.sums[-1].switches = np.array(clean_switches(rows))
        self._last.append(len(self.truths))
        self._ids.append(video.video)

    def finish(self) -> Scores:
        """The result over all videos; captions are scored here, when the corpus is complete."""
        values: Values = {}
        if self._counts:
            # In the order of ids, not of the file: sums round alike.
            order = sorted(range(len(self._ids)), key=lambda place: sort_key(self._ids[place]))
            combined = combine([self._counts[place] for place in order])
            values = {key: float(value[0]) for key, value in combined.items()}
            values |= self._score_captions(values, order)
            values |= mean_values(combine([self._mean[place] for place in order]))
            values |= identity_values([video.identity for video in self.sums])
            if self.metrics:
                values["caption_switches"] = switch_share(self.sums)
        notes = self.notes.all()
        return Scores("clean", values, notes, self.truths, self.predictions, self.sums, self.metrics)

    def _score_captions(self, values: Values, order: list[int]) -> Values:
        contested = {pair for many in self._contested for one in many for pair in one.pairs if pair}
        pairs = sorted({pair for row in self.truths for pair in row.pairs} | contested)
        collection = corpus(sorted(self._references.elements()))
        known: dict[str, dict[Pair, float]] = {}
        for metric in self.available():
            scores = clean_cider(pairs, collection) if metric == "cider" else self.outside(metric, pairs)
            known[metric] = dict(zip(pairs, scores, strict=True))
        self._add_up({metric: known[metric] for metric in self.available()})
        whole = CaptionSums()
        whole.add(self.sums[place].captions for place in order)
        if self.metrics and not whole.found:
            self.notes.say("CapA is left out: no object with a caption was found")
        values["tracks_with_captions"] = float(sum(len({r for r, _ in row.pairs}) for row in self.truths))
        accuracy = {metric: whole.accuracy(metric) for metric in self.available()}
        tracking = (values["DetA"] or 0.0) * (values["AssA"] or 0.0)
        uncompared = whole.uncompared if self.truths else 0.0
        return caption_values(accuracy, self.metrics, tracking, combined=True, uncompared=uncompared)

    def _add_up(self, known: Mapping[str, Mapping[Pair, float]]) -> None:
        """The sums of each track and of each video."""
        start = 0
        for sums, stop, contested in zip(self.sums, self._last, self._contested, strict=True):
            for row in self.truths[start:stop]:
                for metric, scores in known.items():
                    row.captions.scores[metric] = sum(scores[pair] * weight for pair, weight in row.pairs.items())
            for metric, scores in known.items():
                for one in contested:
                    _add_best(one, metric, scores)
            sums.captions.add(row.captions for row in self.truths[start:stop])
            start = stop


def _contested_captions(
    groups: Sequence[ContestedGroup], sequence: Sequenced, kept: Kept, rows: Sequence[TruthRow]
) -> list[_ContestedCaptions]:
    """The captions of the contested groups of a video; what they add to the rows but for captions is added here."""
    by_track = {row.track: row for row in rows}
    found = []
    for group in groups:
        truths = [kept.truth[place] for place in sequence.layout.truth[group.rows]]
        others = [kept.predictions[place] for place in sequence.layout.predictions[group.columns]]
        own = [by_track[truth.track] for truth in truths]
        pairs = [_clean_pair(a.caption, b.caption) for a, b in zip(truths, others, strict=True)]
        found.append(_ContestedCaptions(group, own, pairs))
        captioned = np.array([pair is not None for pair in pairs])
        for place in group.best(group.association):
            own[place].associated += float(group.association[place])
            own[place].captions.weight += float(group.association[place])
        for place in group.best(group.association * captioned):
            own[place].captions.found += float(group.association[place])
        for place in group.best(group.association * ~captioned):
            own[place].captions.without += float(group.association[place])
    return found


def _add_best(one: _ContestedCaptions, metric: str, scores: Mapping[Pair, float]) -> None:
    """Add the largest sum of association times caption score to the rows of a contested group."""
    worth = one.group.association * np.array([scores[pair] if pair else 0.0 for pair in one.pairs])
    for place in one.group.best(worth):
        one.rows[place].captions.scores[metric] += float(worth[place])


@lru_cache(maxsize=1 << 16)
def _clean_pair(reference: str, candidate: str) -> Pair | None:
    text = caption_text(reference)
    return (text, caption_text(candidate)) if text else None
