"""What a sentence of a caption is about: the words of its first noun phrase, and the noun at their head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capgen.pipeline.checks.categories.grammar import (
    AFTER_NOUNS,
    CLAUSES,
    COLOURS,
    COMMA,
    DETERMINERS,
    NO_PARTICIPLES,
    PARTICIPLES,
    PERSONS,
    PREPOSITIONS,
    is_participle,
    word_set,
)
from capgen.pipeline.checks.categories.nouns import Nouns
from capgen.pipeline.checks.categories.openings import main_clause

# Verbs that are nouns of things too; behind a noun that stands alone they are verbs.
_VERBS = word_set(
    """flies rests stands sits leans hangs runs walks waits shows plays rides holds swims eats drinks jumps climbs faces
    covers crosses passes reads carries wears looks bears features contains displays leads rolls rises drops falls cuts
    cooks cleans drives pushes pulls throws kicks hits catches serves sleeps grazes lies lie stand hang sit rest lean
    run walk fly stretch hold eat drink wait ride wears"""
)
_NUMBERS = word_set("two three four five six seven eight nine ten")
_ONE = word_set("a an one this that another each every")
_OWNERS = word_set("his her my our your")
_JOINTS = word_set("and or nor & plus")
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
_HOLDING = word_set("full filled containing holding topped loaded packed piled stuffed laden stacked heaped brimming")
_PEOPLE = word_set("people couple crowd family audience team crew")
_PLURALS = word_set("people men women children")
_BARE = word_set("sports clothes glasses goggles arms goods news darts")  # plurals before another noun
_NO_NOUN = ("ing", "ed", "ly", "en", "ward", "up", "down", "out")  # how what follows a noun may end
# Nouns that are participles where they follow another noun and a preposition follows them.
_GERUNDS = word_set(
    """backing banding bearing batting bowling clearing cooling crocheting curling drawing exercising facing filling
    fitting fixing flashing gambling gaming gathering glowing hanging hatching heading heating helping holding hurling
    ironing knitting landing lapping lashing leading leaning loading making mending mounting offing opening ordering
    overlapping packing panting posting pressing printing recording rubbing seizing serving sewing shading shopping
    signaling snipping stopping swelling ticking tracing turning washing whipping widening working wrapping writing"""
)
# These are verbs before an object too.
_TRANSITIVE = word_set(
    "listing holding showing displaying containing wearing carrying bearing featuring riding eating drinking "
    "pulling pushing pouring serving using"
)
# A name or a number follows these.
_NAMING = word_set("named titled marked labelled labeled called numbered stamped printed reading saying branded")
_VERBAL = PARTICIPLES | _GERUNDS  # nouns, but verbs where nothing follows that they could belong to
_POSSESSIVES = word_set("its his her their")
_MOST = 4  # noun phrases that are joined
_LONGEST = 14  # words of a noun phrase that are looked at
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Subject:
    """What one sentence is about.

    Args:
        phrases: the first noun phrase, what it is made of or filled with, and those that ``and`` joins to it; with
            each the words up to its head, this one in the singular, or none where no head is known.
        head: the same words of the phrase that the sentence is about; empty where none is known.
        first: whether the sentence began with that noun phrase.
    """

    phrases: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    head: tuple[str, ...]
    first: bool


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
        if words[:1] == ["not"]:
            return Subject((), (), False)
    elif words[0] in _OWNERS:
        words = words[1:]
    words, first = main_clause(words, table)
    if words and words[0] in PERSONS:
        return Subject(((tuple(words[:1]), tuple(words[:1])),), tuple(words[:1]), first)
    phrase, place = _first_phrase(words, table)
    phrases = [phrase]
    said = [_without_verb(phrase, words[place:], table)]
    while place < len(words) and len(phrases) < _MOST and _goes_on(words[place:], phrases[-1], table, vessels):
        place += 1 + (words[place + 1 : place + 2] in (["with"], ["of"]))
        phrase, length = _first_phrase(words[place:], table)
        place += length
        phrases.append(phrase)
        said.append(_without_verb(phrase, words[place:], table))
    number = 0
    while number + 1 < len(said) and _ends_in(said[number], transparent | vessels, table):
        number += 1
    heads = [_head(phrase, table) for phrase in said]
    head = heads[number]
    if not head and (not vessels or all(_names_nothing(word, table) and not word.isdecimal() for word in said[number])):
        head = next((one for one in reversed(heads[:number]) if one), ())
    return Subject(tuple((tuple(phrase), of) for phrase, of in zip(phrases, heads, strict=True)), head, first)


def _names_nothing(word: str, table: Nouns) -> bool:
    """Whether a word is no noun and no word that the table does not know: a ball, 20 cm wide."""
    known = word in table.adjectives or word in table.mostly_adjectives or word in AFTER_NOUNS
    return known or word.isdecimal() or word in DETERMINERS or word in COLOURS


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
    if word == COMMA:
        return bool(after) and after[0] not in PREPOSITIONS and _is_in_list(rest[1:])
    return word == "with" and _ends_in(phrase, vessels, table)


def _is_in_list(rest: Sequence[str]) -> bool:
    """Whether words behind a comma end in a joint or another comma soon: "eggs, bacon and toast"."""
    for word in rest[:_SHORTEST]:
        if word in _JOINTS or word == COMMA:
            return True
        if word in PREPOSITIONS or word in CLAUSES:
            return False
    return False


def _first_phrase(words: Sequence[str], table: Nouns) -> tuple[list[str], int]:
    """The words up to the end of the first noun phrase, and where that is."""
    phrase: list[str] = []
    nouns = 0
    place = 0
    for place, word in enumerate(words[:_LONGEST]):
        if word == "of" or word in PREPOSITIONS or (word in CLAUSES and not _is_can(words, place, table)):
            return phrase, place
        if word in _JOINTS or word == COMMA:
            if nouns or not phrase or _ends_phrase(phrase[-1], words[place + 1 : place + 2], table):
                return phrase, place
            continue
        if word in DETERMINERS:
            if nouns and word not in _NUMBERS:
                return phrase, place
        elif phrase and ((nouns and word in _HOLDING) or _goes_on_with_verb(words, place, phrase, table)):
            return phrase, place
        elif word not in COLOURS and word not in table.mostly_adjectives:
            nouns += table.singular(word) in table.senses
        phrase.append(word)
    return phrase, min(place + 1, len(words))


def _ends_phrase(before: str, after: Sequence[str], table: Nouns) -> bool:
    """Whether "and" or a comma, with no noun before it, does not join two adjectives."""
    if not after or after[0] in PREPOSITIONS or after[0] in DETERMINERS or after[0] in CLAUSES:
        return True
    known = before in COLOURS or before in table.adjectives or before in table.mostly_adjectives
    return not (known or before.endswith(("ed", "ing", "y")) or is_participle(before, table))


def _is_can(words: Sequence[str], place: int, table: Nouns) -> bool:
    """Whether "can" is a thing: a green can, a beer can beside a plate, a trash can overflowing with cups."""
    if words[place] != "can" or not place:
        return False
    last, after = words[place - 1], words[place + 1] if place + 1 < len(words) else "."
    if after in ("be", "have", "not"):
        return False
    known = last in DETERMINERS or last in COLOURS or f"{last} can" in table.senses
    return known or last not in table.senses or _ends(after) or after.endswith(("ing", "ed"))


def _goes_on_with_verb(words: Sequence[str], place: int, phrase: Sequence[str], table: Nouns) -> bool:
    watering_can = words[place + 1 : place + 2] == ["can"] and f"{words[place]} can" in table.senses
    return phrase[-1] not in DETERMINERS and not watering_can and _is_verb(words, place, phrase, table)


def _is_verb(words: Sequence[str], place: int, phrase: Sequence[str], table: Nouns) -> bool:
    """Whether a word behind a noun goes on with what the noun does or how it is."""
    word, last = words[place], phrase[-1]
    after = words[place + 1] if place + 1 < len(words) else "."
    if word.endswith("s") and len(word) > 3 and not word.endswith(("ss", "us")):
        return _is_third_person(word, phrase, after, table)
    adjective = last in COLOURS or last in table.mostly_adjectives or last in AFTER_NOUNS
    noun = table.singular(last) in table.senses and not adjective
    if is_participle(word, table) and (
        (noun and word in _NAMING)
        or (noun and after not in COLOURS and not table.is_noun(after))
        or _ends(after)
        or _is_painted(words[place + 1 :], table)
    ):
        return (noun and word in _NAMING) or word not in table.senses or after in DETERMINERS or word in _VERBAL
    if not noun:
        return False
    if word in _TRANSITIVE:
        return True
    if word.endswith("ing") and len(word) > _SHORTEST and word not in NO_PARTICIPLES:
        return word not in table.senses and (after in (".", COMMA) or not table.is_thing(table.singular(last)))
    return _is_plural_verb(word, last, after, table)


def _is_painted(rest: Sequence[str], table: Nouns) -> bool:
    """Whether a participle's colour follows it: a boat painted green drifts."""
    if rest[:1] == [] or rest[0] not in COLOURS:
        return False
    later = rest[1] if len(rest) > 1 else "."
    return _ends(later) or (later.endswith("s") and later[:-1] in table.verbs)


def _is_plural_verb(word: str, last: str, after: str, table: Nouns) -> bool:
    """Whether a word behind a plural says what these do."""
    if last.endswith("s") and word in _VERBS:
        return True
    many = table.singular(last) != last or (last.endswith("s") and last[:-1] in table.senses)
    many = (many and last not in _BARE) or last in _PLURALS
    ends = _ends(after) or after == "side"  # by side
    return many and (word in table.mostly_verbs or word in _VERBS or (ends and word in table.verbs))


def _ends(after: str) -> bool:
    return (
        after in (".", "of", COMMA)
        or after in PREPOSITIONS
        or after in DETERMINERS
        or after in CLAUSES
        or after in AFTER_NOUNS
    )


def _is_third_person(word: str, phrase: Sequence[str], after: str, table: Nouns) -> bool:
    """Whether a word that ends in "s" says what the noun before it does."""
    if word in _VERBS and after != COMMA:
        return True
    compound = f"{phrase[-1]} {table.singular(word)}" in table.senses
    if compound or phrase[-1] in table.mostly_adjectives or phrase[0] in _NUMBERS:
        return False
    one = table.singular(word)
    if one not in table.senses:
        return _base_form(word) in table.verbs or table.singular(phrase[-1]) in table.senses
    if (_ends(after) or after.endswith("ly")) and phrase[0] in _ONE and phrase[-1] not in COLOURS:  # no plural
        return (_base_form(word) if one == word else one) in table.verbs  # shades are a noun of their own
    if table.singular(phrase[-1]) not in table.senses:
        return False
    does = phrase[0] in _ONE or (not table.is_thing(phrase[-1]) and table.is_noun(after))  # the bear strips leaves
    return one in table.mostly_verbs or (does and one in table.verbs)


def _base_form(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("shes", "ches", "sses", "xes", "oes", "zzes")) else word[:-1]


def _without_verb(phrase: Sequence[str], after: Sequence[str], table: Nouns) -> Sequence[str]:
    """A noun phrase without a verb at its end: what stands before "a" and "the" is none of its nouns."""
    if len(phrase) < 2 or not after or after[0] not in DETERMINERS | _POSSESSIVES or after[0] == "that":
        return phrase
    before = phrase[-2]
    if before in DETERMINERS or before in table.mostly_adjectives or before in COLOURS:
        return phrase
    if table.singular(before) in table.senses and (
        phrase[-1] in table.verbs or table.singular(phrase[-1]) in table.verbs
    ):
        return phrase[:-1]
    return phrase


def _head(phrase: Sequence[str], table: Nouns) -> tuple[str, ...]:
    """The words of a noun phrase up to its last noun, this one in the singular; empty where its end is unknown."""
    named = [word for word in phrase if word not in DETERMINERS]
    while named and (named[-1] in AFTER_NOUNS or named[-1].isdecimal() or _is_no_noun(named, table)):
        named.pop()
    if not named or (named[-1] in table.mostly_adjectives and len(named) in (1, len(phrase))):  # "fuzzy and round"
        return ()
    last = "person" if named[-1] in _PEOPLE else table.singular(named[-1])
    known = last in table.senses or " ".join(named[-2:]) in table.senses or " ".join(named[-3:]) in table.senses
    return (*named[:-1], last) if known else ()


def _is_no_noun(named: Sequence[str], table: Nouns) -> bool:
    """Whether the last word only says how the noun before it is."""
    last, before = named[-1], named[-2:-1]
    if last not in table.senses and table.singular(last) not in table.senses:
        known = bool(before) and table.singular(before[0]) in table.senses
        return (
            last.endswith(_NO_NOUN)
            or last.startswith("mid")
            or last in table.irregular_verbs
            or (known and last in table.adjectives)
        )
    if not before or f"{before[0]} {last}" in table.senses:
        return False
    known = table.singular(before[0]) in table.senses and before[0] not in table.mostly_adjectives
    return known and (last in table.mostly_adjectives or last in COLOURS)
