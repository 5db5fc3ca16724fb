"""A caption's plain form, which all checks share: its words, and which of the checks' word lists they are in."""

from __future__ import annotations

import re
import string
import threading
from collections.abc import Callable, Container
from functools import lru_cache, reduce
from operator import or_
from typing import NamedTuple

from capgen.pipeline.checks.vocabulary.quotations import without_readings
from capgen.text import normal

# Curly and modifier apostrophes, the prime and the backtick; hyphens and underscores part words.
FOLD = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032`", "'") | dict.fromkeys("-\u2010\u2011_", " "))
"""What apostrophes and hyphens become in the plain form."""
# The same of bytes: in lower case; what ends a sentence is a full stop, what is neither word nor end is a blank.
_ASCII_ENDS = bytes(
    ord(letter.lower()) if (letter := chr(byte)).isalnum() and byte < 128 else ord("." if letter in ".!?:;" else " ")
    for byte in range(256)
)
# The same with apostrophes.
_ASCII_APOSTROPHES = bytes(ord("'") if chr(byte) in "'`" else end for byte, end in enumerate(_ASCII_ENDS))
_STRAY = (b" '", b"' ", b"''")
_LETTERS = (string.ascii_letters + " ,'-").encode()
_WORD_OR_STOP = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*|\.")
# A line that goes on in lower case was only wrapped.
_SENTENCE_END = re.compile(r"[.!?:;\u3002\uff01\uff1f\uff1a]|\n(?!\s{0,9}[a-z])")
_MOST_WORDS, _LONGEST_WORD = 1 << 18, 40  # words that are remembered, and their letters


class Plain(NamedTuple):
    """A caption's words in lower case with blanks between them and a lone "." around each sentence; and their set.

    ``lists``: of each list of words that is watched for, its bit, where one of the words is in it.
    ``sentence``: whether the caption is a plain sentence, see ``is_plain_sentence``.
    """

    text: str
    words: frozenset[str]
    lists: int
    sentence: bool


class _Lists(dict[str, int]):
    """The bits of the lists that a word is in, found once for each word."""

    def __init__(self) -> None:
        super().__init__()
        self._tests: list[Callable[[str], bool]] = []
        self._lock = threading.RLock()  # a check may be imported while another thread checks captions

    def __missing__(self, word: str) -> int:
        with self._lock:
            bits = sum(1 << number for number, test in enumerate(self._tests) if test(word))
            if len(self) < _MOST_WORDS and len(word) <= _LONGEST_WORD:
                self[word] = bits
        return bits

    def add(self, test: Callable[[str], bool]) -> int:
        """One list more; its bit."""
        with self._lock:
            self.clear()
            self._tests.append(test)
            return 1 << (len(self._tests) - 1)


_lists = _Lists()


def watch(words: Container[str] | Callable[[str], bool]) -> int:
    """Watch for a list of words in all captions: one pass over a caption's words answers for all lists.

    Args:
        words: the list, or what tells whether a word is in it.

    Returns:
        The list's bit in ``Plain.lists``; bits may be joined with ``|``.
    """
    bit = _lists.add(words if callable(words) else words.__contains__)
    plain.cache_clear()
    return bit


# Several checks of one caption ask for it, one after the other.
@lru_cache(maxsize=4)
def is_plain_sentence(caption: str) -> bool:
    """Whether it has nothing but ASCII letters, blanks, commas, apostrophes, hyphens and a full stop at its end.

    Then questions about signs, numbers and a second sentence are settled.
    """
    return caption.isascii() and caption[-1:] == "." and caption.encode().translate(None, _LETTERS) == b"."


# The checks of one caption run one after the other, and each asks for the same form.
@lru_cache(maxsize=4)
def plain(caption: str) -> Plain:
    """The form in which phrases are searched; what the caption quotes from a sign or a shirt is left out."""
    sentence = is_plain_sentence(caption)
    if sentence and "'" not in caption:  # most captions: the same in one pass
        said = caption.encode().translate(_ASCII_ENDS)[:-1].decode().split()
        text = f" . {' '.join(said)} . " if said else " . "
        said.append(".")
    else:
        text = plain_text(caption)
        said = text.split()
    words = frozenset(said)
    return Plain(text, words, reduce(or_, map(_lists.__getitem__, words), 0), sentence)


def plain_text(caption: str) -> str:
    """The text of the plain form alone, for a caption of which nothing else is asked."""
    text = without_readings(caption)
    if not text.isascii() or "\n" in text:
        sentences = (normal(sentence) for sentence in _SENTENCE_END.split(text.translate(FOLD)))
        return " . " + " . ".join(filter(None, sentences)) + " . "
    data = b" %b " % text.encode().translate(_ASCII_APOSTROPHES).replace(b".", b" . ")
    if b"'" in data and any(stray in data for stray in _STRAY):
        said = _WORD_OR_STOP.findall(data.decode())
    else:
        said = data.decode().split()  # the same, and quicker
    if not (said and said[-1] == "."):
        said.append(".")
    text = f" . {' '.join(said)} "
    while " . . " in text:
        text = text.replace(" . . ", " . ")
    return text
