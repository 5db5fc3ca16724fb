"""How long a caption is and where it repeats, for scripts with and without blanks between words."""

from __future__ import annotations

import re
from functools import lru_cache

from capgen.text import words

CHARACTERS_A_WORD = 1.5
"""Characters that stand for one word where a script has no blanks (a Chinese word has one or two)."""

# Thai and Lao, Myanmar, Khmer, kana, Han: written without blanks, so a whole clause comes as one "word".
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LONGEST_WORD = 40


# Two checks of one caption ask for its words, one after the other.
@lru_cache(maxsize=4)
def _words(caption: str) -> tuple[str, ...]:
    return tuple(words(caption))


def word_count(caption: str) -> int:
    """Words of the caption; a script without blanks counts one word for every 1.5 characters, rounded up."""
    if caption.isascii():
        return len(_words(caption))
    total = 0
    for word in _words(caption):
        unspaced = 0 if word.isascii() else len(_UNSPACED.findall(word))
        total += -int(-unspaced // CHARACTERS_A_WORD) + (unspaced < len(word))
    return total


def units(caption: str) -> tuple[list[str], str]:
    """What may repeat, and what joins it: the words and a blank, or the characters and nothing.

    Characters count where the script has no blanks, or where a word is absurdly long.
    """
    spaced = list(_words(caption))
    joined = "".join(spaced)
    unspaced = not joined.isascii() and 2 * len(_UNSPACED.findall(joined)) > len(joined)
    if unspaced or max(map(len, spaced), default=0) > _LONGEST_WORD:
        return list(joined), ""
    return spaced, " "
