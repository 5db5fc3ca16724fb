"""A caption in another language than English, or one that changes to another language on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.vocabulary.english_words import strange_words
from capgen.pipeline.checks.vocabulary.foreign_words import (
    ARTICLES,
    ENGLISH,
    FOREIGN,
    PARTICLES,
    foreign_sentence,
    foreign_stretch,
    has_rare_letter,
    is_loan,
    strange_run,
)
from capgen.pipeline.checks.vocabulary.plain_form import plain, watch
from capgen.pipeline.checks.vocabulary.quotations import without_quotations
from capgen.pipeline.checks.vocabulary.scripts import foreign_runs, letters

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[,.;:()\u2014]")
_WORD_OR_END = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|[.!?]")
_SENTENCE = re.compile(r"[.!?;:\n]")
_ACCENTED_WORDS = 0.34
_FEW = 3
_STRANGE = 2  # words in a row that are no English ones
_DISH = 4.0  # the same where a dish was asked for
_FOREIGN_WORD, _ENGLISH_WORD = watch(FOREIGN), watch(ENGLISH)
_TELLING_LISTS = _FOREIGN_WORD | _ENGLISH_WORD | watch(lambda word: bool(strange_words(frozenset((word,)))))
_PLAIN_ENGLISH = frozenset({"a", "an", "the", "with", "of", "is", "and", "on"})


@dataclass(frozen=True, slots=True)
class Language:
    """Drops captions that are not English, or not to their end.

    Signs, quotations, names, Greek letters and loan words (crème brûlée) stay.

    Args:
        scripts: whether letters of other scripts than Latin are looked at.
        function_words: how many more function words of another language than English ones a stretch may have; one
            more drops the caption.
    """

    scripts: bool = True
    function_words: int = 2

    final: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.function_words < 1:
            raise ValueError("function_words must be at least 1")

    def __call__(self, said: CheckedCaption) -> str | None:
        """Quote what is not English."""
        _, heard, lists, _ = plain(said.caption)
        ascii_only = said.caption.isascii()
        if ascii_only and lists & _TELLING_LISTS == _ENGLISH_WORD:  # most captions
            return None
        plainly = (
            lists & (_ENGLISH_WORD | _FOREIGN_WORD) == _ENGLISH_WORD
            and len(strange := strange_words(heard)) < _STRANGE
            and not any(map(has_rare_letter, strange))
        )
        if plainly and ascii_only:
            return None
        caption = without_quotations(said.caption)
        if not ascii_only and self.scripts:
            run = next(foreign_runs(caption), None)
            if run is None and letters(said.caption) > len(said.caption) / 2:
                run = said.caption  # all of it in quotation marks
            if run is not None:
                return f"is not English: {run[:40]!r}"
        if plainly:
            return None
        return self._other_words(caption) or _strange(caption, said)

    def _other_words(self, caption: str) -> str | None:
        spoken = _without_names(caption)
        found = foreign_stretch(spoken, self.function_words + 1)
        if found is None and not {"a", "the", "of", "with", "in", "and", "is", "on"} & set(spoken):
            found = foreign_stretch(spoken, 2)
        if found is not None:
            return f"is not English but {found[0]}: {found[1][:60]!r}"
        edge = _foreign_edge(spoken)
        if edge is not None:
            return edge
        parts = [(sentence, 1.5) for sentence in _SENTENCE.split(caption)]
        parts += [(clause, 2.0) for sentence, _ in parts if "," in sentence for clause in sentence.split(",")]
        for part, enough in parts:
            heard = _without_names(part)
            language = foreign_sentence(heard, enough)
            if language is not None:
                return f"is not English but {language}: {' '.join(heard)[:60]!r}"
        if _is_unknown(spoken):
            return f"holds no English word that is known: {' '.join(spoken)[:60]!r}"
        accented = sum(not word.isascii() and not is_loan(word) for word in spoken)
        if accented > 2 and accented > _ACCENTED_WORDS * len(spoken):
            return f"is not English: {accented} of {len(spoken)} words have accents"
        return None


def _strange(caption: str, said: CheckedCaption) -> str | None:
    """What is said of words in a row that are not English: another language, or garbage.

    Args:
        caption: without quotations.
    """
    words = _with_names(caption)
    strange = frozenset(strange_words(frozenset(word.replace("\u2019", "'") for word, _ in words)))
    if not strange:
        return None
    run = strange_run(words, strange, _DISH if _names_food(said.category) else _STRANGE)
    return None if run is None else f"is not English: {run[:60]!r}"


def _names_food(category: str | None) -> bool:
    """Whether dishes, which have foreign names, may be asked for, or what they are served in."""
    if category is None:
        return True
    table = nouns()
    food = frozenset(table.senses["food"] + table.senses["drink"] + table.senses["crockery"] + table.senses["bottle"])
    return not food.isdisjoint(table.kinds_of_category(category))


def _foreign_edge(spoken: list[str]) -> str | None:
    """What is said of words that begin with a foreign article, or that are foreign after the last English one."""
    if spoken and spoken[0] in ARTICLES and _PLAIN_ENGLISH.isdisjoint(spoken):
        return f"is not English: begins with {spoken[0]!r}"
    last = max((place for place, word in enumerate(spoken) if word in ENGLISH), default=-1)
    language = foreign_sentence(spoken[last + 1 :])
    return None if language is None else f"ends in {language}: {' '.join(spoken[last + 1 :])[:60]!r}"


def _is_unknown(spoken: list[str]) -> bool:
    """Whether a caption of three words or more has neither an English function word nor a known noun."""
    if len(spoken) < _FEW or not ENGLISH.isdisjoint(spoken):
        return False
    table = nouns()
    return not any(table.singular(word) in table.senses for word in spoken)


def _with_names(caption: str) -> list[tuple[str, bool]]:
    """The words in lower case, each with whether it is a name; little words inside a name are names."""
    tokens = _WORD_OR_END.findall(caption)
    found: list[tuple[str, bool]] = []
    for position, token in enumerate(tokens):
        starts = position == 0 or tokens[position - 1] in ".!?"
        before, after = tokens[max(0, position - 2) : position], tokens[position + 1 : position + 3]
        inside = (
            token in PARTICLES and any(one[0].isupper() for one in before) and any(one[0].isupper() for one in after)
        )
        if token in ".!?":
            found.append((".", False))
        elif token != "quotation":
            found.append((token.lower(), inside or (token[0].isupper() and not starts)))
    return found


def _without_names(caption: str) -> list[str]:
    """The words in lower case, without the little words inside a name: the ``de la`` of Museo de la Ciudad.

    In German every noun has a capital: only the little words that names have are left out.
    """
    tokens = _WORD.findall(caption)
    kept: list[str] = []
    for position, token in enumerate(tokens):
        before = tokens[position - 2 : position] if position > 1 else tokens[:position]
        after = tokens[position + 1 : position + 3]
        in_name = (
            token in PARTICLES
            and any(t[0].isupper() for t in before[-2:] if position > 1)
            and any(t[0].isupper() for t in after)
        )
        if token[0].isalpha() and not (token.islower() and in_name):
            kept.append(token.lower())
    # "junto a la acera": this "a" is no English article
    return [
        word for number, word in enumerate(kept) if word != "a" or FOREIGN.isdisjoint(kept[number + 1 : number + 2])
    ]
