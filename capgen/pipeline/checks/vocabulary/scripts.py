"""Letters of other scripts than the Latin one, and what makes them honest in an English caption."""

from __future__ import annotations

import re
from collections.abc import Iterator

from capgen.pipeline.checks.vocabulary.quotations import CUES

# Cyrillic; Armenian, Hebrew, Arabic; the scripts of India and Southeast Asia; Georgian, Hangul; kana, Han. Greek
# letters stand in formulas and names of fraternities, so they are left out.
_LETTERS = (
    "\u0400-\u052f\u0530-\u058f\u0590-\u07bf\u0860-\u08ff\u0900-\u10ff\u1100-\u11ff\u1200-\u137f\u1780-\u18af"
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufeff\uff66-\uffdc\U00020000-\U0003ffff"
)
_BETWEEN = r"[\s\d,.\u3001\u3002\uff0c\uff01\uff1a\uff1b\u00b7\u30fb\u2019'-]"
_RUN = re.compile(rf"[{_LETTERS}](?:{_BETWEEN}{{0,3}}[{_LETTERS}]){{0,400}}[\u3002\uff01]?")
_ANY = re.compile(rf"[{_LETTERS}]")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]+")
_LATIN = re.compile("[a-z\u00df-\u024f]+", re.IGNORECASE)
_BEFORE, _AFTER = 4, 2  # words around a run among which a cue makes it a reading
_LONGEST_READING = 12  # letters of a reading without quotation marks that is not announced right before it


def letters(text: str) -> int:
    """How many letters of another script than Latin and Greek the text has."""
    return len(_ANY.findall(text))


def foreign_runs(text: str) -> Iterator[str]:
    """The stretches of other scripts that are neither names nor announced as what something reads.

    A name is one to three capitalised words of a script with capitals.
    """
    for match in _RUN.finditer(text):
        if not (_is_name(match.group()) or _is_reading(match)):
            yield match.group()
    for match in _GREEK.finditer(text):
        # four lower-case letters in a row are a word, not a formula
        if len(match.group()) > 3 and match.group().islower():
            yield match.group()


def _is_name(run: str) -> bool:
    words = run.split()
    return len(words) <= 3 and all(word[0].isupper() for word in words)


def _is_reading(match: re.Match[str]) -> bool:
    text, size = match.string, letters(match.group())
    before = [word.lower() for word in _LATIN.findall(text[max(0, match.start() - 60) : match.start()])[-_BEFORE:]]
    after = [word.lower() for word in _LATIN.findall(text[match.end() : match.end() + 40])[:_AFTER]]
    if not CUES.isdisjoint(before[-2:]) and not match.group().endswith("\u3002"):
        return True
    return size <= _LONGEST_READING and not (CUES.isdisjoint(before) and CUES.isdisjoint(after))
