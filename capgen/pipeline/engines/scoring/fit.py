"""How well a sentence fits its object: its probability for the object's pictures, and for those of other objects.

Scores are natural logarithms, the larger the better.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.engines.scoring.base import SentenceScorer
from capgen.pipeline.view import View

CONTRAST = 3
"""Objects of the same picture or video against which a sentence is held at most; those of its category first."""


@dataclass(frozen=True, slots=True)
class SentenceFit:
    """How well a sentence fits.

    Args:
        score: the smaller one of ``least`` and ``contrast``.
        least: the log-probability of the sentence's least probable token.
        contrast: by how much the sentence is more probable for its object than for the best of the others; None where
            there are no others.
        best_other: the key of that other object.
        prompt_tokens, cached_tokens: what that cost.
    """

    score: float
    least: float
    contrast: float | None = None
    best_other: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def prefers_another(self) -> bool:
        """Whether the sentence is more probable for another object."""
        return self.contrast is not None and self.contrast < 0


async def fit_of(
    scorer: SentenceScorer, sentence: str, own: View, others: Sequence[View], *, own_again: View | None = None
) -> SentenceFit:
    """Score a sentence for its object and for others.

    Args:
        own_again: another request about the object; each token then counts with the mean of its two probabilities.

    Raises:
        EngineFault: as ``SentenceScorer.sentence``; or a request is about several objects, whose pictures are the same.
        UserError: as ``SentenceScorer.sentence``.
    """
    if own.numbered is not None:
        raise EngineFault("the prompt asks for several objects at once: it shows the same pictures for each of them")
    views = (own, *others) if own_again is None else (own, *others, own_again)
    found = await asyncio.gather(*(scorer.sentence(view, sentence) for view in views))
    held_against = found[1 : 1 + len(others)]
    own_logprobs = found[0].logprobs if own_again is None else mean_probability(found[0].logprobs, found[-1].logprobs)
    score, least, contrast = fit_score(own_logprobs, [each.logprobs for each in held_against])
    sums = [(sum(each.logprobs), -place) for place, each in enumerate(held_against)]
    return SentenceFit(
        score=score,
        least=least,
        contrast=contrast,
        best_other=others[-max(sums)[1]].key if sums else None,
        prompt_tokens=sum(each.prompt_tokens for each in found),
        cached_tokens=sum(each.cached_tokens for each in found),
    )


def mean_probability(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """Logarithms of the means of two probabilities of each token, all given and returned as natural logarithms.

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    pairs = zip(one, other, strict=True)
    return tuple(max(a, b) + math.log1p(math.exp(-abs(a - b))) - math.log(2) for a, b in pairs)


def fit_score(own: Sequence[float], others: Sequence[Sequence[float]]) -> tuple[float, float, float | None]:
    """Score, least token and contrast of a sentence.

    Args:
        own: log-probabilities of its tokens for its own object.
        others: the same for other objects.

    Raises:
        ValueError: it has no token.
    """
    least = min(own)
    contrast = sum(own) - max(map(sum, others)) if others else None
    return (least if contrast is None else min(least, contrast)), least, contrast


def to_compare(place: int, categories: Sequence[str | None], most: int = CONTRAST) -> list[int]:
    """The places of the objects of a picture against which one is held: its category first, then its neighbours."""
    rest = [other for other in range(len(categories)) if other != place]
    rest.sort(key=lambda other: (categories[other] != categories[place], abs(other - place), other))
    return rest[:most]
