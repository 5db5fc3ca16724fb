"""Where the main clause of a sentence begins: behind what says where, how or when."""

from __future__ import annotations

from collections.abc import Sequence

from capgen.pipeline.checks.categories.grammar import (
    AFTER_NOUNS,
    COLOURS,
    COMMA,
    DETERMINERS,
    PERSONS,
    PREPOSITIONS,
    is_participle,
    word_set,
)
from capgen.pipeline.checks.categories.nouns import Nouns

_LONGEST = 16  # words in front of a main clause that are looked at
_FOLLOWING = (PREPOSITIONS, DETERMINERS, AFTER_NOUNS)  # a participle that is no adjective
_ARTICLES = frozenset(("a", "an", "the"))
_OWN = frozenset(("its", "his", "her", "their"))
# Behind these, in a sentence that does not begin with its subject, the subject follows.
_STANDING = word_set(
    """is are sits sit stands stand lies lie hangs hang leans lean rests rest perches perch floats float sways runs
    grows grow waits lurks towers looms gleams glows dangles dangle sprawls crouches crouch kneels squats rises
    stretches flies swims walks hovers nestles nestle climbs comes goes shines flutters"""
)


def main_clause(words: Sequence[str], table: Nouns) -> tuple[Sequence[str], bool]:
    """The words from the subject on ("Sitting on a branch, a bird", "On a branch sits a bird"), and whether it is one.

    Args:
        words: of one sentence, with COMMA for each comma.
    """
    if not words or not _is_in_front(words, table):
        return words, bool(words)
    for place in range(1, min(len(words) - 1, _LONGEST)):
        before, word, after = words[place - 1], words[place], words[place + 1]
        if word == COMMA and (after in DETERMINERS or after in PERSONS):
            return words[place + 1 :], True
        if word in _STANDING and (after in DETERMINERS or after in _OWN) and before not in _ARTICLES:
            return words[place + 1 :], True
        if word in _ARTICLES and place > 1 and words[0] in PREPOSITIONS and _is_noun(before, table):
            return words[place:], True
    return words, False


def _is_in_front(words: Sequence[str], table: Nouns) -> bool:
    """Whether the first words say where, how or when; a participle may also be before its noun: painted tiles."""
    first, second = words[0], words[1] if len(words) > 1 else "."
    if first in PREPOSITIONS or (first in _OWN and COMMA in words[:_LONGEST]):
        return True
    follows = second == COMMA or second.endswith("ly") or any(second in one for one in _FOLLOWING)
    tells = is_participle(first, table) or first in AFTER_NOUNS or first in table.adjectives or first in COLOURS
    return tells and follows


def _is_noun(word: str, table: Nouns) -> bool:
    return table.singular(word) in table.senses and word not in PREPOSITIONS and not is_participle(word, table)
