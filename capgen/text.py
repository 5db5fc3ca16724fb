"""Captions as text: one normal form and one way to cut words, shared by checks, dedup and evaluation; times as text."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
# Of bytes: letters in lower case; what is neither letter nor digit is a blank, but for what may join two of them.
_JOINING = "'-"
_ASCII_WORDS = bytes(
    ord(letter.lower()) if byte < 128 and ((letter := chr(byte)).isalnum() or letter in _JOINING) else ord(" ")
    for byte in range(256)
)
_STRAY = tuple(
    pair.encode() for one in _JOINING for pair in (f" {one}", f"{one} ", *(f"{one}{other}" for other in _JOINING))
)


def tidy(caption: str) -> str:
    """The caption with white space folded to single blanks and trimmed; nothing else is changed."""
    return " ".join(caption.split())


def word_spans(text: str) -> list[tuple[str, int, int]]:
    """Each word in lower case with its start and end in ``text``, which is taken as it is, without a normal form."""
    return [(found.group().lower(), found.start(), found.end()) for found in _WORD.finditer(text)]


def words(caption: str) -> list[str]:
    """The words in lower case, without punctuation, after Unicode NFKC."""
    if caption.isascii():
        data = b" %b " % caption.encode().translate(_ASCII_WORDS)
        if (b"-" in data or b"'" in data) and any(stray in data for stray in _STRAY):
            return _WORD.findall(caption.lower())
        return data.decode().split()  # the same, and quicker
    text = unicodedata.normalize("NFKC", caption).lower()
    marked = _NOT_ASCII.sub(_or_letter, text)
    return [text[found.start() : found.end()] for found in _WORD.finditer(marked)]


def _or_letter(letter: re.Match[str]) -> str:
    """A letter in the place of a combining mark: it belongs to its letter, but is no word character to `re`."""
    return "x" if unicodedata.category(letter[0]) in ("Mn", "Mc") else letter[0]


IDLE_WORDS = frozenset(
    ["a", "an", "the", "and", "with", "of", "is", "are", "was", "were", "its", "that", "which", "this"]
)


def word_bag(caption: str) -> frozenset[tuple[str, int]]:
    """The words by which a caption can be told from another, each as often as it is said, in no order.

    Articles, auxiliary verbs and their like tell nothing; prepositions do (above and below).
    """
    return frozenset(Counter(word for word in words(caption) if word not in IDLE_WORDS).items())


def normal(caption: str) -> str:
    """The form in which two captions count as the same: words in lower case, joined by blanks."""
    return " ".join(words(caption))


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
