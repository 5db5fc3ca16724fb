"""A caption that goes round in circles: the loop a language model falls into."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from operator import eq
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.plain_form import is_plain_sentence, plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_readings
from capgen.pipeline.checks.vocabulary.units import units
from capgen.pipeline.confidence import FUNCTION_WORDS
from capgen.text import normal

_LONGEST_CYCLE = 12  # words; longer ones show in the share of repeated n-grams
_WAYS = frozenset("up down back forth round around in out over under left right to fro again".split())  # noqa: SIM905
_DOUBLES = 3  # words
_STUTTERED = 9  # letters
_STUTTER = re.compile(r"([^\W\d_]{3,12})\1\1")
_STUTTERING = watch(lambda word: _STUTTER.search(word) is not None)
_SENTENCE_END = re.compile(r"[.!?;\u3002\uff01\uff1f\n]")


@dataclass(frozen=True, slots=True)
class Repetition:
    """Drops runs of a character or word, words said over and over, and a sentence said twice.

    So are three words or more each of which stands twice in a row; what a sign says again in capitals is left out.

    Args:
        max_share: the most n-grams (3 words; 6 characters in scripts without blanks) that may repeat an earlier one.
        max_characters: how often one character may stand in a row, blanks apart.
        max_words: how often one word, or one pair of words, may be said in a row.
    """

    max_share: float = 0.2
    max_characters: int = 6
    max_words: int = 2

    final: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (0 <= self.max_share <= 1 and self.max_characters >= 1 and self.max_words >= 1):
            raise ValueError("max_share lies in 0 to 1, max_characters and max_words are at least 1")

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote what is repeated."""
        caption = without_readings(said.caption)
        told = self._character_run(caption) or _twice_said(caption)
        if told is not None:
            return told
        unit, joint, longest = units(caption)
        if longest >= _STUTTERED and plain(caption).lists & _STUTTERING and (stutter := _stuttered(unit)) is not None:
            return stutter
        if joint and (twice := _words_twice(unit)) is not None:
            return twice
        # Most captions never say two units in the same order again, so there is nothing to search.
        if self.max_words > 1 and not _says_two_again(unit):
            return None
        return self._repeated(unit, joint, caption)

    def _repeated(self, unit: Sequence[str], joint: str, caption: str) -> str | None:
        if joint and (word := _overused(unit, caption)) is not None:
            return f"{word!r} {unit.count(word)} times in {len(unit)} words"
        if self.max_words > 1 and not _says_three_again(unit):
            return None
        return self._cycle(unit, joint, caption) or self._repeated_share(unit, joint)

    def _character_run(self, caption: str) -> str | None:
        squeezed = caption.replace(" ", "") if is_plain_sentence(caption) else "".join(caption.split())
        if squeezed.isascii() and not _has_run(squeezed.encode(), self.max_characters):
            return None
        found = _run_of(self.max_characters)(squeezed)
        return None if found is None else f"{found[1]!r} more than {self.max_characters} times in a row"

    def _cycle(self, said: Sequence[str], joint: str, caption: str) -> str | None:
        """The same few units again and again, side by side: "a red car a red car".

        Where a sentence ends in words with which the next one begins, these are honest, if they do not come thrice;
        so is what commas count up just once too often: "hops, hops, hops", "red, white, red, white, red, white".
        """
        scale = 1 if joint else 2
        for period in range(scale, _LONGEST_CYCLE * scale + 1):
            allowed = self.max_words if period <= 2 * scale else 1
            start = _run(said, period, period * allowed)
            if start < 0:
                continue
            words = said[start : start + period]
            if joint and all(_in_capitals(word, caption) for word in words):
                continue
            honest = joint and (_parted(words, caption) if allowed == 1 else _counted_up(words, allowed + 1, caption))
            if not honest:
                return f"{joint.join(said[start : start + period])!r} {allowed + 1} times in a row"
        return None

    def _repeated_share(self, said: Sequence[str], joint: str) -> str | None:
        n = 3 if joint else 6
        grams = Counter(zip(*(said[i:] for i in range(n)), strict=False))
        total = grams.total()
        repeats = total - len(grams)
        # One repeat is chance in a short caption: "a man in red and a man in blue".
        if repeats < 2 or repeats <= self.max_share * total:
            return None
        quote = joint.join(grams.most_common(1)[0][0])
        return f"{repeats} of {total} runs of {n} repeat an earlier one, most often {quote!r}"


def _says_two_again(said: Sequence[str]) -> bool:
    """Whether two units come in the same order once more: only where at least two units are no new ones."""
    return len(set(said)) + 2 <= len(said) and len(set(pairwise(said))) + 1 < len(said)


def _says_three_again(said: Sequence[str]) -> bool:
    """Whether three units come in the same order once more, or one comes twice in a row: each cycle has that."""
    threes = len(set(zip(said, said[1:], said[2:], strict=False)))
    return threes + 2 < len(said) or any(map(eq, said, said[1:]))


def _has_run(data: bytes, characters: int) -> bool:
    """Whether a byte stands that many times behind itself: quicker than a regular expression, which says where."""
    number = int.from_bytes(data)
    changes = number ^ (number >> 8)  # a byte like the one before it is 0 here
    return b"\0" * characters in changes.to_bytes(len(data))


@cache
def _run_of(characters: int) -> Callable[[str], re.Match[str] | None]:
    return re.compile(rf"(\D)\1{{{characters}}}").search


def _run(said: Sequence[str], period: int, length: int) -> int:
    """Where the first stretch starts whose ``length`` units are also found ``period`` further on; -1 for nowhere.

    Numbers do not count, they repeat in honest captions: a plate that reads 7 7 7.
    """
    same, run = bytes(map(eq, said, said[period:])), b"\1" * length
    start = same.find(run)
    while start >= 0 and all(unit.isdigit() for unit in said[start : start + period]):
        start = same.find(run, start + 1)
    return start


def _words_twice(said: Sequence[str]) -> str | None:
    """Several words each of which stands twice in a row: "brass brass plaque plaque"."""
    if len(set(said)) + _DOUBLES > len(said):  # most captions
        return None
    twice = {word for word, after in pairwise(said) if word == after and not word.isdigit()}
    if len(twice) < _DOUBLES:
        return None
    return f"{len(twice)} words stand twice in a row: {', '.join(sorted(twice))!r}"


def _in_capitals(word: str, caption: str) -> bool:
    """Whether a word is written in capitals as on a sign, in a caption that has mostly small letters."""
    return (
        len(word) > 1
        and word.upper() in caption
        and 2 * sum(map(str.isupper, caption)) < len(caption)
        and re.search(rf"\b{re.escape(word)}\b", caption) is None
    )


def _overused(said: Sequence[str], caption: str) -> str | None:
    """A content word that is said five times and makes up a sixth of the caption, unless that is what a sign reads."""
    if len(set(said)) + 4 > len(said):
        return None
    counts = Counter(word for word in said if word not in FUNCTION_WORDS and not word.isdigit())
    word, times = next(iter(counts.most_common(1)), ("", 0))
    return word if times >= 5 and times * 6 >= len(said) and not _in_capitals(word, caption) else None


def _counted_up(words: Sequence[str], times: int, caption: str) -> bool:
    """Whether the words stand in a row that often and no oftener, with commas between all of them."""
    again = ",? ".join(map(re.escape, words))
    row = rf"\b{again}(?:, {again}){{{times - 1}}}\b"
    return (
        re.search(row, caption, re.IGNORECASE) is not None
        and re.search(rf"{row}\W+{again}", caption, re.IGNORECASE) is None
    )


def _parted(words: Sequence[str], caption: str) -> bool:
    """Whether the end of a sentence stands between two copies of the words, and there are no more than two.

    A comma will do between those of "up and down, up and down".
    """
    again = r"[^\w]+".join(map(re.escape, words))
    copies = re.compile(again, re.IGNORECASE).findall(caption)
    end = r"[.!?,]" if len(words) == 3 and words[1] == "and" and _WAYS.issuperset(words[::2]) else r"[.!?]"
    return len(copies) == 2 and re.search(rf"{again}[^\w]*{end}[^\w]*{again}", caption, re.IGNORECASE) is not None


def _stuttered(words: Sequence[str]) -> str | None:
    """A word that is one piece again and again: "redredred"."""
    for word in words:
        if len(word) >= _STUTTERED and 2 * len(set(word)) <= len(word) and (found := _STUTTER.search(word)) is not None:
            return f"{found.group()!r} says {found[1]!r} again and again"
    return None


def _twice_said(caption: str) -> str | None:
    if is_plain_sentence(caption):
        return None
    sentences = _SENTENCE_END.split(caption)
    if len(sentences) < 3 and not sentences[-1]:
        return None
    seen: set[str] = set()
    for sentence in sentences:
        form = normal(sentence)
        # A word said twice may be what a sign reads: "Stop. Stop."
        if form in seen and (" " in form or len(form) > 12):
            return f"{form[:80]!r} is said twice"
        seen.add(form)
    return None
