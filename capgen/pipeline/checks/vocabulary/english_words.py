"""Whether a word is an English one: WordNet's words, function words, newer words, their inflections and compounds."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "english"
_MOST = 1 << 18  # words that are remembered
# What was found so far: captions use few of the words that are listed, and a small set is looked through quicker.
_found_english: set[str] = {"."}
_found_strange: set[str] = set()
# Endings, and what stands in their place in the word that WordNet lists.
_ENDINGS = tuple(
    ending.partition(">")[::2]
    for ending in """s> es> ies>y ves>f ves>fe men>man ed> ed>e ied>y d> ing> ing>e er> er>e ers> ers>e est> est>e ier>y
    iest>y ly> ily>y ish> y> y>e less> ful> like> ness> able> wise> ward> wards> let> lets>""".split()  # noqa: SIM905
)
_PREFIXES = """un re over under out mid semi multi non pre mini micro anti inter super sub bi tri de dis""".split()  # noqa: SIM905

_LONGEST = 40  # letters
_SHORTEST = 3  # letters of a part of a compound


@cache
def _listed() -> frozenset[str]:
    return frozenset(word for file in sorted(_FOLDER.glob("*.txt")) for word in file.read_text("utf-8").split())


def strange_words(words: frozenset[str]) -> list[str]:
    """Those of the words, in lower case, that are no English words as far as is known."""
    if words <= _found_english:  # most captions
        return []
    return [word for word in words - _found_english if word in _found_strange or not _is_known(word)]


def _is_known(word: str) -> bool:
    """Whether a word is listed or made of listed ones, or is a number, a code or marks; it is remembered."""
    listed = _listed()
    known = word in listed or not (word.isalpha() or "'" in word) or _is_made(word, listed)
    found = _found_english if known else _found_strange
    if len(found) < _MOST:
        found.add(word)
    return known


def is_english(word: str) -> bool:
    """Whether one word, in lower case, is an English one as far as is known."""
    return not strange_words(frozenset((word.replace("\u2019", "'"),)))


def _is_made(word: str, listed: frozenset[str]) -> bool:
    """Whether a word is an inflection of a listed one, has a prefix before one, or is made of two."""
    if len(word) > _LONGEST:
        return False
    word = word.removesuffix("'s").removesuffix("'")
    if any(form in listed for form in _forms(word)):
        return True
    for prefix in _PREFIXES:
        rest = word.removeprefix(prefix)
        if rest != word and len(rest) >= _SHORTEST and any(form in listed for form in _forms(rest)):
            return True
    return any(
        word[:place] in listed and any(form in listed for form in _forms(word[place:]))
        for place in range(_SHORTEST, len(word) - _SHORTEST + 1)
    )


def _forms(word: str) -> Iterator[str]:
    """The word, and what it may be an inflection of."""
    yield word
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: len(word) - len(ending)] + instead
            yield stem
            if len(stem) > 3 and stem[-1] == stem[-2]:
                yield stem[:-1]
