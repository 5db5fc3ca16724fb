"""How much a caption reads like talk about picture, marks or task, by weights of its words and pairs of words.

A net below the phrases, for what none of them says: a logistic regression that ``scripts/talk_weights.py`` fitted to
the labelled captions. In place of the object's name, colours and numbers stand signs, so that it learns how is spoken,
not of what.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.markers import VOCABULARY
from capgen.pipeline.checks.vocabulary.phrases import expanded, plain, with_name

_TABLE = Path(__file__).resolve().parent / "talk.tsv"
_COLOURS = frozenset((*expanded(["COLOUR"], VOCABULARY), "black", "white", "brown", "grey", "gray", "golden", "silver"))
_SIGNS = {"NAME": "<N>"} | dict.fromkeys(_COLOURS, "<C>") | {str(number): "<D>" for number in range(1000)}
ENOUGH = 2.5
"""From how much on a caption is dropped: the logarithm of the odds, twelve to one."""
SUSPICIOUS = 0.5
"""A word of at least this weight has to be there, or nothing is summed."""


class _Weights(NamedTuple):
    constant: float
    by_words: dict[str, float]
    suspicious: frozenset[str]


@cache
def _weights() -> _Weights:
    lines = [line.split("\t") for line in _TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    by_words = {words: float(weight) for words, weight in lines}
    constant = by_words.pop("")
    return _Weights(constant, by_words, frozenset(word for word, weight in by_words.items() if weight >= SUSPICIOUS))


def features(said: CheckedCaption) -> list[str]:
    """The words of the plain caption, with signs for what is spoken of, and their pairs; each once."""
    text = with_name(said) or plain(said.caption).text
    words = [_SIGNS.get(word, word) for word in text.split()]
    return list(dict.fromkeys((*words, *(f"{one} {other}" for one, other in pairwise(words)))))


def talk(said: CheckedCaption) -> str | None:
    """The words that weigh most in a caption that reads like talk; None for any other caption."""
    weights = _weights()
    if weights.suspicious.isdisjoint(plain(said.caption).words):
        return None
    found = features(said)
    weigh = weights.by_words.get
    if weights.constant + sum([weigh(words, 0.0) for words in found]) < ENOUGH:
        return None
    return ", ".join(sorted(found, key=lambda words: -weigh(words, 0.0))[:3])
