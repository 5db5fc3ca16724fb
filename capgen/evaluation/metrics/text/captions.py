"""How close a caption is to a reference: CIDEr without Java, as the public evaluators count it and as we do.

Source: Vedantam et al., CVPR 2015, arXiv:1411.5726; the variant in use everywhere is CIDEr-D, with clipped counts and
a Gaussian of the difference in length.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from capgen.text import normal, tidy

Ngram = tuple[str, ...]
Pair = tuple[str, str]
"""A reference and the candidate that is scored against it."""

_ORDERS = 4
_SIGMA = 6.0


_UNSPACED = re.compile(
    "["
    "\u0e00-\u0eff\u0f00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f"  # Thai to Balinese
    "\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3038-\u303b\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, Bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua980-\ua9ff\uaa60-\uaa7f\uf900-\ufaff"  # Han, Yi, Javanese
    "\U00020000-\U0003ffff"  # Han
    "]"
)
"""Letters of the scripts that are written without blanks between words."""


def caption_text(caption: str) -> str:
    """The form in which ``clean`` compares captions: words in lower case without punctuation, joined by blanks.

    In scripts that are written without blanks between words (Han, kana, Thai, Lao, Tibetan, Khmer, Burmese and the
    like) every letter is a word, with the marks that belong to it. Korean has blanks, and is cut at them.
    """
    text = normal(caption)
    if text.isascii() or not _UNSPACED.search(text):
        return text
    letters: list[str] = []
    for letter in text:
        if letters and unicodedata.category(letter) in ("Mn", "Mc"):
            letters[-1] += letter
        else:
            letters.append(letter)
    return tidy("".join(f" {letter} " if _UNSPACED.match(letter) else letter for letter in letters))


@dataclass(frozen=True, slots=True)
class Corpus:
    """How many documents there are, and how many of them each n-gram is in."""

    documents: int
    frequency: Mapping[Ngram, int]

    def raw_weight(self, ngram: Ngram) -> float:
        """The logarithm of documents over frequency: 0 for what is in every document."""
        return math.log(self.documents) - math.log(max(1.0, self.frequency.get(ngram, 0)))

    def smooth_weight(self, ngram: Ngram) -> float:
        """As ``raw_weight`` with one document more, so that no n-gram weighs nothing."""
        return math.log(self.documents + 1) - math.log(max(1.0, self.frequency.get(ngram, 0)))


def ngrams(text: str) -> Counter[Ngram]:
    """The n-grams of one to four words, cut at white space."""
    words = text.split()
    found: Counter[Ngram] = Counter()
    for n in range(1, _ORDERS + 1):
        found.update(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    return found


def corpus(references: Iterable[str]) -> Corpus:
    """The document frequencies of a collection; a reference that occurs k times is k documents."""
    documents = 0
    frequency: Counter[Ngram] = Counter()
    for text, times in Counter(references).items():
        documents += times
        for ngram in ngrams(text):
            frequency[ngram] += times
    return Corpus(documents, frequency)


def official_cider(pairs: Sequence[Pair], *, plain: bool = False) -> list[float]:
    """CIDEr-D of each pair on a scale of 0 to 10, as pycocoevalcap counts it: the references are the corpus.

    Texts are taken as they are, cut at white space, case and punctuation included. One caption alone, or the same
    caption throughout, scores 0 against itself, because each of its n-grams is in every document.

    Args:
        plain: the older CIDEr, without clipping and without the Gaussian.
    """
    collection = corpus(reference for reference, _ in pairs)
    scores: dict[Pair, float] = {}
    for pair in pairs:
        if pair not in scores:
            reference, candidate = ngrams(pair[0]), ngrams(pair[1])
            by_order = _cosines(reference, candidate, collection.raw_weight, clipped=not plain)
            # The public code takes the number of bigrams for the length.
            gap = sum(len(n) == 2 for n in candidate.elements()) - sum(len(n) == 2 for n in reference.elements())
            damping = 1.0 if plain else math.exp(-(gap**2) / (2 * _SIGMA**2))
            scores[pair] = sum(value * damping for value in by_order) / _ORDERS * 10.0
    return [scores[pair] for pair in pairs]


def clean_cider(pairs: Sequence[Pair], collection: Corpus) -> list[float]:
    """CIDEr-D of each pair in 0 to 1, 1 for equal captions, over a corpus that the predictions have no part in.

    Both texts are normalised (``caption_text``). Weights are smoothed, so that a corpus of one caption works,
    and only the orders that one of the two texts is long enough for are averaged, so that a caption of two words can
    be right.

    Args:
        collection: of normalised references.
    """
    return [_clean_pair(caption_text(reference), caption_text(candidate), collection) for reference, candidate in pairs]


def _clean_pair(reference: str, candidate: str, collection: Corpus) -> float:
    lengths = len(reference.split()), len(candidate.split())
    orders = min(_ORDERS, max(lengths))
    if not min(lengths):
        return 0.0
    by_order = _cosines(ngrams(reference), ngrams(candidate), collection.smooth_weight, clipped=True)
    damping = math.exp(-((lengths[0] - lengths[1]) ** 2) / (2 * _SIGMA**2))
    return min(1.0, sum(by_order[:orders]) / orders * damping)


def _cosines(
    reference: Counter[Ngram], candidate: Counter[Ngram], weight: Callable[[Ngram], float], *, clipped: bool
) -> list[float]:
    """The cosine of the weighted counts for each order; a clipped count is at most the reference's."""
    own = _weighted(candidate, weight)
    other = _weighted(reference, weight)
    values = []
    for mine, theirs in zip(own, other, strict=True):
        common = sum((min(x, theirs[n]) if clipped else x) * theirs[n] for n, x in mine.items() if n in theirs)
        norms = math.sqrt(sum(x * x for x in mine.values())) * math.sqrt(sum(x * x for x in theirs.values()))
        values.append(common / norms if norms else 0.0)
    return values


def _weighted(counts: Counter[Ngram], weight: Callable[[Ngram], float]) -> list[dict[Ngram, float]]:
    orders: list[dict[Ngram, float]] = [{} for _ in range(_ORDERS)]
    for ngram, times in counts.items():
        orders[len(ngram) - 1][ngram] = times * weight(ngram)
    return orders


def rouge_l(pairs: Sequence[Pair], *, beta: float = 1.2) -> list[float]:
    """ROUGE-L of each pair in 0 to 1, cut at single blanks, as pycocoevalcap counts it."""
    return [_rouge_pair(reference.split(" "), candidate.split(" "), beta) for reference, candidate in pairs]


def _rouge_pair(reference: list[str], candidate: list[str], beta: float) -> float:
    row = [0] * (len(reference) + 1)
    for word in candidate:
        diagonal = 0
        for j, other in enumerate(reference, 1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    precision, recall = row[-1] / len(candidate), row[-1] / len(reference)
    if not precision or not recall:
        return 0.0
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision)


def bleu(pairs: Sequence[tuple[Sequence[str], Sequence[str]]], orders: int = 4) -> float:
    """Corpus BLEU of references and candidates that are sequences of tokens, one reference each, unsmoothed.

    Source: Papineni et al., ACL 2002. A plain string is a sequence of characters, which is what the public BenSMOT
    script hands over.
    """
    hits, totals = [0] * orders, [0] * orders
    length = [0, 0]
    for reference, candidate in pairs:
        length[0] += len(reference)
        length[1] += len(candidate)
        for n in range(1, orders + 1):
            own, other = _grams(candidate, n), _grams(reference, n)
            hits[n - 1] += sum(min(times, other[gram]) for gram, times in own.items())
            totals[n - 1] += max(1, sum(own.values()))
    if not all(hits):
        return 0.0
    brevity = 1.0 if length[1] > length[0] else math.exp(1 - length[0] / max(1, length[1]))
    return brevity * math.exp(sum(math.log(h / t) for h, t in zip(hits, totals, strict=True)) / orders)


def _grams(tokens: Sequence[str], n: int) -> Counter[Ngram]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
