"""BenSMOT's caption scores: a corpus of sentence pairs, one for each predicted track.

Source: Li et al., ECCV 2024, arXiv:2403.05021, and the scripts of CaptionFormer. There is no recall in the published
score: a track that is not found costs nothing, and one that is found twice counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.protocols import Protocol
from capgen.evaluation.metrics.text.captions import (
    Pair,
    bleu,
    caption_text,
    clean_cider,
    corpus,
    official_cider,
    rouge_l,
)
from capgen.evaluation.metrics.text.java_metrics import Scorer
from capgen.evaluation.metrics.text.nltk_meteor import at_blanks, find_wordnet, nltk_meteor, whole_sentence
from capgen.evaluation.reading.similarity import box_iou, boxes
from capgen.evaluation.reading.tracks import Blank, Detection, Id, Notes, VideoTracks


@dataclass(slots=True)
class TrackCaptions:
    """Caption scores over pairs of whole tracks.

    Under ``official`` every predicted track is paired with the truth it overlaps most, on the mean over the frames
    that both are on, however little that is, and with the first truth of its video where it overlaps none; texts are
    raw, and BLEU counts characters. METEOR is NLTK's: CaptionFormer's script hands it a sentence as one word, SMOT's
    cuts words. Under ``clean`` tracks are paired one to one by their overlap over all frames, a truth that nothing is
    paired with scores 0, and texts are normalised words.

    Args:
        threshold: predictions must score above it (official) or reach it (clean); None, as published, for all.
    """

    protocol: Protocol
    threshold: float | None = None
    notes: Notes = field(default_factory=Notes)
    _pairs: list[Pair] = field(default_factory=list)
    _references: list[str] = field(default_factory=list)

    def add(self, video: VideoTracks) -> None:
        """Take in one video of boxes."""
        if self.protocol == "official":
            self._pair_best(
                _tracks(video.truth, video.blank_truth),
                _tracks(
                    [one for one in video.predictions if self.threshold is None or one.score > self.threshold],
                    [one for one in video.blank_predictions if self.threshold is None or one.score > self.threshold],
                ),
            )
            return
        found = [one for one in video.predictions if self.threshold is None or one.score >= self.threshold]
        self._pair_once(
            [track for track in _tracks(video.truth, ()) if caption_text(track.caption)], _tracks(found, ())
        )

    def _pair_best(self, truth: list[_Track], found: list[_Track]) -> None:
        if not truth:
            return
        overlap = _overlaps(truth, found, whole=False)
        for row, track in zip(overlap, found, strict=True):
            self._pairs.append((truth[int(row.argmax())].caption, track.caption))

    def _pair_once(self, truth: list[_Track], found: list[_Track]) -> None:
        from scipy.optimize import linear_sum_assignment

        overlap = _overlaps(truth, found, whole=True)
        partner = {j: i for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] > 0}
        for j, track in enumerate(truth):
            self._references.append(caption_text(track.caption))
            self._pairs.append((self._references[-1], caption_text(found[partner[j]].caption) if j in partner else ""))

    def finish(self, meteor: Scorer | None = None) -> dict[str, float | None]:
        """CIDEr, BLEU, ROUGE-L and METEOR; None where there is nothing to compare or METEOR is not here.

        CIDEr is in 0 to 10 under ``official`` (the papers print it times 100) and in 0 to 1 under ``clean``. Under
        ``official`` ``METEOR`` is CaptionFormer's reading, ``METEOR_words`` SMOT's.

        Raises:
            ScorerFailed: METEOR ended.
        """
        if self.protocol == "official":
            cider, tokens = official_cider(self._pairs), [(list(r), list(c)) for r, c in self._pairs]
            meteors = self._nltk_meteors()
        else:
            cider = clean_cider(self._pairs, corpus(self._references))
            tokens = [(r.split(), c.split()) for r, c in self._pairs]
            meteors = {"METEOR": meteor.score([((r,), c) for r, c in self._pairs]) if meteor else []}
        return {
            "CIDEr": _mean(cider),
            "BLEU": bleu(tokens) if self._pairs else None,
            "ROUGE_L": _mean(rouge_l(self._pairs)),
            **{name: _mean(scores) for name, scores in meteors.items()},
        }

    def _nltk_meteors(self) -> dict[str, list[float]]:
        """The two public readings; empty, and a note, where NLTK or its data is missing."""
        wordnet, reason = find_wordnet()
        if reason:
            self.notes.say(f"METEOR of whole tracks is left out under official: {reason}")
            return {"METEOR": [], "METEOR_words": []}
        return {
            "METEOR": nltk_meteor(self._pairs, whole_sentence, wordnet),
            "METEOR_words": nltk_meteor(self._pairs, at_blanks, wordnet),
        }


def _mean(scores: Sequence[float]) -> float | None:
    return float(np.mean(scores)) if scores else None


@dataclass(slots=True)
class _Track:
    """A track, which may be on no frame, and the caption of its first entry."""

    place: int
    caption: str
    detections: list[Detection] = field(default_factory=list)


def _tracks(side: Iterable[Detection], blanks: Iterable[Blank]) -> list[_Track]:
    """The tracks in the order of their file."""
    found: dict[Id, _Track] = {}
    for one in side:
        found.setdefault(one.track, _Track(one.place, one.caption)).detections.append(one)
    empty = [_Track(blank.place, blank.caption) for blank in blanks]
    return sorted([*found.values(), *empty], key=lambda track: track.place) if empty else list(found.values())


def _overlaps(truth: Sequence[_Track], found: Sequence[_Track], *, whole: bool) -> NDArray[np.float64]:
    """Mean IoU of each prediction (rows) and truth, over all frames of either, or over those that both are on."""
    table = np.zeros((len(found), len(truth)))
    for i, mine in enumerate(found):
        for j, theirs in enumerate(truth):
            table[i, j] = _overlap(mine.detections, theirs.detections, whole=whole)
    return table


def _overlap(mine: Sequence[Detection], theirs: Sequence[Detection], *, whole: bool) -> float:
    own, other = {one.frame: one for one in mine}, {one.frame: one for one in theirs}
    both = sorted(own.keys() & other.keys())
    if not both:
        return 0.0
    ious = box_iou(boxes([own[f] for f in both], np.float64), boxes([other[f] for f in both], np.float64))
    return float(ious.sum() / (len(own.keys() | other.keys()) if whole else len(both)))
