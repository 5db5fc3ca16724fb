"""Whether a caption whose subject is another thing describes the object all the same: who wears the red dress."""

from __future__ import annotations

from collections.abc import Sequence

from capgen.pipeline.checks.categories.grammar import CLAUSES, COMMA, PREPOSITIONS, is_participle, word_set
from capgen.pipeline.checks.categories.nouns import Nouns, nouns
from capgen.pipeline.checks.categories.wanted import Wanted, is_other_compound

_BEFORE = 8  # words before a noun among which its article is looked for
_FIRST = 5  # words; a possessive among them is the subject's owner
_DETERMINERS = word_set("a an the his her its their this that my your two three four five both several")
_ENDS = PREPOSITIONS | CLAUSES | frozenset((".", "and", "or", "of", COMMA))  # at these a noun phrase ends
_CLAUSES_BEFORE = word_set("and while as when where")
# What says nothing of how a thing looks.
_IDLE = word_set("old new few own other same first second single certain small big large little paper whole")


def is_described(words: Sequence[str], one: Wanted) -> bool:
    """Whether a later noun phrase names the object and says how it looks, or the first words are of a part of it.

    "A woman in a long grey cardigan stirs a pot" is a caption of a cardigan; "a cat in a basket" is none of a basket.
    People are named in captions of everything, so that a person has to be the subject.
    """
    if any(word.endswith("'s") and one.by_word[word] for word in words[:_FIRST]):
        return True
    return not one.person and any(
        _is_described_at(words, place, one) for place in range(2, len(words)) if one.by_word[words[place]]
    )


def _is_described_at(words: Sequence[str], place: int, one: Wanted) -> bool:
    """Whether between an article and the name a word tells more, and both are no name of another thing."""
    before = _modifiers(words, place)
    after = words[place + 1] if place + 1 < len(words) else "."
    if not before:  # the subject of a clause of its own: "and the giraffe curls its tongue"
        return words[place - 2] in _CLAUSES_BEFORE and words[place - 1] in ("a", "the") and after not in _ENDS
    table = nouns()
    ends = after in _ENDS or is_participle(after, table) or not table.is_noun(after)
    if not ends and not _is_told(words[place - len(before) - 1], after, table):
        return False  # of a compound
    return not (_IDLE | one.qualifiers).issuperset(before) and not is_other_compound(before[-1], words[place], one)


def _is_told(determiner: str, after: str, table: Nouns) -> bool:
    """Whether a noun behind another one says what that does: a goat stretches, the racket snaps."""
    if not after.endswith("s") or after.endswith("ss"):
        return False
    return determiner in ("a", "an") or table.singular(after) in table.mostly_verbs


def _modifiers(words: Sequence[str], place: int) -> Sequence[str]:
    """The words between a noun and its article; none where it has no article."""
    for start in range(place - 1, max(-1, place - _BEFORE), -1):
        if words[start] in _DETERMINERS:
            return words[start + 1 : place]
        if words[start] in _ENDS and words[start] != "and":
            return ()
    return ()
