"""How much a caption reads like talk about picture, marks or task, by weights of its words and pairs of words.

A net below the phrases, for what none of them says: a logistic regression that ``scripts/talk_weights.py`` fitted to
the labelled captions. In place of the object's name, colours and numbers stand signs, so that it learns how is spoken,
not of what.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise, repeat
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
SUSPICIOUS = 0.7
"""A word of at least this weight has to be there, or nothing is summed."""


class _Weights(NamedTuple):
    constant: float
    of_words: dict[str, float]
    of_pairs: dict[tuple[str, str], float]
    suspicious: frozenset[str]


@cache
def _weights() -> _Weights:
    lines = [line.split("\t") for line in _TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    weights = {words: float(weight) for words, weight in lines}
    constant = weights.pop("")
    pairs = {(one, other): weights[f"{one} {other}"] for one, other in (key.split() for key in weights if " " in key)}
    singles = {word: weight for word, weight in weights.items() if " " not in word}
    return _Weights(
        constant, singles, pairs, frozenset(word for word, weight in singles.items() if weight >= SUSPICIOUS)
    )


def features(said: CheckedCaption) -> tuple[set[str], set[tuple[str, str]]]:
    """The words of the plain caption, with signs for what is spoken of, and their pairs."""
    spoken = (with_name(said) or plain(said.caption).text).split()
    words = list(map(_SIGNS.get, spoken, spoken))
    return set(words), set(pairwise(words))


def talk(said: CheckedCaption) -> str | None:
    """The words that weigh most in a caption that reads like talk; None for any other caption."""
    weights = _weights()
    if weights.suspicious.isdisjoint(plain(said.caption).words):
        return None
    words, pairs = features(said)
    of_words, of_pairs, nothing = weights.of_words.get, weights.of_pairs.get, repeat(0.0)
    total = weights.constant + sum(map(of_words, words, nothing)) + sum(map(of_pairs, pairs, nothing))
    if total < ENOUGH:
        return None
    word_weights = [(weights.of_words[word], word) for word in words if word in weights.of_words]
    pair_weights = [(weights.of_pairs[pair], " ".join(pair)) for pair in pairs if pair in weights.of_pairs]
    weighed = word_weights + pair_weights
    return ", ".join(words for _, words in sorted(weighed, reverse=True)[:3])
