"""BenSMOT's caption scores: a corpus of sentence pairs, one for each predicted track.

Source: Li et al., ECCV 2024, arXiv:2403.05021, and the scripts of CaptionFormer. There is no recall in the published
score: a track that is not found costs nothing, and one that is found twice counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.metrics.captions import Pair, bleu, clean_cider, corpus, official_cider, rouge_l
from capgen.evaluation.metrics.java_metrics import Scorer
from capgen.evaluation.metrics.protocols import Protocol
from capgen.evaluation.reading.similarity import box_iou, boxes
from capgen.evaluation.reading.tracks import Detection, Id, VideoTracks
from capgen.text import normal, words


@dataclass(slots=True)
class TrackCaptions:
    """Caption scores over pairs of whole tracks.

    Under ``official`` every predicted track is paired with the truth it overlaps most, on the mean over the frames
    that both are on, however little that is; texts are raw, BLEU counts characters, and METEOR takes the sentence for
    one word. Under ``clean`` tracks are paired one to one by their overlap over all frames, a truth that nothing is
    paired with scores 0, and texts are normalised words.

    Args:
        threshold: predictions must score above it (official) or reach it (clean).
    """

    protocol: Protocol
    threshold: float = 0.5
    _pairs: list[Pair] = field(default_factory=list)
    _references: list[str] = field(default_factory=list)

    def add(self, video: VideoTracks) -> None:
        """Take in one video of boxes."""
        truth = _tracks(one for one in video.truth)
        if self.protocol == "official":
            found = _tracks(one for one in video.predictions if one.score > self.threshold)
            self._pair_best(truth, found)
        else:
            found = _tracks(one for one in video.predictions if one.score >= self.threshold)
            self._pair_once({t: side for t, side in truth.items() if normal(side[0].caption)}, found)

    def _pair_best(self, truth: dict[Id, list[Detection]], found: dict[Id, list[Detection]]) -> None:
        if not truth:
            return
        overlap = _overlaps(truth, found, whole=False)
        references = [side[0].caption for side in truth.values()]
        for row, side in zip(overlap, found.values(), strict=True):
            self._pairs.append((references[int(row.argmax())], side[0].caption))

    def _pair_once(self, truth: dict[Id, list[Detection]], found: dict[Id, list[Detection]]) -> None:
        from scipy.optimize import linear_sum_assignment

        overlap = _overlaps(truth, found, whole=True)
        partner = {j: i for i, j in zip(*linear_sum_assignment(-overlap), strict=True) if overlap[i, j] > 0}
        candidates = [side[0].caption for side in found.values()]
        for j, side in enumerate(truth.values()):
            self._references.append(normal(side[0].caption))
            self._pairs.append((self._references[-1], normal(candidates[partner[j]]) if j in partner else ""))

    def finish(self, meteor: Scorer | None = None) -> dict[str, float | None]:
        """CIDEr, BLEU, ROUGE-L and METEOR; None where there is nothing to compare or METEOR is not here.

        CIDEr is in 0 to 10 under ``official`` (the papers print it times 100) and in 0 to 1 under ``clean``.

        Raises:
            ScorerFailed: METEOR ended.
        """
        if not self._pairs:
            return {"CIDEr": None, "BLEU": None, "ROUGE_L": None, "METEOR": None}
        if self.protocol == "official":
            cider, tokens = official_cider(self._pairs), [(list(r), list(c)) for r, c in self._pairs]
            meteors = [_one_word_meteor(*pair) for pair in self._pairs]
        else:
            cider = clean_cider(self._pairs, corpus(self._references))
            tokens = [(words(r), words(c)) for r, c in self._pairs]
            meteors = meteor.score([((r,), c) for r, c in self._pairs]) if meteor else []
        return {
            "CIDEr": float(np.mean(cider)),
            "BLEU": bleu(tokens),
            "ROUGE_L": float(np.mean(rouge_l(self._pairs))),
            "METEOR": float(np.mean(meteors)) if meteors else None,
        }


def _one_word_meteor(reference: str, candidate: str) -> float:
    """METEOR of two sentences that are handed over as one word each: half for equal, else nothing.

    The half is 1 minus the fragmentation penalty of one match in one chunk. Case, commas and full stops do not count.
    A stemmer might still equate two sentences that differ in their last letters; that is not repeated here.
    """
    own, other = (text.replace(",", "").replace(".", "").lower() for text in (reference, candidate))
    return 0.5 if own == other else 0.0


def _tracks(side: Iterable[Detection]) -> dict[Id, list[Detection]]:
    found: dict[Id, list[Detection]] = {}
    for one in side:
        found.setdefault(one.track, []).append(one)
    return found


def _overlaps(
    truth: dict[Id, list[Detection]], found: dict[Id, list[Detection]], *, whole: bool
) -> NDArray[np.float64]:
    """Mean IoU of each prediction (rows) and truth, over all frames of either, or over those that both are on."""
    table = np.zeros((len(found), len(truth)))
    for i, mine in enumerate(found.values()):
        for j, theirs in enumerate(truth.values()):
            table[i, j] = _overlap(mine, theirs, whole=whole)
    return table


def _overlap(mine: Sequence[Detection], theirs: Sequence[Detection], *, whole: bool) -> float:
    own, other = {one.frame: one for one in mine}, {one.frame: one for one in theirs}
    both = sorted(own.keys() & other.keys())
    if not both:
        return 0.0
    ious = box_iou(boxes([own[f] for f in both], np.float64), boxes([other[f] for f in both], np.float64))
    return float(ious.sum() / (len(own.keys() | other.keys()) if whole else len(both)))
