"""What a sentence of a caption is about: the words of its first noun phrase, and the noun at their head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capgen.pipeline.checks.categories.nouns import Nouns


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PREPOSITIONS = _set(
    """in on at by near with without behind beside besides below above under underneath beneath over from against for
    to into onto inside outside within through across along around about toward towards upon off amid amidst among
    amongst between past atop alongside like unlike after before during despite via per than until plus beyond
    throughout"""
)
# What follows a noun without being one.
_AFTER_NOUNS = _set(
    """asleep awake alone ajar afloat aloft alive ablaze askew alight aground apart away adrift upright upside
    sideways midair underwater outdoors indoors here there together forward backwards overhead nearby halfway mid
    next close full empty high wide tall long deep thick old low flat straight open shut slightly partly fully
    partially completely half still just very almost not also both each only all up down out back"""
)
CLAUSES = _set(
    """that which who whom whose where when while as if because so but neither nor yet is are was were be been being
    am has have had
    having does do did can could may might will would should its his her their it he she they him them isn't aren't
    it's he's she's they're there's"""
)
# Verbs that are nouns of things too; behind a noun that stands alone they are verbs.
_VERBS = _set(
    """flies rests stands sits leans hangs runs walks waits shows plays rides holds swims eats drinks jumps climbs faces
    covers crosses passes reads carries wears looks bears features contains displays leads rolls rises drops falls cuts
    cooks cleans drives pushes pulls throws kicks hits catches serves sleeps grazes lies lie stand hang sit rest lean
    run walk fly stretch hold eat drink wait ride wears"""
)
_DETERMINERS = _set(
    "a an the this that these those two three four five six seven eight nine ten several some many both"
)
_NUMBERS = _set("two three four five six seven eight nine ten")
_ONE = _set("a an one this that another each every")
_JOINTS = _set("and or nor & plus")
_OPENINGS = (
    ("there", "is"),
    ("there", "are"),
    ("this", "is"),
    ("it", "is"),
    ("here", "is"),
    ("these", "are"),
    ("they", "are"),
)
# A glass of milk is about milk, a basket filled with towels about towels as well.
_HOLDING = _set("full filled containing holding topped loaded packed piled stuffed laden stacked heaped brimming")
_PLURALS = _set("people men women children")
_NO_NOUN = ("ing", "ed", "ly", "en", "ward", "up", "down", "out")  # how what follows a noun may end
_PARTICIPLES = _set(
    "cut set split shut bent held built made worn torn seen kept left bound hung lit spread strewn sunk stuck dug wound"
)
_NO_PARTICIPLES = _set("wedding evening morning ceiling building racing string spring king ring wing")
_POSSESSIVES = _set("its his her their")
_MOST = 4  # noun phrases that are joined
_LONGEST = 14  # words of a noun phrase that are looked at
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """What one sentence is about.

    Args:
        words: of the first noun phrase, with what it is made of or filled with, and of those that ``and`` joins to it.
        head: the words of the first noun phrase up to its head, in the singular; empty where none is known.
        first: whether the sentence began with that noun phrase.
        others: the heads of the noun phrases that follow it with "of" and the like.
    """

    words: tuple[str, ...]
    head: tuple[str, ...]
    first: bool
    others: tuple[tuple[str, ...], ...] = ()


def subjects(
    words: Sequence[str], table: Nouns, transparent: frozenset[str], vessels: frozenset[str]
) -> Iterator[Subject]:
    """What each sentence is about.

    Args:
        words: of a caption in plain form, with a "." around each sentence.
        transparent: nouns in whose place stands what follows their "of": a pair of boots is about boots.
        vessels: the same for "with" too: a plate with fries is about fries.
    """
    sentence: list[str] = []
    for word in words:
        if word != ".":
            sentence.append(word)
        elif sentence:
            yield _subject(sentence, table, transparent, vessels)
            sentence = []


def _subject(words: Sequence[str], table: Nouns, transparent: frozenset[str], vessels: frozenset[str]) -> Subject:
    if tuple(words[:2]) in _OPENINGS:
        words = words[2:]
    first = bool(words) and words[0] not in PREPOSITIONS and not _is_participle_clause(words)
    phrases = [_first_phrase(words, table)]
    place = len(phrases[0])
    while place < len(words) and len(phrases) < _MOST and _goes_on(words[place:], phrases[-1], table, vessels):
        place += 1 + (words[place + 1 : place + 2] in (["with"], ["of"]))
        phrases.append(_first_phrase(words[place:], table))
        place += len(phrases[-1])
    said = [_without_verb(phrase, words, table) for phrase in phrases]
    number = 0
    while number + 1 < len(said) and _ends_in(said[number], transparent | vessels, table):
        number += 1
    head = _head(said[number], table)
    if not (head or vessels):
        head = next((one for phrase in reversed(said[:number]) if (one := _head(phrase, table))), ())
    others = tuple(one for phrase in said[number + 1 :] if (one := _head(phrase, table)))
    return Subject(tuple(word for one in phrases for word in one), head, first, others)


def _is_participle_clause(words: Sequence[str]) -> bool:
    """Whether a sentence begins with what somebody does: "Sitting on a branch, a bird"."""
    return words[0].endswith("ing") and words[1:2] != [] and words[1] in PREPOSITIONS | _DETERMINERS


def _ends_in(phrase: Sequence[str], nouns: frozenset[str], table: Nouns) -> bool:
    last = table.singular(phrase[-1]) if phrase else ""
    return last in nouns or bool(nouns and table.is_container(last))


def _goes_on(rest: Sequence[str], phrase: Sequence[str], table: Nouns, vessels: frozenset[str]) -> bool:
    """Whether the next words join another noun phrase to this one."""
    word, after = rest[0], rest[1:2]
    if not phrase:
        return False
    if word in _JOINTS or word == "of" or (word in _HOLDING and after in (["with"], ["of"])) or word == "containing":
        return True
    return word == "with" and _ends_in(phrase, vessels, table)


def _first_phrase(words: Sequence[str], table: Nouns) -> list[str]:
    """The words up to the end of the first noun phrase."""
    phrase: list[str] = []
    nouns = 0
    for place, word in enumerate(words[:_LONGEST]):
        if word == "of" or word in PREPOSITIONS or word in _JOINTS or word in CLAUSES:
            break
        if word in _DETERMINERS:
            if nouns and word not in _NUMBERS:
                break
        elif (nouns and word in _HOLDING) or (phrase and _is_verb(words, place, phrase, table)):
            break
        else:
            nouns += table.singular(word) in table.senses
        phrase.append(word)
    return phrase


def _is_verb(words: Sequence[str], place: int, phrase: Sequence[str], table: Nouns) -> bool:
    """Whether a word behind a noun goes on with what the noun does or how it is."""
    word, before = words[place], table.singular(phrase[-1])
    if phrase[-1] in _DETERMINERS:
        return False
    after = words[place + 1] if place + 1 < len(words) else "."
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us")):
        return _is_third_person(word, phrase, table)
    ends = after == "of" or after in PREPOSITIONS or after in _DETERMINERS or after in CLAUSES or after in _AFTER_NOUNS
    if ends and (word.endswith(("ed", "ing")) or word in _PARTICIPLES) and len(word) > 2:
        return word in _PARTICIPLES or word not in table.senses or after in _DETERMINERS or word in table.mostly_verbs
    if before not in table.senses or before in table.mostly_adjectives:
        return False
    if word.endswith("ing") and len(word) > _SHORTEST and word not in _NO_PARTICIPLES:
        return word not in table.senses and (after == "." or not table.is_thing(before))
    many = before != phrase[-1] or phrase[-1] in _PLURALS
    return many and (word in table.mostly_verbs or word in _VERBS)


def _is_third_person(word: str, phrase: Sequence[str], table: Nouns) -> bool:
    """Whether a word that ends in "s" says what the noun before it does."""
    if word in _VERBS:
        return True
    if phrase[-1] in table.mostly_adjectives:
        return False
    one = table.singular(word)
    if one not in table.senses:
        return _base_form(word) in table.verbs or table.singular(phrase[-1]) in table.senses
    if table.singular(phrase[-1]) not in table.senses:
        return False
    return one in table.mostly_verbs or (phrase[0] in _ONE and one in table.verbs)


def _base_form(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("shes", "ches", "sses", "xes", "oes", "zzes")) else word[:-1]


def _without_verb(phrase: Sequence[str], words: Sequence[str], table: Nouns) -> Sequence[str]:
    """A noun phrase without a verb at its end: what stands before "a" and "the" is none of its nouns."""
    place = len(phrase)
    after = words[place : place + 1]
    known = len(phrase) > 1 and table.singular(phrase[-2]) in table.senses and phrase[-2] not in _DETERMINERS
    if known and list(words[:place]) == list(phrase) and after and after[0] in _DETERMINERS | _POSSESSIVES:
        one = table.singular(phrase[-1])
        if phrase[-1] in table.verbs or one in table.verbs:
            return phrase[:-1]
    return phrase


def _head(phrase: Sequence[str], table: Nouns) -> tuple[str, ...]:
    """The words of a noun phrase up to its last noun, this one in the singular; empty where its end is unknown."""
    named = [word for word in phrase if word not in _DETERMINERS]
    while named and (named[-1] in _AFTER_NOUNS or _is_no_noun(named, table)):
        named.pop()
    if not named:
        return ()
    last = "person" if named[-1] == "people" else table.singular(named[-1])
    return (*named[:-1], last) if last in table.senses else ()


def _is_no_noun(named: Sequence[str], table: Nouns) -> bool:
    """Whether the last word only says how the noun before it is."""
    last, before = named[-1], named[-2:-1]
    if last not in table.senses and table.singular(last) not in table.senses:
        return last.endswith(_NO_NOUN)
    known = bool(before) and table.singular(before[0]) in table.senses and before[0] not in table.mostly_adjectives
    return known and last in table.mostly_adjectives
