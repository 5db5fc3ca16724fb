"""METEOR by NLTK, which the public BenSMOT scripts use: exact words, then stems, then WordNet's synonyms.

It is another METEOR than the Java program's (``java_metrics``) and gives other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from capgen.evaluation.metrics.text.captions import Pair

REMEDY = "pip install nltk, then python -m nltk.downloader wordnet"


def find_wordnet() -> tuple[Any, str]:
    """NLTK's WordNet, and an empty reason; or None, and why it cannot be had."""
    try:
        from nltk.corpus import wordnet
    except ModuleNotFoundError:
        return None, f"NLTK is not installed ({REMEDY})"
    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None, f"NLTK's WordNet is not on this machine ({REMEDY})"
    return wordnet, ""


def nltk_meteor(pairs: Sequence[Pair], cut: Callable[[str], list[str]], wordnet: Any) -> list[float]:
    """METEOR of each pair in 0 to 1; commas and full stops are taken out first, as the scripts do.

    Args:
        cut: makes tokens of a sentence.
        wordnet: has ``synsets(word)``, as NLTK's corpus reader.
    """
    from nltk.translate.meteor_score import meteor_score

    known: dict[Pair, float] = {}
    for pair in pairs:
        if pair not in known:
            reference, candidate = (text.replace(",", "").replace(".", "") for text in pair)
            known[pair] = float(meteor_score([cut(reference)], cut(candidate), wordnet=wordnet))
    return [known[pair] for pair in pairs]


def whole_sentence(text: str) -> list[str]:
    """The sentence as one token, as CaptionFormer's script hands it over."""
    return [text]


def at_blanks(text: str) -> list[str]:
    """The words between single blanks, as SMOT's script cuts."""
    return text.split(" ")
