"""How long a caption is and where it repeats, for scripts with and without blanks between words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from capgen.pipeline.checks.vocabulary.plain_form import is_plain_sentence, plain
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
def _words(caption: str) -> tuple[list[str], int]:
    """The words, and how many characters the longest has."""
    if is_plain_sentence(caption) and "-" not in caption and "'" not in caption:  # its words are known already
        found = plain(caption).text.split()[1:-1]
    else:
        found = words(caption)
    return found, max(map(len, found), default=0)


def word_count(caption: str) -> int:
    """Words of the caption; a script without blanks counts one word for every 1.5 characters, rounded up."""
    spaced, _ = _words(caption)
    if caption.isascii():
        return len(spaced)
    total = 0
    for word in spaced:
        unspaced = 0 if word.isascii() else len(_UNSPACED.findall(word))
        total += -int(-unspaced // CHARACTERS_A_WORD) + (unspaced < len(word))
    return total


def units(caption: str) -> tuple[Sequence[str], str, int]:
    """What may repeat, what joins it, and the longest's characters: words and a blank, or characters and nothing.

    Characters count where the script has no blanks, or where a word is absurdly long.
    """
    spaced, longest = _words(caption)
    if longest <= _LONGEST_WORD and (caption.isascii() or not _is_unspaced("".join(spaced))):
        return spaced, " ", longest
    return "".join(spaced), "", 1


def _is_unspaced(letters: str) -> bool:
    return not letters.isascii() and 2 * len(_UNSPACED.findall(letters)) > len(letters)
