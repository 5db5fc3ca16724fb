"""How sure a model was of its own caption: log-probabilities of its words, made of those of its tokens.

Words that carry no content are left out. Function words, punctuation and end tokens tell of the sentence, not of the
object. The opening, up to and including the first content word, is left out too: a true caption may begin with the
size, the colour or the kind, and the model's choice among these says nothing of what is true.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capgen.text import word_spans

_FUNCTION_WORDS = """
a an the this that these those some any each every all both either neither no not
and or but nor so yet if than as while when where which who whom whose what there here
of in on at by to from with without into onto upon over under above below behind beside besides between among
near next against along across through around off out up down inside outside toward towards within about after
before during for per via like beneath underneath amid atop
is are was were be been being has have had having do does did can could may might must shall should will would
it its he him his she her hers they them their theirs we us our you your i my me itself himself herself themselves
one ones very too also just only other another
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that every caption has, whatever it shows."""

_DIGITS = 4
"""Decimals that are kept: engines do not repeat more of them when requests are batched in another way."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """Natural logarithms of probabilities, at most 0: of the content word that was least probable, and their mean."""

    least: float
    mean: float


def confidence(tokens: Iterable[tuple[str, float]], text: str, caption: str | None = None) -> Confidence | None:
    """The confidence of an answer.

    Args:
        tokens: the text of each token of the answer and its log-probability, in order; special tokens may be among
            them.
        text: the whole answer.
        caption: the part of ``text`` that is the caption, where reasoning stands before it; None is all of it.

    Returns:
        None where the tokens are not those of the text, or no word of the caption carries content.
    """
    start, end = 0, len(text)
    if caption is not None and caption != text:
        start = text.rfind(caption)
        end = start + len(caption)
        if start < 0:
            return None
    spans = _placed(tokens, text)
    if spans is None:
        return None
    chosen = _content([(word, a, b) for word, a, b in word_spans(text) if start <= a and b <= end])
    values = _word_values(spans, chosen)
    if not values:
        return None
    return Confidence(round(min(values), _DIGITS), round(math.fsum(values) / len(values), _DIGITS))


def content_words(caption: str) -> list[str]:
    """The words of a caption, in lower case and in order, without the function words; the opening is not left out."""
    return [word for word, _, _ in word_spans(caption) if word not in FUNCTION_WORDS]


def _content(words: Sequence[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """Where the words stand that carry content; the opening alone where nothing follows it."""
    spans = [(a, b) for word, a, b in words if word not in FUNCTION_WORDS]
    return spans[1:] or spans


def _placed(tokens: Iterable[tuple[str, float]], text: str) -> list[tuple[int, float]] | None:
    """The place in the text where each token begins, white space left out, with its log-probability.

    Tokenizers differ in whether a token has its blank, and a token may be a piece of a character: such a piece, which
    is no text, counts with the token that completes it.
    """
    found: list[tuple[int, float]] = []
    at, waiting = 0, 0.0
    for piece, value in tokens:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            break
        bare = piece.strip()
        if not bare or "�" in bare:
            waiting += value if bare or not piece else 0.0
            continue
        place = text.find(bare, at, at + len(bare) + 1) if not waiting else text.find(bare, at, at + len(bare) + 4)
        if place < 0:
            return None
        found.append((at if waiting else place, value + waiting))
        at, waiting = place + len(bare), 0.0
    return found if found and not text[at:].strip() else None


def _word_values(spans: Sequence[tuple[int, float]], chosen: Sequence[tuple[int, int]]) -> list[float]:
    """The log-probabilities of words: each the sum over its tokens; words in which no token begins are left out.

    Args:
        spans: places of tokens, ascending, with their values.
        chosen: where the words begin and end, ascending.
    """
    values: list[float] = []
    tokens = iter(spans)
    place, value = next(tokens, (-1, 0.0))
    for start, end in chosen:
        inside = []
        while 0 <= place < end:
            if place >= start:
                inside.append(value)
            place, value = next(tokens, (-1, 0.0))
        total = math.fsum(inside)
        if inside and math.isfinite(total):
            values.append(min(0.0, total))
    return values
