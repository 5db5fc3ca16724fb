"""What a method makes of log-probabilities: a score a sentence, the larger the better, and a verdict.

Scores are natural logarithms. The default threshold is -1: a sentence is wrong where some word of it has a probability
under .37, or where it fits another object of its picture nearly as well. On sample worlds that nothing was trained on,
no threshold between -0.7 and -4 misses a swapped caption, and one near log 0.5 refuses up to .024 of the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

Method = Literal["fit", "yes_no", "confidence"]
JudgeVerdict = Literal["right", "wrong", "unknown"]

THRESHOLD = -1.0


class JudgedCaption(msgspec.Struct, frozen=True, kw_only=True):
    """The score of a sentence about an object.

    Args:
        score: the smaller one of ``least`` and ``contrast`` for ``fit``; the logarithm of the smallest P(yes) for
            ``yes_no``; ``logprob_min`` for ``confidence``. None where nothing is known.
        least: of ``fit``: the log-probability of the sentence's least probable token.
        contrast: of ``fit``: by how much the sentence is more probable for its object than for the best of the others
            of its picture or video; None where it is alone there.
        answers: of ``yes_no``: P(yes) of each question.
        prompt_tokens, cached_tokens: what that cost.
        message: why there is no score.
    """

    key: str
    caption: str
    score: float | None = None
    least: float | None = None
    contrast: float | None = None
    answers: dict[str, float] = {}
    prompt_tokens: int = 0
    cached_tokens: int = 0
    message: str | None = None

    def verdict(self, threshold: float) -> JudgeVerdict:
        """What the score says against a threshold."""
        if self.score is None:
            return "unknown"
        return "right" if self.score >= threshold else "wrong"


def yes_score(answers: Mapping[str, float]) -> float:
    """The logarithm of the smallest P(yes), at least -50."""
    return math.log(max(min(answers.values()), 2e-22))
